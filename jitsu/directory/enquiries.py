"""The questions that are being answered right now, whichever way they came.

The transports hand every packet to `Enquiries.ask` with a way to send the reply. What needs no service is answered
before `ask` returns; what does is handed to `summon` and waits until that says whether there is room. How much one
client may ask for is limited (see `flood`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from jitsu.directory.answer import LARGEST_MESSAGE, Foreign, Outcome, Question, Rcode, Reply, bare, decide, truncated
from jitsu.directory.flood import AnswerLimit, Rates, Verdict
from jitsu.directory.query import OPCODE_UPDATE, Query
from jitsu.directory.zone import Zone

if TYPE_CHECKING:
    # Few configurations have either.
    from jitsu.directory.forwarder import Forwarder
    from jitsu.directory.guestbook import Guestbook

log = logging.getLogger(__name__)

Done = Callable[[bool], None]

Summon = Callable[[str, str, float, Done], None]
"""`summon(service, client, arrived, done)`: see that `service` runs, on behalf of the IP address `client` whose
question arrived at `arrived` (`time.monotonic()`). It calls `done(True)` as soon as the service's resources are
granted, or `done(False)` if they are not, in the event loop's thread, before it returns or later. It must not block.
Further calls of `done` mean nothing; an exception counts as `done(False)` and is logged."""

Awake = Callable[[str], bool]
"""`awake(service)`: whether it runs, so that a question for it summons nothing."""

Send = Callable[[bytes], None]
"""Sends one DNS message back to where the question came from. Does not raise."""

Transport = Literal["udp", "tcp"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What strangers may take up. Times are in seconds."""

    waiting: int = 1024
    """Questions that wait for a service; one more is answered SERVFAIL."""
    patience: float = 10.0
    """How long each may wait before it is answered SERVFAIL: about as long as a stub resolver tries."""
    connections: int = 256
    """TCP connections in all; one more is closed."""
    per_client: int = 16
    """TCP connections from one IP address."""
    pipelined: int = 32
    """Questions under way on one TCP connection; the next are read when some are answered."""
    summons: float = 0.0
    """Services that one client may summon a second, on the average; 0: any number."""
    answers: float = 0.0
    """Answers over UDP that one client gets a second, on the average; 0: any number."""
    idle: float = 10.0
    """How long a TCP connection may stay open without a question being taken or answered (RFC 7766 section 6.2.3)."""


