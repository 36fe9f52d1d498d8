"""The images that guests have as disks: whether a file or a block device can be one, and why not.

Raw ones only: who parses another format on behalf of a guest has to trust what the guest, or somebody, wrote there.
"""

import errno
import os
import stat
from dataclasses import dataclass

from jitsu.config import Disk
from jitsu.errors import DomainError

SECTOR = 512
"""Bytes; what virtio and Xen count in, whatever the disk's own sectors are."""

_FORMATS = ((b"QFI\xfb", "qcow2"), (b"KDMV", "vmdk"), (b"vhdxfile", "vhdx"))
"""How the images of other formats begin, and what qemu-img calls them."""


@dataclass(frozen=True, slots=True)
class DiskImage:
    """An image that can be a guest's disk. `size` is in bytes; `device`: it is a block device, and no file. Two of the
    same `identity` are one, whatever their paths. `changed` is when a file was written last, in nanoseconds; of a
    device nobody can tell."""

    disk: Disk
    size: int
    device: bool
    identity: tuple[int, int]
    changed: int = 0

    def is_same(self, other: "DiskImage") -> bool:
        """The same image, if not the same content."""
        return (self.disk, self.size, self.identity) == (other.disk, other.size, other.identity)


def examine(service: str, disk: Disk) -> DiskImage:
    """Look at a disk of a service. Raises `DomainError`, which names both."""
    try:
        return _examine(disk)
    except DomainError as error:
        raise DomainError(f"service {service}: disk {disk.path}: {error.message}", hint=error.hint) from None


def _examine(disk: Disk) -> DiskImage:
    try:
        # Looked at first: to open what is neither may wait for somebody, or have an effect.
        status = os.stat(disk.path)
        device = stat.S_ISBLK(status.st_mode)
        if not device and not stat.S_ISREG(status.st_mode):
            what = "a directory" if stat.S_ISDIR(status.st_mode) else "neither a file nor a block device"
            raise DomainError(f"is {what}", hint="name the image itself")
        fd = os.open(disk.path, (os.O_RDWR if disk.writable else os.O_RDONLY) | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
            head = os.pread(fd, SECTOR, 0)
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise DomainError("no such file", hint="build it, or mend `disks` in jitsu.toml") from None
    except OSError as error:
        raise _unusable(disk, error) from None
    for magic, name in _FORMATS:
        if head.startswith(magic):
            hint = f"convert it: qemu-img convert -O raw {disk.path} {disk.path}.raw"
            raise DomainError(f"is a {name} image, and disks are raw", hint=hint)
    if size == 0:
        raise DomainError("is empty", hint="make it again, or give it a size: truncate -s 64M FILE")
    if size % SECTOR:
        hint = f"a disk is made of whole sectors; fill up the last one: truncate -s %{SECTOR} {disk.path}"
        raise DomainError(f"has {size} bytes, which is no multiple of {SECTOR}", hint=hint)
    if device:
        return DiskImage(disk, size, device, (0, status.st_rdev))
    return DiskImage(disk, size, device, (status.st_dev, status.st_ino), status.st_mtime_ns)


def _unusable(disk: Disk, error: OSError) -> DomainError:
    hint = ""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = f"give the user that runs jitsu the right to {'read and write' if disk.writable else 'read'} it"
    return DomainError((error.strerror or str(error)).lower(), hint=hint)
