"""From a DNS question to a first byte on a board with real Xen: cold, warm and running, beside what needs no jitsu.

A machine beside the board asks; times are those of the kernel in dom0, at the interface to the wire, by a clock that
counts instructions. The floors are one packet, upon which a program in dom0 that runs already starts the same guest.
Connections to those are tried every few milliseconds; with jitsu there is one, whose SYN is on hold.
"""

import json
import selectors
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from boards.emulator import EmulatedBoard
from boards.lan import TAP
from tests.bench.xen_samples import (
    BOOTED,
    COLD,
    CREATED,
    FLOOR_ADDRESS,
    FLOOR_MAC,
    PORT,
    RUNNING,
    SHELL,
    WARM,
    Visit,
)
from tests.hil.serving_board import BOARD, ServingBoard, prepared, service

ADDRESSES = {"cold": "10.78.0.41", "warm": "10.78.0.42"}
MEMORY = {"armhf": 16, "arm64": 16, "amd64": 32}
"""MiB of the guest, whoever starts it."""

PATIENCE = 120.0
"""Seconds for anything."""
PAUSE, MOST_TRIED = 0.005, 40
"""Seconds between two attempts to connect, and how many are open at once: who has no answer yet asks again."""

PARTS = ("xen_floor", "xen_samples", "xen_ways")
_LOG = "/var/log/floor.log"


class Visitor:
    """Visits the services of a board and what its floor starts. Made by `visitor`."""

    def __init__(self, serving: ServingBoard) -> None:
        self._serving, self._board = serving, serving.board
        self._asking = self._socket(socket.SOCK_DGRAM)
        self._asking.settimeout(PATIENCE)
        self._asking.connect((BOARD, PORT))

    def close(self) -> None:
        self._asking.close()

    def round(self) -> Iterator[Visit]:
        """A visit in each way."""
        yield self._started("create", CREATED)
        self._ask("end")
        self._ask("build")
        yield self._started("unpause", SHELL)
        self._ask("pause")
        yield self._started("unpause", BOOTED)
        self._ask("end")
        yield self._by_name("cold", COLD)
        yield self._by_name("cold", RUNNING)
        self._daemon("stop", service="cold")
        self._await_rest()
        yield self._by_name("warm", WARM)

    def _started(self, do: str, way: str) -> Visit:
        """By a packet that has a domain started."""
        self._ask("seen")
        self._asking.send(json.dumps({"do": do}).encode())
        self._knock()
        self._heard()
        return Visit.by_events(self._board.board.name, way, FLOOR_ADDRESS, self._ask("seen"), None)

    def _by_name(self, name: str, way: str) -> Visit:
        self._ask("seen")
        code, address = self._serving.resolve(name)
        if code != "NOERROR" or self._serving.get(address)[0] != 200:
            raise ValueError(f"{self._board.board.name}, {way}: {code} {address}\n{self._serving.log()}")
        events = self._ask("seen")
        trace = self._daemon("trace", service=name, last=1)[0] if way != RUNNING else None
        if trace is not None and trace["notes"]:
            raise ValueError(f"{self._board.board.name}, {way}: {trace['notes']}")
        return Visit.by_events(self._board.board.name, way, address, events, trace)

    def _await_rest(self) -> None:
        """Until the guest that is kept warm rests."""
        tick, give_up = threading.Event(), time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            row = next(row for row in self._daemon("ps") if row["service"] == "warm")
            if row["warm"] == "paused" and row["state"] in ("asleep", "paused"):
                return
            tick.wait(0.2)
        raise ValueError(f"{self._board.board.name}: nothing rests\n{self._serving.log()}")

    def _knock(self) -> None:
        """Connect again and again, until a connection stands; then get the page."""
        give_up = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as tried:
            try:
                while time.monotonic() < give_up:
                    attempt = self._socket(socket.SOCK_STREAM)
                    attempt.setblocking(False)
                    attempt.connect_ex((FLOOR_ADDRESS, 80))
                    tried.register(attempt, selectors.EVENT_WRITE)
                    for old in list(tried.get_map().values())[:-MOST_TRIED]:
                        tried.unregister(old.fileobj)
                        _socket_of(old).close()
                    if (connection := _standing(tried)) is not None:
                        connection.settimeout(PATIENCE)
                        connection.sendall(b"GET / HTTP/1.1\r\nHost: floor\r\nConnection: close\r\n\r\n")
                        while connection.recv(65536):
                            pass
                        return
            finally:
                for key in list(tried.get_map().values()):
                    _socket_of(key).close()
        raise TimeoutError(f"{self._board.board.name}: nobody serves {FLOOR_ADDRESS}\n{self._floors_log()}")

    def _ask(self, do: str, **words: Any) -> Any:
        """What the program in dom0 says."""
        self._asking.send(json.dumps({"do": do} | words).encode())
        return self._heard()

    def _heard(self) -> Any:
        try:
            return json.loads(self._asking.recv(65536))
        except (TimeoutError, ConnectionRefusedError) as error:
            raise TimeoutError(f"{self._board.board.name}: {error}\n{self._floors_log()}") from None

    def _daemon(self, do: str, **words: Any) -> Any:
        said = self._ask("ask", request={"do": do} | words)
        if "result" not in said:
            raise ValueError(f"{self._board.board.name}: jitsu serve says {said}")
        return said["result"]

    def _floors_log(self) -> str:
        return self._board.run("cat", _LOG).out

    def _socket(self, kind: socket.SocketKind) -> socket.socket:
        with self._board.lan.inside():
            return socket.socket(socket.AF_INET, kind)


