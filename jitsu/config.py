"""jitsu.toml: read, checked, and turned into frozen dataclasses.

Every finding names the file, the key and the way out. Sizes are bytes, times are seconds.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2s
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from pathlib import Path
from typing import Any, NoReturn

from jitsu.errors import ConfigError

DEFAULT_PATH = Path("/etc/jitsu/jitsu.toml")

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_NO_MAC = "00:00:00:00:00:00"
_SIZE = re.compile(r"(\d{1,9})\s*(KiB|MiB|GiB)")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_MACHINES = ("microvm", "q35")
_READY = ("told", "probe")
_SRV = re.compile(r"_[a-z0-9-]{1,15}\._(?:tcp|udp)")
_POLICY = ("names", "ttl", "txt", "srv", "idle", "linger")
"""Keys of a service that may change under a running guest."""


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    """[daemon]: who this daemon is, and where it keeps sockets (`runtime`) and what outlives a reboot (`state`)."""

    instance: str
    runtime: Path
    state: Path


@dataclass(frozen=True, slots=True)
class DnsConfig:
    """[dns]: the zone, the addresses it is served on, the TTL of its records in seconds, this board's name as one of
    the zone's name servers (below the zone), and the other boards' names (in full) and IPv4 addresses."""

    zone: str
    listen: tuple[tuple[str, int], ...]
    ttl: int
    name: str
    nameservers: tuple[tuple[str, str], ...]


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


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """[limits]: how much all guests together may take, and how long a guest may boot before it is given up."""

    memory: int
    guests: int
    boot: float


@dataclass(frozen=True)
class ServiceConfig:
    """[service.NAME]: a guest, the address it answers on, and when to let it go."""

    name: str
    kernel: Path
    address: IPv4Address
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

    @cached_property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that change whenever anything about the guest itself does."""
        told = [str(getattr(self, field.name)) for field in fields(self) if field.name not in _POLICY]
        stamps = [_stamp(path) for path in (self.kernel, self.initrd) if path is not None]
        return blake2s(json.dumps([told, stamps]).encode(), digest_size=4).hexdigest()


@dataclass(frozen=True, slots=True)
class Config:
    """A whole jitsu.toml."""

    path: Path
    daemon: DaemonConfig
    dns: DnsConfig
    network: NetworkConfig
    limits: LimitsConfig
    services: Mapping[str, ServiceConfig]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that is in effect, its value as TOML has it; `stated` if the file says so, else it is a default."""

    section: str
    key: str
    value: Any
    stated: bool


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError."""
    return _Reader(path, _parse(path)).config()


def settings(path: Path) -> list[Setting]:
    """Every key that is in effect, section by section, defaults included. Raises ConfigError where `load` does."""
    reader = _Reader(path, _parse(path))
    reader.config()
    return [setting for table in reader.tables for setting in table.settings]


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration file {path}", hint="name one with: -c jitsu.toml") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"{path} cannot be read: {reason}", hint="name a readable file with: -c jitsu.toml"
        ) from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # TOMLDecodeError is a ValueError; so is a number of thousands of digits, which tomllib lets pass.
        raise ConfigError(f"{path} is not TOML: {error}", hint="mend that line; strings want quotes") from error


