"""[daemon], [libvirt], [xenstore], [network], [dns], [limits], [warm] and [metrics]."""

import re
from collections.abc import Sequence
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    NetmaskValueError,
    ip_address,
    ip_network,
)
from pathlib import Path
from urllib.parse import urlsplit

from jitsu.config.keys import read_keys
from jitsu.config.names import NAME, is_name
from jitsu.config.schema import (
    DaemonConfig,
    DnsConfig,
    Ipv6Config,
    LibvirtConfig,
    LimitsConfig,
    MetricsConfig,
    NetworkConfig,
    WarmConfig,
    XenstoreConfig,
)
from jitsu.config.table import Table

Endpoint = tuple[str, int]
"""IP address and port."""

_DRIVERS = ("qemu", "libvirt", "xen")
_LONGEST_SOCKET = 107
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?")
"""useradd(8) is stricter; directory services are not."""

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def read_daemon(table: Table) -> DaemonConfig:
    instance = table.text("instance", "jitsu")
    if not NAME.fullmatch(instance):
        table.wrong("instance", f"cannot be {instance!r}", "use lower-case letters, digits and hyphens")
    runtime = Path(table.text("runtime", f"/run/{instance}")).absolute()
    state = Path(table.text("state", f"/var/lib/{instance}")).absolute()
    driver = table.choice("driver", "qemu", _DRIVERS)
    group = table.text("group", "")
    operators = table.texts("operators", ("*",))
    for key, names in (("group", (group,) if group else ()), ("operators", operators)):
        for name in names:
            if not _ACCOUNT.fullmatch(name) and (key, name) != ("operators", "*"):
                table.wrong(key, f"cannot be {name!r}", "write the name of a user or group of this machine")
    table.done()
    # A unix socket's path has 107 bytes; the domain's folder and name need some 25 of them.
    if len(str(runtime)) > 80:
        table.wrong("runtime", f"is too long a path: {runtime}", "use one of at most 80 characters")
    return DaemonConfig(instance, runtime, state, driver, group, operators)


def read_libvirt(table: Table) -> LibvirtConfig:
    uri = table.text("uri", "qemu:///system")
    try:
        parts = urlsplit(uri)
    except ValueError:
        table.wrong("uri", f"cannot be {uri!r}", "write one of libvirt's, as in qemu:///system")
    if parts.scheme.partition("+")[0] == "xen":
        table.wrong("uri", f"is of Xen, which libvirt is not asked for: {uri!r}", 'write driver = "xen" in [daemon]')
    if parts.scheme.partition("+")[0] != "qemu" or parts.path not in ("/system", "/session"):
        table.wrong("uri", f"is not of a QEMU: {uri!r}", "use qemu:///system or qemu:///session")
    if parts.netloc or parts.scheme not in ("qemu", "qemu+unix"):
        table.wrong("uri", f"is on another host: {uri!r}", "taps are of this host: use qemu:///system")
    table.done()
    return LibvirtConfig(uri)


def read_xenstore(table: Table) -> XenstoreConfig:
    text = table.text("socket", "")
    table.done()
    if text and not text.startswith("/"):
        table.wrong("socket", f"cannot be {text!r}", "write an absolute path, as in /run/xenstored/socket")
    if len(text.encode()) > _LONGEST_SOCKET:
        table.wrong("socket", f"is too long a path: {text}", f"a unix socket's has at most {_LONGEST_SOCKET} bytes")
    return XenstoreConfig(Path(text) if text else None)


def read_network(table: Table) -> NetworkConfig:
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
    ipv6 = _read_ipv6(table)
    table.done()
    return NetworkConfig(bridge, address, gateway, uplink, existing, probe, ipv6)


