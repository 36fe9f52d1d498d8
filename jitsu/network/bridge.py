"""The bridge that all services share: made once at start-up, with pyroute2, and removed at the end.

Several daemons can live on one host: a bridge of ours carries its owner's instance name as interface alias, and no
daemon touches one that carries another's.
"""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path
from typing import Any

from jitsu.errors import HostError, JitsuError, ResourceBusy
from jitsu.network.netlink import Netlink

_IFA_F_NODAD = 0x02
"""linux/if_addr.h."""

MAXIMUM_PORTS = 1024
"""BR_MAX_PORTS in the kernel's net/bridge/br_private.h."""


_ALIAS = "jitsu:"
"""What the alias of a bridge of ours begins with."""


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """What the bridge shall be. `existing`: it is the administrator's own, only used and never changed or removed.
    `begun`: an earlier daemon of this instance was killed while it made one, so one without an owner is ours."""

    name: str
    address: IPv4Interface
    instance: str
    uplink: str = ""
    existing: bool = False
    address6: IPv6Interface | None = None
    begun: bool = False

    @property
    def alias(self) -> str:
        """The interface alias by which our own bridge is known."""
        return f"{_ALIAS}{self.instance}"


async def raise_bridge(settings: BridgeSettings) -> tuple[int, bool]:
    """Make the bridge, or find ours from an earlier run: its ifindex, and whether it was found.

    STP off and no forward delay, or a new port would be silent for 15 s; no multicast snooping, or neighbour
    solicitations for sleepers would reach nobody.

    Raises ResourceBusy if an interface of that name belongs to somebody else, HostError for everything missing.
    """
    return await asyncio.to_thread(_raise, settings)


async def remove_bridge(settings: BridgeSettings) -> None:
    """Remove the bridge if it is ours. An uplink is let go and stays up."""
    if not settings.existing:
        await asyncio.to_thread(_remove, settings)


