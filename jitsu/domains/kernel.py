"""Kernel images: which format a file is, and why a file is none.

ELF with the PVH note   Xen's docs/misc/pvh.pandoc; the note is XEN_ELFNOTE_PHYS32_ENTRY of xen/public/elfnote.h
ELF with a PV entry     XEN_ELFNOTE_ENTRY of the same; xen/common/libelf/libelf-dominfo.c says what else it wants
vmlinux                 the same, and Linux's own notes beside it (include/linux/elfnote-lto.h, build-salt.h)
bzImage                 Linux Documentation/arch/x86/boot.rst, "the real-mode kernel header"
arm64 Image             Linux Documentation/arch/arm64/booting.rst
ARM zImage              the magic number of arch/arm/boot/compressed/head.S
"""

import codecs
import errno
import os
import stat
import struct
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from jitsu.errors import DomainError


class KernelFormat(StrEnum):
    """What a hypervisor can boot; the value is what people call it."""

    PVH_ELF = "x86 ELF with a PVH entry"
    VMLINUX = "x86 vmlinux with a PVH entry"
    """A PVH ELF too, but Linux: it wants a timer, a clock, and to be told where its virtio devices are."""
    PV_ELF = "x86 ELF with a PV entry"
    """For Xen alone, and without a PVH entry."""
    BZIMAGE = "x86 bzImage"
    ARM64_IMAGE = "arm64 Image"
    ARM_ZIMAGE = "ARM zImage"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel image. `end` is the memory in bytes, from address 0, that it fills before it runs (its file size
    where the format does not say). `pv`: it is an ELF that has Xen's PV entry, beside a PVH one or alone."""

    path: Path
    format: KernelFormat
    end: int
    pv: bool = False


XEN_ELFNOTE_ENTRY, XEN_ELFNOTE_PHYS32_ENTRY = 1, 18

_ELF_MACHINES = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64"}
_ELF_MACHINES |= {243: "riscv", 258: "loongarch"}
_EM_386, _EM_X86_64 = 3, 62
_PT_LOAD, _PT_NOTE = 1, 4

# Bounds for what is read of a hostile or broken ELF: a kernel has a handful of segments and a page of notes.
_MOST_SEGMENTS = 128
_MOST_NOTES = 1 << 20

