"""One client: its requests in their order. h11 knows the protocol (RFC 9112); here are bytes, clocks and limits.

Whatever is wrong with the framing of a request is answered once, and then the connection ends: nobody can tell any more
where the next request begins.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import cast

import h11

from shfs.errors import ShfsError
from shfs.http.message import Bytes, Refusal, Request, Response, http_date, phrase
from shfs.http.site import Site, failure

HEAD_LIMIT = 16384
"""Bytes of request line and header lines."""

TARGET_LIMIT = 8000
"""Bytes of a target: what RFC 9110, 4.1 wants supported at least."""

BODY_LIMIT = 1 << 20
"""Bytes of a request's body that are read and thrown away."""

_SLICE = 65536
_LINGERING = 2.0
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")

Log = Callable[[str, str, int, int], None]
"""Told of each response: client, request line, status, bytes of the body that were sent."""


class Connection:
    """A connection that was accepted. `patience` is how many seconds a client has for each step: to begin a request, to
    finish its head, to send more of a body, to take the next 64 KiB."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, site: Site, log: Log, patience: float
    ) -> None:
        self._reader, self._writer = reader, writer
        self._site, self._log, self._patience = site, log, patience
        self._client = str(writer.get_extra_info("peername", ("-",))[0])
        # What was written is gone when `drain` returns: a block of a volume is used again for the next one.
        writer.transport.set_write_buffer_limits(high=0)

    async def serve(self) -> None:
        """Returns when the connection is over."""
        try:
            rest: bytes | None = b""
            while rest is not None:
                rest = await self._exchange(rest)
            await self._linger()
        except (OSError, TimeoutError):
            # The client is gone, or takes nothing any more.
            self._writer.transport.abort()
        finally:
            self._writer.close()

    async def _exchange(self, begun: bytes) -> bytes | None:
        """One request and its response. `begun` are bytes of it that are here already; returns those of the next one,
        or None if there will be none."""
        protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        closing = False
        line = "-"
        try:
            head = await self._head(protocol, begun)
            if head is None:
                return None
            line = f"{head.method.decode()} {head.target.decode()} HTTP/{head.http_version.decode()}"
            request = _checked(head)
            if protocol.they_are_waiting_for_100_continue:
                # They are answered at once, and may send their body or not: where it ends is not known.
                closing = True
            else:
                await self._skip_body(protocol)
            response = await asyncio.to_thread(self._site.answer, request)
        except h11.RemoteProtocolError as error:
            closing = True
            response = _malformed(protocol, error).response()
        except Refusal as refusal:
            closing = True
            response = refusal.response()
        try:
            blocks = response.blocks()
            # The first block is read before anything is said: what cannot be read is a 500.
            try:
                first = await asyncio.to_thread(next, blocks, b"")
            except ShfsError as error:
                response.close()
                response = failure(error)
                blocks, first = response.blocks(), b""
            await self._respond(protocol, line, response, first, blocks, closing=closing)
        finally:
            response.close()
        if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
            return None
        return bytes(protocol.trailing_data[0])

    async def _head(self, protocol: h11.Connection, begun: bytes) -> h11.Request | None:
        """The request line and the header lines; None if the client has no further request. Raises h11's
        RemoteProtocolError, and Refusal 408."""
        try:
            async with asyncio.timeout(self._patience):
                # Empty lines before a request are to be passed over (RFC 9112, 2.2).
                while not begun.lstrip(b"\r\n"):
                    begun = await self._reader.read(_SLICE)
                    if not begun:
                        return None
        except TimeoutError:
            return None
        protocol.receive_data(begun.lstrip(b"\r\n"))
        try:
            async with asyncio.timeout(self._patience):
                while (event := protocol.next_event()) is h11.NEED_DATA:
                    protocol.receive_data(await self._reader.read(_SLICE))
        except TimeoutError:
            raise Refusal(408, "The request was not finished in time.") from None
        return event if isinstance(event, h11.Request) else None

    async def _skip_body(self, protocol: h11.Connection) -> None:
        """Read the body and throw it away. Raises h11's RemoteProtocolError, and Refusal 413 or 408."""
        size = 0
        while not isinstance(event := protocol.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                size += len(event.data)
                if size > BODY_LIMIT:
                    raise Refusal(413, f"The request has a body of more than {BODY_LIMIT} bytes.")
            elif event is h11.NEED_DATA:
                try:
                    async with asyncio.timeout(self._patience):
                        protocol.receive_data(await self._reader.read(_SLICE))
                except TimeoutError:
                    raise Refusal(408, "The request was not finished in time.") from None

    async def _respond(
        self,
        protocol: h11.Connection,
        line: str,
        response: Response,
        first: Bytes,
        blocks: Iterator[Bytes],
        *,
        closing: bool,
    ) -> None:
        """Send it. It ends early, and with it the connection, if the volume cannot be read in the middle of it."""
        headers = [("Date", http_date(time.time())), ("Server", "shfs"), *response.headers]
        if closing:
            headers.append(("Connection", "close"))
        head = protocol.send(
            h11.Response(status_code=response.status, headers=headers, reason=phrase(response.status).encode())
        )
        self._writer.write(head or b"")
        sent = 0
        try:
            block = first
            while block and not line.startswith("HEAD "):
                for at in range(0, len(block), _SLICE):
                    part = block[at : at + _SLICE]
                    # h11 looks at its length only, and passes it on.
                    for data in protocol.send_with_data_passthrough(h11.Data(data=cast("bytes", part))) or ():
                        self._writer.write(data)
                    await self._drain()
                    sent += len(part)
                block = await asyncio.to_thread(next, blocks, b"")
            protocol.send(h11.EndOfMessage())
        except ShfsError:
            return
        finally:
            self._log(self._client, line, response.status, sent)
        await self._drain()

    async def _drain(self) -> None:
        async with asyncio.timeout(self._patience):
            await self._writer.drain()

    async def _linger(self) -> None:
        """Close our side, and take what is still on its way for a moment: bytes that come upon a closed socket make the
        system reset the connection, and the client may lose the response (RFC 9112, 9.6)."""
        with suppress(OSError, TimeoutError):
            self._writer.write_eof()
            async with asyncio.timeout(min(self._patience, _LINGERING)):
                while await self._reader.read(_SLICE):
                    pass


def _checked(head: h11.Request) -> Request:
    """The request, if what h11 leaves to others is right too. Raises Refusal."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if not head.http_version.startswith(b"1."):
        raise Refusal(505, "This server speaks HTTP/1.1.")
    if len(head.target) > TARGET_LIMIT:
        raise Refusal(414, f"A target may have {TARGET_LIMIT} bytes.")
    if not _HOST.fullmatch(headers.get("host", "")):
        raise Refusal(400, "The Host field names no host.")
    if "transfer-encoding" in headers and ("content-length" in headers or head.http_version == b"1.0"):
        raise Refusal(400, "The request says in two ways where its body ends.")
    expectation = headers.get("expect", "100-continue").lower()
    if expectation != "100-continue" and head.http_version != b"1.0":
        raise Refusal(417, "Nothing but 100-continue can be expected.")
    return Request(head.method.decode("latin-1"), head.target.decode("latin-1"), headers)


def _malformed(protocol: h11.Connection, error: h11.RemoteProtocolError) -> Refusal:
    """What to answer to something that is not HTTP, or too much of it."""
    if error.error_status_hint == 431 and b"\n" not in protocol.trailing_data[0]:
        return Refusal(414, f"A target may have {TARGET_LIMIT} bytes.")
    return Refusal(error.error_status_hint, f"The request is malformed: {error}")