class _Table:
    """One TOML table being read. Keys are taken out one by one; what is left at the end nobody knows."""

    def __init__(self, path: Path, name: str, data: Any) -> None:
        self.path, self.name = path, name
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: {name} is not a table", hint=f"write it as a section: [{name}]")
        self._left: dict[str, Any] = dict(data)
        self._known: list[str] = []
        self.settings: list[Setting] = []

    def wrong(self, key: str, problem: str, hint: str) -> NoReturn:
        raise ConfigError(" ".join(filter(None, (f"{self.path}: [{self.name}]", key, problem))), hint=hint)

    def has(self, key: str) -> bool:
        self._known.append(key)
        return key in self._left

    def text(self, key: str, default: str | None = None, hint: str = "") -> str:
        value = self._take(key, default, hint or f'add a line: {key} = "..."')
        if not isinstance(value, str):
            self.wrong(key, f"is {_kind(value)}, not text", f'write it in quotes: {key} = "..."')
        return value

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in allowed and value != default:
            self.wrong(key, f"cannot be {value!r}", "use one of: " + ", ".join(allowed))
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default, "")
        if not isinstance(value, bool):
            self.wrong(key, f"is {_kind(value)}, not true or false", f"write: {key} = true")
        return value

    def number(self, key: str, default: int, low: int, high: int) -> int:
        value = self._take(key, default, "")
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.wrong(key, f"cannot be {value!r}", f"use a whole number from {low} to {high}")
        return value

    def seconds(self, key: str, default: float, low: float) -> float:
        value = self._take(key, default, "")
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= 1e8:
            self.wrong(key, f"cannot be {value!r}", f"use a number of seconds, at least {low:g}")
        return float(value)

    def size(self, key: str, default: str, low: int) -> int:
        value = self.text(key, default)
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            self.wrong(key, f"cannot be {value!r}", 'write a size with its unit, as in "64 MiB" (KiB, MiB, GiB)')
        size = int(match[1]) * _UNITS[match[2]]
        if size < low:
            self.wrong(key, f"is too small: {value!r}", f"give it at least {low >> 20} MiB")
        return size

    def file(self, key: str) -> Path:
        """A path; a relative one is looked for beside the configuration file."""
        value = self.text(key)
        if not value:
            self.wrong(key, "is empty", "name a file")
        if "\0" in value:
            self.wrong(key, f"cannot be {value!r}", "no file name has a NUL character in it")
        return (self.path.parent / value).absolute()

    def ipv4(self, key: str, default: str | None = None) -> IPv4Address:
        value = self.text(key, default, f'add a line: {key} = "10.77.0.10"')
        try:
            return IPv4Address(value)
        except AddressValueError:
            self.wrong(key, f"is not an IPv4 address: {value!r}", "write it as four numbers, as in 10.77.0.10")

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._take(key, list(default), "")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(key, "is not a list of texts", f'write it in brackets: {key} = ["...", "..."]')
        return tuple(value)

    def done(self) -> None:
        """Nothing may be left over: a misspelt key must not be silently without effect."""
        for key in self._left:
            self.wrong(key, "is not a key that exists", "the keys here are: " + ", ".join(sorted(set(self._known))))

    def _take(self, key: str, default: Any, hint: str) -> Any:
        self._known.append(key)
        stated = key in self._left
        if not stated and default is None:
            self.wrong(key, "is missing", hint)
        value = self._left.pop(key) if stated else default
        self.settings.append(Setting(self.name, key, value, stated))
        return value


