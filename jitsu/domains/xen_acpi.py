"""The ACPI tables of a PVH domain: which processors there are, and nothing else.

Linux asks for no other, but without this one it sets up no timer (arch/x86/kernel/smpboot.c, for a machine without
configuration), and hangs at the first moment in which it has nothing to do. Tables: ACPI specification 6.4, 5.2.5
(RSDP), 5.2.8 (XSDT) and 5.2.12 (MADT); the guest finds them by Xen's hvm_start_info.
"""

import struct

_LOCAL_APIC = 0xFEE00000


def acpi_tables(address: int, vcpus: int) -> bytes:
    """RSDP, XSDT and MADT for this many processors, to lie at this address of the guest's memory."""
    processors = b"".join(_processor(number) for number in range(vcpus))
    madt = _table(b"APIC", 4, struct.pack("<II", _LOCAL_APIC, 0) + processors)
    xsdt_at = address + 40
    xsdt = _table(b"XSDT", 1, struct.pack("<Q", xsdt_at + 36 + 8))
    first = _summed(struct.pack("<8sB6sBI", b"RSD PTR ", 0, b"jitsu ", 2, 0), 8)
    rsdp = _summed(first + struct.pack("<IQB3x", 36, xsdt_at, 0), 32)
    return rsdp.ljust(40, b"\0") + xsdt + madt


def _processor(number: int) -> bytes:
    """A processor's local APIC, enabled. Xen gives it twice the number as its id."""
    return struct.pack("<BBBBI", 0, 8, number, 2 * number, 1)


def _table(signature: bytes, revision: int, body: bytes) -> bytes:
    header = struct.pack(
        "<4sIBB6s8sI4sI", signature, 36 + len(body), revision, 0, b"jitsu ", b"domain  ", 1, b"jtsu", 1
    )
    return _summed(header + body, 9)


def _summed(table: bytes, at: int) -> bytes:
    """The table with that byte so that all of them add up to nothing."""
    return table[:at] + bytes([-sum(table) & 0xFF]) + table[at + 1 :]
