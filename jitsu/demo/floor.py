"""The floor: how fast this very guest can answer on this very machine when nobody is in between.

The same QEMU argument list as the daemon's is spawned bare, its tap is a ready port whose gate is open, and the
client's SYN is put into it at once. What the daemon adds to that is what it costs.
"""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from jitsu.demo.client import PATIENCE
from jitsu.demo.stage import CLIENT, CLIENT_LINK, Stage
from jitsu.domains.accelerator import choose_accelerator, find_qemu
from jitsu.domains.console_files import ConsoleFiles
from jitsu.domains.kernel import recognise
from jitsu.domains.qemu_arguments import Descriptors, qemu_arguments
from jitsu.domains.qemu_process import DomainFiles, connect, listen, spawn
from jitsu.errors import JitsuError
from jitsu.network.frames import mac_bytes
from jitsu.network.namespace import inside
from jitsu.network.neighbours import enquiry
from jitsu.network.netlink import GUEST_PORT, Netlink
from jitsu.network.tap import open_tap
from jitsu.summon.tenant import spec_of

_TAP = "jfloor"
_ADDRESS = IPv4Address("10.77.0.190")
_MAC = "52:54:00:ff:ff:fe"


def floor_ms(stage: Stage, service: str) -> float:
    """Milliseconds from the spawn of the service's QEMU to its first HTTP byte, on the stage's own bridge.

    Raises JitsuError when the guest does not answer.
    """
    config = stage.config
    spec = spec_of(replace(config.services[service], address=_ADDRESS, mac=_MAC), config.network)
    qemu, accelerator = find_qemu(), choose_accelerator(config.daemon.state).accelerator
    with ExitStack() as stack:
        files = DomainFiles(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jitsu-floor-"))), 0)
        listeners = [stack.enter_context(listen(path)) for path in (files.qmp, files.ready)]
        stack.enter_context(connect(files.ready))
        console = ConsoleFiles(files.directory, 0, service)
        console.make()
        tap = open_tap(_TAP)
        stack.callback(os.close, tap)
        _open_port(config.network.bridge)
        _prime(stack.enter_context(_known_neighbour(stage.client)))
        numbers = [listener.fileno() for listener in listeners]
        fds = Descriptors(numbers[0], numbers[1], (tap,))
        arguments = qemu_arguments(
            qemu, spec, recognise(spec.kernel), "floor", accelerator, fds, console.prefix, attended=True
        )
        with inside(stage.client):
            connection = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        connection.settimeout(PATIENCE)
        begin = time.monotonic()
        pid, pidfd = spawn(arguments, [*numbers, tap], files.stderr)
        stack.callback(_end, pid, pidfd)
        try:
            connection.connect((str(_ADDRESS), 80))
            connection.sendall(b"GET / HTTP/1.1\r\nHost: floor\r\nConnection: close\r\n\r\n")
            first = connection.recv(65536)
        except OSError as error:
            raise JitsuError(f"the bare guest did not answer: {error}; {files.complaint()}") from error
        taken = (time.monotonic() - begin) * 1000
        if not first.startswith(b"HTTP/1.1 200"):
            raise JitsuError(f"the bare guest answered {first[:40]!r}")
        return taken


def _open_port(bridge: str) -> None:
    """The tap as a port whose gate is open from the beginning."""
    netlink = Netlink()
    try:
        ifindex = socket.if_nametoindex(_TAP)
        netlink.plug(ifindex, socket.if_nametoindex(bridge), GUEST_PORT)
        netlink.pin(mac_bytes(_MAC), ifindex)
    finally:
        netlink.close()


def _prime(client_mac: bytes) -> None:
    """Two frames ahead of the SYN. QEMU reads one from its tap before the guest's driver is up and forgets it when the
    driver resets the device: that must not be the SYN. The other teaches the guest where the client is."""
    request = enquiry(client_mac, CLIENT.packed, _ADDRESS.packed, mac_bytes(_MAC))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as port:
        port.bind((_TAP, 0))
        for _ in range(2):
            port.send(request)


@contextmanager
def _known_neighbour(namespace: int) -> Iterator[bytes]:
    """The client need not ask where the guest is, so that its first packet is the SYN. Gives the client's own MAC."""
    from pyroute2 import IPRoute

    with inside(namespace), IPRoute() as ip:
        link = ip.get_links(ip.link_lookup(ifname=CLIENT_LINK)[0])[0]
        neighbour = {"dst": str(_ADDRESS), "lladdr": _MAC, "ifindex": link["index"]}
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
