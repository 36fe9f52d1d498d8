"""The probe: the same SYN until the guest answers it, and not a word more than needed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv6Address

import pytest

from jitsu.network.frames import (
    ACK,
    BROADCAST,
    RST,
    SYN,
    Segment,
    checksum,
    read_segment,
    tcp_segment,
)
from jitsu.network.neighbours import Enquiry, answer_to, enquiry, read_enquiry
from jitsu.synjitsu.probe import Door, Probe

GUEST_MAC, GUEST, SPARE = bytes.fromhex("525400123456"), bytes([10, 77, 0, 10]), bytes([10, 77, 0, 254])
DOOR = Door(GUEST_MAC, GUEST, 8080)


class Asking:
    """A probe under test: what it sent, and how often it said that the door is open."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.opened = 0
        self.pauses: list[float] = []
        self.timer: asyncio.TimerHandle | None = None
        self.probe = Probe(DOOR, SPARE, self.sent.append, self._opened)

    def _opened(self) -> None:
        self.opened += 1

    def syns(self) -> list[bytes]:
        return [frame for frame in self.sent if (found := read_segment(frame)) is not None and found.flags == SYN]

    def resets(self) -> list[Segment]:
        return [found for frame in self.sent if (found := read_segment(frame)) is not None and found.flags & RST]

    def answer(self, flags: int, *, late: int = 0, port: int = 0, target: bytes = SPARE) -> bytes:
        """The guest's answer to the probe's SYN; `late` is by how much its acknowledgement is wrong."""
        syn = read_segment(self.syns()[0])
        assert syn is not None
        return tcp_segment(
            GUEST_MAC,
            syn.source_mac,
            (GUEST, 8080),
            (target, port or syn.source_port),
            sequence=5000,
            acknowledged=(syn.sequence + 1 + late) & 0xFFFFFFFF,
            flags=flags,
        )

    def waits(self, delay: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Stands in for the loop's `call_later`."""
        self.pauses.append(delay)
        self.call = call
        self.timer = asyncio.TimerHandle(0.0, call, (), asyncio.get_running_loop())
        return self.timer

    def pause_passes(self) -> None:
        """Let the time come for which the probe waits, if it does."""
        if self.timer is not None and not self.timer.cancelled():
            self.call()


@pytest.fixture
async def asking(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Asking]:
    asking = Asking()
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "call_later", asking.waits)
        yield asking


async def test_the_first_question_is_who_are_you_and_then_a_syn(asking: Asking) -> None:
    asking.probe.start()

    first, second = asking.sent
    asked = read_enquiry(first)
    assert asked is not None
    assert (first[:6], asked.sender, asked.target) == (BROADCAST, SPARE, GUEST)
    syn = read_segment(second)
    assert syn is not None
    assert syn.opens
    assert (syn.target_mac, syn.target, syn.target_port) == (GUEST_MAC, GUEST, 8080)
    assert (syn.source_mac, syn.source) == (asked.sender_mac, SPARE)
    assert checksum(second[14:34]) == 0


async def test_a_guest_of_ipv6_is_asked_over_that() -> None:
    guest, spare = IPv6Address("fd77::10").packed, IPv6Address("fd77::fffe").packed
    sent: list[bytes] = []
    probe = Probe(Door(GUEST_MAC, guest, 80), spare, sent.append, lambda: None)
    probe.start()
    mac = sent[0][6:12]
    probe.heard(enquiry(GUEST_MAC, guest, spare))
    probe.stop()

    asked, syn, answer = sent
    assert asked == enquiry(mac, spare, guest)
    found = read_segment(syn)
    assert found is not None
    assert (found.target_mac, found.target, found.source, found.opens) == (GUEST_MAC, guest, spare, True)
    assert answer == answer_to(Enquiry(GUEST_MAC, guest, spare), mac)


async def test_its_own_address_is_one_that_nobody_has(asking: Asking) -> None:
    asking.probe.start()

    mac = asking.sent[0][6:12]
    assert mac[0] & 0b11 == 0b10, "locally administered, and not a group"
    assert asking.probe.owns(SPARE)
    assert not asking.probe.owns(GUEST)


