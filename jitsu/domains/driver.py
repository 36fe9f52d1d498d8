"""What every hypervisor driver does, in hypervisor-neutral words.

A driver builds a domain from a `DomainSpec`, lets it run, and reports through one callback what becomes of it.
Drivers import their hypervisor's library inside themselves, so that this module loads on any machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


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
    """`microvm`, `q35`, or empty: chosen by the kernel's format."""
    tells_ready: bool = True
    """Whether the guest says `ready` itself. Without it the driver gives the domain no port to say so on."""
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain that exists. `handle` is the driver's own key to it (for QEMU the monitor's process id)."""

    service: str
    domid: int
    handle: int
    fingerprint: str = ""


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


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do on this host. `accelerator` is `kvm`, `tcg`, `xen` or `none`."""

    name: str
    accelerator: str
    pause: bool
    snapshot: bool


Listener = Callable[[DomainEvent], None]


class Driver(Protocol):
    """Builds and ends domains. Every method but `capabilities` may raise `DomainError` or `HostError`.

    The listener is called on the event loop, never from inside one of the driver's own methods, and not about a domain
    before the method that built it has returned.
    A domain that is destroyed on request reports nothing.
    """

    def capabilities(self) -> Capabilities: ...

    def check(self, spec: DomainSpec) -> None:
        """Say now, not at the first summon, that this spec cannot be built. Raises `DomainError` or `HostError`."""

    async def prepare(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Build the domain: paused, console attached. `taps` are open tap descriptors, one a nic; the caller
        keeps its own copies and may close them on return."""

    async def launch(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        """Build the domain and let it run, in the fewest steps the hypervisor knows."""

    async def resume(self, domain: Domain) -> None: ...

    async def pause(self, domain: Domain) -> None: ...

    async def destroy(self, domain: Domain) -> None:
        """End the domain. Returns when nothing of it is left; a domain that is gone already is no error."""

    async def adopt(self) -> list[Domain]:
        """Take over every domain of this instance that outlived an earlier daemon, console and readiness included.

        A guest that was ready says so again to whoever adopts it. Domains that cannot be taken over are ended,
        and what dead ones left behind is removed.
        """

    async def close(self) -> None:
        """Let go of every domain without ending it."""
