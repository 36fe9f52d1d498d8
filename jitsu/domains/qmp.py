"""QEMU's monitor protocol: one command at a time or many, answers matched by id, events handed on.

QEMU's docs/interop/qmp-spec.txt. Lines of JSON over a Unix socket: QEMU greets, the client says `qmp_capabilities`,
and from then on commands are answered and events come in between. QEMU may have been taken over by its guest, so
what it says is bounded and checked.
"""

import asyncio
import itertools
import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from jitsu.errors import DomainError

EventCallback = Callable[[str, dict[str, Any]], None]

LONGEST_LINE = 1 << 20
"""Bytes that one answer may have; real ones have a few hundred."""


class QmpClient:
    """A connection to one QEMU, ready for commands. Made by `connect`."""

    def __init__(
        self,
        path: str,
        connection: socket.socket,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        events: EventCallback,
    ) -> None:
        self._path = path
        self._socket = connection
        self._reader, self._writer = streams
        self._events = events
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._greeting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._end = "the connection is closed"
        self._task = asyncio.create_task(self._read(), name=f"qmp {os.path.basename(path)}")

    @classmethod
    async def connect(cls, path: str, events: EventCallback, timeout: float = 5.0) -> "QmpClient":
        """Connect to the socket at `path` and agree on capabilities within `timeout` seconds.

        `events` is called on the event loop with every event's name and data. Raises `DomainError`.
        """
        client: QmpClient | None = None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_connect(connection, path)
                streams = await asyncio.open_unix_connection(sock=connection, limit=LONGEST_LINE)
                client = cls(path, connection, streams, events)
                await client._greeting
                await client.execute("qmp_capabilities", timeout=timeout)
                return client
        except BaseException as error:
            if client is not None:
                await client.close()
            else:
                connection.close()
            if isinstance(error, TimeoutError):
                raise DomainError(f"QMP {path}: QEMU did not greet within {timeout:g} s") from None
            if isinstance(error, OSError):
                raise DomainError(f"QMP {path}: {error.strerror or error}") from None
            if isinstance(error, Refused):
                raise DomainError(f"QMP {path}: {error}") from None
            raise

    async def execute(
        self, command: str, arguments: Mapping[str, Any] | None = None, *, timeout: float = 5.0, fd: int | None = None
    ) -> Any:
        """Run one command and return what it returns, as parsed JSON. `fd` goes with it, for `getfd`; it is copied.

        Raises `DomainError` when QEMU refuses the command, does not answer within `timeout` seconds, or ends.
        """
        answer = self.begin(command, arguments, fd=fd)
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise DomainError(f"QMP {self._path}: {command}: no answer within {timeout:g} s") from None
        except Refused as refusal:
            raise DomainError(f"QMP {self._path}: {command}: {refusal}") from None

    def begin(
        self, command: str, arguments: Mapping[str, Any] | None = None, *, fd: int | None = None
    ) -> "asyncio.Future[Any]":
        """Say one command now; what it returns will be the result, `Refused` the exception. Raises `DomainError`."""
        number = next(self._ids)
        request: dict[str, Any] = {"execute": command, "id": number}
        if arguments is not None:
            request["arguments"] = dict(arguments)
        if self._task.done():
            raise DomainError(f"QMP {self._path}: {command}: {self._end}")
        line = json.dumps(request).encode() + b"\n"
        if fd is None:
            self._writer.write(line)
        else:
            self._send(command, line, fd)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda done: self._waiting.pop(number))
        return answer

    def _send(self, command: str, line: bytes, fd: int) -> None:
        """Send a line and a descriptor, past the stream, which has nothing left to send: commands are short."""
        try:
            socket.send_fds(self._socket, [line], [fd])
        except OSError as error:
            raise DomainError(f"QMP {self._path}: {command}: {error.strerror or error}") from None

    async def closed(self) -> None:
        """Return when QEMU has closed the connection and everything it said has been handed on."""
        await asyncio.wait([self._task])

    async def close(self) -> None:
        """Close the connection; commands under way fail."""
        self._task.cancel()
        await self.closed()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(line)
            self._end = "QEMU closed the connection"
        except OSError as error:
            self._end = error.strerror or str(error)
        except (ValueError, RecursionError):
            # readline() too says ValueError, for a line beyond the limit.
            self._end = "QEMU said what is no QMP"
        finally:
            self._writer.close()
            for future in (self._greeting, *self._waiting.values()):
                if not future.done():
                    future.set_exception(Refused(self._end))
            # Nobody may be waiting for the greeting any more.
            if self._greeting.done() and not self._greeting.cancelled():
                self._greeting.exception()

    def _take(self, line: bytes) -> None:
        """Hand one line to whoever waits for it. Raises ValueError for what is no QMP."""
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError
        if "QMP" in message:
            if not self._greeting.done():
                self._greeting.set_result(None)
            return
        if isinstance(event := message.get("event"), str):
            data = message.get("data")
            self._events(event, data if isinstance(data, dict) else {})
            return
        number = message.get("id")
        future = self._waiting.get(number) if isinstance(number, int) else None
        if future is None or future.done():
            return
        if "return" in message:
            future.set_result(message["return"])
        else:
            error = message.get("error")
            described = error.get("desc") if isinstance(error, dict) else None
            future.set_exception(Refused(described if isinstance(described, str) else "QEMU refused"))


class Refused(Exception):
    """Why a command got no result, before it is known which command on which socket."""
