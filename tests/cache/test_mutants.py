"""Requests with random damage: what comes back is HTTP to the last byte, connections end, and nobody else notices."""

import random
import re

from tests.cache.case import get, ok
from tests.cache.servers import Server
from tests.cache.wire import Wire

_MUTANTS, _MUTANTS_IN_SOAK = 500, 50_000

_SEEDS = (
    get("/alphabet.txt", "Range: bytes=1-2,5-", "If-Range: @ETAG@"),
    get("/hello.txt", "Connection: keep-alive", 'If-None-Match: W/"x", "y"') + get("http://one.example/hosted.txt"),
    get("/gr%C3%BC%C3%9Fe.txt?x#y", "Transfer-Encoding: chunked") + b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
    get("/hello.txt", "Content-Length: 5", "Expect: 100-continue") + b"hello" + get("/none"),
    get("/short.link", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", version="1.0"),
)
_BARE = re.compile(rb"(?m)^[\0-\x20]*[A-Z_-]+ [^\n]*(?<! HTTP/[0-9]\.[0-9])\r?$")
"""A request line of HTTP/0.9, somewhere."""

_ODD = (
    b"\x00",
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b":",
    b",",
    b"\xff",
    b"%",
    b"-",
    b"/",
    b"?",
    b"0",
    b"9" * 20,
)


def _mutant(chance: random.Random) -> bytes:
    data = chance.choice(_SEEDS)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(data))
        end = at + chance.randrange(1, 9)
        data = (
            chance.choice(
                (
                    data[:at] + chance.choice(_ODD) + data[at:],
                    data[:at] + chance.choice(_ODD) + data[at + 1 :],
                    data[:at] + chance.randbytes(1) + data[at + 1 :],
                    data[:at] + data[end:],
                    data[:at] + data[at:end] * chance.randrange(2, 20) + data[end:],
                )
            )
            or b"x"
        )
    return data


def test_mutants(server: Server, seeded: random.Random, full: bool) -> None:
    with server.connect() as other:
        for number in range(_MUTANTS_IN_SOAK if full else _MUTANTS):
            mutant = _mutant(random.Random(seeded.random()))
            with server.connect() as wire:
                wire.send(mutant)
                wire.half_close()
                try:
                    _read(wire, mutant)
                except AssertionError as violation:
                    raise AssertionError(f"mutant {number}, {mutant!r}: {violation}") from None
            if not number % 50:
                other.send(get("/hello.txt"))
                ok("hello.txt").take(other)


def _read(wire: Wire, mutant: bytes) -> None:
    """Responses up to the end; or, to a line without a version, a body alone, which is the last then."""
    while not wire.has_ended():
        if not wire.starts_with(b"HTTP/") and _BARE.search(mutant):
            wire.rest()
        else:
            wire.response()
