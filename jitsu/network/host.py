"""The network of one daemon: a bridge, the sentinel's port, a port for each guest, and the gate.

Who holds the port holds the traffic. A sleeping service has nothing here at all. Unknown unicast goes to the one port
that floods, the sentinel's. A guest's port is locked: until the gate is opened, by one netlink message that points the
bridge's entry for the guest's MAC at it, nothing gets in or out but broadcast in. When the port dies its entry dies
with it, and traffic falls back to the sentinel by itself.
"""

import asyncio
import errno
import os
import socket
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import Protocol

from jitsu.errors import HostError, JitsuError, ResourceBusy
from jitsu.network.bridge import MAXIMUM_PORTS, BridgeSettings, raise_bridge, remove_bridge
from jitsu.network.frames import mac_bytes
from jitsu.network.neighbours import announcement
from jitsu.network.netlink import GUEST_PORT, RESTING_PORT, SENTINEL_PORT, Netlink, PortFlags
from jitsu.network.packet import Interest, PortSocket, Reader
from jitsu.network.tap import open_tap

_ANNOUNCE_INTERVAL = 2.0
"""Seconds (RFC 5227 section 1.1)."""


@dataclass(frozen=True, slots=True)
class Port:
    """A guest's bridge port. The tap itself belongs to whoever holds its descriptor."""

    name: str
    ifindex: int


class Channel(Protocol):
    """A raw socket on a port: see `PortSocket`."""

    def listen_for(self, interest: Interest) -> None: ...

    def send(self, frame: bytes) -> None: ...

    async def close(self) -> None: ...


class Network(Protocol):
    """What a summon needs of the network. `FakeNetwork` has the same shape."""

    def open_taps(self, domid: int) -> list[int]:
        """Make the guest's tap; returns its only descriptor. It is not connected to anything yet. None is made, and
        none returned, where the hypervisor makes its guests' interfaces."""

    def plug(self, domid: int) -> Port:
        """Make the guest's interface a locked port of the bridge and bring it up; one that is already rests no
        longer."""

    def rest(self, port: Port) -> None:
        """Let nothing into a port whose guest rests, until it is plugged in again. Raises OSError."""

    def listen(self, port: Port, interest: Interest, reader: Reader) -> Channel:
        """A raw socket on the port."""

    def open_gate(self, mac: str, port: Port) -> None:
        """From now on the bridge delivers to the guest, and the guest is heard."""

    def close_gate(self, mac: str, port: Port) -> None:
        """From now on frames for this MAC go to the sentinel. A port that is gone took its entry with it."""

    def gate_unused(self, mac: str, port: Port) -> float | None:
        """Seconds since the bridge last forwarded a unicast frame to the guest; None: the gate is closed."""