async def test_it_asks_again_with_the_same_syn(asking: Asking) -> None:
    asking.probe.start()
    for _ in range(3):
        asking.pause_passes()

    assert len(asking.syns()) == 4
    assert len(set(asking.syns())) == 1


async def test_the_pauses_grow_up_to_a_bound(asking: Asking) -> None:
    asking.probe.start()
    for _ in range(30):
        asking.pause_passes()

    assert asking.pauses[:2] == pytest.approx([0.010, 0.012])
    assert asking.pauses == sorted(asking.pauses)
    assert asking.pauses[-1] == pytest.approx(0.100)


async def test_an_answer_to_its_syn_is_reset_and_opens_the_door_once(asking: Asking) -> None:
    asking.probe.start()
    asking.probe.heard(asking.answer(SYN | ACK))

    assert asking.opened == 1
    (reset,) = asking.resets()
    syn = read_segment(asking.syns()[0])
    assert syn is not None
    assert reset.flags == RST
    assert reset.sequence == (syn.sequence + 1) & 0xFFFFFFFF
    assert (reset.source, reset.source_port, reset.target_port) == (SPARE, syn.source_port, 8080)


async def test_when_the_door_is_open_it_asks_no_more(asking: Asking) -> None:
    asking.probe.start()
    asking.probe.heard(asking.answer(SYN | ACK))
    asking.pause_passes()

    assert asking.probe.asked == 1
    assert len(asking.syns()) == 1


async def test_an_answer_that_is_repeated_is_reset_again_but_opens_nothing(asking: Asking) -> None:
    asking.probe.start()
    asking.probe.heard(asking.answer(SYN | ACK))
    asking.probe.heard(asking.answer(SYN | ACK))

    assert asking.opened == 1
    assert len(asking.resets()) == 2


async def test_a_reset_in_answer_means_not_yet(asking: Asking) -> None:
    asking.probe.start()
    asking.probe.heard(asking.answer(RST | ACK))
    asking.pause_passes()

    assert (asking.probe.asked, asking.opened) == (2, 0)
    assert asking.resets() == []
    asking.probe.heard(asking.answer(SYN | ACK))
    assert asking.opened == 1


@pytest.mark.parametrize("late", [-1, 1, 1 << 31])
async def test_an_answer_to_some_other_syn_is_ignored(asking: Asking, late: int) -> None:
    asking.probe.start()
    asking.probe.heard(asking.answer(SYN | ACK, late=late))

    assert (asking.opened, asking.resets()) == (0, [])


async def test_an_answer_to_somebody_else_is_ignored(asking: Asking) -> None:
    asking.probe.start()
    asking.probe.heard(asking.answer(SYN | ACK, port=1))
    asking.probe.heard(asking.answer(SYN | ACK, target=bytes([10, 77, 0, 200])))

    assert (asking.opened, asking.resets()) == (0, [])


@pytest.mark.parametrize("flags", [SYN, ACK, 0])
async def test_a_segment_that_is_no_answer_is_ignored(asking: Asking, flags: int) -> None:
    asking.probe.start()
    asking.probe.heard(asking.answer(flags))

    assert (asking.opened, asking.resets()) == (0, [])


async def test_a_guest_that_asks_where_the_answer_must_go_is_told(asking: Asking) -> None:
    asking.probe.start()
    mac = asking.sent[0][6:12]
    asking.probe.heard(enquiry(GUEST_MAC, GUEST, SPARE))

    assert asking.sent[-1] == answer_to(Enquiry(GUEST_MAC, GUEST, SPARE), mac)


async def test_a_guest_that_asks_for_somebody_else_is_not_told(asking: Asking) -> None:
    asking.probe.start()
    before = len(asking.sent)
    asking.probe.heard(enquiry(GUEST_MAC, GUEST, bytes([10, 77, 0, 1])))
    asking.probe.heard(b"noise")

    assert len(asking.sent) == before


async def test_a_probe_that_was_stopped_says_nothing_more(asking: Asking) -> None:
    asking.probe.start()
    asking.probe.stop()
    asking.probe.stop()
    asking.probe.heard(asking.answer(SYN | ACK))
    asking.pause_passes()

    assert asking.probe.asked == 1
    assert asking.opened == 0
