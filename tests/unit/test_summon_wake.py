"""Services that are woken by datagrams and pings, with a fake network and a fake driver."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from jitsu.config.wake import Trigger
from jitsu.domains.driver import Happening
from jitsu.network.datagrams import read_datagram
from jitsu.network.neighbours import read_enquiry
from tests.unit import datagram_frames as frames
from tests.unit.box import HELLO, NEVER, Box, boxed, eventually, settled

WOKEN = replace(HELLO, wake=(Trigger("udp", 53), Trigger("icmp"), Trigger("tcp", 443)), crashes=1, backoff=100.0)


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    async with boxed(hello=WOKEN) as box:
        yield box


def arrives(box: Box, frame: bytes, name: str = "hello") -> bytes:
    datagram = read_datagram(frame)
    assert datagram is not None
    box.summoner.arrived(name, datagram, frame)
    return frame


@pytest.mark.parametrize(("frame", "cause"), [(frames.udp(53), "udp"), (frames.echo(), "icmp")], ids=["udp", "icmp"])
async def test_what_it_asked_for_wakes_it(box: Box, frame: bytes, cause: str) -> None:
    arrives(box, frame)
    await eventually(lambda: box.state() == "serving")

    assert box.trace()["cause"] == cause
    asked, delivered = box.guest().sent
    enquiry = read_enquiry(asked)
    assert enquiry is not None
    assert (enquiry.sender, enquiry.sender_mac) == (frames.CLIENT, frames.CLIENT_MAC)
    assert delivered == frame
    assert box.network.done == ["open", "enquiry", "frame"]


async def test_what_it_did_not_ask_for_does_not(box: Box) -> None:
    arrives(box, frames.udp(54))
    arrives(box, frames.udp(53), "world")
    box.knock(5)

    assert (box.state(), box.state("world")) == ("asleep", "asleep")
    assert box.resets() == [5], "a SYN to another port is refused"
    assert box.summoner.tenant("hello").held == 0


async def test_while_it_boots_every_syn_is_held(box: Box) -> None:
    box.driver.behaviours["hello"] = NEVER
    arrives(box, frames.echo())
    await eventually(lambda: box.state() == "booting")
    frame = box.knock(5)
    box.driver.happen(box.domain(), Happening.READY)

    assert box.resets() == []
    assert frame in box.guest().sent


async def test_the_first_sixteen_are_delivered_in_order_and_once(box: Box) -> None:
    sent = [arrives(box, frames.echo(number)) for number in range(40)]
    held = box.summoner.tenant("hello").row()["held"]
    await eventually(lambda: box.state() == "serving")

    assert held == 16
    assert box.guest().sent[1::2] == sent[:16]
    assert box.summoner.tenant("hello").held == 0
    assert box.launches() == [1]


async def test_those_of_a_guest_that_does_not_come_are_forgotten(box: Box) -> None:
    box.driver.behaviours["hello"] = NEVER
    arrives(box, frames.echo())
    await eventually(lambda: box.state() == "booting")
    box.driver.happen(box.domain(), Happening.CRASHED, "it reset itself")
    await settled()
    after = box.summoner.tenant("hello").held
    arrives(box, frames.echo())

    assert box.state() == "crash-looping"
    assert after == box.summoner.tenant("hello").held == 0
    assert box.launches() == [1]


async def test_one_that_comes_during_a_dismissal_wakes_the_next_domain(box: Box) -> None:
    await box.serve()
    box.driver.may_end.clear()
    stopping = asyncio.create_task(box.summoner.stop("hello"))
    await eventually(lambda: box.state() == "dismissing")
    frame = arrives(box, frames.echo())
    box.driver.may_end.set()
    await stopping
    await eventually(lambda: box.state() == "serving" and box.launches() == [1, 2])

    assert box.guest(2).sent[-1] == frame


async def test_one_that_a_dying_guest_does_not_get_is_lost_and_nothing_else(box: Box) -> None:
    box.driver.behaviours["hello"] = NEVER
    arrives(box, frames.echo())
    await eventually(lambda: box.state() == "booting")
    box.guest().closed = True
    box.driver.happen(box.domain(), Happening.READY)

    assert box.state() == "serving"
    assert box.summoner.tenant("hello").held == 0
