"""The disks of a service: `content.img`, `rw:state.img`."""

from dataclasses import dataclass
from pathlib import Path

MOST_DISKS = 6
"""What a microvm has room for, beside the network and the ports."""

_WRITABLE = {"ro": False, "rw": True}


@dataclass(frozen=True, slots=True)
class Disk:
    """A raw image: a file, or a block device. Many guests may read one; who may write it has it alone."""

    path: Path
    writable: bool = False


def split_disk(text: str) -> tuple[str, bool]:
    """The path in a disk's text, as it stands there, and whether the guest may write.

    A path that itself begins with `ro:` or `rw:` is written with `./` before it.
    """
    access, colon, path = text.partition(":")
    return (path, _WRITABLE[access]) if colon and access in _WRITABLE else (text, False)


def absolute_disk(text: str, folder: Path) -> str:
    """The same disk, its path made absolute: a relative one is meant from `folder`."""
    path, writable = split_disk(text)
    return f"{'rw' if writable else 'ro'}:{(folder / path).absolute()}" if path else text
