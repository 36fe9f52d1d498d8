"""What every hypervisor driver does, in hypervisor-neutral words.

A driver builds a domain from a `DomainSpec`, lets it run, and reports through one callback what becomes of it.
Drivers import their hypervisor's library inside themselves, so that this module loads on any machine.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from jitsu.config import Disk

MONITOR_OVERHEAD = 40 << 20
"""Bytes that a monitor takes beside its guest's memory: QEMU microvm measured 37 MB resident."""

GUEST_PORTS = "guest-ports"
"""The folder among the domains' files in which guests' ports to the XenStore listen, as `DOMID.sock`."""


@dataclass(frozen=True, slots=True)
class DomainSpec:
    """A domain to build. `memory` is in bytes, `mac` in colon notation.

    `domid` is unique for the life of the host's instance and never reused early. `fingerprint` stands for the
    service's definition: a domain found running under another fingerprint is out of date and is not adopted.
    """

    service: str
    domid: int
    kernel: Path
    memory: int
    cmdline: str
    mac: str
    vcpus: int = 1
    initrd: Path | None = None
    machine: str = ""
    """`microvm`, `q35`, on Xen `pvh` or `pv`; or empty: chosen by the kernel's format."""
    tells_ready: bool = True
    """Whether the guest says `ready` itself. Without it the driver gives the domain no port to say so on."""
    fingerprint: str = ""
    store_port: bool = False
    """Whether the guest is given a port to the XenStore. The driver's domains have theirs in one folder."""
    config: tuple[tuple[str, str], ...] = ()
    """Who and where the guest is, as pairs of key and value: what the XenStore tells it, if it asks there."""
    disks: tuple[Disk, ...] = ()
    """In the order in which the guest has them."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that exists. `handle` is the process id of its monitor; 0: it has none."""

    service: str
    domid: int
    handle: int
    fingerprint: str = ""
    paused: bool = False
    """It was found resting when it was adopted."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds of processor time so far, and bytes of memory that are in RAM."""

    cpu: float
    resident: int


class Happening(StrEnum):
    """What a domain can do by itself."""

    READY = "ready"
    """The guest says that it listens."""
    EXITED = "exited"
    """The guest shut down in good order."""
    CRASHED = "crashed"
    """The guest or its monitor ended in any other way."""


@dataclass(frozen=True, slots=True)
class DomainEvent:
    """`detail` is one line for people: what the guest said, or why it ended."""

    happening: Happening
    domain: Domain
    detail: str = ""


class Ending(StrEnum):
    """How far one had to go to end a domain, in words for people."""

    SHUT_DOWN = "it shut down when asked"
    ENDED = "it was ended"
    KILLED = "it had to be killed"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do on this host. `accelerator` is `kvm`, `tcg`, `xen` or `none`."""

    name: str
    accelerator: str
    pause: bool
    snapshot: bool
    overhead: int = MONITOR_OVERHEAD
    """Bytes that a domain takes beside its guest's memory."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What guests run on: `accelerator` as in `Capabilities`; `reason` is one line for people, to be said aloud at
    start."""

    accelerator: str
    reason: str


Listener = Callable[[DomainEvent], None]


class Driver(Protocol):
    """Builds and ends domains. Every method but `capabilities` may raise `DomainError` or `HostError`.

    The listener is called on the event loop, never from inside one of the driver's own methods, and not about a domain
    before the method that built it has returned.
    A domain that is destroyed on request reports nothing.
    """

    def capabilities(self) -> Capabilities: ...

    def is_taken(self, domid: int) -> bool:
        """Is there a domain of that number on this host that we know nothing of? Raises nothing."""

    def check(self, spec: DomainSpec) -> None:
        """Say now, not at the first summon, that this spec cannot be built. Raises `DomainError` or `HostError`."""

    async def prepare(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Build the domain: paused, console attached. `taps` are open tap descriptors, one a nic; the caller
        keeps its own copies and may close them on return."""

    async def launch(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Build the domain and let it run, in the fewest steps the hypervisor knows."""

    async def resume(self, domain: Domain) -> None:
        """Let the domain run. A guest that has said `ready` is told that it wakes, and its being ready again with new
        secrets and the right time is reported."""

    async def pause(self, domain: Domain) -> None: ...

    def saver(self) -> "Saver | None":
        """Who saves and restores states; None where this hypervisor's cannot be."""

    async def destroy(self, domain: Domain, patience: float = 0.0) -> Ending:
        """End the domain. Returns when nothing of it is left; a domain that is gone already is no error.

        With `patience` the guest is asked first, and has so many seconds to shut down.
        """

    def is_ending(self, domid: int) -> bool:
        """Has a domain ended by itself, which is told as soon as nothing of it is left? Raises nothing."""

    def usage(self, domid: int) -> Usage | None:
        """What a domain of ours took, its monitor included; None when it is gone. Raises nothing."""

    async def adopt(self) -> list[Domain]:
        """Take over every domain of this instance that outlived an earlier daemon, console and readiness included.

        A guest that runs is told that it wakes, and says again that it is ready; one that rests (`paused`) is when it
        is resumed. Domains that cannot be taken over are ended, blank monitors too, and what dead ones left behind is
        removed.
        """

    async def close(self) -> None:
        """Let go of every domain without ending it."""


class Saver(Protocol):
    """What a driver does that can save the state of a guest and restore it, once or many times.

    Methods raise `DomainError` or `HostError`, where they say nothing else.
    """

    def shape(self, spec: DomainSpec) -> str:
        """What a blank monitor for this spec must be like, as a text; empty where none can be made beforehand."""

    async def blank(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """A monitor that waits for the saved state of a guest of this spec's shape. It belongs to no service yet."""

    async def restore(self, blank: Domain, spec: DomainSpec) -> Domain:
        """Make a blank monitor the domain of `spec`, from its saved state; returns when it runs.

        A guest that tells its readiness is told that it wakes, as by `resume`. When this raises, the monitor is gone,
        and so is the state if that was to blame.
        """

    async def save(self, domain: Domain, spec: DomainSpec) -> None:
        """Save the state of the domain as that of `spec`, in place of any before. What is left of the domain does not
        run on and is to be destroyed."""

    def restorable(self, spec: DomainSpec) -> bool:
        """Is there a saved state for this spec that was examined and found good?"""

    async def examine(self, spec: DomainSpec) -> bool:
        """Look whether there is a good state for this spec; a damaged one is removed."""

    def discard(self, spec: DomainSpec) -> None:
        """Remove the saved state of this spec, if there is one."""

    def prune(self, specs: Iterable[DomainSpec]) -> None:
        """Remove all saved states but those of these specs."""
