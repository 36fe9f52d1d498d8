"""Slow clients, and more clients than there is room for. The server has patience of a second, or room for four."""

import contextlib
import select
import time
from collections.abc import Callable, Iterator

from tests.cache.case import After, Profile, Silence, finish, get, ok, refused
from tests.cache.content import ITEMS
from tests.cache.fields import Violation
from tests.cache.servers import Server
from tests.cache.wire import PATIENCE, Wire

_MOST_TAKEN = 64 << 20
"""Bytes: many times what the system keeps for a connection."""

_HUGE = len(ITEMS["huge.bin"].content)


def _drip(wire: Wire, data: bytes) -> None:
    """Send it byte by byte, and then more, until the server has had enough."""
    deadline = time.monotonic() + PATIENCE
    while not wire.has_something(0.1):
        wire.send(data[:1])
        data = data[1:] or b"x"
        assert time.monotonic() < deadline, "the server waits for ever"


def test_a_client_that_says_nothing(server: Server) -> None:
    with server.connect(Profile.IMPATIENT) as wire:
        Silence().take(wire)
        finish(wire, After.CLOSED)


def test_a_client_that_begins_and_says_no_more(server: Server) -> None:
    for begun in (b"G", b"GET /hello.txt HTTP/1.1\r\nHos", b"GET /hello.txt HTTP/1.1\r\nHost: test\r\n"):
        with server.connect(Profile.IMPATIENT) as wire:
            wire.send(begun)
            Silence().take(wire)
            finish(wire, After.CLOSED)


def test_a_head_that_comes_in_drops(server: Server) -> None:
    """A limit for each byte alone would let it go on for ever."""
    with server.connect(Profile.IMPATIENT) as wire:
        _drip(wire, b"GET /hello.txt HTTP/1.1\r\nHost: test\r\nX: ")
        Silence().take(wire)
        finish(wire, After.CLOSED)


def test_a_connection_that_is_idle_after_a_response(server: Server) -> None:
    """It ends without a byte: whoever sends a request meanwhile would take that byte for the answer."""
    with server.connect(Profile.IMPATIENT) as wire:
        wire.send(get("/hello.txt"))
        ok("hello.txt").take(wire)
        finish(wire, After.CLOSED)


def test_a_second_head_that_comes_in_drops(server: Server) -> None:
    with server.connect(Profile.IMPATIENT) as wire:
        wire.send(get("/hello.txt") + b"GET /")
        ok("hello.txt").take(wire)
        Silence().take(wire)
        finish(wire, After.CLOSED)


def test_a_body_that_does_not_come(server: Server) -> None:
    with server.connect(Profile.IMPATIENT) as wire:
        wire.send(get("/hello.txt", "Content-Length: 100") + b"x")
        assert wire.response().status in (200, 400, 408, 413)
        wire.expect_end()


def test_a_reader_that_takes_nothing_is_given_up(server: Server) -> None:
    """How long it takes nobody sees who does not read: so it reads on after a while, and longer whiles if need be, and
    must find that the response broke off."""
    for while_ in (2.5, 10, 40):
        with server.connect(Profile.IMPATIENT, receive_buffer=4096) as wire:
            wire.send(get("/huge.bin"))
            wire.head()
            wire.wait_for_hang_up(while_)
            if len(wire.rest()) < _HUGE:
                return
    raise Violation("a reader that takes nothing has its response kept for a minute")


def test_a_slow_one_is_not_in_the_way_of_others(server: Server) -> None:
    with server.connect(receive_buffer=4096) as slow, server.connect() as stuck:
        slow.send(get("/huge.bin"))
        slow.head()
        stuck.send(b"GET /")
        with server.connect() as wire:
            wire.send(get("/huge.bin") + get("/hello.txt"))
            ok("huge.bin").take(wire)
            ok("hello.txt").take(wire)


def test_requests_without_end_and_nobody_reads(server: Server) -> None:
    """Responses wait for their reader, so requests have to wait for the responses, and not in the server's memory."""
    requests = get("/chunks.bin") * 1000
    sent = 0
    with server.connect(receive_buffer=4096) as wire:
        wire.socket.setblocking(False)
        while select.select([], [wire.socket], [], 1)[1]:
            sent += wire.socket.send(requests[sent % len(requests) :])
            assert sent < _MOST_TAKEN, "it takes requests without end"
        wire.reset()
    with server.connect() as wire:
        wire.send(get("/hello.txt"))
        ok("hello.txt").take(wire)


def test_a_full_server_says_so(server: Server) -> None:
    """Four responses are under way: the next client is told when to come again, and is served when one is over."""
    with contextlib.ExitStack() as stack:
        busy = [stack.enter_context(_under_way(server)) for _ in range(4)]
        for _ in range(3):
            assert not _is_served(server)
        for wire in busy[1:]:
            wire.reset()
        _within(PATIENCE, lambda: _is_served(server))
        assert len(busy[0].take(_HUGE, "the body that was under way")) == _HUGE


def test_a_full_server_is_full_no_more_when_its_clients_are_gone(server: Server) -> None:
    """Eighty clients, four at a time, that all break off."""
    for _ in range(20):
        with contextlib.ExitStack() as stack:
            for wire in [stack.enter_context(_under_way(server)) for _ in range(4)]:
                wire.reset()
        _within(PATIENCE, lambda: _is_served(server))


@contextlib.contextmanager
def _under_way(server: Server) -> Iterator[Wire]:
    """A connection with a response that cannot end, as soon as there is room for it."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with server.connect(Profile.SMALL, receive_buffer=4096) as wire:
            wire.send(get("/huge.bin"))
            if wire.head().status == 200:
                yield wire
                return
        assert time.monotonic() < deadline, "there never is room"
        time.sleep(0.01)


def _is_served(server: Server) -> bool:
    """Or else refused as it should be."""
    with server.connect(Profile.SMALL) as wire:
        wire.send(get("/hello.txt", "Connection: close"))
        response = wire.response()
        wire.expect_end()
    if response.status == 200:
        ok("hello.txt").check(response)
        return True
    refused(503).check(response)
    return False


def _within(seconds: float, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