class _Reader:
    """Turns parsed TOML into a Config."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        self._path, self._data = path, data
        self.tables: list[_Table] = []

    def config(self) -> Config:
        known = ("daemon", "dns", "network", "limits", "service")
        for key in self._data:
            if key not in known:
                raise ConfigError(
                    f"{self._path}: there is no section [{key}]",
                    hint="the sections are: [daemon] [dns] [network] [limits] [service.NAME]",
                )
        daemon = self._daemon()
        network = self._network()
        dns = self._dns(network)
        limits = self._limits()
        services = {service.name: service for service in self._services(daemon, network, dns)}
        if not services:
            raise ConfigError(f"{self._path}: no service is defined", hint="add a section [service.NAME] with a kernel")
        self._check_apart(services, network, dns)
        return Config(self._path, daemon, dns, network, limits, services)

    def _table(self, name: str) -> _Table:
        return self._opened(name, self._data.get(name, {}))

    def _opened(self, name: str, data: Any) -> _Table:
        table = _Table(self._path, name, data)
        self.tables.append(table)
        return table

    def _daemon(self) -> DaemonConfig:
        table = self._table("daemon")
        instance = table.text("instance", "jitsu")
        if not _NAME.fullmatch(instance):
            table.wrong("instance", f"cannot be {instance!r}", "use lower-case letters, digits and hyphens")
        runtime = Path(table.text("runtime", f"/run/{instance}")).absolute()
        state = Path(table.text("state", f"/var/lib/{instance}")).absolute()
        table.done()
        # A unix socket's path has 107 bytes; the domain's folder and name need some 25 of them.
        if len(str(runtime)) > 80:
            table.wrong("runtime", f"is too long a path: {runtime}", "use one of at most 80 characters")
        return DaemonConfig(instance, runtime, state)

    def _network(self) -> NetworkConfig:
        table = self._table("network")
        bridge = table.text("bridge", "jitsu0")
        uplink = table.text("uplink", "")
        for key, value in (("bridge", bridge), ("uplink", uplink)):
            if (value and not _INTERFACE.fullmatch(value)) or (key == "bridge" and not value):
                table.wrong(key, f"cannot be {value!r}", "an interface name has 1 to 15 letters, digits, . _ or -")
        text = table.text("address", "10.77.0.1/24")
        try:
            address = IPv4Interface(text)
        except (AddressValueError, NetmaskValueError):
            table.wrong("address", f"cannot be {text!r}", "write the bridge's address and network, as in 10.77.0.1/24")
        if address.network.prefixlen > 29:
            table.wrong("address", f"leaves no room for guests: {text!r}", "use a network of /29 or larger")
        existing = table.flag("existing", False)
        gateway = table.ipv4("gateway", str(address.ip))
        if gateway not in address.network:
            table.wrong("gateway", f"{gateway} is outside {address.network}", "use an address of that network")
        spare = address.network.broadcast_address - 1
        if spare == address.ip:
            spare -= 1
        probe = table.ipv4("probe", str(spare))
        if probe not in address.network or probe in (address.ip, gateway):
            table.wrong("probe", f"cannot be {probe}", f"use a spare address of {address.network}")
        table.done()
        return NetworkConfig(bridge, address, gateway, uplink, existing, probe)

    def _dns(self, network: NetworkConfig) -> DnsConfig:
        table = self._table("dns")
        zone = table.text("zone", "jitsu.test").rstrip(".").lower()
        if len(zone) > 200 or not _is_name(zone):
            table.wrong("zone", f"cannot be {zone!r}", "write a domain name, as in board.example.org")
        listen = tuple(self._endpoint(table, text) for text in table.texts("listen", (f"{network.address.ip}:53",)))
        if not listen:
            table.wrong("listen", "is empty", f'write: listen = ["{network.address.ip}:53"]')
        ttl = table.number("ttl", 60, 0, 2**31 - 1)
        name = table.text("name", "ns").lower()
        if not _is_name(name):
            table.wrong("name", f"cannot be {name!r}", "use a name below the zone, as in ns1")
        others = tuple(self._nameserver(table, text) for text in table.texts("nameservers", ()))
        if len({f"{name}.{zone}", *(other for other, _ in others)}) <= len(others):
            table.wrong("nameservers", "has a name twice", f"list the other boards once; this one is {name}.{zone}")
        if len(others) > 12:
            table.wrong("nameservers", f"are {len(others)}", "list at most 12 others")
        table.done()
        return DnsConfig(zone, listen, ttl, name, others)

    @staticmethod
    def _nameserver(table: _Table, text: str) -> tuple[str, str]:
        name, _, address = text.strip().lower().partition(" ")
        name = name.rstrip(".")
        if "." not in name or len(name) > 200 or not _is_name(name):
            table.wrong("nameservers", f"cannot contain {text!r}", "write name and address: ns2.example.org 192.0.2.2")
        try:
            return name, str(IPv4Address(address.strip()))
        except AddressValueError:
            table.wrong("nameservers", f"has no IPv4 address in {text!r}", f"add it: {name} 192.0.2.2")

    @staticmethod
    def _endpoint(table: _Table, text: str) -> tuple[str, int]:
        host, _, port = text.rpartition(":")
        try:
            address = IPv4Address(host)
        except AddressValueError:
            table.wrong("listen", f"cannot be {text!r}", "write address and port, as in 10.77.0.1:53")
        if not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 65536:
            table.wrong("listen", f"has no such port: {text!r}", "use a port from 1 to 65535, as in 10.77.0.1:53")
        return str(address), int(port)

    def _limits(self) -> LimitsConfig:
        table = self._table("limits")
        memory = table.size("memory", "512 MiB", 1 << 20)
        guests = table.number("guests", 64, 1, 1000)
        boot = table.seconds("boot", 15, 0.1)
        table.done()
        return LimitsConfig(memory, guests, boot)

    def _services(self, daemon: DaemonConfig, network: NetworkConfig, dns: DnsConfig) -> Iterator[ServiceConfig]:
        sections = self._data.get("service", {})
        if not isinstance(sections, dict):
            raise ConfigError(f"{self._path}: service is not a table", hint="write sections: [service.NAME]")
        for name, data in sections.items():
            table = self._opened(f"service.{name}", data)
            if not _NAME.fullmatch(name):
                table.wrong("", "has a name that cannot be", "use lower-case letters, digits and hyphens, 63 at most")
            yield self._service(name, table, daemon, network, dns)

    def _service(
        self, name: str, table: _Table, daemon: DaemonConfig, network: NetworkConfig, dns: DnsConfig
    ) -> ServiceConfig:
        kernel = table.file("kernel")
        initrd = table.file("initrd") if table.has("initrd") else None
        address = table.ipv4("address")
        if address not in network.address.network:
            table.wrong(
                "address", f"{address} is outside {network.address.network}", "use one inside [network] address"
            )
        if address in (network.address.network.network_address, network.address.network.broadcast_address):
            table.wrong("address", f"{address} is no host's", f"use one between the ends of {network.address.network}")
        mac = table.text("mac", _derived_mac(daemon.instance, name)).lower()
        if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == _NO_MAC:
            table.wrong("mac", f"cannot be {mac!r}", "write a unicast address, as in 52:54:00:12:34:56")
        memory = table.size("memory", "16 MiB", 2 << 20)
        vcpus = table.number("vcpus", 1, 1, 32)
        ready = table.choice("ready", "told", _READY)
        service = ServiceConfig(
            name=name,
            kernel=kernel,
            address=address,
            mac=mac,
            memory=memory,
            vcpus=vcpus,
            initrd=initrd,
            cmdline=table.text("cmdline", ""),
            machine=table.choice("machine", "", _MACHINES),
            ready=ready,
            port=table.number("port", 80, 1, 65535),
            names=tuple(n.lower() for n in table.texts("names", (name,))),
            ttl=table.number("ttl", dns.ttl, 0, 2**31 - 1),
            idle=table.seconds("idle", 60, 0.1),
            linger=table.seconds("linger", 3600, 0.1),
            txt=table.texts("txt", ()),
            srv=tuple(self._srv(table, text) for text in table.texts("srv", ())),
        )
        if len(service.cmdline) > 1024 or not service.cmdline.isprintable():
            table.wrong("cmdline", "cannot be passed to a kernel", "use at most 1,024 printable characters")
        for label in service.names:
            if label != "@" and not _is_name(label):
                table.wrong(
                    "names", f"cannot contain {label!r}", "use names below the zone, as in www, or @ for the zone"
                )
        if len(service.txt) > 16 or not all(0 < len(text.encode()) < 256 for text in service.txt):
            table.wrong("txt", "cannot be served", "use at most 16 texts of 1 to 255 bytes; each is a record")
        if len(set(service.srv)) < len(service.srv):
            table.wrong("srv", "has the same port twice", "once is enough")
        if not service.names and (service.txt or service.srv):
            table.wrong("names", "is empty, so nobody could ask for txt and srv", f'write: names = ["{name}"]')
        table.done()
        return service

    @staticmethod
    def _srv(table: _Table, text: str) -> tuple[str, int]:
        owner, _, port = text.strip().lower().partition(" ")
        port = port.strip()
        if not _SRV.fullmatch(owner) or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
            table.wrong("srv", f"cannot contain {text!r}", "write protocol and port, as in _http._tcp 80")
        return owner, int(port)

    def _check_apart(self, services: Mapping[str, ServiceConfig], network: NetworkConfig, dns: DnsConfig) -> None:
        """No two services, and no service and the host, may share what must be their own."""
        taken = {
            f"address {network.gateway}": "[network] gateway",
            f"address {network.address.ip}": "[network] address",
            f"address {network.probe}": "[network] probe",
            f"name {dns.name}": "the zone's own name server",
        }
        for name, _ in dns.nameservers:
            taken[f"name {'@' if name == dns.zone else name.removesuffix(f'.{dns.zone}')}"] = "[dns] nameservers"
        for service in services.values():
            own = [f"address {service.address}", f"mac {service.mac}", *(f"name {label}" for label in service.names)]
            for thing in own:
                if thing in taken:
                    raise ConfigError(
                        f"{self._path}: [service.{service.name}] has the same {thing} as {taken[thing]}",
                        hint="give each its own",
                    )
                taken[thing] = f"[service.{service.name}]"


def _is_name(text: str) -> bool:
    return all(_NAME.fullmatch(label) for label in text.split("."))


def _derived_mac(instance: str, service: str) -> str:
    """A MAC under QEMU's prefix 52:54:00 that is always the same for this service of this instance."""
    return "52:54:00:" + blake2s(f"{instance}/{service}".encode(), digest_size=3).digest().hex(":")


def _stamp(path: Path) -> list[int]:
    """Size and time of a file, or nothing for one that is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}
    return kinds.get(type(value), "something else")
