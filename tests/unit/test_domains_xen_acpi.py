"""The tables of a PVH domain, read as a guest does: from the RSDP on."""

import struct

import pytest

from jitsu.domains.xen_acpi import acpi_tables

ADDRESS = 0xFC000000


@pytest.mark.parametrize("vcpus", [1, 2, 32])
def test_from_the_first_table_on_every_processor_is_found(vcpus: int) -> None:
    text = acpi_tables(ADDRESS, vcpus)

    def table(address: int, signature: bytes) -> bytes:
        at = address - ADDRESS
        (size,) = struct.unpack_from("<I", text, at + 4)
        found = text[at : at + size]
        assert found[:4] == signature
        assert len(found) == size
        assert sum(found) & 0xFF == 0
        return found

    assert text[:8] == b"RSD PTR "
    assert sum(text[:20]) & 0xFF == sum(text[:36]) & 0xFF == 0
    (xsdt_at,) = struct.unpack_from("<Q", text, 24)
    xsdt = table(xsdt_at, b"XSDT")
    (madt_at,) = struct.unpack("<Q", xsdt[36:])
    madt = table(madt_at, b"APIC")
    processors = [struct.unpack_from("<BBBBI", madt, at) for at in range(44, len(madt), 8)]
    # Type, size, number, APIC id, enabled.
    assert processors == [(0, 8, number, 2 * number, 1) for number in range(vcpus)]
    assert len(text) < 4096
