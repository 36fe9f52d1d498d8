"""A completed handshake is told from a SYN that anybody could have sent."""

from dataclasses import replace

import pytest

from jitsu.network.frames import ACK, FIN, RST, SYN, Segment
from jitsu.synjitsu.handshake import HandshakeWatch

CLIENT, GUEST = bytes([192, 0, 2, 7]), bytes([10, 77, 0, 10])
OFFER = Segment(b"", b"", GUEST, CLIENT, 80, 40000, 0xFFFFFFFF, 1001, SYN | ACK, 0)
ANSWER = Segment(b"", b"", CLIENT, GUEST, 40000, 80, 1001, 0, ACK, 0)


@pytest.fixture
def watch() -> HandshakeWatch:
    watch = HandshakeWatch()
    assert not watch.completes(OFFER, to_guest=False)
    return watch


def test_the_client_acknowledges_the_number_that_the_guest_chose(watch: HandshakeWatch) -> None:
    assert watch.completes(ANSWER, to_guest=True)


@pytest.mark.parametrize("flags", [ACK | FIN, ACK | 0x08], ids=["fin", "push"])
def test_a_later_segment_is_as_good_as_the_first(watch: HandshakeWatch, flags: int) -> None:
    assert watch.completes(replace(ANSWER, acknowledged=5000, flags=flags, length=10), to_guest=True)


@pytest.mark.parametrize(
    "segment",
    [
        replace(ANSWER, acknowledged=0xFFFFFFFF),
        replace(ANSWER, acknowledged=0x80000000),
        replace(ANSWER, source=bytes([192, 0, 2, 8])),
        replace(ANSWER, source_port=40001),
        replace(ANSWER, target_port=443),
        replace(ANSWER, flags=RST | ACK),
        replace(ANSWER, flags=SYN | ACK),
        replace(ANSWER, flags=SYN),
        replace(ANSWER, flags=0),
    ],
)
def test_what_proves_nothing(watch: HandshakeWatch, segment: Segment) -> None:
    assert not watch.completes(segment, to_guest=True)


def test_what_the_guest_itself_sends_proves_nothing(watch: HandshakeWatch) -> None:
    assert not watch.completes(ANSWER, to_guest=False)


def test_a_flood_makes_it_forget_the_oldest_and_no_more(watch: HandshakeWatch) -> None:
    for port in range(512):
        watch.completes(replace(OFFER, target_port=port), to_guest=False)
    assert not watch.completes(ANSWER, to_guest=True)
    assert watch.completes(replace(ANSWER, source_port=511), to_guest=True)
