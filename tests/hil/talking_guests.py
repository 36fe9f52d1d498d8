"""Guests of Xen that print a line on their console and wait for ever, or say what they hear: a few instructions each.

They write into the console's ring where Xen puts it (out at 1024, out_prod at 3084: xen/include/public/io/console.h),
and tell xenconsoled by EVTCHNOP_send on port 2, the second that the driver allocates.
"""

import struct

from jitsu.domains.probe_guest import LOAD_ADDRESS, pvh_elf

_PORT = struct.pack("<I", 2)


def talking_guest(architecture: str, line: str) -> bytes:
    """A kernel for that architecture, by Debian's name, that prints the line (at most 150 characters)."""
    text = line.encode() + b"\r\n"
    return pvh_elf(_x86(text)) if architecture == "amd64" else _zimage(_arm(text))


def echoing_guest() -> bytes:
    """A kernel for ARM that prints what is typed to it (in at 0, in_cons at 3072, in_prod at 3076), and crashes when
    that was Ctrl-D."""
    code = (
        0xE3A05439,  # mov r5, 0x39000000
        0xE2856B01,  # add r6, r5, 1024
        0xE5950C00,  # ldr r0, [r5, 3072]
        0xE5951C04,  # ldr r1, [r5, 3076]
        0xE1500001,  # cmp r0, r1
        0x0A000015,  # beq to the mov r0, 0
        0xF57FF05F,  # dmb
        0xE7E92050,  # ubfx r2, r0, 0, 10
        0xE7D53002,  # ldrb r3, [r5, r2]
        0xE2800001,  # add r0, r0, 1
        0xE5850C00,  # str r0, [r5, 3072]
        0xE5951C0C,  # ldr r1, [r5, 3084]
        0xE7EA2051,  # ubfx r2, r1, 0, 11
        0xE7C63002,  # strb r3, [r6, r2]
        0xE2811001,  # add r1, r1, 1
        0xF57FF05F,  # dmb
        0xE5851C0C,  # str r1, [r5, 3084]
        0xF57FF05F,  # dmb
        0xE3A00004,  # mov r0, 4: send
        0xE28F1030,  # add r1, pc, 0x30: port
        0xE3A0C020,  # mov ip, 32: event_channel_op
        0xE140EA71,  # hvc 0xea1
        0xE3530004,  # cmp r3, 4: Ctrl-D
        0x1AFFFFE9,  # bne to the ldr r0
        0xE3A00002,  # mov r0, 2: shutdown
        0xE28F101C,  # add r1, pc, 0x1c: reason
        0xE3A0C01D,  # mov ip, 29: sched_op
        0xE140EA71,  # hvc 0xea1
        0xE3A00000,  # mov r0, 0: yield
        0xE3A01000,  # mov r1, 0
        0xE3A0C01D,  # mov ip, 29: sched_op
        0xE140EA71,  # hvc 0xea1
        0xEAFFFFE0,  # b to the ldr r0
    )
    crash = struct.pack("<I", 3)
    return _zimage(struct.pack(f"<{len(code)}I", *code) + _PORT + crash)


def _x86(text: bytes) -> bytes:
    """The console's page is 0xfefff000; hypercalls by vmmcall, which is AMD's, as is the emulated processor."""
    size = struct.pack("<I", len(text))
    code = (
        b"\xfc"  # cld
        b"\xbe" + struct.pack("<I", LOAD_ADDRESS + 0x44) +  # mov esi, text
        b"\xbf\x00\xf4\xff\xfe"  # mov edi, 0xfefff400
        b"\xb9" + size +  # mov ecx, size
        b"\xf3\xa4"  # rep movsb
        b"\xc7\x05\x0c\xfc\xff\xfe" + size +  # mov dword [0xfefffc0c], size
        b"\xb8\x20\x00\x00\x00"  # mov eax, 32: event_channel_op
        b"\xbb\x04\x00\x00\x00"  # mov ebx, 4: send
        b"\xb9" + struct.pack("<I", LOAD_ADDRESS + 0x40) +  # mov ecx, port
        b"\x0f\x01\xd9"  # vmmcall
        b"\xb8\x1d\x00\x00\x00"  # mov eax, 29: sched_op
        b"\xbb\x01\x00\x00\x00"  # mov ebx, 1: block
        b"\x31\xc9"  # xor ecx, ecx
        b"\x0f\x01\xd9"  # vmmcall
        b"\xeb\xef"  # jmp to sched_op
    )  # fmt: skip
    return code.ljust(0x40, b"\0") + _PORT + text


def _arm(text: bytes) -> bytes:
    """The console's page is 0x39000000; hypercalls by hvc 0xea1, their number in ip. The MMU is off."""
    code = (
        0xE28F4054,  # add r4, pc, 0x54: text
        0xE3A05439,  # mov r5, 0x39000000
        0xE2856B01,  # add r6, r5, 1024
        0xE28F7048 + len(text),  # add r7, pc, 0x48 + length: the text's end
        0xE3A08000,  # mov r8, 0
        0xE4D49001,  # ldrb r9, [r4], 1
        0xE4C69001,  # strb r9, [r6], 1
        0xE2888001,  # add r8, r8, 1
        0xE1540007,  # cmp r4, r7
        0x3AFFFFFA,  # blo to the ldrb
        0xF57FF05F,  # dmb
        0xE5858C0C,  # str r8, [r5, 3084]
        0xF57FF05F,  # dmb
        0xE3A00004,  # mov r0, 4: send
        0xE28F1018,  # add r1, pc, 0x18: port
        0xE3A0C020,  # mov ip, 32: event_channel_op
        0xE140EA71,  # hvc 0xea1
        0xE3A00001,  # mov r0, 1: block
        0xE3A01000,  # mov r1, 0
        0xE3A0C01D,  # mov ip, 29: sched_op
        0xE140EA71,  # hvc 0xea1
        0xEAFFFFFA,  # b to the mov r0, 1
    )
    return struct.pack(f"<{len(code)}I", *code) + _PORT + text


def _zimage(code: bytes) -> bytes:
    """As in Linux's Documentation/arch/arm/boot.rst: magic, start and end at 0x24; what comes first is executed."""
    size = 0x30 + len(code)
    header = struct.pack("<I", 0xE1A00000) * 8 + struct.pack("<II", 0xEA000002, 0x016F2818)  # mov r0, r0; b to the code
    return header + struct.pack("<II", 0, size) + code
