"""Small volumes with something of everything, and ways to damage them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shfs import Volume, mkfs
from shfs.digests import HashFunction
from shfs.links import LinkKind
from tests.unit import shfs_decoder

STRIPE = 4096
GONE = "gone.bin"
"""The object that was removed. With digests by hand it has the fourth, of bucket 4: one bit brings it back there."""

FILES = {
    "empty": 0,
    "small.txt": 100,
    "one chunk": 4096,
    GONE: 9000,
    "index.html": 5000,
    "two chunks": 8192,
}


def content(name: str) -> bytes:
    """The bytes of a file: none is a zero, and no two files begin alike."""
    seed = sum(name.encode())
    return bytes((seed + 7 * at + at // 251) % 255 + 1 for at in range(FILES[name]))


@dataclass(frozen=True)
class Sample:
    """How to make a volume: `length` is that of its digests, where they are given by hand."""

    members: int = 1
    backup: bool = False
    function: HashFunction = HashFunction.SHA
    length: int | None = None

    @property
    def files(self) -> list[str]:
        """Those that go into it: CRC has no digest for an empty one."""
        return [name for name in FILES if FILES[name] or self.function is not HashFunction.CRC]

    def make(self, folder: Path) -> list[str]:
        """Paths of its members, in their order."""
        paths = [folder / f"m{at}" for at in range(self.members)]
        for path in paths:
            path.write_bytes(bytes(STRIPE * (80 // self.members)))
        given = [str(path) for path in paths]
        mkfs(
            given,
            name="sample",
            stripe=STRIPE,
            buckets=8,
            entries=8,
            function=self.function,
            digest_length=self.length,
            backup=self.backup,
            created=1_700_000_000,
        )
        for name in FILES:
            (folder / name).write_bytes(content(name))
        with Volume.open(given, write=True) as volume:
            digests = iter(range(1, 100))

            def digest() -> bytes | None:
                manual = self.function is HashFunction.MANUAL
                return bytes([next(digests)] * volume.configuration.digest_length) if manual else None

            with volume.batch(now=1_700_000_100) as batch:
                for name in self.files:
                    batch.add(folder / name, mime="text/html" if name == "index.html" else "", digest=digest())
                batch.link("http://cache.example/x?y=1", name="away", digest=digest())
                batch.link("http://10.0.0.1:8080/live/", LinkKind.AUTO, digest=digest())
            with volume.batch() as batch:
                batch.remove(found(volume, GONE))
                batch.set_default(found(volume, "index.html"))
        return given


SAMPLES = {
    "one member": Sample(),
    "two members and a backup": Sample(members=2, backup=True),
    "digests by hand": Sample(function=HashFunction.MANUAL, length=20),
    "CRC": Sample(function=HashFunction.CRC),
}


def found(volume: Volume, name: str) -> bytes:
    """The digest of the object with that name."""
    item = volume.named(name)
    assert item is not None
    return item.digest


def slot_of(paths: list[str], name: str) -> int:
    """The slot of an object, removed or not."""
    volume = shfs_decoder.Volume.read(map(Path, paths))
    return next(slot.number for slot in volume.slots if slot.name == name.encode())


def place_of(paths: list[str], slot: int, at: int = 0, *, backup: bool = False) -> tuple[str, int]:
    """The member, and the byte of it, where byte `at` of a slot lies."""
    volume = shfs_decoder.Volume.read(map(Path, paths))
    table = volume.configuration.backup if backup else volume.configuration.table
    chunk, position = divmod(slot, volume.slots_of_a_chunk)
    (member, start), *_ = volume.place(table + chunk)
    return paths[member], start + position * 256 + at


def place_of_content(paths: list[str], name: str, at: int) -> tuple[str, int]:
    """The member, and the byte of it, where byte `at` of a file lies."""
    volume = shfs_decoder.Volume.read(map(Path, paths))
    slot = next(slot for slot in volume.slots if slot.name == name.encode())
    chunk, position = divmod(at, volume.label.chunk)
    (member, start), *_ = volume.place(slot.first_chunk + chunk)
    return paths[member], start + position


def overwrite(place: tuple[str, int], data: bytes) -> bytes:
    """Write bytes there; returns what was there."""
    with open(place[0], "r+b") as file:
        file.seek(place[1])
        before = file.read(len(data))
        file.seek(place[1])
        file.write(data)
    return before


def change(place: tuple[str, int], to: Callable[[int], int]) -> None:
    """Change one byte."""
    with open(place[0], "r+b") as file:
        file.seek(place[1])
        (byte,) = file.read(1)
        file.seek(place[1])
        file.write(bytes([to(byte) & 0xFF]))
