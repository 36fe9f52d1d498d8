"""A guest made by hand: the smallest ELF that a PVH loader starts, and what the accelerator probe runs in it.

A PVH guest starts in 32-bit protected mode with flat segments and paging off (Xen's docs/misc/pvh.pandoc), so a few
bytes of machine code at a fixed address are a whole kernel.
"""

import struct

from jitsu.domains.kernel import XEN_ELFNOTE_PHYS32_ENTRY

LOAD_ADDRESS = 0x100000
"""Where the code lies and is entered; it is followed by nothing, and there is no stack."""

EXIT_PORT = 0xF4
"""I/O port of the isa-debug-exit device that `probe_guest` ends through."""

EXIT_STATUS = 85
"""The exit status of a QEMU whose probe guest came through: isa-debug-exit makes `value << 1 | 1` of 42."""


def pvh_elf(code: bytes) -> bytes:
    """An ELF32 for i386 that loads `code` at `LOAD_ADDRESS` and enters it at its first byte."""
    headers = 52 + 2 * 32
    # QEMU reads eight bytes of the entry address whatever the class of the ELF.
    note = struct.pack("<III4sQ", 4, 8, XEN_ELFNOTE_PHYS32_ENTRY, b"Xen\0", LOAD_ADDRESS)
    code_at = headers + len(note)
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    header = struct.pack("<16sHHIIIIIHHHHHH", ident, 2, 3, 1, LOAD_ADDRESS, 52, 0, 0, 52, 32, 2, 0, 0, 0)
    size = len(code)
    load_segment = struct.pack("<8I", 1, code_at, LOAD_ADDRESS, LOAD_ADDRESS, size, size, 7, 4)
    note_segment = struct.pack("<8I", 4, headers, 0, 0, len(note), len(note), 4, 4)
    return header + load_segment + note_segment + note + code


def probe_guest(turns: int) -> bytes:
    """A guest that counts `turns` (1 to 2**32 - 1) down to zero and ends QEMU with `EXIT_STATUS`.

    mov ecx, turns / dec ecx / jnz -1 / mov al, 42 / out EXIT_PORT, al / hlt / jmp -1
    """
    count_down = b"\xb9" + struct.pack("<I", turns) + b"\x49\x75\xfd"
    leave = bytes((0xB0, EXIT_STATUS >> 1, 0xE6, EXIT_PORT, 0xF4, 0xEB, 0xFD))
    return pvh_elf(count_down + leave)
