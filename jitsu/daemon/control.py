"""The control socket: one JSON object a line in, one a line out.

    {"do": "start", "service": "hello"}     {"ok": true, "result": null}
    {"do": "stop", "service": "nobody"}     {"ok": false, "error": {"error": "DomainError", "message": ...}}

Each answer is one line, but for requests that are answered with a stream: a line with `ok` and `result` for each item,
until either side closes the connection, or a line that says why there will be no more. What can be asked is in
requests.py, who may ask it in gatekeeper.py. The socket is the owner's and the group's (0660).
"""

import asyncio
import json
import logging
import os
import shutil
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from jitsu.config.names import is_name
from jitsu.daemon.gatekeeper import LOOKS, Caller, Gatekeeper, caller_of
from jitsu.errors import HostError, JitsuError
from jitsu.events import Events, Kind

log = logging.getLogger(__name__)

LONGEST_REQUEST = 65536
ROWS_A_PIECE = 256
LONGEST_SILENCE = 60.0
"""Seconds without a request after which a connection is closed."""

Request = dict[str, Any]
"""What was asked; `by` is put in by the server, and names who asks."""

Handler = Callable[[Request], Awaitable[Any]]
"""Gives the result, or an asynchronous generator of results for a stream of them."""


class ControlServer:
    """Answers requests on `path` with the handlers, by the word in `do`, if the `gatekeeper` has nothing against it.

    The file belongs to `group` if one is named. `ready_made` is a listening unix socket to use instead; its file,
    wherever it is, stays its maker's. Who changes something, or may not, is logged and told to `events`.
    """

    def __init__(
        self,
        path: Path,
        handlers: dict[str, Handler],
        *,
        gatekeeper: Gatekeeper | None = None,
        events: Events | None = None,
        group: str = "",
        ready_made: socket.socket | None = None,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._gatekeeper = gatekeeper or Gatekeeper()
        self._events = events if events is not None else Events()
        self._group = group
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
            if self._group:
                shutil.chown(self._path, group=self._group)
        except LookupError:
            raise HostError(
                f"there is no group {self._group}, named as [daemon] group",
                hint=f"make it: groupadd --system {self._group}",
            ) from None
        except OSError as error:
            raise HostError(
                f"control socket {self._path} cannot be made: {error.strerror}",
                hint="look at the owner and the rights of [daemon] runtime",
            ) from error

    def is_reachable(self) -> bool:
        """Is its socket still where clients look for it? A ready-made one is somebody else's to look after."""
        return self._ready_made is not None or self._path.exists()

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
            caller = caller_of(writer.get_extra_info("socket"))
            async with asyncio.timeout(None) as patience:
                while True:
                    patience.reschedule(asyncio.get_running_loop().time() + LONGEST_SILENCE)
                    line = await reader.readline()
                    patience.reschedule(None)
                    if not line:
                        break
                    answer = await self._answer(line, caller)
                    if isinstance(answer, AsyncGenerator):
                        await _stream(answer, reader, writer)
                        break
                    for piece in _encoded(answer):
                        writer.write(piece)
                        await writer.drain()
                        await asyncio.sleep(0)
        except (TimeoutError, ValueError, ConnectionError):
            # Silent for too long, a line beyond all bounds, or gone: nobody is there who could be told.
            return
        finally:
            writer.close()

    async def _answer(self, line: bytes, caller: Caller) -> Request | AsyncGenerator[Any, None]:
        try:
            request = json.loads(line)
            do = request["do"]
            handler = self._handlers.get(do)
        except (ValueError, KeyError, TypeError, RecursionError):
            return _failed(JitsuError("a request is one JSON object a line", hint='as in {"do": "ps"}'))
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            return _failed(JitsuError(f"there is no request {do!r}", hint=f"there are: {known}"))
        request["by"] = str(caller)
        try:
            self._let_in(caller, request)
            result = await handler(request)
            return result if isinstance(result, AsyncGenerator) else {"ok": True, "result": result}
        except JitsuError as error:
            return _failed(error)
        except (KeyError, TypeError, ValueError) as error:
            return _failed(JitsuError(f"request {do!r} has a wrong or missing field: {error}"))

    def _let_in(self, caller: Caller, request: Request) -> None:
        """Raises DaemonError for somebody who may not ask that."""
        do, service = request["do"], request.get("service", "")
        if not isinstance(service, str) or not is_name(service):
            service = ""
        try:
            self._gatekeeper.check(caller, do)
        except JitsuError:
            log.warning("%s (process %d) may not %s %s", caller, caller.pid, do, service)
            self._events.add(Kind.DENIED, service, by=str(caller), detail=do)
            raise
        if do not in LOOKS:
            log.info("%s (process %d) asks: %s %s", caller, caller.pid, do, service)
            self._events.add(Kind.ORDERED, service, by=str(caller), detail=do)


async def _stream(items: AsyncGenerator[Any, None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send the items as they come, until there are no more or nobody is there."""
    async with aclosing(items):
        left = asyncio.create_task(reader.read(1))
        coming = asyncio.ensure_future(anext(items))
        try:
            while True:
                await asyncio.wait({left, coming}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    return
                try:
                    writer.write(_line({"ok": True, "result": coming.result()}))
                except StopAsyncIteration:
                    return
                except JitsuError as error:
                    writer.write(_line(_failed(error)))
                    return
                async with asyncio.timeout(LONGEST_SILENCE):
                    await writer.drain()
                coming = asyncio.ensure_future(anext(items))
        finally:
            left.cancel()
            coming.cancel()
            await asyncio.gather(left, coming, return_exceptions=True)


def _line(answer: Request) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def _encoded(answer: Request) -> Iterator[bytes]:
    """The answer as one line, a long listing in pieces: between two of them the loop has its turn, or a listing of ten
    thousand services would keep a summon waiting."""
    rows = answer.get("result")
    if not isinstance(rows, list) or len(rows) <= ROWS_A_PIECE:
        yield _line(answer)
        return
    yield b'{"ok": true, "result": ['
    for first in range(0, len(rows), ROWS_A_PIECE):
        piece = json.dumps(rows[first : first + ROWS_A_PIECE])[1:-1]
        yield (f", {piece}" if first else piece).encode()
    yield b"]}\n"


def _failed(error: JitsuError) -> Request:
    return {"ok": False, "error": error.as_json()}
