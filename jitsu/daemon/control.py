"""The control socket: one JSON object a line in, one a line out.

    {"do": "start", "service": "hello"}     {"ok": true, "result": null}
    {"do": "stop", "service": "nobody"}     {"ok": false, "error": {"error": "DomainError", "message": ...}}

What can be done: `ps`, `trace` (service, last), `start` and `stop` (service), `status`. The socket is the owner's and
the group's (0660).
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from jitsu.errors import HostError, JitsuError

SOCKET_NAME = "control.sock"
LONGEST_REQUEST = 65536
ROWS_A_PIECE = 256
LONGEST_SILENCE = 60.0
"""Seconds without a request after which a connection is closed."""

Request = dict[str, Any]
Handler = Callable[[Request], Awaitable[Any]]


class ControlServer:
    """Answers requests on `path` with the handlers, by the word in `do`.

    `ready_made` is a listening unix socket to use instead; its file, wherever it is, stays its maker's.
    """

    def __init__(self, path: Path, handlers: dict[str, Handler], *, ready_made: socket.socket | None = None) -> None:
        self._path = path
        self._handlers = handlers
        self._ready_made = ready_made
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises HostError. A socket that a dead daemon left is replaced: the lock says that it is dead."""
        if self._ready_made is not None:
            # Not start_unix_server: from Python 3.13 on, that removes the socket's file at the end.
            self._server = await asyncio.start_server(self._connected, sock=self._ready_made, limit=LONGEST_REQUEST)
            return
        try:
            self._path.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._connected, self._path, limit=LONGEST_REQUEST)
            os.chmod(self._path, 0o660)
        except OSError as error:
            raise HostError(
                f"control socket {self._path} cannot be made: {error.strerror}",
                hint="look at the owner and the rights of [daemon] runtime",
            ) from error

    async def stop(self) -> None:
        """Close the socket and whatever is connected to it."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._ready_made is None:
            self._path.unlink(missing_ok=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            async with asyncio.timeout(None) as patience:
                while True:
                    patience.reschedule(asyncio.get_running_loop().time() + LONGEST_SILENCE)
                    line = await reader.readline()
                    patience.reschedule(None)
                    if not line:
                        break
                    for piece in _encoded(await self._answer(line)):
                        writer.write(piece)
                        await writer.drain()
                        await asyncio.sleep(0)
        except (TimeoutError, ValueError, ConnectionError):
            # Silent for too long, a line beyond all bounds, or gone: nobody is there who could be told.
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> Request:
        try:
            request = json.loads(line)
            handler = self._handlers.get(request["do"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return _failed(JitsuError("a request is one JSON object a line", hint='as in {"do": "ps"}'))
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            return _failed(JitsuError(f"there is no request {request['do']!r}", hint=f"there are: {known}"))
        try:
            return {"ok": True, "result": await handler(request)}
        except JitsuError as error:
            return _failed(error)
        except (KeyError, TypeError, ValueError) as error:
            return _failed(JitsuError(f"request {request['do']!r} has a wrong or missing field: {error}"))


def _encoded(answer: Request) -> Iterator[bytes]:
    """The answer as one line, a long listing in pieces: between two of them the loop has its turn, or a listing of ten
    thousand services would keep a summon waiting."""
    rows = answer.get("result")
    if not isinstance(rows, list) or len(rows) <= ROWS_A_PIECE:
        yield json.dumps(answer).encode() + b"\n"
        return
    yield b'{"ok": true, "result": ['
    for first in range(0, len(rows), ROWS_A_PIECE):
        piece = json.dumps(rows[first : first + ROWS_A_PIECE])[1:-1]
        yield (f", {piece}" if first else piece).encode()
    yield b"]}\n"


def _failed(error: JitsuError) -> Request:
    return {"ok": False, "error": error.as_json()}
