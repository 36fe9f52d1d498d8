"""Small volumes for tests of one thing: made and filled by the commands."""

from pathlib import Path

from tests.unit.shfs_command import done
from tests.unit.shfs_golden import GOLDEN, unpack

CHUNK = 4096


def made(folder: Path, *options: object, chunks: int = 24, name: str = "vol") -> Path:
    """A volume of 4 KiB chunks, with a table of 16 entries unless the options say something else."""
    image = folder / name
    with image.open("wb") as file:
        file.write(b"\xa5" * (chunks + 1) * CHUNK)
    done("mkfs", image, "-s", CHUNK, "-b", 4, "-e", 4, *options)
    return image


def source(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def added(image: Path, path: Path, *options: object) -> str:
    """Its digest."""
    return done("add", image, path, *options).out.split()[0]


def golden(name: str, folder: Path) -> list[Path]:
    return unpack(GOLDEN[name], folder)
