"""Kernel images and files that are none, by what is said of them."""

import gzip
import struct
from pathlib import Path

import pytest

from jitsu.domains.kernel import KernelFormat, recognise
from jitsu.domains.probe_guest import LOAD_ADDRESS, pvh_elf
from jitsu.errors import DomainError

HALT = b"\xfa\xf4\xeb\xfc"


def elf64(*notes: tuple[bytes, int], machine: int = 62, order: str = "<") -> bytes:
    """An ELF64 that loads 64 KiB at 16 MiB, with these notes (owner, type)."""
    packed = b""
    for owner, kind in notes:
        name = owner + b"\0"
        packed += struct.pack(order + "III", len(name), 8, kind) + name.ljust(-(-len(name) // 4) * 4, b"\0") + bytes(8)
    ident = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01" + bytes(9)
    header = struct.pack(order + "16sHHIQQQIHHHHHH", ident, 2, machine, 1, 1 << 24, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack(order + "IIQQQQQQ", 1, 7, 0, 0, 1 << 24, 0, 1 << 16, 4096)
    note = struct.pack(order + "IIQQQQQQ", 4, 4, 64 + 2 * 56, 0, 0, len(packed), len(packed), 4)
    return header + load + note + packed


def placed(size: int, *pieces: tuple[int, bytes]) -> bytes:
    """`size` bytes that are no text, with pieces at offsets."""
    image = bytearray(b"\xfe" * size)
    for offset, piece in pieces:
        image[offset : offset + len(piece)] = piece
    return bytes(image)


@pytest.mark.parametrize(
    ("image", "format_", "end"),
    [
        (pvh_elf(HALT), KernelFormat.PVH_ELF, LOAD_ADDRESS + len(HALT)),
        (elf64((b"Xen", 18)), KernelFormat.PVH_ELF, (1 << 24) + (1 << 16)),
        (elf64((b"GNU", 3), (b"Linux", 256), (b"Xen", 18)), KernelFormat.VMLINUX, (1 << 24) + (1 << 16)),
        (elf64((b"Xen", 1)), KernelFormat.PV_ELF, (1 << 24) + (1 << 16)),
        (elf64((b"Xen", 1), (b"Xen", 18)), KernelFormat.PVH_ELF, (1 << 24) + (1 << 16)),
        (placed(8192, (0x1FE, b"\x55\xaa"), (0x202, b"HdrS")), KernelFormat.BZIMAGE, 8192),
        (placed(4096, (0x38, b"ARMd")), KernelFormat.ARM64_IMAGE, 4096),
        (placed(4096, (0x24, b"\x18\x28\x6f\x01")), KernelFormat.ARM_ZIMAGE, 4096),
    ],
)
def test_a_kernel_is_recognised(tmp_path: Path, image: bytes, format_: KernelFormat, end: int) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(image)
    kernel = recognise(path)
    assert (kernel.path, kernel.format, kernel.end) == (path, format_, end)


@pytest.mark.parametrize(
    ("notes", "pv"),
    [
        ([(b"Xen", 18)], False),
        ([(b"Xen", 18), (b"GNU", 1)], False),
        ([(b"Xen", 1)], True),
        ([(b"Xen", 18), (b"Linux", 1), (b"Xen", 1)], True),
    ],
)
def test_a_pv_entry_is_seen_beside_others(tmp_path: Path, notes: list[tuple[bytes, int]], pv: bool) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(elf64(*notes))
    assert recognise(path).pv is pv


PVH_HINT = "link a XEN_ELFNOTE_PHYS32_ENTRY note into a PT_NOTE segment (Linux: CONFIG_PVH=y)"
MACHINE_HINT = "build it for x86; ARM kernels are booted as arm64 Image or zImage, not as ELF"
FORMATS_HINT = "a kernel is an x86 ELF with a PVH note, a bzImage, an arm64 Image or an ARM zImage"


@pytest.mark.parametrize(
    ("content", "says", "hint"),
    [
        (b"", "the file is empty", "build it again"),
        (elf64((b"GNU", 3)), "is an ELF without a PVH note", PVH_HINT),
        (elf64((b"GNU", 18)), "is an ELF without a PVH note", PVH_HINT),
        (elf64((b"Xen", 6)), "is an ELF without a PVH note", PVH_HINT),
        (elf64((b"Xen", 18), machine=183), "is an ELF for another machine (aarch64)", MACHINE_HINT),
        (elf64(machine=22, order=">"), "is an ELF for another machine (s390x)", MACHINE_HINT),
        (elf64(machine=999), "is an ELF for another machine (machine 999)", MACHINE_HINT),
        (elf64((b"Xen", 18))[:100], "is a truncated or damaged ELF", "build it again"),
        (b"\x7fELF", "is a truncated or damaged ELF", "build it again"),
        (
            gzip.compress(elf64((b"Xen", 18))),
            "is compressed with gzip, not a kernel image",
            "decompress it first: gunzip",
        ),
        (
            b"#!/bin/sh\nmake\n",
            "is a script, not a kernel image",
            "name the kernel image that the script builds or starts",
        ),
        (b"CFLAGS = -O2\n", "is a text file, not a kernel image", FORMATS_HINT),
        ("für später\n".encode() * 500, "is a text file, not a kernel image", FORMATS_HINT),
        (placed(8192), "is no kernel image that is known here", FORMATS_HINT),
    ],
)
def test_what_is_no_kernel_is_named(tmp_path: Path, content: bytes, says: str, hint: str) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(content)
    with pytest.raises(DomainError) as caught:
        recognise(path)
    assert (caught.value.message, caught.value.hint) == (f"kernel {path}: {says}", hint)


def test_missing_and_directory(tmp_path: Path) -> None:
    with pytest.raises(DomainError) as caught:
        recognise(tmp_path / "absent")
    assert caught.value.message == f"kernel {tmp_path}/absent: no such file"
    assert caught.value.hint == "build it, or mend `kernel` in jitsu.toml"
    with pytest.raises(DomainError, match="is a directory"):
        recognise(tmp_path)
    with pytest.raises(DomainError, match="is not a regular file"):
        recognise(Path("/dev/null"))


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(pvh_elf(HALT))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # root, who runs these tests, may read anything

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DomainError) as caught:
        recognise(path)
    assert caught.value.message == f"kernel {path}: permission denied"
    assert caught.value.hint == "give the user that runs jitsu the right to read it"


def test_a_kernel_that_is_built_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(pvh_elf(HALT))
    assert recognise(path) is recognise(path)
    path.write_bytes(elf64((b"Linux", 256), (b"Xen", 18)))
    assert recognise(path).format is KernelFormat.VMLINUX


def altered(image: bytes, *changes: tuple[int, bytes]) -> bytes:
    """The image with other bytes at some offsets."""
    copy = bytearray(image)
    for offset, piece in changes:
        copy[offset : offset + len(piece)] = piece
    return bytes(copy)


WHOLE = elf64((b"Xen", 18))
HEADERS = WHOLE[64 : 64 + 2 * 56]
NOTE_HEADER = 64 + 56
E_PHOFF, E_PHENTSIZE, E_PHNUM, P_OFFSET, P_FILESZ = 32, 54, 56, NOTE_HEADER + 8, NOTE_HEADER + 32


@pytest.mark.parametrize(
    "image",
    [
        # More segments than a kernel has, in a table of its own at the file's end.
        altered(WHOLE, (E_PHOFF, struct.pack("<Q", len(WHOLE))), (E_PHNUM, struct.pack("<H", 129)))
        + HEADERS
        + bytes(127 * 56),
        altered(WHOLE, (E_PHENTSIZE, struct.pack("<H", 8))),
        altered(WHOLE, (E_PHOFF, b"\xff" * 8)),
        altered(WHOLE, (P_OFFSET, b"\xff" * 8)),
        altered(WHOLE, (P_FILESZ, struct.pack("<Q", 1 << 32))),
        # A note whose contents are said to have 4 GiB, before the one that counts.
        altered(elf64((b"GNU", 3), (b"Xen", 18)), (64 + 2 * 56 + 4, b"\xff" * 4)),
    ],
)
def test_a_hostile_elf_is_refused(tmp_path: Path, image: bytes) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(image)
    with pytest.raises(DomainError, match=r"is a truncated or damaged ELF|without a PVH note"):
        recognise(path)
