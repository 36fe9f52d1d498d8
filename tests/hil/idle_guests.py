"""Guests that do nothing, of a few bytes, for a toolstack to come and go with."""

import struct

from jitsu.domains.probe_guest import pvh_elf

_TURN_X86 = b"\xeb\xfe"  # jmp -2
_TURN_ARM = struct.pack("<I", 0xEAFFFFFE)  # b .


def idle_guest(architecture: str) -> bytes:
    """A kernel for that architecture, by Debian's name. 64-bit ARM runs the 32-bit one."""
    return pvh_elf(_TURN_X86) if architecture == "amd64" else _zimage(_TURN_ARM)


def _zimage(code: bytes) -> bytes:
    """A zImage (Linux's Documentation/arm/booting.rst): magic, start and end at 0x24; what comes first is executed."""
    size = 0x30 + len(code)
    header = struct.pack("<I", 0xE1A00000) * 8 + struct.pack("<II", 0xEA000002, 0x016F2818)  # mov r0, r0; b to the code
    return header + struct.pack("<II", 0, size) + code
