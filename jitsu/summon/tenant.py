"""One service as the summoner sees it: its definition, its state, and what its domain holds on this host."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

from jitsu.config import NetworkConfig, ServiceConfig
from jitsu.domains.driver import Domain, DomainSpec
from jitsu.network.frames import mac_bytes
from jitsu.network.host import Channel, Port
from jitsu.summon.gathering import Gathering
from jitsu.summon.machine import Phase, State
from jitsu.summon.upkeep import Upkeep
from jitsu.synjitsu.connections import ConnectionTable
from jitsu.synjitsu.datagrams import DatagramTable
from jitsu.synjitsu.embryonic import EmbryonicTable, WaitingRoom
from jitsu.synjitsu.handshake import HandshakeWatch
from jitsu.synjitsu.probe import Probe
from jitsu.trace import Trace


class Row(TypedDict):
    """A service as `jitsu ps` shows it. `up` is seconds since it last began to serve, `held` packets on hold, `crashes`
    ends in a row (upkeep.py), `retry` seconds until it is started again by itself, or may be by others.

    `warm` is what is kept for its next summon: `paused` (its guest rests; that is also its state then), `blank` (a
    saved state, and a monitor to restore it), `snapshot` (the state alone), or nothing.
    """

    service: str
    state: str
    address: str
    """The first of `addresses`."""
    addresses: list[str]
    names: list[str]
    domid: int | None
    pid: int | None
    memory: int
    up: float | None
    warm: str
    connections: int
    held: int
    summons: int
    crashes: int
    retry: float | None
    last: str


@dataclass(slots=True)
class Holding:
    """What a live domain holds on this host. `port` and `channel` are None until it is plugged in."""

    domid: int
    domain: Domain | None = None
    port: Port | None = None
    channel: Channel | None = None
    probe: Probe | None = None
    deadline: asyncio.TimerHandle | None = None
    serving_since: float | None = None
    doubt: HandshakeWatch | None = None
    """Set as long as nobody but a bare SYN is known to want it."""
    unreachable: bool = False
    """At the last look there was no gate although it serves."""
    connections: ConnectionTable = field(default_factory=ConnectionTable)
    restored: bool = False
    """It was made from a saved state, which is no good if it never serves."""
    hear: Callable[[bytes, bool], None] = field(default=lambda frame, to_guest: None)
    """Whoever listens on its channel: called with each frame, and whether it goes to the guest."""


DOUBTED = 10.0
"""Seconds after which a guest is dismissed that was summoned by a bare SYN and reached by nobody."""

ASLEEP = State()
"""One for all that sleep: what costs nothing else should not cost memory either."""


@dataclass(slots=True)
class Tenant:
    """A service and everything that is known of it. Times are `time.monotonic()` seconds."""

    service: ServiceConfig
    room: WaitingRoom
    state: State = ASLEEP
    holding: Holding | None = None
    _embryos: EmbryonicTable | None = None
    _datagrams: DatagramTable | None = None
    trace: Trace | None = None
    wanted_since: float | None = None
    """When the packet came that the next launch is for."""
    active: float = 0.0
    """When somebody last showed interest, by a question or a connection."""
    summons: int = 0
    last: str = ""
    """Why its last domain ended, or could not be started."""
    upkeep: Upkeep = field(default_factory=Upkeep)
    gathering: Gathering | None = None
    """Set while its launch waits for the services it depends on."""
    cause: str = ""
    """Who wanted the last launch."""
    retry: asyncio.TimerHandle | None = None
    """Set while its next start, or the end of a pause, is waited for."""
    successor: ServiceConfig | None = None
    """What it will be defined as when the domain that it has now is gone."""
    leaving: bool = False
    """It is being removed, and nobody can have it."""
    _addresses: list[str] = field(init=False)
    """Those of the service, written out once: that is half of what a row of a listing costs."""

    def __post_init__(self) -> None:
        self.define(self.service)

    def define(self, service: ServiceConfig) -> None:
        """From now on it is so defined."""
        self.service = service
        self._addresses = [str(address) for address in service.addresses]

    @property
    def name(self) -> str:
        return self.service.name

    @property
    def embryos(self) -> EmbryonicTable:
        """Its SYNs on hold. The table is made for the first of them."""
        if self._embryos is None:
            self._embryos = EmbryonicTable(self.room)
        return self._embryos

    @property
    def datagrams(self) -> DatagramTable:
        """What is on hold beside SYNs. The table is made for the first of them."""
        if self._datagrams is None:
            self._datagrams = DatagramTable()
        return self._datagrams

    @property
    def held(self) -> int:
        """How many packets are on hold."""
        syns = len(self._embryos) if self._embryos is not None else 0
        return syns + len(self._datagrams) if self._datagrams is not None else syns

    @property
    def depends(self) -> tuple[str, ...]:
        return self.service.depends

    @property
    def mac(self) -> bytes:
        return mac_bytes(self.service.mac)

    def row(self) -> Row:
        holding = self.holding
        since = holding.serving_since if holding is not None else None
        domain = holding.domain if holding is not None else None
        return {
            "service": self.name,
            "state": self.state.phase.value,
            "address": self._addresses[0],
            "addresses": self._addresses,
            "names": list(self.service.names),
            "domid": holding.domid if holding is not None else None,
            "pid": domain.handle or None if domain is not None else None,
            "memory": self.service.memory,
            "up": round(time.monotonic() - since, 3) if since is not None else None,
            "warm": "",
            "connections": len(holding.connections) if holding is not None else 0,
            "held": self.held,
            "summons": self.summons,
            "crashes": self.upkeep.crashes,
            "retry": self._until_retry(),
            "last": self.last,
        }

    def served(self, now: float) -> float:
        """Seconds for which its domain has been serving: 0 if it does not yet."""
        since = self.holding.serving_since if self.holding is not None else None
        return 0.0 if since is None else now - since

    def call_off(self) -> None:
        """Wait for no start of our own any more."""
        if self.retry is not None:
            self.retry.cancel()
            self.retry = None

    def _until_retry(self) -> float | None:
        if self.retry is None:
            return None
        return round(max(0.0, self.retry.when() - asyncio.get_running_loop().time()), 3)

    def silence(self, unused: float, now: float) -> float:
        """Seconds since anybody wanted anything, given the seconds since the gate last let a frame in."""
        return min(unused, now - self.active)

    def why_idle(self, unused: float, now: float) -> str:
        """What to say of one that is idle."""
        if self.holding is not None and self.holding.doubt is not None:
            return f"nobody reached it in {now - (self.holding.serving_since or now):.1f} s"
        return f"idle for {self.silence(unused, now):.1f} s"

    def is_idle(self, unused: float, now: float) -> bool:
        """Has it been silent long enough to be dismissed?"""
        if self.state.phase is not Phase.SERVING or self.service.mode == "running":
            return False
        silence = self.silence(unused, now)
        if self.holding is not None and self.holding.doubt is not None:
            # Connections that nobody completed are no reason to stay, and neither are more SYNs of that kind.
            return now - (self.holding.serving_since or now) >= min(self.service.idle, DOUBTED)
        if self.holding is not None and len(self.holding.connections) and silence < self.service.linger:
            return False
        return silence >= self.service.idle


def spec_of(service: ServiceConfig, settings: NetworkConfig, domid: int = 0) -> DomainSpec:
    """The domain of a service: what it was configured to be, and who and where it is. That is on its command line, if
    the guest does not ask the XenStore."""
    config = [("name", service.name)]
    for address in service.addresses:
        half, suffix = settings.half(address.version), "6" if address.version == 6 else ""
        config.append((f"ip{suffix}", f"{address}/{half.address.network.prefixlen}"))
        config.append((f"gw{suffix}", f"{half.gateway}"))
    config.append(("mac", service.mac))
    words = [service.cmdline]
    if service.ready != "store":
        words += [f"{key}={value}" for key, value in config]
    return DomainSpec(
        service=service.name,
        domid=domid,
        kernel=service.kernel,
        memory=service.memory,
        cmdline=" ".join(filter(None, words)),
        mac=service.mac,
        vcpus=service.vcpus,
        initrd=service.initrd,
        machine=service.machine,
        tells_ready=service.ready == "told",
        store_port=service.ready == "store",
        fingerprint=service.fingerprint,
        config=tuple(config),
        disks=service.disks,
    )
