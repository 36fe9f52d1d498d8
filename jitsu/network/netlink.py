"""The few rtnetlink messages of the summon path, sent by hand.

A general library takes 300-500 us a call; these take some 10 us, and a summon makes half a dozen of them. Set-up of the
bridge, where milliseconds do not matter, is done with pyroute2 in `bridge.py`.

Numbers are from linux/netlink.h, linux/rtnetlink.h, linux/if_link.h and linux/neighbour.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

_NLMSG_ERROR = 2
_RTM_NEWLINK, _RTM_GETLINK, _RTM_SETLINK = 16, 18, 19
_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30

_NLM_F_REQUEST, _NLM_F_ACK = 0x001, 0x004
_NLM_F_REPLACE, _NLM_F_CREATE = 0x100, 0x400

_AF_BRIDGE = 7
_IFF_UP = 0x1
_IFLA_IFNAME = 3
_IFLA_MASTER, _IFLA_PROTINFO, _IFLA_LINKINFO, _IFLA_AF_SPEC = 10, 12, 18, 26
_IFLA_INFO_KIND = 1
_IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, b"\x01"
_BRPORT_LEARNING, _BRPORT_UNICAST_FLOOD, _BRPORT_MULTICAST_ROUTER, _BRPORT_LOCKED = 8, 9, 25, 39
_MULTICAST_ROUTER_ALWAYS = b"\x02"
_BRPORT_MCAST_FLOOD, _BRPORT_BCAST_FLOOD = 27, 30
_NESTED = 0x8000

_NDA_LLADDR, _NDA_CACHEINFO, _NDA_MASTER = 2, 3, 9
_NUD_NOARP = 0x40
_NTF_MASTER, _NTF_STICKY = 0x04, 0x40

_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_NDMSG = struct.Struct("=BxxxiHBB")
_ATTRIBUTE = struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class PortFlags:
    """Bridge port flags: does it learn source addresses, get unknown unicast, drop senders it has no entry for, and get
    what is sent to everybody."""

    learning: bool
    flood: bool
    locked: bool
    broadcast: bool = True


RESTING_PORT = PortFlags(learning=False, flood=False, locked=True, broadcast=False)
"""Of a guest that rests: nobody reads what comes in, so nothing shall."""
GUEST_PORT = PortFlags(learning=False, flood=False, locked=True)
SENTINEL_PORT = PortFlags(learning=False, flood=True, locked=False)


@dataclass(frozen=True, slots=True)
class Link:
    """An interface, the bridge it is a port of (0: none), and its kind, such as `bridge` (a device's is empty)."""

    ifindex: int
    master: int
    kind: str


@dataclass(frozen=True, slots=True)
class FdbEntry:
    """A forwarding entry: the port it points at, and seconds since a frame was last forwarded by it."""

    ifindex: int
    unused_for: float


class Netlink:
    """One NETLINK_ROUTE socket of the network namespace in which it was made. Every method raises OSError with the
    kernel's errno when the kernel refuses."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(2)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def plug(self, ifindex: int, bridge: int, flags: PortFlags) -> None:
        """Make an interface a port of the bridge and bring it up.

        The port is down until its flags stand, so that not one frame passes under the defaults. IPv6 address
        generation is switched off: the host has nothing to say on a guest's port. The port counts as a multicast
        router's: on a bridge that snoops, and is not ours to change, neighbour solicitations would otherwise reach
        only those who joined their groups; the sentinel never does, and a guest's reports are dropped by its lock.
        """
        no_ipv6 = _attribute(
            _IFLA_AF_SPEC, _attribute(socket.AF_INET6, _attribute(_IFLA_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE))
        )
        master = _attribute(_IFLA_MASTER, struct.pack("=I", bridge))
        self._request(
            (_RTM_NEWLINK, 0, _IFINFO.pack(socket.AF_UNSPEC, 0, ifindex, 0, 0) + master + no_ipv6),
            _flags_message(ifindex, flags),
            (_RTM_NEWLINK, 0, _IFINFO.pack(socket.AF_UNSPEC, 0, ifindex, _IFF_UP, _IFF_UP)),
        )

    def unplug(self, ifindex: int) -> None:
        """Take a port off its bridge, with all entries that point at it. One that is gone is no error."""
        off = _attribute(_IFLA_MASTER, struct.pack("=I", 0))
        try:
            self._request((_RTM_NEWLINK, 0, _IFINFO.pack(socket.AF_UNSPEC, 0, ifindex, 0, 0) + off))
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def set_flags(self, ifindex: int, flags: PortFlags) -> None:
        """Change the flags of a port of a bridge."""
        self._request(_flags_message(ifindex, flags))

    def pin(self, mac: bytes, ifindex: int) -> None:
        """Point the bridge's entry for `mac` at this port, as `static sticky`: nobody else's frame can move it."""
        body = _NDMSG.pack(_AF_BRIDGE, ifindex, _NUD_NOARP, _NTF_MASTER | _NTF_STICKY, 0)
        self._request((_RTM_NEWNEIGH, _NLM_F_CREATE | _NLM_F_REPLACE, body + _attribute(_NDA_LLADDR, mac)))

    def unpin(self, mac: bytes, ifindex: int) -> bool:
        """Remove the entry for `mac` on this port. False if there was none, or no such port any more."""
        body = _NDMSG.pack(_AF_BRIDGE, ifindex, _NUD_NOARP, _NTF_MASTER, 0)
        try:
            self._request((_RTM_DELNEIGH, 0, body + _attribute(_NDA_LLADDR, mac)))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENODEV, errno.EINVAL):
                return False
            raise
        return True

    def entry(self, mac: bytes, bridge: int) -> FdbEntry | None:
        """The bridge's entry for `mac`, or None (br_fdb_get, Linux 5.0)."""
        body = _NDMSG.pack(_AF_BRIDGE, 0, 0, 0, 0)
        attributes = _attribute(_NDA_LLADDR, mac) + _attribute(_NDA_MASTER, struct.pack("=I", bridge))
        try:
            answer = self._ask(_RTM_GETNEIGH, body + attributes)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        ifindex = _NDMSG.unpack_from(answer)[1]
        unused = 0.0
        for kind, payload in _attributes(answer[_NDMSG.size :]):
            if kind == _NDA_CACHEINFO:
                # struct nda_cacheinfo: confirmed, used, updated, refcnt; in USER_HZ ticks, which is 100 everywhere.
                unused = struct.unpack_from("=I", payload, 4)[0] / 100
        return FdbEntry(ifindex, unused)

    def link(self, name: str) -> Link | None:
        """The interface of that name, or None."""
        body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, name.encode() + b"\0")
        try:
            answer = self._ask(_RTM_GETLINK, body)
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        ifindex = _IFINFO.unpack_from(answer)[2]
        said = dict(_attributes(answer[_IFINFO.size :]))
        about = dict(_attributes(said.get(_IFLA_LINKINFO, b"")))
        kind = about.get(_IFLA_INFO_KIND, b"").rstrip(b"\0").decode()
        return Link(ifindex, struct.unpack("=I", said.get(_IFLA_MASTER, bytes(4)))[0], kind)

    def _request(self, *messages: tuple[int, int, bytes]) -> None:
        """Send (type, flags, body) messages in one system call and read one acknowledgement each.

        All acknowledgements are read even when one carries an error, so that the next request starts clean.
        """
        first = self._sequence + 1
        packet = b"".join(self._message(kind, flags | _NLM_F_ACK, body) for kind, flags, body in messages)
        self._socket.send(packet)
        waiting = set(range(first, self._sequence + 1))
        failed = 0
        while waiting:
            for kind, sequence, body in self._receive():
                if kind == _NLMSG_ERROR and sequence in waiting:
                    waiting.discard(sequence)
                    failed = failed or -struct.unpack_from("=i", body)[0]
        if failed:
            raise OSError(failed, os.strerror(failed))

    def _ask(self, kind: int, body: bytes) -> bytes:
        """Send one message whose answer is one message; its body."""
        self._socket.send(self._message(kind, 0, body))
        while True:
            for answered, sequence, answer in self._receive():
                if sequence != self._sequence:
                    continue
                if answered == _NLMSG_ERROR:
                    code = -struct.unpack_from("=i", answer)[0]
                    raise OSError(code, os.strerror(code))
                return answer

    def _message(self, kind: int, flags: int, body: bytes) -> bytes:
        self._sequence += 1
        length = _HEADER.size + len(body)
        return _HEADER.pack(length, kind, flags | _NLM_F_REQUEST, self._sequence, 0) + body + bytes(-length % 4)

    def _receive(self) -> Sequence[tuple[int, int, bytes]]:
        """(type, sequence, body) of every message in one datagram."""
        data = self._socket.recv(65536)
        messages = []
        while len(data) >= _HEADER.size:
            length, kind, _, sequence, _ = _HEADER.unpack_from(data)
            if length < _HEADER.size:
                break
            messages.append((kind, sequence, data[_HEADER.size : length]))
            data = data[(length + 3) & ~3 :]
        return messages