def _read_ipv6(table: Table) -> Ipv6Config | None:
    """The keys of [network] that end in 6; None if there is no IPv6."""
    text = table.text("address6", "")
    if not text:
        for key in ("gateway6", "probe6"):
            if table.has(key):
                table.wrong(key, "is without effect, as there is no address6", 'add a line: address6 = "fd77::1/64"')
        return None
    try:
        address = IPv6Interface(text)
    except (AddressValueError, NetmaskValueError):
        table.wrong("address6", f"cannot be {text!r}", "write the bridge's address and network, as in fd77::1/64")
    if address.network.prefixlen != 64:
        table.wrong("address6", f"has a network that is no /64: {text!r}", "IPv6 hosts take every link for a /64")
    link, own = address.network, address.ip
    if link.is_multicast or link.is_link_local or link.is_loopback or link.is_reserved or address.scope_id is not None:
        table.wrong("address6", f"is not one that clients can be told: {text!r}", "use a network like fd77::/64")
    if own == link.network_address:
        table.wrong("address6", f"{own} is any router's, not this one's", f"use another address of {link}")
    gateway = table.ipv6("gateway6", str(own))
    if gateway not in link and not gateway.is_link_local:
        table.wrong("gateway6", f"{gateway} is outside {link}", "use an address of that network, or a link-local one")
    spare = link.broadcast_address - 1
    if spare == own:
        spare -= 1
    probe = table.ipv6("probe6", str(spare))
    if probe not in link or probe in (own, gateway, link.network_address):
        table.wrong("probe6", f"cannot be {probe}", f"use a spare address of {link}")
    return Ipv6Config(address, gateway, probe)


def read_dns(table: Table, network: NetworkConfig) -> DnsConfig:
    zone = table.text("zone", "jitsu.test").rstrip(".").lower()
    if len(zone) > 200 or not is_name(zone):
        table.wrong("zone", f"cannot be {zone!r}", "write a domain name, as in board.example.org")
    own = [f"{network.address.ip}:53"]
    if network.ipv6 is not None:
        own.append(f"[{network.ipv6.address.ip}]:53")
    listen = tuple(_endpoint(table, text) for text in table.texts("listen", tuple(own)))
    if not listen:
        table.wrong("listen", "is empty", f'write: listen = ["{network.address.ip}:53"]')
    ttl = table.number("ttl", 60, 0, 2**31 - 1)
    name = table.text("name", "ns").lower()
    if not is_name(name):
        table.wrong("name", f"cannot be {name!r}", "use a name below the zone, as in ns1")
    others = tuple(_nameserver(table, text) for text in table.texts("nameservers", ()))
    if len({f"{name}.{zone}", *(other for other, _ in others)}) <= len(others):
        table.wrong("nameservers", "has a name twice", f"list the other boards once; this one is {name}.{zone}")
    if len(others) > 12:
        table.wrong("nameservers", f"are {len(others)}", "list at most 12 others")
    forward = tuple(_upstream(table, text) for text in table.texts("forward", ()))
    forward_for = tuple(_clients(table, text) for text in table.texts("forward_for", ()))
    if bool(forward) != bool(forward_for):
        table.wrong("forward", "and forward_for need each other", "say which resolvers to ask, and for which networks")
    if len(forward) > 4:
        table.wrong("forward", f"has {len(forward)} resolvers", "list at most 4")
    keys = read_keys(table.file("keys")) if table.has("keys") else ()
    _check_elsewhere(table, forward, listen, network)
    table.done()
    return DnsConfig(zone, listen, ttl, name, others, forward, forward_for, keys)


def _check_elsewhere(
    table: Table, forward: Sequence[Endpoint], listen: Sequence[Endpoint], network: NetworkConfig
) -> None:
    """Questions that are forwarded must not come back to this directory."""
    here = {address for address, _ in listen}
    if here & {"0.0.0.0", "::"}:
        here |= {str(network.address.ip), *(address for address, _ in forward if ip_address(address).is_loopback)}
        if network.ipv6 is not None:
            here.add(str(network.ipv6.address.ip))
    ports = {port for _, port in listen}
    for address, port in forward:
        if address in here and port in ports:
            table.wrong("forward", f"leads back to this directory: {address} port {port}", "name another resolver")


def _upstream(table: Table, text: str) -> tuple[str, int]:
    """`192.0.2.53`, `192.0.2.53:5353`, `2001:db8::53` or `[2001:db8::53]:5353`."""
    bracketed = re.fullmatch(r"\[(.*)\](?::([0-9]{1,5}))?|([^:]*):([0-9]{1,5})", text)
    host, port = text, "53"
    if bracketed:
        host, port = bracketed[1] or bracketed[3] or "", bracketed[2] or bracketed[4] or "53"
    try:
        address = ip_address(host)
    except ValueError:
        table.wrong("forward", f"cannot contain {text!r}", "write addresses: 192.0.2.53, or [2001:db8::53]:5353")
    if not 0 < int(port) < 65536:
        table.wrong("forward", f"has no such port: {text!r}", "use a port from 1 to 65535")
    return str(address), int(port)


