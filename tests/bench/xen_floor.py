"""Runs in dom0 beside `jitsu serve`: domains that a packet starts without jitsu, and what passed the wire.

`python3 -m tests.bench.xen_floor MIB` says `listening`. What datagrams to PORT say, in JSON, is done one after another,
and each is answered when it is done:

    {"do": "create"}                    a domain, by `xl create` with Debian's hotplug script
    {"do": "build"}                     one by jitsu's driver, which does not run yet
    {"do": "unpause"}, {"do": "pause"}  that one, by one hypercall
    {"do": "end"}                       whichever there is
    {"do": "ask", "request": {...}}     what jitsu serve says to this request
    {"do": "seen"}                      events on the wire since the last such question, [SECONDS, WHAT, WHERE] each

The events are a `question` or an `answer` of DNS, a first piece of a `page` and from where it came, and what was to be
done by a datagram of these. Their times are the kernel's, in seconds since 1970: frames wait in their socket until
somebody asks, and nobody is woken by them.
"""

import asyncio
import json
import os
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from jitsu.domains.driver import Domain, DomainSpec
from jitsu.domains.xen import XenDriver
from jitsu.domains.xen_bindings import Xen
from jitsu.domains.xen_keys import vif_of
from jitsu.network.frames import mac_bytes, read_segment
from jitsu.trace import Traces
from tests.bench.xen_samples import FLOOR_ADDRESS, FLOOR_MAC, PORT
from tests.bench.xen_ways import BRIDGE, NetlinkPorts, Silence

UPLINK = "eth0"
KERNEL = "/opt/hello"
CONTROL = "/run/jitsu/control.sock"
DOMID = 5000
"""Far from jitsu's own."""

WORDS = f"name=floor ip={FLOOR_ADDRESS}/24 gw=10.78.0.1"

SETTLED = 0.3
"""Seconds in which the daemons of dom0 have done what was left to them."""

_ETH_P_ALL, _PACKET_OUTGOING = 3, 4
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS = 33, 35
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_ROOM = 16 << 20
_UDP, _PORTS = 17, struct.Struct("!HH")


class Wire:
    """What passes the board's own interface."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind((UPLINK, _ETH_P_ALL))

    def seen(self) -> Iterator[tuple[float, str, str]]:
        """The events since the last call. Raises RuntimeError if there was no room for all frames."""
        with suppress(BlockingIOError):
            while True:
                frame, ancillary, _, (_, _, kind, *_) = self._socket.recvmsg(256, 64)
                seconds, nanoseconds = struct.unpack("ll", ancillary[0][2])
                event = _leaving(frame) if kind == _PACKET_OUTGOING else _coming(frame)
                if event is not None:
                    yield seconds + nanoseconds / 1e9, *event
        lost = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        if lost:
            raise RuntimeError(f"{lost} frames of the wire were lost")


def _coming(frame: bytes) -> tuple[str, str] | None:
    _, target, payload = _datagram(frame)
    if target == 53:
        return "question", ""
    return (str(json.loads(payload)["do"]), "") if target == PORT else None


def _leaving(frame: bytes) -> tuple[str, str] | None:
    segment = read_segment(frame)
    if segment is not None and segment.source_port == 80 and segment.length:
        return "page", socket.inet_ntoa(segment.source)
    return ("answer", "") if _datagram(frame)[0] == 53 else None


def _datagram(frame: bytes) -> tuple[int, int, bytes]:
    """Source port, target port and payload of a UDP datagram over IPv4 without options; zeros if it is none."""
    if frame[12:15] != b"\x08\x00\x45" or frame[23] != _UDP:
        return 0, 0, b""
    return *_PORTS.unpack_from(frame, 34), frame[42:]


class OpenPorts(NetlinkPorts):
    """Whose gates are open from the beginning."""

    def plug(self, domid: int) -> None:
        super().plug(domid)
        self.netlink.pin(mac_bytes(FLOOR_MAC), socket.if_nametoindex(vif_of(domid)))


class Floor:
    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._next = DOMID
        self._built: Domain | None = None
        self._created = False
        self._xen = Xen()
        self._driver = XenDriver(
            "floor", Path("/run/jitsu-floor"), Silence(), lambda event: None, OpenPorts(), Traces()
        )

    async def serve(self) -> None:
        """For ever."""
        await self._driver.open()
        loop, wire = asyncio.get_running_loop(), Wire()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            asked.setblocking(False)
            asked.bind(("", PORT))
            print("listening", flush=True)
            while True:
                data, who = await loop.sock_recvfrom(asked, 4096)
                request = json.loads(data)
                said = list(wire.seen()) if request["do"] == "seen" else await self._do(request)
                await loop.sock_sendto(asked, json.dumps(said).encode(), who)

    async def _do(self, request: dict[str, Any]) -> Any:
        match request["do"]:
            case "create":
                await _run("xl", "create", "-q", str(self._settings()))
                self._created = True
            case "build":
                self._next += 1
                self._built = await self._driver.prepare(self._spec(), [])
            case "unpause" | "pause" as word if self._built is not None:
                self._xen.call(f"xc_domain_{word}", self._built.domid)
            case "end":
                await self._end()
            case "ask":
                return await _daemons_answer(request["request"])
        await asyncio.sleep(SETTLED)
        return None

    def _spec(self) -> DomainSpec:
        return DomainSpec("floor", self._next, Path(KERNEL), self._memory << 20, WORDS, FLOOR_MAC)

    def _settings(self) -> Path:
        """The file that xl is to read."""
        lines = [
            'name = "floor"',
            f'kernel = "{KERNEL}"',
            f"memory = {self._memory}",
            f'cmdline = "{WORDS}"',
            f'vif = ["mac={FLOOR_MAC},bridge={BRIDGE}"]',
            *(['type = "pvh"'] if os.uname().machine == "x86_64" else []),
        ]
        path = Path("/tmp/floor.cfg")
        path.write_text("\n".join(lines) + "\n")
        return path

    async def _end(self) -> None:
        if self._built is not None:
            await self._driver.destroy(self._built)
        if self._created:
            await _run("xl", "destroy", "floor")
        self._built, self._created = None, False


async def _daemons_answer(request: dict[str, Any]) -> Any:
    reader, writer = await asyncio.open_unix_connection(CONTROL, limit=1 << 20)
    writer.write(json.dumps(request).encode() + b"\n")
    said = json.loads(await reader.readline())
    writer.close()
    return said


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    if await process.wait():
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")


asyncio.run(Floor(int(sys.argv[1])).serve())
