"""Rings of a shared page, and the transport over them; the other side does what it likes."""

import random
import select
import struct
from collections.abc import Iterator

import pytest

from jitsu.xenstore.domains import Domains
from jitsu.xenstore.ring import ERROR_INDEX, ERROR_PROTOCOL, PAGE, SIZE, BrokenRing
from jitsu.xenstore.server import Server
from jitsu.xenstore.store import Store
from jitsu.xenstore.wire import Message, Parser, Type
from jitsu.xenstore.xen_rings import RingTransport
from tests.unit.ring_guest import ANSWERS_MADE, ANSWERS_TAKEN, ERROR, REQUESTS_MADE, REQUESTS_TAKEN, Guest

GUEST = 5


@pytest.mark.parametrize("start", [0, 1000, 2**32 - 3 * SIZE // 2])
def test_bytes_come_and_go_in_order_whatever_the_sizes(seeded: random.Random, start: int) -> None:
    guest = Guest(start)
    sent, received = seeded.randbytes(30_000), bytearray()
    said, heard = 0, bytearray()
    while len(heard) < len(sent):
        said += guest.say(sent[said : said + seeded.choice((0, 1, 100, SIZE, 2 * SIZE))])
        if seeded.random() < 0.7:
            received += guest.ring.take()
            guest.ring.settle()
        if seeded.random() < 0.7:
            # All that came goes back: nothing may be lost between the two.
            piece = received[len(heard) + guest.unread() :][: seeded.choice((1, 7, SIZE, 3 * SIZE))]
            guest.ring.put(bytes(piece))
        heard += guest.hear(seeded.choice((0, 1, 500, SIZE)))

    assert heard == received == sent


def test_a_full_ring_takes_nothing_more_and_an_empty_one_gives_nothing() -> None:
    guest = Guest()

    assert guest.ring.take() == b""
    assert guest.ring.put(b"x" * 5000) == SIZE
    assert not guest.ring.has_room()
    assert guest.ring.put(b"y") == 0
    guest.hear(1)
    assert guest.ring.has_room()
    assert guest.ring.put(b"yz") == 1
    assert guest.hear() == b"x" * (SIZE - 1) + b"y"


def test_a_ring_goes_on_where_it_stands() -> None:
    guest = Guest(630)
    guest.say(b"before")

    assert guest.ring.take() == b"before"


@pytest.mark.parametrize("at", [SIZE + 1, 2 * SIZE, 2**31, 2**32 - 1])
def test_indices_that_make_no_sense_break_the_ring(at: int) -> None:
    guest = Guest()
    guest.write(REQUESTS_MADE, at)
    with pytest.raises(BrokenRing):
        guest.ring.take()
    guest.write(ANSWERS_TAKEN, -at)
    with pytest.raises(BrokenRing):
        guest.ring.put(b"x")


def test_what_is_ours_is_not_believed_from_the_page() -> None:
    guest = Guest()
    guest.say(b"one")
    guest.ring.take()
    guest.ring.settle()
    guest.ring.put(b"eins")
    guest.write(REQUESTS_TAKEN, 77)
    guest.write(ANSWERS_MADE, 77)
    guest.write(REQUESTS_MADE, 4)
    guest.page[3] = ord("2")

    assert guest.ring.take() == b"2"
    guest.ring.settle()
    assert guest.ring.put(b"2") == 1
    assert (guest.read(REQUESTS_TAKEN), guest.read(ANSWERS_MADE)) == (4, 5)


def test_scribbling_over_the_whole_page_does_no_more_than_break_the_ring(seeded: random.Random) -> None:
    broken = 0
    for _ in range(2000):
        guest = Guest(seeded.randrange(2**32))
        for _ in range(seeded.randrange(1, 6)):
            at = seeded.choice((*range(2048, 2076, 4), seeded.randrange(PAGE - 4)))
            guest.write(at, seeded.choice((seeded.randrange(2**32), guest.read(at) + seeded.randrange(-9, 1100))))
            try:
                assert len(guest.ring.take()) <= SIZE
                assert guest.ring.put(b"answer" * 400) <= SIZE
            except BrokenRing:
                broken += 1

    assert broken > 100


class Served:
    """A store that serves the page of domain 5; `notified` counts."""

    def __init__(self) -> None:
        self.guest = Guest()
        self.notified = 0
        self.ended = 0
        self.store = Store(Domains())
        self.server = Server(self.store, saved=self._settle)
        self.transport = RingTransport(self.guest.ring, self._notify, lambda: None)
        self.connection = self.server.connect(self.transport, GUEST, self._end)
        self._parser = Parser()

    def _notify(self) -> None:
        self.notified += 1

    def _settle(self) -> None:
        if self.guest.ring.settle():
            self._notify()

    def _end(self) -> None:
        self.ended += 1

    def event(self, turns: int = 3) -> None:
        """The guest has done something, and says so."""
        self.transport.look()
        for _ in range(turns):
            self.server.turn(0)

    def ask(self, kind: Type, payload: bytes, number: int = 1) -> None:
        """Say a request however long, and have the store take it."""
        data = Message(kind, number, 0, payload).encode()
        while data:
            data = data[self.guest.say(data) :]
            self.event()

    def answers(self) -> list[Message]:
        """All that comes until nothing more does."""
        heard = []
        while data := self.guest.hear():
            heard += self._parser.feed(data)
            self.event()
        return heard

    def is_idle(self) -> bool:
        """Would the server sleep?"""
        return not select.select([self.transport], [], [], 0)[0]


@pytest.fixture
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.server.stop()
    served.server.run()


def test_requests_larger_than_the_ring_are_answered_and_so_are_their_readers(served: Served) -> None:
    value = bytes(range(256)) * 8  # a node's size has its limit, twice the ring's
    home = b"/local/domain/5"
    served.store.execute(served.store.connect(0), Message(Type.WRITE, 1, 0, home + b"\0"))
    served.store.execute(served.store.connect(0), Message(Type.SET_PERMS, 2, 0, home + b"\0n5\0"))

    served.ask(Type.WRITE, b"data\0" + value[:1900])
    served.ask(Type.READ, b"data\0", 2)

    assert [(each.type, each.payload) for each in served.answers()] == [
        (Type.WRITE, b"OK\0"),
        (Type.READ, value[:1900]),
    ]
    assert served.is_idle()


def test_a_guest_that_takes_no_answers_does_not_keep_the_server_awake(served: Served) -> None:
    said = Message(Type.DIRECTORY, 1, 0, b"/\0").encode()
    while served.guest.say(said) == len(said):
        served.event()
    served.event(turns=50)

    assert not served.guest.ring.has_room()
    assert served.is_idle()
    assert len(served.answers()) > 20
    assert served.is_idle()


def test_the_bell_rings_for_what_is_wanted(served: Served) -> None:
    served.guest.say(b"x")
    transport = served.transport
    assert (transport.want(select.EPOLLOUT), transport.ready(select.EPOLLIN)) == (select.EPOLLIN, select.EPOLLOUT)
    assert not served.is_idle()
    served.guest.ring.put(b"x" * SIZE)
    assert transport.ready(select.EPOLLIN) == 0
    assert served.is_idle()

    assert transport.want(select.EPOLLIN) == select.EPOLLIN
    assert not served.is_idle()
    assert transport.want(0) == 0
    assert served.is_idle()


def test_a_broken_index_ends_the_connection_and_says_why(served: Served) -> None:
    served.guest.write(REQUESTS_MADE, 5000)
    served.event()

    assert served.ended == 1
    assert served.guest.read(ERROR) == ERROR_INDEX


def test_a_payload_that_is_too_long_ends_the_connection_and_says_why(served: Served) -> None:
    served.guest.say(struct.pack("<4I", Type.READ, 1, 0, 4097))
    served.event()

    assert served.ended == 1
    assert served.guest.read(ERROR) == ERROR_PROTOCOL


def test_the_guest_is_woken_for_what_was_taken_and_for_what_was_answered(served: Served) -> None:
    served.ask(Type.DIRECTORY, b"/\0")

    assert served.notified == 2