class HostNetwork:
    """The real thing, in the network namespace in which it was made. With `vifs`, guests' interfaces are Xen's: netback
    makes and removes them, named after Xen's number of the domain."""

    def __init__(self, settings: BridgeSettings, *, vifs: bool = False) -> None:
        self._settings = settings
        self._vifs = vifs
        self._tag = _tag(settings.instance)
        self._netlink = Netlink()
        self._sentinel = sentinel_name(settings.instance)
        self._bridge = 0
        self._started = False
        self._found = False

    async def start(self, *, begun: bool = False) -> int:
        """Raise the bridge, plug the sentinel's tap; returns the sentinel's descriptor. For `begun` see
        `BridgeSettings`. Raises ResourceBusy or HostError.
        """
        self._settings = replace(self._settings, begun=begun)
        self._bridge, self._found = await raise_bridge(self._settings)
        fd = self._open_sentinel()
        self._started = True
        return fd

    def damage(self) -> str:
        """What somebody took away since: one line for people, or nothing. An uplink that is not there is none, for
        nobody but its owner can bring it back; one that is back and no port is. Raises OSError."""
        if self._is_without_bridge():
            return f"bridge {self._settings.name} was taken away"
        sentinel = self._netlink.link(self._sentinel)
        if sentinel is None:
            return f"the sentinel's port {self._sentinel} was taken away"
        if sentinel.master != self._bridge:
            return f"the sentinel's port {self._sentinel} was taken off bridge {self._settings.name}"
        uplink = self._netlink.link(self._settings.uplink) if self._settings.uplink else None
        if uplink is not None and uplink.master != self._bridge:
            return f"uplink {self._settings.uplink} is no port of bridge {self._settings.name}"
        return ""

    async def mend(self) -> int | None:
        """Make bridge and sentinel's port whole again; the sentinel's new descriptor, if it had to be a new tap.
        Guests' ports are plugged by whoever knows of them. Raises ResourceBusy, HostError or OSError."""
        missing = self._settings.uplink and self._netlink.link(self._settings.uplink) is None
        settings = replace(self._settings, uplink="") if missing else self._settings
        self._bridge, _ = await raise_bridge(settings)
        if self._netlink.link(self._sentinel) is None:
            return self._open_sentinel()
        self._plug(self._sentinel, SENTINEL_PORT)
        return None

    async def stop(self) -> None:
        """Remove the bridge, unless it is somebody's still: one that an earlier daemon left is kept until a start
        succeeds, for its guests may hang on it. Guests' ports go with their monitors."""
        if self._started or not self._found:
            await remove_bridge(self._settings)
        self._netlink.close()

    async def announce(self) -> None:
        """Tell everybody at which MAC the bridge's own addresses are, twice as RFC 5227 section 2.3 has it. A bridge
        that was made anew has another MAC than before, and clients would go on with the one they know for a minute."""
        if self._settings.existing:
            return
        addresses = [each.ip for each in (self._settings.address, self._settings.address6) if each is not None]
        for wait in (0.0, _ANNOUNCE_INTERVAL):
            await asyncio.sleep(wait)
            # Nobody waits for it: what the interface does not take now is said again.
            with suppress(OSError), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
                sock.bind((self._settings.name, 0))
                mac: bytes = sock.getsockname()[4]
                for address in addresses:
                    sock.send(announcement(mac, address.packed))

    def open_taps(self, domid: int) -> list[int]:
        return [] if self._vifs else [open_tap(self._name(domid))]

    def plug(self, domid: int) -> Port:
        return self._plug(self._name(domid), GUEST_PORT)

    def unplug(self, domid: int) -> None:
        """Take a port off the bridge whose guest is dead, and its gate with it. One that is gone is no error."""
        link = self._netlink.link(self._name(domid))
        if link is not None and link.master == self._bridge:
            self._netlink.unplug(link.ifindex)

    def rest(self, port: Port) -> None:
        self._netlink.set_flags(port.ifindex, RESTING_PORT)

    def listen(self, port: Port, interest: Interest, reader: Reader) -> PortSocket:
        return PortSocket(port.name, interest, reader)

    def open_gate(self, mac: str, port: Port) -> None:
        self._netlink.pin(mac_bytes(mac), port.ifindex)

    def close_gate(self, mac: str, port: Port) -> None:
        self._netlink.unpin(mac_bytes(mac), port.ifindex)

    def gate_unused(self, mac: str, port: Port) -> float | None:
        entry = self._netlink.entry(mac_bytes(mac), self._bridge)
        return entry.unused_for if entry is not None and entry.ifindex == port.ifindex else None

    def _is_without_bridge(self) -> bool:
        """Was the bridge taken away? One of the same name is another. Raises OSError."""
        bridge = self._netlink.link(self._settings.name)
        return bridge is None or bridge.ifindex != self._bridge

    def _open_sentinel(self) -> int:
        fd = open_tap(self._sentinel)
        try:
            self._plug(self._sentinel, SENTINEL_PORT)
        except (JitsuError, OSError):
            os.close(fd)
            raise
        return fd

    def _name(self, domid: int) -> str:
        return f"vif{domid}.0" if self._vifs else f"j{self._tag}g{domid}"

    def _plug(self, name: str, flags: PortFlags) -> Port:
        ifindex = socket.if_nametoindex(name)
        try:
            self._netlink.plug(ifindex, self._bridge, flags)
        except OSError as error:
            if self._is_without_bridge():
                again = f"make it again: ip link add {self._settings.name} type bridge"
                raise HostError(
                    f"port {name} cannot join bridge {self._settings.name}, which was taken away",
                    hint=again if self._settings.existing else "try again: it is put back",
                ) from error
            if error.errno in (errno.EXFULL, errno.ENOSPC):
                raise ResourceBusy(
                    f"bridge {self._settings.name} is full: a Linux bridge has at most {MAXIMUM_PORTS} ports",
                    hint="lower [limits] guests",
                ) from error
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                raise HostError(
                    f"port {name} cannot be locked: {error.strerror}",
                    hint="locked bridge ports need Linux 5.18 or newer",
                ) from error
            raise HostError(
                f"port {name} cannot join bridge {self._settings.name}: {error.strerror}",
                hint="run as root, or with CAP_NET_ADMIN",
            ) from error
        return Port(name, ifindex)


def sentinel_name(instance: str) -> str:
    """The sentinel's tap, which is there as long as a daemon of that instance lives."""
    return f"j{_tag(instance)}s"


def _tag(instance: str) -> str:
    """So that the taps of two daemons on a host never meet, in names of 15 characters at most."""
    return blake2s(instance.encode(), digest_size=3).hexdigest()
