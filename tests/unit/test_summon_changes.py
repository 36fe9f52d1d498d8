"""Services that come, change and go under a summoner, and what is told of it."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from jitsu.config import ServiceConfig
from jitsu.domains.driver import Happening
from jitsu.errors import DomainError
from jitsu.events import Kind
from jitsu.network.frames import RST, SYN, read_segment
from jitsu.network.neighbours import enquiry
from tests.unit.box import CLIENT, CLIENT_MAC, HELLO, NEVER, Box, boxed, eventually, packet, service, settled

SHOP = service("shop", 20)


def told(box: Box) -> list[tuple[Kind, str, int]]:
    return [(event.kind, event.service, event.domid) for event in box.summoner.events.since(0)]


def redefinitions(box: Box) -> list[tuple[ServiceConfig, ServiceConfig]]:
    found: list[tuple[ServiceConfig, ServiceConfig]] = []
    box.summoner.redefined = lambda before, after: found.append((before, after))
    return found


class TestAdding:
    async def test_a_service_that_was_added_is_guarded_announced_and_summoned(self) -> None:
        async with boxed() as box:
            box.summoner.add(SHOP)
            announced = box.wire.recv(2048)
            assert announced[28:32] == SHOP.addresses[0].packed
            assert await box.sentinel_answers("shop")
            answers = box.ask("shop")
            await eventually(lambda: answers == [True])
            assert box.state("shop") in ("starting", "booting", "serving")


class TestRemoving:
    async def test_a_guest_that_serves_is_ended_and_nothing_is_left(self) -> None:
        async with boxed() as box:
            await box.serve()
            await box.summoner.remove("hello", "removed by anna")
            assert box.driver.running == {}
            box.wire.send(enquiry(CLIENT_MAC, CLIENT, HELLO.addresses[0].packed))
            await settled()
            with pytest.raises(BlockingIOError):
                box.wire.recv(2048)
            assert "hello" not in box.summoner.register.services()
            with pytest.raises(DomainError, match="there is no service hello"):
                box.summoner.tenant("hello")
            assert (Kind.DISMISSED, "hello", 1) in told(box)

    async def test_whoever_wants_it_meanwhile_is_turned_away_and_it_is_not_summoned_again(self) -> None:
        async with boxed() as box:
            await box.serve()
            box.driver.may_end.clear()
            removal = asyncio.create_task(box.summoner.remove("hello", "removed"))
            await settled()
            assert box.state() == "dismissing"
            assert box.ask() == [False]
            box.knock(77)
            assert box.resets() == [77]
            with pytest.raises(DomainError, match="it is being removed"):
                await box.summoner.start("hello")
            box.driver.may_end.set()
            await removal
            await settled()
            assert box.launches() == [1]

    async def test_one_that_is_just_being_launched_is_ended_and_who_waits_is_told(self) -> None:
        async with boxed() as box:
            box.knock(5)
            removal = asyncio.create_task(box.summoner.remove("hello", "removed"))
            await removal
            assert box.driver.running == {}
            assert box.resets() == [5]


class TestRedefining:
    async def test_a_sleeper_changes_at_once(self) -> None:
        async with boxed() as box:
            found = redefinitions(box)
            after = replace(HELLO, address=IPv4Address("10.77.0.30"), memory=32 << 20)
            assert box.summoner.redefine(after)
            assert found == [(HELLO, after)]
            assert box.summoner.tenant("hello").service is after
            drain(box)
            assert await box.sentinel_answers()
            box.wire.send(packet(SYN, name="hello", client=CLIENT))
            await settled()
            assert box.state() == "asleep"

    async def test_policy_changes_under_a_running_guest(self) -> None:
        async with boxed() as box:
            await box.serve()
            found = redefinitions(box)
            after = replace(HELLO, idle=1.0, names=("hello", "hi"))
            assert box.summoner.redefine(after)
            assert found == [(HELLO, after)]
            assert box.summoner.tenant("hello").service == after
            assert box.state() == "serving"

    async def test_the_guest_changes_at_its_next_start(self) -> None:
        async with boxed() as box:
            await box.serve()
            found = redefinitions(box)
            after = replace(HELLO, idle=1.0, memory=32 << 20)
            assert not box.summoner.redefine(after)
            assert box.summoner.register.pending() == {"hello"}
            assert box.summoner.tenant("hello").service == replace(HELLO, idle=1.0)
            await box.summoner.stop("hello")
            assert box.summoner.register.pending() == set()
            assert [then for _, then in found] == [replace(HELLO, idle=1.0), after]
            await box.serve()
            assert box.driver.calls[-1].domid == 2
            assert box.budget.memory_used == (32 + 40) << 20

    async def test_a_syn_on_hold_for_an_address_that_is_given_up_is_reset(self) -> None:
        async with boxed() as box:
            await box.serve()
            box.summoner.redefine(replace(HELLO, address=IPv4Address("10.77.0.30")))
            box.driver.may_end.clear()
            stopping = asyncio.create_task(box.summoner.stop("hello"))
            await settled()
            box.knock(9)
            assert box.resets() == []
            box.driver.may_end.set()
            await stopping
            reset = read_segment(box.wire.recv(2048))
            assert reset is not None
            assert (reset.flags & RST, reset.acknowledged) == (RST, 10)

    async def test_a_change_that_is_taken_back_in_time_is_none(self) -> None:
        async with boxed() as box:
            await box.serve()
            box.summoner.redefine(replace(HELLO, memory=32 << 20))
            assert box.summoner.redefine(HELLO)
            assert box.summoner.register.pending() == set()

    async def test_two_sleepers_swap_their_addresses(self) -> None:
        async with boxed() as box:
            hello, world = (box.summoner.tenant(name).service for name in ("hello", "world"))
            box.summoner.redefine(replace(hello, address=world.address))
            box.summoner.redefine(replace(world, address=hello.address))
            drain(box)
            assert await box.sentinel_answers("hello")
            assert await box.sentinel_answers("world")
            listed = {row["service"]: row["address"] for row in await box.summoner.register.rows()}
            assert (listed["hello"], listed["world"]) == (str(world.address), str(hello.address))

    async def test_who_has_an_address_is_known(self) -> None:
        async with boxed() as box:
            assert box.summoner.register.in_use() == {}
            await box.serve()
            assert box.summoner.register.in_use() == dict.fromkeys(("10.77.0.10", "fd77::10", HELLO.mac), "hello")


class TestNews:
    async def test_the_life_of_a_summon_is_told(self) -> None:
        async with boxed() as box:
            answers = box.ask()
            await eventually(lambda: answers == [True] and box.state() == "serving")
            await box.summoner.stop("hello")
            assert told(box) == [(Kind.SUMMONED, "hello", 0), (Kind.READY, "hello", 1), (Kind.DISMISSED, "hello", 1)]
            summoned, ready, dismissed = box.summoner.events.since(0)
            assert summoned.detail == "by dns"
            assert ready.detail.startswith("after ")
            assert dismissed.detail == "stopped by hand"

    async def test_a_crash_and_a_refusal_are_told(self) -> None:
        async with boxed() as box:
            await box.serve()
            box.driver.happen(box.domain(), Happening.CRASHED, "it panicked")
            await eventually(lambda: box.state() == "asleep")
            box.budget.resize(1, 1, 1)
            assert await refusal(box)
            assert (Kind.CRASHED, "hello", 1) in told(box)
            assert told(box)[-1] == (Kind.REFUSED, "hello", 0)

    async def test_a_guest_that_never_gets_ready_is_dismissed_and_that_is_told(self) -> None:
        async with boxed(boot_limit=0.01) as box:
            box.driver.behaviours["hello"] = NEVER
            box.knock()
            await eventually(lambda: box.state() == "asleep")
            assert [kind for kind, _, _ in told(box)] == [Kind.SUMMONED, Kind.DISMISSED]


async def refusal(box: Box) -> bool:
    answers = box.ask()
    await eventually(lambda: bool(answers))
    return answers == [False]


def drain(box: Box) -> None:
    """Take announcements off the wire."""
    with suppress(BlockingIOError):
        while True:
            box.wire.recv(2048)