def bridges_of_ours() -> list[tuple[str, str]]:
    """Name and instance of every bridge in this network namespace that a jitsu made."""
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        links = [(link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_IFALIAS") or "") for link in ip.get_links()]
    return [(name, alias.removeprefix(_ALIAS)) for name, alias in links if alias.startswith(_ALIAS)]


def remove_link(name: str) -> None:
    """Remove an interface; one that is gone is no error. Raises JitsuError."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as ip:
            found = _link(ip, name)
            if found is not None:
                ip.link("del", index=found["index"])
    except NetlinkError as error:
        raise JitsuError(
            f"bridge {name} cannot be removed: {error.args[-1]}", hint=f"remove it with: ip link delete {name}"
        ) from error


def _raise(settings: BridgeSettings) -> tuple[int, bool]:
    index, was_there = (_administrators(settings), True) if settings.existing else _ours(settings)
    if settings.uplink:
        with _library(settings) as ip:
            _take_uplink(ip, index, settings)
    return index, was_there


def _administrators(settings: BridgeSettings) -> int:
    """The bridge that is only used; its ifindex. One question, without the library: a slow board takes half as long to
    load that as all of the daemon."""
    netlink = Netlink()
    try:
        found = netlink.link(settings.name)
    finally:
        netlink.close()
    if found is None:
        raise HostError(
            f"there is no bridge {settings.name}, and [network] existing = true says that there is one",
            hint=f"make it (ip link add {settings.name} type bridge), or remove the line existing = true",
        )
    if found.kind != "bridge":
        raise ResourceBusy(f"interface {settings.name} is not a bridge", hint="name a bridge in [network] bridge")
    return found.ifindex


def _ours(settings: BridgeSettings) -> tuple[int, bool]:
    """Our own bridge, made if need be: its ifindex, and whether it was there."""
    with _library(settings) as ip:
        found = _link(ip, settings.name)
        was_there = found is not None
        if not was_there:
            ip.link(
                "add",
                ifname=settings.name,
                kind="bridge",
                br_stp_state=0,
                br_forward_delay=0,
                br_mcast_snooping=0,
            )
            found = _link(ip, settings.name)
        elif not _is_ours(settings, found.get_attr("IFLA_IFALIAS")):
            raise ResourceBusy(
                f"an interface named {settings.name} exists already, and this jitsu did not make it",
                hint="choose another [network] bridge, or say [network] existing = true to use that one as it is",
            )
        index = int(found["index"])
        ip.link("set", index=index, ifalias=settings.alias)
        # The bridge takes the smallest MAC of its ports as its own unless it is given one: it would change with every
        # guest that comes and goes, and every client would have to learn it again.
        ip.link("set", index=index, address=found.get_attr("IFLA_ADDRESS"), state="up")
        _give_address(ip, index, settings.address)
        if settings.address6 is not None:
            _give_address(ip, index, settings.address6)
        return index, was_there


@contextmanager
def _library(settings: BridgeSettings) -> Iterator[Any]:
    """pyroute2's IPRoute; what the kernel refuses it is a HostError."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        raise HostError(
            f"bridge {settings.name} cannot be made: {error.args[-1]}",
            hint="run as root, or with CAP_NET_ADMIN; the kernel needs CONFIG_BRIDGE",
        ) from error


def _is_ours(settings: BridgeSettings, alias: str | None) -> bool:
    return alias == settings.alias or (alias is None and settings.begun)


def _link(ip: Any, name: str) -> Any:
    """The link message of the interface `name`, or None."""
    index = ip.link_lookup(ifname=name)
    return ip.get_links(index[0])[0] if index else None


def _give_address(ip: Any, index: int, interface: IPv4Interface | IPv6Interface) -> None:
    """Give the bridge an address unless it has it."""
    address = str(interface.ip)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    for found in ip.get_addr(family=family):
        if found.get_attr("IFA_ADDRESS") != address:
            continue
        if found["index"] == index:
            return
        raise ResourceBusy(
            f"address {address} is in use on another interface of this machine",
            hint="choose another [network] address" + ("6" if interface.version == 6 else ""),
        )
    if interface.version == 6 and _is_without_ipv6(ip, index):
        raise HostError(
            f"the bridge cannot have the address {address}: IPv6 is switched off on this machine",
            hint="allow it with: sysctl net.ipv6.conf.default.disable_ipv6=0 (or leave out [network] address6)",
        )
    # Without a search for duplicates, which has a second's patience: until it is over nobody may listen on the address.
    flags = {"flags": _IFA_F_NODAD} if interface.version == 6 else {}
    ip.addr("add", index=index, address=address, prefixlen=interface.network.prefixlen, **flags)


def _is_without_ipv6(ip: Any, index: int) -> bool:
    """Is there no IPv6 on this interface, because the kernel has none or was told to leave it alone?"""
    name = ip.get_links(index)[0].get_attr("IFLA_IFNAME")
    switch = Path("/proc/sys/net/ipv6/conf") / name / "disable_ipv6"
    return not switch.exists() or switch.read_text().strip() != "0"


def _take_uplink(ip: Any, index: int, settings: BridgeSettings) -> None:
    """Make the uplink a port of the bridge."""
    uplink = _link(ip, settings.uplink)
    if uplink is None:
        raise HostError(
            f"there is no interface {settings.uplink}, named as [network] uplink",
            hint="list the interfaces with: ip -br link",
        )
    master = uplink.get_attr("IFLA_MASTER")
    if master not in (None, 0, index):
        raise ResourceBusy(
            f"interface {settings.uplink} belongs to another bridge",
            hint=f"release it with: ip link set {settings.uplink} nomaster",
        )
    ip.link("set", index=uplink["index"], master=index, state="up")


def _remove(settings: BridgeSettings) -> None:
    if (settings.name, settings.instance) in bridges_of_ours():
        remove_link(settings.name)