def _clients(table: Table, text: str) -> IPv4Network | IPv6Network:
    try:
        clients = ip_network(text)
    except ValueError:
        table.wrong("forward_for", f"cannot contain {text!r}", "write networks, as in 10.77.0.0/24")
    if clients.prefixlen == 0:
        table.wrong("forward_for", f"cannot be everybody: {text!r}", "an open resolver is a weapon; name your networks")
    return clients


def _nameserver(table: Table, text: str) -> tuple[str, str]:
    name, _, address = text.strip().lower().partition(" ")
    name = name.rstrip(".")
    if "." not in name or len(name) > 200 or not is_name(name):
        table.wrong("nameservers", f"cannot contain {text!r}", "write name and address: ns2.example.org 192.0.2.2")
    try:
        return name, str(IPv4Address(address.strip()))
    except AddressValueError:
        table.wrong("nameservers", f"has no IPv4 address in {text!r}", f"add it: {name} 192.0.2.2")


def _endpoint(table: Table, text: str, example: str = "10.77.0.1:53 or [fd77::1]:53") -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        address = IPv6Address(host[1:-1]) if bracketed else IPv4Address(host)
    except AddressValueError:
        table.wrong("listen", f"cannot be {text!r}", f"write address and port, as in {example}")
    if not port.isdecimal() or len(port) > 5 or not 0 < int(port) < 65536:
        table.wrong("listen", f"has no such port: {text!r}", f"use a port from 1 to 65535, as in {example}")
    return str(address), int(port)


def read_metrics(table: Table) -> MetricsConfig:
    listen = table.text("listen", "")
    table.done()
    return MetricsConfig(_endpoint(table, listen, "127.0.0.1:9100") if listen else None)


def read_limits(table: Table, daemon: DaemonConfig) -> LimitsConfig:
    memory = table.size("memory", "512 MiB", 1 << 20)
    guests = table.number("guests", 64, 1, 1000)
    vcpus = table.number("vcpus", 256, 1, 100_000)
    boot = table.seconds("boot", 15, 0.1)
    summons = table.number("summons", 32, 0, 1_000_000)
    answers = table.number("answers", 200, 0, 1_000_000)
    uids = _uids(table, guests)
    if uids and daemon.driver == "libvirt":
        table.wrong(
            "uids", "have no effect with the driver libvirt", "remove them: its qemu.conf says as whom QEMU runs"
        )
    if uids and daemon.driver == "xen":
        table.wrong("uids", "have no effect with the driver xen", "remove them: a domain of Xen is no process")
    knocks = table.number("knocks", 64, 0, 1_000_000)
    client_knocks = table.number("client-knocks", 32, 0, 1_000_000)
    held = table.number("held", 4096, 16, 1_000_000)
    strangers = table.number("strangers", 80, 1, 100)
    table.done()
    return LimitsConfig(memory, guests, vcpus, boot, summons, answers, uids, knocks, client_knocks, held, strangers)


def _uids(table: Table, guests: int) -> range:
    """Users for the guests: none, or at least as many as there may be guests, and neither root nor the last (-1)."""
    text = table.text("uids", "")
    if not text:
        return range(0)
    match = re.fullmatch("([0-9]{1,10})-([0-9]{1,10})", text)
    if match is None or not 0 < int(match[1]) <= int(match[2]) < 2**32 - 1:
        table.wrong("uids", f"cannot be {text!r}", 'write a range of users that nobody else has, as in "200000-200999"')
    uids = range(int(match[1]), int(match[2]) + 1)
    if len(uids) < guests:
        table.wrong("uids", f"are {len(uids)}", f"every guest gets one, and [limits] guests is {guests}")
    return uids


def read_warm(table: Table) -> WarmConfig:
    memory = table.size("memory", "256 MiB", 1 << 20)
    keep = table.seconds("keep", 3600, 1)
    blanks = table.number("blanks", 4, 0, 1000)
    table.done()
    return WarmConfig(memory, keep, blanks)
