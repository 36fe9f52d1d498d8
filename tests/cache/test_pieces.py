"""Requests that come in pieces, and clients that go in the middle of a response."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.cache.case import After, Profile, finish, get, ok, part, refused
from tests.cache.content import ITEMS
from tests.cache.servers import Server

_RANGE = get("/alphabet.txt?x=%20", "Range: bytes=-3", "X-Empty:", host="one.example:80")
_CHUNKED = get("/hello.txt", "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n"
_PROXY_V1 = b"PROXY TCP4 192.0.2.1 198.51.100.1 40000 80\r\n"
_PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes((192, 0, 2, 1, 198, 51, 100, 1, 0x9C, 0x40, 0, 80))


def test_a_request_in_two_pieces(server: Server) -> None:
    with server.connect() as wire:
        for at in range(1, len(_RANGE)):
            wire.send(_RANGE[:at])
            wire.send(_RANGE[at:])
            part("alphabet.txt", 23, 25).take(wire)
        finish(wire, After.OPEN)


def test_the_second_request_in_two_pieces(server: Server) -> None:
    """The first piece has all of the first request and some of the second one."""
    with server.connect() as wire:
        for at in range(1, len(_RANGE)):
            wire.send(get("/hello.txt") + _RANGE[:at])
            ok("hello.txt").take(wire)
            wire.send(_RANGE[at:])
            part("alphabet.txt", 23, 25).take(wire)
        finish(wire, After.OPEN)


def test_a_request_byte_by_byte(server: Server) -> None:
    with server.connect() as wire:
        for at in range(len(_RANGE)):
            wire.send(_RANGE[at : at + 1])
        part("alphabet.txt", 23, 25).take(wire)
        finish(wire, After.OPEN)


def test_a_body_in_two_pieces(server: Server) -> None:
    for at in range(1, len(_CHUNKED)):
        with server.connect() as wire:
            wire.send(_CHUNKED[:at])
            wire.send(_CHUNKED[at:])
            response = wire.response()
            assert response.status in (200, 400, 411, 501)
            finish(wire, After.EITHER)


def test_a_client_that_waits_for_100(server: Server) -> None:
    """It is told to go on, or has its answer at once."""
    with server.connect() as wire:
        wire.send(get("/hello.txt", "Content-Length: 5", "Expect: 100-continue"))
        first = wire.head()
        if first.status == 100:
            wire.send(b"hello")
            ok("hello.txt").take(wire)
        else:
            assert first.status in (200, 400, 413, 417)


@pytest.mark.parametrize("header", [_PROXY_V1, _PROXY_V2], ids=["v1", "v2"])
def test_a_proxys_header_and_then_a_request_byte_by_byte(server: Server, header: bytes) -> None:
    """The header comes in one piece, which proxy-protocol.txt, 2 lets a receiver want, as nginx does."""
    with server.connect(Profile.PROXIED) as wire:
        wire.send(header)
        for at in range(len(_RANGE)):
            wire.send(_RANGE[at : at + 1])
        part("alphabet.txt", 23, 25).take(wire)


def test_head_and_get_have_the_same_fields(server: Server) -> None:
    with server.connect() as wire:
        for target in ("/hello.txt", "/empty.txt", "/style.css", "/huge.bin", "/", "/none"):
            wire.send(get(target) + get(target, method="HEAD"))
            whole, head = wire.response(), wire.response("HEAD")
            assert _lasting(whole.fields) == _lasting(head.fields), target
        finish(wire, After.OPEN)


def _lasting(fields: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if name != "date"}


def test_clients_that_break_off_harm_nobody(server: Server) -> None:
    """An RST in the middle of a body, of a head, and before the first byte."""
    with server.connect() as other:
        for _ in range(20):
            for begun in (get("/huge.bin"), b"GET /hel", b""):
                wire = server.connect()
                wire.send(begun)
                if begun.endswith(b"\r\n\r\n"):
                    wire.head()
                wire.reset()
        other.send(get("/huge.bin"))
        ok("huge.bin").take(other)
        finish(other, After.OPEN)


def test_many_at_once_each_get_their_own(server: Server) -> None:
    names = ["chunks.bin", "chunk-1.bin", "alphabet.txt", "chunk.bin"]

    def ask(number: int) -> None:
        with server.connect() as wire:
            for turn in range(20):
                name = names[(number + turn) % len(names)]
                wire.send(get(f"/{name}") + get("/none"))
                ok(name).take(wire)
                refused(404).take(wire)

    with ThreadPoolExecutor(32) as pool:
        assert len(list(pool.map(ask, range(32)))) == 32


def test_a_large_object_to_a_reader_of_small_pieces(server: Server) -> None:
    with server.connect(receive_buffer=4096) as wire:
        wire.send(get("/chunks+7.bin".replace("+", "%2B")) + get("/hello.txt"))
        head = wire.head()
        assert head.fields["content-length"] == str(len(ITEMS["chunks+7.bin"].content))
        assert wire.take(len(ITEMS["chunks+7.bin"].content), "the body") == ITEMS["chunks+7.bin"].content
        ok("hello.txt").take(wire)
