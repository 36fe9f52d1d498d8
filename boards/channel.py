"""The host's end of the command channel: requests to the agent in dom0, and its answers, matched by id.

Any thread may ask, and several may wait at once. What the agent understands is told in `boards/agent.py`.
"""

import base64
import json
import os
import shlex
import socket
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jitsu.errors import DomainError

PATIENCE = 180.0
"""Seconds that a command has, unless the caller says otherwise."""

_GRACE = 60.0
"""Seconds more for the answer: the board may be far slower than its own clock says."""

_PIECE = 1 << 17

_ENDED = {"error": "the board has ended"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: its exit code (negative: the signal), and what it said. What is no UTF-8 is surrogates."""

    rc: int
    out: str
    err: str


class Channel:
    """Takes over a connected socket. `board` is its name, for errors."""

    def __init__(self, board: str, connection: socket.socket) -> None:
        self._board = board
        self._connection = connection
        self._connection.setblocking(True)
        self._sending = threading.Lock()
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._last = 0
        self._open = True
        self._reader = threading.Thread(target=self._read, name=f"board {board}", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Whoever still waits gets a DomainError."""
        # It may be closed already from the other end.
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._connection.close()

    def run(self, command: Sequence[str], *, input: str = "", timeout: float = PATIENCE) -> Outcome:  # noqa: A002
        """Run a program in dom0, as root in /root. Raises DomainError if it takes longer, or cannot be started."""
        answer = self.ask("run", timeout + _GRACE, command=list(command), input=input, timeout=timeout)
        if answer["late"]:
            raise DomainError(
                f"board {self._board}: {shlex.join(command)}: not done within {timeout:g} s",
                hint=f"it said: {(answer['out'] + answer['err'])[-300:].strip() or 'nothing'}",
            )
        return Outcome(answer["rc"], answer["out"], answer["err"])

    def put(self, local: Path | bytes, path: str, mode: int = 0o644) -> None:
        """Copy a file, or these bytes, to `path` in dom0. Raises DomainError, and OSError for the file."""
        content = local if isinstance(local, bytes) else local.read_bytes()
        for at in range(0, max(len(content), 1), _PIECE):
            data = base64.b64encode(content[at : at + _PIECE]).decode()
            self.ask("put", _GRACE, path=path, data=data, at=at, mode=mode)

    def get(self, path: str) -> bytes:
        """What is in the file at `path` in dom0. Raises DomainError."""
        content = bytearray()
        while True:
            piece = base64.b64decode(self.ask("get", _GRACE, path=path, at=len(content), most=_PIECE)["data"])
            content += piece
            if len(piece) < _PIECE:
                return bytes(content)

    def wake(self, timeout: float) -> float:
        """Set dom0's clock and give it fresh randomness; how many seconds it has run. Raises DomainError."""
        answer = self.ask("wake", timeout, clock=time.time_ns(), seed=os.urandom(32).hex())
        return float(answer["uptime"])

    def ask(self, do: str, patience: float, **fields: Any) -> dict[str, Any]:
        """One request, and its answer. Raises DomainError."""
        answer: Future[dict[str, Any]] = Future()
        with self._sending:
            self._last += 1
            number = self._last
            self._waiting[number] = answer
            if self._open:
                # If it broke the reader sees that too, and fails whoever waits.
                with suppress(OSError):
                    self._connection.sendall(json.dumps({"id": number, "do": do, **fields}).encode() + b"\n")
            else:
                answer.set_result(_ENDED)
        try:
            said = answer.result(patience)
        except Late:
            raise DomainError(
                f"board {self._board}: {do}: no answer within {patience:g} s", hint="look at its console"
            ) from None
        finally:
            self._waiting.pop(number, None)
        if "error" in said:
            raise DomainError(f"board {self._board}: {do}: {said['error']}")
        return said

    def _read(self) -> None:
        # A connection that broke, or a board that died in the middle of a line.
        with self._connection.makefile("rb") as lines, suppress(OSError, ValueError):
            for line in lines:
                said = json.loads(line)
                waiting = self._waiting.get(said["id"])
                if waiting is not None:
                    waiting.set_result(said)
        with self._sending:
            self._open = False
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result(_ENDED)
