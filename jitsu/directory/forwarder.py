"""Questions that are not ours to answer, relayed to resolvers for the clients that may ask.

A question goes out under a fresh ID from a fresh source port, over the transport that it came by; a truncated answer is
relayed as such, and the client comes again over TCP. Only what comes from the address asked, with that ID and with the
question octet for octet, in the same mixture of upper and lower case, is taken for the answer (RFC 5452 section 9). An
upstream that is silent, answers what cannot be read, or says SERVFAIL or REFUSED gives way to the next one.

EDNS is a matter between neighbours (RFC 6891 section 6.2.6): upstream hears the client's DO and the payload that both
of us can take, and none of its options; the client gets upstream's OPT record with our payload. AA and AD are cleared
in what is relayed, for neither do we know nor has anything been validated here (RFC 4035 section 3.2.3), and CD is
passed on both ways. RA is set in what comes from here, and nowhere else.
"""

import asyncio
import logging
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import cast

from jitsu.directory.answer import Rcode, Reply, bare, truncated
from jitsu.directory.query import LARGEST_PAYLOAD, QR, Query, Type, walk

log = logging.getLogger(__name__)

Upstream = tuple[str, int]
"""IP address and port."""

PATIENCE = 1.2
"""Seconds that one upstream may take."""

ROUNDS = 2
"""How often each upstream is asked: packets get lost."""

REST = 10.0
"""Seconds for which an upstream that was silent is asked last."""

MOST_UNDER_WAY = 256
"""Questions; one more is answered SERVFAIL."""

_HEADER = struct.Struct("!HHHHHH")
_OPT = struct.Struct("!BHHHHH")
_OPCODE = 0x7800
_AA, _RD, _RA, _AD, _CD = 0x0400, 0x0100, 0x0080, 0x0020, 0x0010
_DNSSEC_OK = 0x8000


class Forwarder:
    """Asks `upstreams`, the first if all is well, for those whose address is in one of the networks `clients`."""

    def __init__(self, upstreams: Sequence[Upstream], clients: Sequence[IPv4Network | IPv6Network]) -> None:
        self._upstreams = upstreams
        self._clients = clients
        self._silent_until: dict[Upstream, float] = {}
        self._under_way: dict[asyncio.Task[Reply | None], Callable[[Reply | None], None]] = {}

    def serves(self, client: str) -> bool:
        """May this IP address ask?"""
        address = ip_address(client.partition("%")[0])
        if address.version == 6 and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._clients)

    def forward(self, query: Query, udp: bool, send: Callable[[Reply], None]) -> None:
        """Answer a client's well-formed question through `send`, now or later, exactly once."""

        def finish(reply: Reply | None) -> None:
            send(reply or bare(query, Rcode.SERVFAIL, recursive=True))

        if len(self._under_way) >= MOST_UNDER_WAY:
            finish(None)
            return
        task = asyncio.create_task(self._resolve(query, udp))
        self._under_way[task] = finish
        task.add_done_callback(self._resolved)

    def abandon(self) -> None:
        """Answer everything that is under way with SERVFAIL."""
        for task in list(self._under_way):
            task.cancel()
            self._under_way.pop(task)(None)

    def _resolved(self, task: asyncio.Task[Reply | None]) -> None:
        finish = self._under_way.pop(task, None)
        if finish is None:
            return
        error = task.exception()
        if error is not None:
            log.error("forwarding a question failed", exc_info=error)
        finish(None if error is not None else task.result())

    async def _resolve(self, query: Query, udp: bool) -> Reply | None:
        """The best that upstream has to say, or None if there is nothing."""
        worse: Reply | None = None
        for _ in range(ROUNDS):
            now = time.monotonic()
            for upstream in sorted(self._upstreams, key=lambda each: self._silent_until.get(each, now) > now):
                reply = await self._ask(upstream, query, udp)
                if reply is not None and reply.packet[3] & 0xF not in (Rcode.SERVFAIL, Rcode.REFUSED):
                    return reply
                worse = reply or worse
            if worse is not None:
                break
        return worse

    async def _ask(self, upstream: Upstream, query: Query, udp: bool) -> Reply | None:
        """What one upstream has to say, fit for the client; None if that is nothing."""
        exchange = _over_udp if udp else _over_tcp
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await exchange(upstream, query, secrets.randbits(16))
        except (OSError, EOFError) as error:
            # TimeoutError is an OSError, and IncompleteReadError an EOFError.
            log.debug("upstream %s port %d: %s", *upstream, error or "no answer in time")
            self._silent_until[upstream] = time.monotonic() + REST
            return None
        self._silent_until.pop(upstream, None)
        return _relayed(query, answer, udp)


def _relayed(query: Query, answer: bytes, udp: bool) -> Reply | None:
    """Upstream's answer as the client gets it, or None if it cannot be read."""
    _, flags, _, *counts = _HEADER.unpack_from(answer)
    packet = bytearray(answer)
    has_opt = False
    end = _HEADER.size + len(query.question)
    try:
        for record in walk(answer, end, sum(counts)):
            end = record.end
            if record.rtype == Type.OPT:
                has_opt = True
                # Its class is the payload; the root's one octet and the type are before it.
                struct.pack_into("!H", packet, record.owner + 3, LARGEST_PAYLOAD)
    except (IndexError, struct.error, ValueError):
        return None
    if end != len(answer) or (has_opt and query.edns is None):
        return None
    if udp and len(packet) > query.payload:
        return truncated(query, recursive=True)
    flags = flags & ~(_AA | _AD | _CD) | _RA | query.flags & _CD
    struct.pack_into("!HH", packet, 0, query.ident, flags)
    return Reply(bytes(packet), None)


def _question(query: Query, ident: int) -> bytes:
    """The question as upstream gets it."""
    edns = query.edns
    head = _HEADER.pack(ident, _RD | query.flags & _CD, 1, 0, 0, edns is not None) + query.question
    if edns is None:
        return head
    return head + _OPT.pack(0, Type.OPT, query.payload, 0, edns.dnssec_ok * _DNSSEC_OK, 0)


def _is_answer(packet: bytes, query: Query, ident: int) -> bool:
    """Is this upstream's answer to our question?"""
    if len(packet) < _HEADER.size:
        return False
    its_ident, flags, questions, *_ = _HEADER.unpack_from(packet)
    return (
        its_ident == ident
        and flags & (QR | _OPCODE) == QR
        and questions == 1
        and packet[_HEADER.size :].startswith(query.question)
    )


class _UdpExchange(asyncio.DatagramProtocol):
    """One question on a socket of its own, which the kernel gives a random port and lets hear upstream only."""

    def __init__(self, query: Query, ident: int) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._query, self._ident = query, ident

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.DatagramTransport", transport).sendto(_question(self._query, self._ident))

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.answer.done() and _is_answer(data, self._query, self._ident):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _over_udp(upstream: Upstream, query: Query, ident: int) -> bytes:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(lambda: _UdpExchange(query, ident), remote_addr=upstream)
    try:
        return await exchange.answer
    finally:
        transport.close()


async def _over_tcp(upstream: Upstream, query: Query, ident: int) -> bytes:
    reader, writer = await asyncio.open_connection(*upstream)
    try:
        packet = _question(query, ident)
        writer.write(len(packet).to_bytes(2, "big") + packet)
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()
    if not _is_answer(answer, query, ident):
        raise ConnectionError("it answered another question")
    return answer