def _standing(tried: selectors.BaseSelector) -> socket.socket | None:
    """One that connected, if there is one within a pause; those that were refused are tried no more."""
    for key, _ in tried.select(PAUSE):
        attempt = _socket_of(key)
        if not attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return attempt
        tried.unregister(attempt)
        attempt.close()
    return None


def _socket_of(key: selectors.SelectorKey) -> socket.socket:
    assert isinstance(key.fileobj, socket.socket)
    return key.fileobj


def put_parts(board: EmulatedBoard, parts: Sequence[str]) -> None:
    """Bring these modules of this folder to the board."""
    board.check("mkdir", "-p", "/opt/jitsu/tests/bench")
    for folder in ("tests", "tests/bench"):
        board.put(b"", f"/opt/jitsu/{folder}/__init__.py")
    for part in parts:
        board.put(Path(__file__).with_name(f"{part}.py"), f"/opt/jitsu/tests/bench/{part}.py")


def visits(board: EmulatedBoard, rounds: int) -> Iterator[Visit]:
    """Visits of so many rounds, one way after the other; one round more comes first, and does not count."""
    memory = MEMORY[board.board.architecture]
    cold = service("cold", ADDRESSES["cold"], memory=f"{memory} MiB", idle=60.0)
    warm = service("warm", ADDRESSES["warm"], memory=f"{memory} MiB", idle=0.3, mode="paused")
    serving = prepared(board, cold, warm)
    put_parts(board, PARTS)
    serving.start()
    begin = f"setsid python3 -m tests.bench.xen_floor {memory} >{_LOG} 2>&1 </dev/null &"
    board.check("sh", "-c", begin)
    _await_listening(board)
    with board.lan.inside(), IPRoute() as ip:
        # Who is not there yet is not to be looked for.
        ip.neigh("replace", dst=FLOOR_ADDRESS, lladdr=FLOOR_MAC, ifindex=ip.link_lookup(ifname=TAP)[0], state=0x80)
    with closing(Visitor(serving)) as visitor:
        for turn in range(-1, rounds):
            for visit in visitor.round():
                if turn >= 0:
                    yield visit


def _await_listening(board: EmulatedBoard) -> None:
    tick = threading.Event()
    for _ in range(int(PATIENCE / 0.5)):
        if "listening" in board.run("cat", _LOG).out:
            return
        tick.wait(0.5)
    raise TimeoutError(f"{board.board.name}: the floor does not begin\n{board.run('cat', _LOG).out}")
