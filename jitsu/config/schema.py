"""What a configuration is. Sizes are bytes, times are seconds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from hashlib import blake2s
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

from jitsu.config.disks import Disk
from jitsu.config.hours import Hours
from jitsu.config.restart import NEVER, Restart
from jitsu.config.wake import TCP, Trigger

_POLICY = (
    *("names", "ttl", "txt", "srv", "idle", "linger"),
    *("restart", "backoff", "crashes", "depends", "hours", "wake", "dismiss", "patience", "mode"),
)
"""Keys of a service that may change under a running guest."""


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    """[daemon]: who this daemon is, where it keeps sockets (`runtime`) and what outlives a reboot (`state`), who builds
    its domains (`driver`: `qemu`, `libvirt` or `xen`), the group whose members may ask it, and which of them may change
    things (`operators`: users, or `*` for all)."""

    instance: str
    runtime: Path
    state: Path
    driver: str = "qemu"
    group: str = ""
    operators: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class LibvirtConfig:
    """[libvirt]: where the libvirt driver finds its daemon."""

    uri: str


@dataclass(frozen=True, slots=True)
class XenstoreConfig:
    """[xenstore]: the socket of a XenStore daemon that runs already; None: the machine's with the driver `xen`, and
    else one of our own, in the runtime folder."""

    socket: Path | None = None


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """[dns]: the zone, the addresses it is served on, the TTL of its records in seconds, this board's name as one of
    the zone's name servers (below the zone), and the other boards' names (in full) and IPv4 addresses. Other
    questions of clients in the networks `forward_for` are relayed to `forward`, pairs of address and port.
    `keys` are those that guests sign their updates with."""

    zone: str
    listen: tuple[tuple[str, int], ...]
    ttl: int
    name: str
    nameservers: tuple[tuple[str, str], ...]
    forward: tuple[tuple[str, int], ...] = ()
    forward_for: tuple[IPv4Network | IPv6Network, ...] = ()
    keys: tuple["KeyConfig", ...] = ()


@dataclass(frozen=True, slots=True)
class KeyConfig:
    """[key.NAME] of the file that [dns] keys names: a TSIG key, its secret in base64, and the services whose names may
    be written with it."""

    name: str
    algorithm: str
    secret: str = field(repr=False)
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ipv6Config:
    """The keys of [network] that end in 6: the same for IPv6. The network is a /64, as every link's is."""

    address: IPv6Interface
    gateway: IPv6Address
    probe: IPv6Address


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """[network]: the bridge. `gateway` is what guests are told; `probe` is a spare address of the network, from which
    guests that do not speak up are asked whether they listen."""

    bridge: str
    address: IPv4Interface
    gateway: IPv4Address
    uplink: str
    existing: bool
    probe: IPv4Address
    ipv6: Ipv6Config | None = None

    def half(self, version: int) -> "NetworkConfig | Ipv6Config":
        """What has address, gateway and probe of this IP version. Nobody asks for a version that is not spoken here."""
        return self if version == 4 or self.ipv6 is None else self.ipv6


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """[limits]: how much all guests together may take, how long a guest may boot before it is given up, and what one
    client may ask the directory for in a second: `summons` of sleeping services, and `answers` over UDP; 0 is any
    number. `uids` are users, each of them for one guest; none when guests run as the daemon does. Of SYNs that come
    without a question: `knocks` launches a second in all, `client_knocks` of one client, places on hold (`held`), and
    the percentage of the box for guests that only such a SYN wanted (`strangers`)."""

    memory: int
    guests: int
    vcpus: int
    boot: float
    summons: int
    answers: int
    uids: range
    knocks: int
    client_knocks: int
    held: int
    strangers: int


@dataclass(frozen=True, slots=True)
class WarmConfig:
    """[warm]: how much all spares together may take, for how many seconds after it was asked for last a service has
    one, and how many blank monitors of a shape there may be."""

    memory: int = 256 << 20
    keep: float = 3600.0
    blanks: int = 4


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """[metrics]: where metrics are served, or None: nowhere."""

    listen: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """[service.NAME]: a guest, the addresses it answers on (at least one), and when to let it go."""

    name: str
    kernel: Path
    address: IPv4Address | None
    mac: str
    memory: int
    vcpus: int
    initrd: Path | None
    cmdline: str
    machine: str
    ready: str
    port: int
    names: tuple[str, ...]
    ttl: int
    idle: float
    linger: float
    """Seconds of silence after which even an open connection no longer keeps the guest."""
    txt: tuple[str, ...] = ()
    srv: tuple[tuple[str, int], ...] = ()
    """Pairs as in `("_http._tcp", 80)`."""
    restart: Restart = NEVER
    backoff: float = 1.0
    """Seconds of pause after the first crash in a row; it doubles with every other."""
    crashes: int = 5
    """Crashes in a row that make a crash loop."""
    depends: tuple[str, ...] = ()
    """Services that must serve before this one is launched."""
    hours: tuple[Hours, ...] = ()
    """When it is kept running."""
    wake: tuple[Trigger, ...] = TCP
    """Packets that wake it; a DNS question always does."""
    dismiss: str = "end"
    """`end`, or `ask`: the guest first, which has `patience` seconds to shut down."""
    patience: float = 10.0
    address6: IPv6Address | None = None
    disks: tuple[Disk, ...] = ()
    mode: str = "cold"
    """`cold`, `snapshot`, `paused` or `running`: what is kept of the guest while nobody wants it."""

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Those that it has, IPv4 first."""
        if self.address is not None and self.address6 is None:
            return (self.address,)
        return tuple(address for address in (self.address, self.address6) if address is not None)

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change whenever anything about the guest itself does, its files included."""
        told = [str(getattr(self, each.name)) for each in fields(self) if each.name not in _POLICY]
        stamps = [_stamp(path) for path in (self.kernel, self.initrd) if path is not None]
        return blake2s(json.dumps([told, stamps]).encode(), digest_size=4).hexdigest()

    def with_policy_of(self, other: "ServiceConfig") -> "ServiceConfig":
        """This guest under the policy of another definition: what may change while it runs."""
        return replace(self, **{key: getattr(other, key) for key in _POLICY})


@dataclass(frozen=True, slots=True)
class Config:
    """A whole jitsu.toml."""

    path: Path
    daemon: DaemonConfig
    dns: DnsConfig
    network: NetworkConfig
    limits: LimitsConfig
    warm: WarmConfig
    metrics: MetricsConfig
    services: Mapping[str, ServiceConfig]
    libvirt: LibvirtConfig = LibvirtConfig("qemu:///system")
    xenstore: XenstoreConfig = XenstoreConfig()


def _stamp(path: Path) -> list[int]:
    """Size and time of a file, or nothing for one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]
