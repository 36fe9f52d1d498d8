"""Witnesses of a load: every SYN on the bridge, and everything that could be left behind."""

import socket
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from jitsu.demo.stage import UPLINK, Stage, interface_names
from jitsu.domains.qemu_adoption import survivors
from jitsu.network.frames import read_segment
from jitsu.summon.tenant import Row
from jitsu.synjitsu.embryonic import key_of
from tests.open_files import open_files

_ETH_P_ALL = 3
_PACKET_OUTGOING = 4
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6

Syn = tuple[bytes, bytes, int, int, int]
"""Service address, client address, client port, service port, initial sequence number."""


class SynWitness:
    """Sees each SYN twice: as it reaches the bridge through the uplink, and as it is put into a guest's tap.

    `arrived` and `delivered` count by SYN; a delivery is counted for each tap, so that one into a wrong one shows.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 32 << 20)
        self._socket.settimeout(0.05)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.arrived: Counter[Syn] = Counter()
        self.delivered: Counter[Syn] = Counter()
        self.lost = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.lost = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        self._socket.close()

    def _watch(self) -> None:
        while not self._over.is_set():
            with suppress(TimeoutError):
                frame, (interface, _, kind, *_) = self._socket.recvfrom(128)
                segment = read_segment(frame)
                if segment is None or not segment.opens:
                    continue
                syn = (segment.target, *key_of(segment))
                if interface == UPLINK and kind != _PACKET_OUTGOING:
                    self.arrived[syn] += 1
                # A port that is gone by the time it is looked up has no name any more, and only guests' ports go.
                elif kind == _PACKET_OUTGOING and (not interface or _is_guest_port(interface)):
                    self.delivered[syn] += 1


def row(stage: Stage, service: str) -> Row:
    """The service as `jitsu ps` shows it."""
    found: list[Row] = stage.ask("ps")
    return next(row for row in found if row["service"] == service)


def until(stage: Stage, service: str, so: Callable[[Row], bool]) -> Row:
    """Wait until it is so of the service, ten seconds at most; its row then."""
    tick = threading.Event()
    for _ in range(500):
        found = row(stage, service)
        if so(found):
            return found
        tick.wait(0.02)
    raise AssertionError(f"{service} is {found}")


def until_asleep(stage: Stage, service: str) -> Row:
    """Wait until the service's domain is gone, ten seconds at most; its row then."""
    tick = threading.Event()
    for _ in range(200):
        if row(stage, service)["state"] == "asleep":
            return row(stage, service)
        tick.wait(0.05)
    raise AssertionError(f"{service} is still {row(stage, service)['state']}")


def belongings(stage: Stage) -> dict[str, list[str]]:
    """Everything that a summon could leave: interfaces, bridge entries, processes, sockets, files, descriptors.

    The state folder and the daemon's log are left aside: they are meant to stay.
    """
    daemon = stage.daemon.pid if stage.daemon is not None else 0
    fdb = subprocess.run(["bridge", "fdb", "show", "br", "jitsu0"], capture_output=True, text=True, check=True).stdout
    unix = Path("/proc/net/unix").read_text().splitlines()
    files = [str(path) for path in stage.folder.rglob("*") if stage.config.daemon.state not in (path, *path.parents)]
    descriptors = [target.split(":")[0] for target in open_files(daemon)]
    return {
        "interfaces": interface_names(),
        "fdb": sorted(line for line in fdb.splitlines() if "static" in line),
        "processes": monitors(stage),
        "sockets": sorted(line.split()[-1] for line in unix if str(stage.folder) in line),
        "files": sorted(files),
        "descriptors": sorted(descriptors),
    }


def nothing_is_left(stage: Stage, before: dict[str, list[str]]) -> None:
    """Assert that the stage has what it had before, as soon as what was just closed is gone; five seconds at most."""
    tick = threading.Event()
    for _ in range(50):
        if belongings(stage) == before:
            return
        tick.wait(0.1)
    assert belongings(stage) == before


def monitors(stage: Stage) -> list[str]:
    """The QEMU processes of this stage's daemon, by process id."""
    return sorted(str(pid) for pid in survivors(stage.config.daemon.instance))


def _is_guest_port(interface: str) -> bool:
    return interface.startswith("j") and "g" in interface[7:] and not interface.startswith("jitsu")