_NOT_A_KERNEL = (
    (b"\x1f\x8b", "compressed with gzip", "decompress it first: gunzip"),
    (b"\xfd7zXZ\x00", "compressed with xz", "decompress it first: unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "decompress it first: unzstd"),
    (b"#!", "a script", "name the kernel image that the script builds or starts"),
    (b"QFI\xfb", "a qcow2 disk image", "a disk is no kernel: name the kernel that boots from it"),
)

_FORMATS_HINT = "a kernel is an x86 ELF with a PVH note, a bzImage, an arm64 Image or an ARM zImage"


def recognise(path: Path) -> Kernel:
    """Say which kernel image the file at `path` is.

    An unchanged file is read once for the life of the process. Raises `DomainError` for a file that is missing,
    unreadable or no kernel image, saying which.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        raise DomainError(f"kernel {path}: no such file", hint="build it, or mend `kernel` in jitsu.toml") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    if not stat.S_ISREG(status.st_mode):
        what = "a directory" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise DomainError(f"kernel {path}: is {what}", hint="name the kernel image itself")
    if status.st_size == 0:
        raise DomainError(f"kernel {path}: the file is empty", hint="build it again")
    return _recognise(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _recognise(path: Path, inode: int, size: int, mtime_ns: int) -> Kernel:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
            if head.startswith(b"\x7fELF"):
                return _recognise_elf(path, head, file)
    except OSError as error:
        raise _unreadable(path, error) from None
    if head[0x1FE:0x200] == b"\x55\xaa" and head[0x202:0x206] == b"HdrS":
        return Kernel(path, KernelFormat.BZIMAGE, size)
    if head[0x38:0x3C] == b"ARM\x64":
        return Kernel(path, KernelFormat.ARM64_IMAGE, size)
    if head[0x24:0x28] == b"\x18\x28\x6f\x01":
        return Kernel(path, KernelFormat.ARM_ZIMAGE, size)
    for magic, what, hint in _NOT_A_KERNEL:
        if head.startswith(magic):
            raise DomainError(f"kernel {path}: is {what}, not a kernel image", hint=hint)
    if _is_text(head):
        raise DomainError(f"kernel {path}: is a text file, not a kernel image", hint=_FORMATS_HINT)
    raise DomainError(f"kernel {path}: is no kernel image that is known here", hint=_FORMATS_HINT)


def _recognise_elf(path: Path, head: bytes, file: BinaryIO) -> Kernel:
    """Read the program headers of an ELF: the segments' end, and the notes that tell what it is."""
    try:
        wide = head[4] == 2  # EI_CLASS: 1 is ELF32, 2 is ELF64
        order = ">" if head[5] == 2 else "<"  # EI_DATA: only to name the machine; x86 is little-endian
        (machine,) = struct.unpack_from(order + "H", head, 18)
        if order == ">" or machine not in (_EM_386, _EM_X86_64):
            name = _ELF_MACHINES.get(machine, f"machine {machine}")
            raise DomainError(
                f"kernel {path}: is an ELF for another machine ({name})",
                hint="build it for x86; ARM kernels are booted as arm64 Image or zImage, not as ELF",
            )
        end = 0
        pvh = pv = linux = False
        for kind, offset, physical, filled, occupied in _segments(head, file, wide):
            if kind == _PT_LOAD:
                end = max(end, physical + occupied)
            elif kind == _PT_NOTE and filled <= _MOST_NOTES:
                file.seek(offset)
                for owner, note in _notes(file.read(filled)):
                    pvh |= owner == b"Xen" and note == XEN_ELFNOTE_PHYS32_ENTRY
                    pv |= owner == b"Xen" and note == XEN_ELFNOTE_ENTRY
                    linux |= owner == b"Linux"
    except (struct.error, IndexError, ValueError):
        # ValueError: an offset beyond what a file can have.
        raise DomainError(f"kernel {path}: is a truncated or damaged ELF", hint="build it again") from None
    if not pvh and not pv:
        raise DomainError(
            f"kernel {path}: is an ELF without a PVH note",
            hint="link a XEN_ELFNOTE_PHYS32_ENTRY note into a PT_NOTE segment (Linux: CONFIG_PVH=y)",
        )
    if not pvh:
        return Kernel(path, KernelFormat.PV_ELF, end, pv)
    return Kernel(path, KernelFormat.VMLINUX if linux else KernelFormat.PVH_ELF, end, pv)


def _segments(head: bytes, file: BinaryIO, wide: bool) -> list[tuple[int, int, int, int, int]]:
    """The program headers as (type, file offset, physical address, size in file, size in memory)."""
    if wide:
        (table,) = struct.unpack_from("<Q", head, 32)
        size, count = struct.unpack_from("<HH", head, 54)
    else:
        (table,) = struct.unpack_from("<I", head, 28)
        size, count = struct.unpack_from("<HH", head, 42)
    if size < (56 if wide else 32) or count > _MOST_SEGMENTS:
        raise struct.error
    file.seek(table)
    headers = file.read(size * count)
    if len(headers) < size * count:
        raise struct.error
    segments = []
    for at in range(0, size * count, size):
        if wide:
            kind, _, offset, _, physical, filled, occupied = struct.unpack_from("<IIQQQQQ", headers, at)
        else:
            kind, offset, _, physical, filled, occupied = struct.unpack_from("<IIIIII", headers, at)
        segments.append((kind, offset, physical, filled, occupied))
    return segments


def _notes(data: bytes) -> list[tuple[bytes, int]]:
    """Owner and type of every note in a PT_NOTE segment (4-byte aligned, as x86 kernels have them)."""
    notes = []
    at = 0
    while at + 12 <= len(data):
        name_size, desc_size, kind = struct.unpack_from("<III", data, at)
        name = data[at + 12 : at + 12 + name_size]
        notes.append((name.rstrip(b"\0"), kind))
        at += 12 + (name_size + 3 & ~3) + (desc_size + 3 & ~3)
    return notes


def _is_text(head: bytes) -> bool:
    try:
        # The last character may have been cut in two by the read.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\t\r\n\f" for char in text)


def _unreadable(path: Path, error: OSError) -> DomainError:
    return DomainError(
        f"kernel {path}: {(error.strerror or str(error)).lower()}",
        hint="give the user that runs jitsu the right to read it" if error.errno == errno.EACCES else "",
    )
