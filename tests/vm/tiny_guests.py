"""Guests of a few bytes, in machine code for 32-bit protected mode, as a PVH guest starts in it."""

import struct

from jitsu.domains.probe_guest import LOAD_ADDRESS, pvh_elf

HALT = b"\xfa\xf4\xeb\xfc"  # cli / hlt / jmp -2
TRIPLE_FAULT = b"\x0f\x01\x1d" + struct.pack("<I", 0x90000) + b"\xcc"  # lidt of zeros / int3
POWER_OFF = b"\x66\xba\x04\x06\x66\xb8\x00\x20\x66\xef" + HALT  # outw 0x2000 to the q35's PM1 control, 0x604
FLOOD = b"\x66\xba\xf8\x03\xb0\x78\xee\xeb\xfd"  # mov dx, 0x3f8 / mov al, 'x' / out dx, al / jmp -1
WAIT = b"\xb9" + struct.pack("<I", 20_000_000) + b"\x49\x75\xfd"  # some ten milliseconds


def saying(text: bytes, then: bytes) -> bytes:
    """A guest that writes `text` to the serial port and goes on with `then`.

    mov esi, text / mov dx, 0x3f8 / lodsb / test al, al / jz +3 / out dx, al / jmp -8
    """
    size = 5 + 4 + 8
    address = struct.pack("<I", LOAD_ADDRESS + size + len(then))
    return pvh_elf(b"\xbe" + address + b"\x66\xba\xf8\x03\xac\x84\xc0\x74\x03\xee\xeb\xf8" + then + text + b"\0")


TICKING = saying(b"tick\n", WAIT + b"\xe9" + struct.pack("<i", -(5 + 4 + 8 + len(WAIT) + 5)))  # and jmp to the start