class Enquiries:
    """Answers packets from `zones`, which may be replaced at any time, and keeps those that wait for a service. Zones
    that have lost or gained a service are to be set again, so that what guests wrote goes where it belongs.

    `stats` counts replies by transport and rcode, `("udp", "NXDOMAIN")`, those of others that were passed on under
    `("udp", "forwarded")`, packets that deserved none under `("udp", "dropped")`, and what was too much for one client
    under `("udp", "limited")`, answered or not.
    """

    def __init__(
        self,
        zones: Sequence[Zone],
        summon: Summon,
        limits: Limits,
        awake: Awake,
        forwarder: "Forwarder | None",
        guestbook: "Guestbook | None",
    ) -> None:
        self._guestbook = guestbook
        self.zones = zones
        self._forwarder = forwarder
        self._awake = awake
        self._answers = AnswerLimit(limits.answers)
        self._summons: dict[Transport, Rates] = {"udp": Rates(limits.summons), "tcp": Rates(limits.summons)}
        self.stats: Counter[tuple[Transport, str]] = Counter()
        self._summon = summon
        self._limits = limits
        self._waiting: set[_Waiting] = set()

    @property
    def zones(self) -> Sequence[Zone]:
        return self._zones

    @zones.setter
    def zones(self, zones: Sequence[Zone]) -> None:
        self._zones = zones
        if self._guestbook is not None:
            self._guestbook.settle(zones)

    def ask(self, packet: bytes, client: str, transport: Transport, arrived: float, send: Send) -> bool:
        """Answer `packet` through `send`, now or later, exactly once; False if it is dropped and never answered."""
        if transport == "udp" and (verdict := self._answers.judge(client, arrived)) is not Verdict.ANSWER:
            return self._limit(verdict, packet, send)
        query = Query.read(packet)
        if query is None:
            self.stats[transport, "dropped"] += 1
            return False
        outcome: Outcome | None = None
        if self._guestbook is not None and (query.opcode == OPCODE_UPDATE or query.tsig):
            outcome, send = self._write(self._guestbook, query, packet, transport, send)
        outcome = outcome or decide(self.zones, query, transport == "udp", forwards=self._forwarder is not None)
        if isinstance(outcome, Reply):
            self._reply(outcome, transport, send)
        elif isinstance(outcome, Foreign):
            self._forward(outcome, client, transport, send)
        elif len(self._waiting) >= self._limits.waiting:
            self._reply(outcome.finish(granted=False), transport, send)
        elif self._awake(outcome.service) or self._summons[transport].take(client, arrived):
            self._enquire(outcome, client, transport, arrived, send)
        else:
            self.stats[transport, "limited"] += 1
            send((truncated(outcome.query) if transport == "udp" else bare(outcome.query, Rcode.SERVFAIL)).packet)
        return True

    def _write(
        self, guestbook: "Guestbook", query: Query, packet: bytes, transport: Transport, send: Send
    ) -> tuple[Reply | None, Send]:
        """Look at the signature of a query, and do what an update says. Gives the reply, or None if it is to be decided
        as any other, and the way to send it: signed, as the query was."""
        if query.malformed:
            return bare(query, Rcode.FORMERR), send
        if not query.tsig:
            return bare(query, Rcode.REFUSED), send
        signature = guestbook.verify(query, packet)
        if isinstance(signature, Reply):
            return signature, send
        limit = query.payload if transport == "udp" else LARGEST_MESSAGE

        def signed(answer: bytes) -> None:
            send(guestbook.sign(signature, query, answer, limit))

        reply = None
        if query.opcode == OPCODE_UPDATE:
            reply = guestbook.update(self.zones, query, packet, signature.key)
        return reply, signed

    def _limit(self, verdict: Verdict, packet: bytes, send: Send) -> bool:
        """Deal with a question over UDP that is too much for its client."""
        self.stats["udp", "limited"] += 1
        query = Query.read(packet) if verdict is Verdict.TRUNCATE else None
        if query is None or query.malformed:
            return False
        send(truncated(query).packet)
        return True

    def abandon(self) -> None:
        """Answer everything that still waits with SERVFAIL, for nobody will be here to answer it later."""
        for waiting in list(self._waiting):
            waiting.done(False)
        if self._forwarder is not None:
            self._forwarder.abandon()

    def _forward(self, foreign: Foreign, client: str, transport: Transport, send: Send) -> None:
        if self._forwarder is not None and self._forwarder.serves(client):
            self._forwarder.forward(
                foreign.query, transport == "udp", lambda reply: self._reply(reply, transport, send)
            )
        else:
            self._reply(foreign.refuse(), transport, send)

    def _enquire(self, question: Question, client: str, transport: Transport, arrived: float, send: Send) -> None:
        def answer(granted: bool) -> None:
            self._waiting.discard(waiting)
            self._reply(question.finish(granted), transport, send)

        waiting = _Waiting(answer)
        self._waiting.add(waiting)
        try:
            self._summon(question.service, client, arrived, waiting.done)
        except Exception:
            log.exception("summoning %s for %s failed", question.service, client)
            waiting.done(False)
        waiting.wait(question.service, self._limits.patience)

    def _reply(self, reply: Reply, transport: Transport, send: Send) -> None:
        self.stats[transport, "forwarded" if reply.rcode is None else reply.rcode.name] += 1
        send(reply.packet)


class _Waiting:
    """A question that waits. However many reasons there are to answer it, it is answered once."""

    __slots__ = ("_answer", "_timer")

    def __init__(self, answer: Callable[[bool], None]) -> None:
        self._answer: Callable[[bool], None] | None = answer
        self._timer: asyncio.TimerHandle | None = None

    def done(self, granted: bool) -> None:
        """Answer it, unless that has happened."""
        answer, self._answer = self._answer, None
        if self._timer is not None:
            self._timer.cancel()
        if answer is not None:
            answer(granted)

    def wait(self, service: str, patience: float) -> None:
        """Unless it is answered already, give up after `patience` seconds."""
        if self._answer is not None:
            self._timer = asyncio.get_running_loop().call_later(patience, self._give_up, service, patience)

    def _give_up(self, service: str, patience: float) -> None:
        log.warning("nobody said within %g s whether %s can be summoned: answering SERVFAIL", patience, service)
        self.done(False)