def _flags_message(ifindex: int, flags: PortFlags) -> tuple[int, int, bytes]:
    """Type, flags and body of the message that sets a port's flags."""
    protinfo = _attribute(
        _IFLA_PROTINFO | _NESTED,
        _attribute(_BRPORT_LEARNING, bytes([flags.learning]))
        + _attribute(_BRPORT_UNICAST_FLOOD, bytes([flags.flood]))
        + _attribute(_BRPORT_MULTICAST_ROUTER, _MULTICAST_ROUTER_ALWAYS)
        + _attribute(_BRPORT_LOCKED, bytes([flags.locked]))
        + _attribute(_BRPORT_BCAST_FLOOD, bytes([flags.broadcast]))
        + _attribute(_BRPORT_MCAST_FLOOD, bytes([flags.broadcast])),
    )
    return _RTM_SETLINK, 0, _IFINFO.pack(_AF_BRIDGE, 0, ifindex, 0, 0) + protinfo


def _attribute(kind: int, payload: bytes) -> bytes:
    """One rtattr, padded to four bytes. Nesting is a payload made of attributes."""
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def _attributes(data: bytes) -> Sequence[tuple[int, bytes]]:
    """(type, payload) of each attribute in a run of them."""
    found = []
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found.append((kind & 0x3FFF, data[_ATTRIBUTE.size : length]))
        data = data[(length + 3) & ~3 :]
    return found
