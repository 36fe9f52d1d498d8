"""The objects of a volume as files, in a folder or a tar archive, with a manifest that makes a volume of them again.

A name of an object may be anything, a path of a file may not: what would lead out of the folder, stand for two objects
or harm a terminal is changed, and told. The manifest keeps the names, wherever they are text.
"""

import io
import os
import shutil
import stat
import tarfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from shfs.errors import HostError, InputError
from shfs.members import BLOCK
from shfs.volume import StoredObject, Volume

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MANIFEST = "manifest.toml"

_LATEST = 1 << 33
"""Times behind this one are none that a filesystem could keep."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A file of the volume, and the path below the folder that it is written to."""

    item: StoredObject
    path: str


def placed(items: Sequence[StoredObject], *, by_digest: bool, tell: Callable[[str], None]) -> list[Placed]:
    """A path for each file: its name, or with `by_digest` its digest. `tell` gets a sentence for each name that cannot
    be one, or stands for an object before it, or for a folder of other objects."""
    files = [item for item in items if item.link is None]
    if by_digest:
        return [Placed(item, item.digest.hex()) for item in files]
    wanted = [_safe_path(item) for item in files]
    folders = {path[:at] for path in wanted for at, letter in enumerate(path) if letter == "/"}
    taken = {MANIFEST}
    found = []
    for item, path in zip(files, wanted, strict=True):
        own = path if path not in taken and path not in folders else f"{path}~{item.digest.hex()[:8]}"
        while own in taken or own in folders:
            own += "~"
        if own != item.name:
            tell(f"the object {item.digest.hex()} named {item.name!r} is written to {own}")
        taken.add(own)
        found.append(Placed(item, own))
    return found


def write_folder(
    volume: Volume, files: Sequence[Placed], manifest: str, folder: str, progress: Callable[[int], None]
) -> None:
    """Write all of it into a folder that is new or empty, the manifest last. If it fails, nothing is left of it.

    Raises InputError for a folder that has something in it, HostError if it cannot be written, VolumeError for objects
    that cannot be read.
    """
    root = Path(folder)
    try:
        with ExitStack() as undo:
            if not root.exists():
                root.mkdir()
                undo.callback(root.rmdir)
            elif not root.is_dir() or any(root.iterdir()):
                raise InputError(f"{folder} is no empty folder", hint="give a new one: nothing is written over")
            undo.callback(_empty, root)
            for file in files:
                path = root / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as out:
                    for block in volume.read(file.item):
                        out.write(block)
                        progress(len(block))
                os.utime(path, (_moment(file.item), _moment(file.item)))
            (root / MANIFEST).write_text(manifest, encoding="utf-8")
            undo.pop_all()
    except OSError as error:
        raise HostError(
            f"{error.filename or folder} cannot be written: {error.strerror}", hint="look at the folder that it is in"
        ) from None


def write_tar(
    volume: Volume, files: Sequence[Placed], manifest: str, out: BinaryIO, progress: Callable[[int], None]
) -> None:
    """Write all of it as a tar archive, the manifest last. Raises VolumeError, as `write_folder`."""
    with tarfile.open(fileobj=out, mode="w|", bufsize=BLOCK, format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            blocks = io.BufferedReader(_Blocks(volume.read(file.item), progress), BLOCK)
            archive.addfile(_header(file.path, file.item.size, _moment(file.item)), blocks)
        data = manifest.encode()
        archive.addfile(_header(MANIFEST, len(data), _moment(None)), io.BytesIO(data))


class _Blocks(io.RawIOBase):
    """The bytes of an object, as a stream."""

    def __init__(self, blocks: Iterator[memoryview], progress: Callable[[int], None]) -> None:
        self._blocks = blocks
        self._progress = progress
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._rest:
            self._rest = next(self._blocks, memoryview(b""))
        view = memoryview(buffer)
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._progress(count)
        return count


def _safe_path(item: StoredObject) -> str:
    """The name as a path that stays below where it begins, and has no control characters and only text in it."""
    parts = [_safe_part(part) for part in item.name.split("/") if part]
    return "/".join(parts) or item.digest.hex()


def _safe_part(part: str) -> str:
    if part in (".", ".."):
        return part.replace(".", "%2E")
    return "".join(
        "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogateescape"))
        if unicodedata.category(letter) in ("Cc", "Cs")
        else letter
        for letter in part
    )


def _moment(item: StoredObject | None) -> int:
    """The time of a file: that of its object, if it is one."""
    return item.created if item is not None and item.created < _LATEST else 0


def _header(path: str, size: int, moment: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(path)
    header.size, header.mtime, header.mode = size, moment, stat.S_IRUSR | stat.S_IWUSR | stat.S_IRGRP | stat.S_IROTH
    return header


def _empty(folder: Path) -> None:
    """Nothing in it is anybody else's: it was empty."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
