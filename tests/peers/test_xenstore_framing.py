"""How messages come and go on the stream, on ours and on Debian's C daemon."""

from collections.abc import Iterator

import pytest

from jitsu.xenstore.wire import HEADER, LONGEST_PAYLOAD, Message, Type
from tests.peers.xenstore_daemons import DAEMONS, Daemon
from tests.xenstore_peer import Peer


@pytest.fixture(scope="module", params=("jitsu", "debian-c"))
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with DAEMONS[request.param]() as daemon:
        yield daemon


@pytest.fixture
def peer(daemon: Daemon) -> Iterator[Peer]:
    with Peer(daemon.socket) as peer:
        yield peer


def test_a_request_may_come_byte_by_byte(peer: Peer):
    for byte in Message(Type.WRITE, 7, 0, b"/bytes\0one by one").encode():
        peer.send_bytes(bytes((byte,)))
    assert peer.receive() == Message(Type.WRITE, 7, 0, b"OK\0")
    assert peer.ask(Type.READ, b"/bytes").payload == b"one by one"


def test_requests_in_one_piece_are_answered_in_their_order(peer: Peer):
    requests = [Message(Type.GET_DOMAIN_PATH, 2**32 - 1 - n, 0, b"%d\0" % n) for n in range(200)]
    peer.send_bytes(b"".join(request.encode() for request in requests))
    for n, request in enumerate(requests):
        assert peer.receive() == request._replace(payload=b"/local/domain/%d\0" % n)


def test_an_answer_repeats_request_and_transaction_of_whatever_was_asked(peer: Peer):
    transaction = peer.start()
    for kind, payload in ((Type.READ, b"/nothing\0"), (Type.WATCH, b"/watched\0token\0"), (Type.DIRECTORY, b"/\0")):
        peer.send_bytes(Message(kind, 99, transaction, payload).encode())
        answer = peer.receive()
        assert (answer.request, answer.transaction) == (99, transaction)
        assert answer.type == (Type.ERROR if kind == Type.READ else kind)


def test_a_message_above_the_limit_ends_its_connection_alone(daemon: Daemon, peer: Peer):
    with Peer(daemon.socket) as rude:
        transaction = rude.start()
        rude.write(b"/rude", b"x", transaction)
        rude.send_bytes(HEADER.pack(Type.READ, 1, 0, LONGEST_PAYLOAD + 1))
        with pytest.raises(ConnectionResetError):
            rude.receive()
    assert peer.ask(Type.READ, b"/rude").error == "ENOENT"


def test_a_message_of_the_limit_is_one(peer: Peer):
    value = b"x" * (LONGEST_PAYLOAD - len(b"/long\0"))
    assert peer.write(b"/long", value).error is None
    assert peer.ask(Type.READ, b"/long").payload == value
    assert peer.ask(Type.READ, b"x" * (LONGEST_PAYLOAD - 1)).error is not None


def test_who_hangs_up_within_a_message_is_forgotten(daemon: Daemon, peer: Peer):
    assert peer.ask(Type.WATCH, b"/half", b"token").error is None
    assert peer.settled() == [(b"/half", b"token")]
    with Peer(daemon.socket) as gone:
        gone.send_bytes(Message(Type.WRITE, 1, 0, b"/half\0" + b"of it").encode()[:-2])
    assert peer.settled() == []
    assert peer.ask(Type.READ, b"/half").error == "ENOENT"
