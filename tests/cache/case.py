"""The words of the tables: a request, what may be answered, and what becomes of the connection."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tests.cache.content import ITEMS
from tests.cache.fields import Violation
from tests.cache.parts import pieces_of
from tests.cache.wire import Address, Response, Wire


class Profile(enum.Enum):
    """How the server is set up: with usual limits, with patience of a second, with four connections at most, or with
    the PROXY protocol in front of each connection."""

    USUAL = "usual"
    IMPATIENT = "impatient"
    SMALL = "small"
    PROXIED = "proxied"


class After(enum.Enum):
    """The connection when all is answered: it takes another request, or the server has ended it without another byte,
    or either; or nobody can tell, after a response that was not read to its end."""

    OPEN = "open"
    CLOSED = "closed"
    EITHER = "either"
    UNKNOWN = "unknown"


class Expected(Protocol):
    """What may come next on a connection."""

    def take(self, wire: Wire) -> None:
        """Read it. Raises Violation."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response with one of these statuses. `body` is what it must be, if that is known; `without` must not stand in
    it. `fields` have values that must be there, or None for fields that must not; `needs` are there with any value."""

    status: tuple[int, ...]
    body: bytes | None = None
    method: str = "GET"
    fields: Mapping[str, str | None] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    without: bytes = b""

    def take(self, wire: Wire) -> None:
        self.check(wire.response(self.method))

    def check(self, response: Response) -> None:
        """Raises Violation."""
        if response.status not in self.status:
            raise Violation(f"{response.status} {response.body[:200]!r} instead of {self.status}")
        if self.body is not None and response.body != self.body:
            raise Violation(
                f"a body of {len(response.body)} bytes, {response.body[:80]!r}, is not the one that it should be"
            )
        if self.without and self.without in response.body:
            raise Violation(f"{self.without!r} stands in the body")
        for name, value in self.fields.items():
            if response.fields.get(name) != value:
                raise Violation(f"{name} is {response.fields.get(name)!r} and should be {value!r}")
        for name in self.needs:
            if name not in response.fields:
                raise Violation(f"there is no {name}")


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of an object, each from its first to its last byte. They come in parts, in any order, or several in one;
    or the object comes as a whole (RFC 9110, 14.2)."""

    name: str
    ranges: tuple[tuple[int, int], ...]
    may_be_refused: bool = False

    def take(self, wire: Wire) -> None:
        content, response = ITEMS[self.name].content, wire.response()
        if response.status == 416 and self.may_be_refused:
            return
        if response.status == 200 and response.body == content:
            return
        if response.status != 206:
            raise Violation(f"{response.status} instead of 206 or all of it")
        had: set[int] = set()
        for first, body in pieces_of(response, len(content)):
            if content[first : first + len(body)] != body:
                raise Violation(f"what is told to begin at {first} is other bytes")
            had.update(range(first, first + len(body)))
        missing = {at for first, last in self.ranges for at in range(first, last + 1)} - had
        if missing:
            raise Violation(f"{len(missing)} bytes that were asked for did not come, from {min(missing)} on")


@dataclass(frozen=True, slots=True)
class OneOf:
    """A response that is as any of these say."""

    answers: tuple[Answer, ...]

    def take(self, wire: Wire) -> None:
        response = wire.response(self.answers[0].method)
        reasons = []
        for answer in self.answers:
            try:
                return answer.check(response)
            except Violation as violation:
                reasons.append(str(violation))
        raise Violation("; ".join(reasons))


@dataclass(frozen=True, slots=True)
class Bare:
    """HTTP/0.9: a body and nothing else, or a refusal in HTTP/1.1."""

    name: str

    def take(self, wire: Wire) -> None:
        content = ITEMS[self.name].content
        if wire.starts_with(content):
            return wire.expect_exactly(content)
        return refused(400, 505).take(wire)


@dataclass(frozen=True, slots=True)
class Breaks:
    """A response of which the reader says this."""

    violation: str

    def take(self, wire: Wire) -> None:
        try:
            wire.response()
        except Violation as violation:
            if self.violation in str(violation):
                return
            raise
        raise Violation(f"nothing is wrong with it, and it was: {self.violation}")


@dataclass(frozen=True, slots=True)
class Silence:
    """The connection ends without a byte; or the server says why."""

    def take(self, wire: Wire) -> None:
        if not wire.has_ended():
            refused(400, 408).take(wire)


PROBE = b"GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Case:
    """`send` is what the client sends; @ETAG@ stands for the entity tag of alphabet.txt. `half_closes`: it sends its
    end behind that."""

    name: str
    section: str
    send: bytes
    expects: tuple[Expected, ...]
    after: After = After.OPEN
    profile: Profile = Profile.USUAL
    half_closes: bool = False


def run(case: Case, address: Address, tag: str) -> None:
    """Raises Violation. `tag` is the entity tag of alphabet.txt on that server."""
    # Whoever half closes is to be answered though not all fits into the buffers at once.
    with Wire(address, 65536 if case.half_closes else None) as wire:
        wire.send(case.send.replace(b"@ETAG@", tag.encode("latin-1")))
        if case.half_closes:
            wire.half_close()
        for expected in case.expects:
            expected.take(wire)
        finish(wire, case.after)


def finish(wire: Wire, after: After) -> None:
    """Is the connection what it should be after the last response? A request behind the others shows it: its answer
    begins right behind theirs."""
    if after is After.UNKNOWN:
        return None
    if after is After.CLOSED:
        return wire.expect_end()
    wire.send(PROBE)
    if after is After.EITHER and wire.has_ended():
        return None
    refused(404).take(wire)
    return wire.expect_end()


def ok(name: str, **more: str | None) -> Answer:
    """200 with the whole object."""
    return Answer((200,), ITEMS[name].content, fields={"content-range": None, **_fields(more)})


def part(name: str, first: int, last: int, **more: str | None) -> Answer:
    """206 with the bytes from the first to the last one."""
    content = ITEMS[name].content
    span = f"bytes {first}-{last}/{len(content)}"
    return Answer((206,), content[first : last + 1], fields={"content-range": span, **_fields(more)})


def unsatisfied(name: str) -> Answer:
    """416, which says how many bytes there are."""
    return Answer((416,), fields={"content-range": f"bytes */{len(ITEMS[name].content)}"})


def head_of(name: str, **more: str | None) -> Answer:
    """The head of a 200."""
    length = str(len(ITEMS[name].content))
    return Answer((200,), b"", method="HEAD", fields={"content-length": length, **_fields(more)})


def refused(*status: int, method: str = "GET", without: bytes = b"", **more: str | None) -> Answer:
    """An error, or another answer of which the body is the server's own."""
    return Answer(status, method=method, without=without, fields=_fields(more))


def _fields(more: Mapping[str, str | None]) -> dict[str, str | None]:
    return {name.replace("_", "-"): value for name, value in more.items()}


def get(target: str, *lines: str, host: str = "test", method: str = "GET", version: str = "1.1") -> bytes:
    """A request. Lines are header fields."""
    return "\r\n".join([f"{method} {target} HTTP/{version}", f"Host: {host}", *lines, "", ""]).encode("latin-1")
