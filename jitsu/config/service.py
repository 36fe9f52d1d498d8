"""[service.NAME]."""

import re
from collections.abc import Mapping
from hashlib import blake2s
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from jitsu.config.disks import MOST_DISKS, Disk, absolute_disk, split_disk
from jitsu.config.hours import Hours, read_hours
from jitsu.config.names import is_name
from jitsu.config.restart import Restart, read_restart
from jitsu.config.schema import DaemonConfig, DnsConfig, NetworkConfig, ServiceConfig
from jitsu.config.table import Table
from jitsu.config.wake import Trigger, read_trigger

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_NO_MAC = "00:00:00:00:00:00"
_MACHINES = ("microvm", "q35", "pvh", "pv")
_READY = ("told", "store", "probe")
_MODES = ("cold", "snapshot", "paused", "running")
_FILES = ("kernel", "initrd")
_DISMISS = ("end", "ask")
_SRV = re.compile(r"_[a-z0-9-]{1,15}\._(?:tcp|udp)")


def read_service(
    name: str, table: Table, daemon: DaemonConfig, network: NetworkConfig, dns: DnsConfig
) -> ServiceConfig:
    """The service of that name; what it must not share with others is not looked at here."""
    kernel = table.file("kernel")
    initrd = table.file("initrd") if table.has("initrd") else None
    # With an IPv6 address a service need not have one of IPv4, but it must have one.
    address6 = _address6(table, network) if table.has("address6") else None
    address = _address(table, network) if address6 is None or table.has("address") else None
    mac = table.text("mac", _derived_mac(daemon.instance, name)).lower()
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == _NO_MAC:
        table.wrong("mac", f"cannot be {mac!r}", "write a unicast address, as in 52:54:00:12:34:56")
    memory = table.size("memory", "16 MiB", 2 << 20)
    vcpus = table.number("vcpus", 1, 1, 32)
    ready = table.choice("ready", "told", _READY)
    mode = table.choice("mode", "cold", _MODES)
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
        srv=tuple(_srv(table, text) for text in table.texts("srv", ())),
        mode=mode,
        restart=_restart(table, "unless-stopped" if mode == "running" else "no"),
        backoff=table.seconds("backoff", 1, 0.1),
        crashes=table.number("crashes", 5, 1, 1_000_000),
        address6=address6,
        disks=_disks(table, mode),
        depends=table.texts("depends", ()),
        hours=tuple(_hours(table, text) for text in table.texts("hours", ())),
        dismiss=table.choice("dismiss", "end", _DISMISS),
        patience=table.seconds("patience", 10, 0.1),
        wake=tuple(_trigger(table, text) for text in table.texts("wake", ("tcp",))),
    )
    if len(service.cmdline) > 1024 or not service.cmdline.isprintable():
        table.wrong("cmdline", "cannot be passed to a kernel", "use at most 1,024 printable characters")
    for label in service.names:
        if label != "@" and not is_name(label):
            table.wrong("names", f"cannot contain {label!r}", "use names below the zone, as in www, or @ for the zone")
    if len(service.txt) > 16 or not all(0 < len(text.encode()) < 256 for text in service.txt):
        table.wrong("txt", "cannot be served", "use at most 16 texts of 1 to 255 bytes; each is a record")
    if len(set(service.srv)) < len(service.srv):
        table.wrong("srv", "has the same port twice", "once is enough")
    if not service.names and (service.txt or service.srv):
        table.wrong("names", "is empty, so nobody could ask for txt and srv", f'write: names = ["{name}"]')
    table.done()
    return service


def _address(table: Table, network: NetworkConfig) -> IPv4Address:
    address, around = table.ipv4("address"), network.address.network
    if address not in around:
        table.wrong("address", f"{address} is outside {around}", "use one inside [network] address")
    if address in (around.network_address, around.broadcast_address):
        table.wrong("address", f"{address} is no host's", f"use one between the ends of {around}")
    return address


def _address6(table: Table, network: NetworkConfig) -> IPv6Address:
    address = table.ipv6("address6")
    if network.ipv6 is None:
        hint = 'add to [network] a line like: address6 = "fd77::1/64"'
        table.wrong("address6", f"{address} is in no network: [network] has no address6", hint)
    around = network.ipv6.address.network
    if address not in around:
        table.wrong("address6", f"{address} is outside {around}", "use one inside [network] address6")
    if address == around.network_address:
        table.wrong("address6", f"{address} is no host's", f"use another one of {around}")
    return address


def absolute(keys: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The keys of a service with the paths of its files made absolute: relative ones are meant from `folder`."""
    return {key: _absolute(key, value, folder) for key, value in keys.items()}


def _absolute(key: str, value: Any, folder: Path) -> Any:
    if key in _FILES and isinstance(value, str) and value:
        return str((folder / value).absolute())
    if key == "disks" and isinstance(value, list):
        return [absolute_disk(each, folder) if isinstance(each, str) else each for each in value]
    return value


def _disks(table: Table, mode: str) -> tuple[Disk, ...]:
    texts = table.texts("disks", ())
    if len(texts) > MOST_DISKS:
        table.wrong("disks", f"has {len(texts)} of them", f"use {MOST_DISKS} at most")
    disks = []
    for text in texts:
        path, writable = split_disk(text)
        if not path:
            table.wrong("disks", f"cannot contain {text!r}", "name an image, as in content.img or rw:state.img")
        disks.append(Disk(table.beside("disks", path), writable))
    if len({disk.path for disk in disks}) < len(disks):
        table.wrong("disks", "has the same image twice", "once is enough")
    if mode == "snapshot" and any(disk.writable for disk in disks):
        hint = 'use another mode, or let it only read: leave out "rw:"'
        table.wrong("disks", "has one that is written, and a saved guest knows it only as it was", hint)
    return tuple(disks)


def _srv(table: Table, text: str) -> tuple[str, int]:
    owner, _, port = text.strip().lower().partition(" ")
    port = port.strip()
    if not _SRV.fullmatch(owner) or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        table.wrong("srv", f"cannot contain {text!r}", "write protocol and port, as in _http._tcp 80")
    return owner, int(port)


def _restart(table: Table, default: str) -> Restart:
    text = table.text("restart", default)
    try:
        return read_restart(text)
    except ValueError as error:
        table.wrong("restart", f"cannot be {text!r}", str(error))


def _hours(table: Table, text: str) -> Hours:
    try:
        return read_hours(text)
    except ValueError as error:
        table.wrong("hours", f"cannot contain {text!r}", str(error))


def _trigger(table: Table, text: str) -> Trigger:
    try:
        return read_trigger(text)
    except ValueError as error:
        table.wrong("wake", f"cannot contain {text!r}", str(error))


def _derived_mac(instance: str, service: str) -> str:
    """A MAC that is always the same for this service of this instance: locally administered, and of 40 bits of a hash,
    of which ten thousand services hardly ever get two alike."""
    return "52:" + blake2s(f"{instance}/{service}".encode(), digest_size=5).digest().hex(":")
