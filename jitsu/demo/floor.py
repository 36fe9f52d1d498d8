"""The floor: how fast this very guest can answer on this very machine when nobody is in between.

The same QEMU argument list as the daemon's is spawned bare, its tap is a ready port whose gate is open, and the
client's SYN is put into it at once. What the daemon adds to that is what it costs.
"""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import BinaryIO, cast

from jitsu.demo.client import PATIENCE
from jitsu.demo.stage import CLIENT, CLIENT_LINK, Stage
from jitsu.domains.accelerator import choose_accelerator, find_qemu
from jitsu.domains.console_files import ConsoleFiles
from jitsu.domains.kernel import recognise
from jitsu.domains.qemu_arguments import Descriptors, qemu_arguments
from jitsu.domains.qemu_process import DomainFiles, connect, listen
from jitsu.domains.spawn import spawn
from jitsu.errors import JitsuError
from jitsu.network.frames import mac_bytes
from jitsu.network.namespace import inside
from jitsu.network.neighbours import enquiry
from jitsu.network.netlink import GUEST_PORT, Netlink
from jitsu.network.tap import open_tap
from jitsu.summon.tenant import spec_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bare guest stands on the stage."""

    tap: str
    address: IPv4Address
    mac: str


FLOOR = Place("jfloor", IPv4Address("10.77.0.190"), "52:54:00:ff:ff:fe")
BESIDE = Place("jbeside", IPv4Address("10.77.0.191"), "52:54:00:ff:ff:fd")
"""For a bare guest that stays while floors are measured."""


def floor_ms(stage: Stage, service: str) -> float:
    """Milliseconds from the spawn of the service's QEMU to its first HTTP byte, on the stage's own bridge.

    Raises JitsuError when the guest does not answer.
    """
    with bare_guest(stage, service) as guest:
        return guest.spawned_ms


class BareGuest:
    """A guest that nobody manages; its gate is open, and the client knows where it is. `spawned_ms` is how long it took
    from its spawn to its first HTTP byte."""

    def __init__(self, namespace: int, place: Place, files: DomainFiles) -> None:
        self.spawned_ms = 0.0
        self._namespace, self._place, self._files = namespace, place, files
        self._qmp: BinaryIO | None = None

    def visit_ms(self, go: Callable[[], None]) -> float:
        """Milliseconds from `go`, called with the client about to connect, to the first HTTP byte."""
        with inside(self._namespace):
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with connection:
            connection.settimeout(PATIENCE)
            begin = time.monotonic()
            go()
            try:
                connection.connect((str(self._place.address), 80))
                connection.sendall(b"GET / HTTP/1.1\r\nHost: floor\r\nConnection: close\r\n\r\n")
                first = connection.recv(65536)
            except OSError as error:
                raise JitsuError(f"the bare guest did not answer: {error}; {self._files.complaint()}") from error
            taken = (time.monotonic() - begin) * 1000
        if not first.startswith(b"HTTP/1.1 200"):
            raise JitsuError(f"the bare guest answered {first[:40]!r}")
        return taken

    def rest(self) -> None:
        """Stop the guest."""
        self._command("stop")

    def resumed_ms(self) -> float:
        """Milliseconds from a bare QMP `cont`, nobody waiting for what it returns, to the first HTTP byte."""
        taken = self.visit_ms(lambda: self._say("cont"))
        self._heard()
        return taken

    def open_monitor(self, connection: socket.socket) -> None:
        """Speak QMP on this connection, which stays the caller's to close."""
        connection.settimeout(PATIENCE)
        self._qmp = cast(BinaryIO, connection.makefile("rwb", buffering=0))
        self._qmp.readline()
        self._command("qmp_capabilities")

    def _command(self, name: str) -> None:
        self._say(name)
        self._heard()

    def _say(self, name: str) -> None:
        if self._qmp is not None:
            self._qmp.write(b'{"execute": "%s"}\n' % name.encode())

    def _heard(self) -> None:
        """Read what a command returned; events come in between."""
        while self._qmp is not None and b'"event"' in self._qmp.readline():
            pass


@contextmanager
def bare_guest(stage: Stage, service: str, place: Place = FLOOR) -> Iterator[BareGuest]:
    """The service's guest in a place of its own, with nothing but the stage's bridge. Raises JitsuError."""
    config = stage.config
    spec = spec_of(replace(config.services[service], address=place.address, mac=place.mac), config.network)
    qemu, accelerator = find_qemu(), choose_accelerator(config.daemon.state).accelerator
    with ExitStack() as stack:
        files = DomainFiles(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jitsu-floor-"))), 0)
        listeners = [stack.enter_context(listen(path)) for path in (files.qmp, files.ready)]
        stack.enter_context(connect(files.ready))
        console = ConsoleFiles(files.directory, 0, service)
        console.make()
        tap = open_tap(place.tap)
        stack.callback(os.close, tap)
        _open_port(config.network.bridge, place)
        _prime(place, stack.enter_context(_known_neighbour(stage.client, place)))
        numbers = [listener.fileno() for listener in listeners]
        fds = Descriptors(numbers[0], numbers[1], (tap,))
        arguments = qemu_arguments(
            qemu, spec, recognise(spec.kernel), "floor", accelerator, fds, console.prefix, attended=True
        )
        guest = BareGuest(stage.client, place, files)

        def start() -> None:
            pid, pidfd = spawn(arguments, [*numbers, tap], files.stderr)
            stack.callback(_end, pid, pidfd)

        guest.spawned_ms = guest.visit_ms(start)
        guest.open_monitor(stack.enter_context(connect(files.qmp)))
        yield guest


def _open_port(bridge: str, place: Place) -> None:
    """The tap as a port whose gate is open from the beginning."""
    netlink = Netlink()
    try:
        ifindex = socket.if_nametoindex(place.tap)
        netlink.plug(ifindex, socket.if_nametoindex(bridge), GUEST_PORT)
        netlink.pin(mac_bytes(place.mac), ifindex)
    finally:
        netlink.close()


def _prime(place: Place, client_mac: bytes) -> None:
    """Two frames ahead of the SYN. QEMU reads one from its tap before the guest's driver is up and forgets it when the
    driver resets the device: that must not be the SYN. The other teaches the guest where the client is."""
    request = enquiry(client_mac, CLIENT.packed, place.address.packed, mac_bytes(place.mac))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as port:
        port.bind((place.tap, 0))
        for _ in range(2):
            port.send(request)


@contextmanager
def _known_neighbour(namespace: int, place: Place) -> Iterator[bytes]:
    """The client need not ask where the guest is, so that its first packet is the SYN. Gives the client's own MAC."""
    from pyroute2 import IPRoute

    with inside(namespace), IPRoute() as ip:
        link = ip.get_links(ip.link_lookup(ifname=CLIENT_LINK)[0])[0]
        neighbour = {"dst": str(place.address), "lladdr": place.mac, "ifindex": link["index"]}
        ip.neigh("replace", state="permanent", **neighbour)
    try:
        yield mac_bytes(link.get_attr("IFLA_ADDRESS"))
    finally:
        with inside(namespace), IPRoute() as ip:
            ip.neigh("del", **neighbour)


def _end(pid: int, pidfd: int) -> None:
    os.close(pidfd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
