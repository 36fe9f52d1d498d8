"""The authoritative DNS server: zones, sockets, and somebody who summons.

server = DirectoryServer([zone, reverse], summon, [("192.0.2.1", 53)])
await server.start()
...
server.zones = [another, reverse]
...
await server.stop()
"""

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING

from jitsu.directory.enquiries import Awake, Enquiries, Limits, Summon, Transport
from jitsu.directory.tcp import Connection, Guests
from jitsu.directory.udp import UdpListener
from jitsu.directory.zone import Zone
from jitsu.errors import ConfigError, HostError, JitsuError, ResourceBusy

if TYPE_CHECKING:
    # Few configurations have either.
    from jitsu.directory.forwarder import Forwarder
    from jitsu.directory.guestbook import Guestbook

BACKLOG = 128
"""TCP connections that may wait for being accepted."""


class DirectoryServer:
    """Answers for `zones` over UDP and TCP on every (address, port) of `addresses`, and on ready-made `sockets`.

    The questions for the hosts' addresses go to `summon`, in the event loop's thread, and are answered when that calls
    back; see `Summon`. Questions for a service that is `awake` do not count as summons (`Limits.summons`).
    Questions outside the zones go to the `forwarder`, if there is one, for the clients that it serves, and signed
    updates to the `guestbook`. Port 0 stands for a free port. `sockets` are bound UDP or TCP sockets, as systemd hands
    them over; they belong to the server once `start` is called, and are closed with it.
    """

    def __init__(
        self,
        zones: Sequence[Zone],
        summon: Summon,
        addresses: Sequence[tuple[str, int]] = (),
        *,
        sockets: Sequence[socket.socket] = (),
        limits: Limits | None = None,
        awake: Awake = lambda service: False,
        forwarder: "Forwarder | None" = None,
        guestbook: "Guestbook | None" = None,
    ) -> None:
        self._addresses = addresses
        self._ready_made = sockets
        self._limits = limits or Limits()
        self._enquiries = Enquiries(zones, summon, self._limits, awake, forwarder, guestbook)
        self._sockets: list[socket.socket] = []
        self._udp: list[UdpListener] = []
        self._tcp: list[asyncio.Server] = []
        self._guests = Guests(self._limits)

    @property
    def zones(self) -> Sequence[Zone]:
        """The zones that are served. They may be replaced at any time; questions under way keep what they met. They are
        to be set, be they the same, when a service came or went: what guests wrote vanishes with their service."""
        return self._enquiries.zones

    @zones.setter
    def zones(self, zones: Sequence[Zone]) -> None:
        self._enquiries.zones = zones

    @property
    def stats(self) -> Counter[tuple[Transport, str]]:
        """Replies by transport and rcode, `("tcp", "NXDOMAIN")`, ignored packets, `("udp", "dropped")`, and what was
        too much for one client, `("udp", "limited")`."""
        return self._enquiries.stats

    @property
    def listening(self) -> list[tuple[str, int]]:
        """The (address, port) pairs it listens on, with the ports that port 0 became. Empty when stopped."""
        return list(dict.fromkeys(sock.getsockname()[:2] for sock in self._sockets))

    async def start(self) -> None:
        """Listen. Raises ResourceBusy, HostError and ConfigError as `listen` does, with nothing left open then."""
        self._sockets = list(self._ready_made)
        self._guests = Guests(self._limits)
        accept = partial(Connection, self._enquiries, self._guests)
        loop = asyncio.get_running_loop()
        try:
            for address, port in self._addresses:
                self._sockets += listen(address, port)
            for sock in self._sockets:
                if sock.type == socket.SOCK_DGRAM:
                    self._udp.append(UdpListener(sock, self._enquiries))
                else:
                    self._tcp.append(await loop.create_server(accept, sock=sock, backlog=BACKLOG))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Answer what waits with SERVFAIL, end the connections and close all sockets. Stopping twice is harmless."""
        self._enquiries.abandon()
        for listener in self._udp:
            listener.close()
        for server in self._tcp:
            server.close()
        self._guests.send_away()
        # The ended connections take their leave in the next turn of the loop.
        await asyncio.sleep(0)
        for server in self._tcp:
            await server.wait_closed()
        for sock in self._sockets:
            sock.close()
        self._sockets, self._udp, self._tcp = [], [], []


def listen(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A UDP socket and a listening TCP socket for an IPv4 or IPv6 address, on the same port; both transports are a
    MUST (RFC 7766 section 5).

    Raises ResourceBusy for a port that is taken, HostError for a missing permission or an address that is not this
    machine's, and ConfigError for an address that is none.
    """
    try:
        family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    except ValueError as error:
        raise ConfigError(f"cannot listen on {address!r}: {error}", hint="write an IPv4 or IPv6 address") from error
    tcp = _bound(family, socket.SOCK_STREAM, address, port)
    try:
        return _bound(family, socket.SOCK_DGRAM, address, tcp.getsockname()[1]), tcp
    except JitsuError:
        tcp.close()
        raise


def _bound(family: socket.AddressFamily, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            # So that `::` and `0.0.0.0` can be listened on side by side.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Connections of the previous run that linger in TIME_WAIT are no obstacle. For UDP the same option would
            # let a second server take the port of the first, without either being told.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, port))
        if kind == socket.SOCK_STREAM:
            # Two sockets with SO_REUSEADDR can both be bound; who came second learns it here.
            sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _refusal(error, kind, address, port) from error
    return sock


def _refusal(error: OSError, kind: socket.SocketKind, address: str, port: int) -> JitsuError:
    """The error for people: what could not be had, and the way out."""
    transport, option = ("tcp", "t") if kind == socket.SOCK_STREAM else ("udp", "u")
    where = f"{address} port {port}/{transport}"
    match error.errno:
        case errno.EADDRINUSE:
            hint = f"`ss -l{option}np 'sport = :{port}'` shows what holds it"
            if port == 53:
                hint += (
                    "; systemd-resolved holds 127.0.0.53 and 127.0.0.54: listen on another address,"
                    " or set DNSStubListener=no in /etc/systemd/resolved.conf"
                )
            return ResourceBusy(f"{where} is taken", hint=hint)
        case errno.EACCES | errno.EPERM:
            return HostError(
                f"no permission to listen on {where}",
                hint="low ports need root or CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE);"
                " sysctl net.ipv4.ip_unprivileged_port_start shows where the others begin",
            )
        case errno.EADDRNOTAVAIL:
            return HostError(
                f"cannot listen on {where}: this machine does not have that address",
                hint="`ip -brief address` lists those it has; is the bridge up?",
            )
        case _:
            return HostError(f"cannot listen on {where}: {error.strerror}")
