"""What Xen says of the machine as a whole."""

from dataclasses import dataclass

from jitsu.domains.xen_bindings import PAGE, Xen
from jitsu.domains.xen_shell import everything, mark_of

RELEASE = "4.17"
"""The Xen that the bindings are made for."""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes that no domain has, and bytes that the domains of one instance have."""

    free: int
    ours: int


def room(instance: str) -> Room:
    """Raises `HostError` where there is no Xen that we can use, and `DomainError`."""
    xen = Xen()
    try:
        machine = xen.ffi.new("xc_physinfo_t *")
        xen.call("xc_physinfo", machine)
        mark = mark_of(instance).hex()
        ours = sum(each.memory for each in everything(xen) if each.uuid.startswith(mark))
        return Room(machine.free_pages * PAGE, ours)
    finally:
        xen.close()
