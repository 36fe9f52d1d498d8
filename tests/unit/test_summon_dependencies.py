"""Services that depend on others: those serve first, side by side, once for all, and stay while they are needed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from jitsu.domains.driver import Happening
from jitsu.domains.fake import Behaviour
from jitsu.errors import DomainError
from jitsu.summon import summoner as summoning
from jitsu.summon.gathering import Gathering
from tests.unit.box import HELLO, NEVER, PROBED, WORLD, Box, boxed, eventually, settled

BOTH = replace(HELLO, depends=("world", "probed"))
SPOKEN = replace(PROBED, ready="told")


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    """hello depends on both others."""
    async with boxed(hello=BOTH, probed=SPOKEN) as box:
        yield box


def order(box: Box) -> list[str]:
    """Which services were launched, in that order."""
    return [call.service for call in box.driver.calls if call.method == "launch"]


def test_a_launch_goes_on_when_the_last_one_serves() -> None:
    gathering = Gathering(("a", "b"))

    assert [gathering.serves(name) for name in ("b", "b", "a")] == [False, False, True]


async def test_it_is_launched_when_those_it_depends_on_serve(box: Box) -> None:
    box.driver.behaviours.update(world=NEVER, probed=NEVER)
    answers = box.ask()
    frame = box.knock(5)
    await eventually(lambda: box.state("world") == box.state("probed") == "booting")
    side_by_side = order(box)
    box.driver.happen(box.domain(1), Happening.READY)
    await settled()
    with_one = (box.state("hello"), list(answers))
    box.driver.happen(box.domain(2), Happening.READY)
    await eventually(lambda: box.state() == "serving")

    assert side_by_side == ["world", "probed"]
    assert with_one == ("starting", [])
    assert answers == [True]
    assert box.guest(3).sent[-1] == frame


@pytest.fixture
async def chain() -> AsyncIterator[Box]:
    """hello depends on world, which depends on probed."""
    async with boxed(
        hello=replace(HELLO, depends=("world",)), world=replace(WORLD, depends=("probed",)), probed=SPOKEN
    ) as box:
        yield box


async def test_those_it_depends_on_depend_on_others(chain: Box) -> None:
    await chain.serve()

    assert order(chain) == ["probed", "world", "hello"]


async def test_two_that_ask_at_once_start_it_once() -> None:
    async with boxed(
        hello=replace(HELLO, depends=("probed",)), world=replace(WORLD, depends=("probed",)), probed=SPOKEN
    ) as box:
        answers = [box.ask("hello"), box.ask("world")]
        await eventually(lambda: answers == [[True], [True]])

        assert order(box).count("probed") == 1


async def test_one_that_serves_already_is_waited_for_by_nobody(box: Box) -> None:
    await box.serve("world")
    await box.serve("probed")
    await box.serve()

    assert order(box) == ["world", "probed", "hello"]


async def test_if_one_cannot_start_nobody_waits_for_the_other(box: Box) -> None:
    box.driver.behaviours.update(world=NEVER, probed=Behaviour(refusal=DomainError("kernel k: is missing")))
    answers = box.ask()
    box.knock(5)
    await eventually(lambda: bool(answers))

    assert answers == [False]
    assert box.resets() == [5]
    assert box.summoner.tenant("hello").last == "probed, on which it depends: kernel k: is missing"
    assert box.state() == "asleep"
    assert box.budget.guests_used == 1, "world was wanted, and boots"


async def test_if_one_does_not_boot_it_is_the_same(chain: Box) -> None:
    chain.driver.behaviours["probed"] = Behaviour(ready_after=None, crash_after=0.0)
    with pytest.raises(DomainError, match="world, on which it depends: probed, on which it depends: the guest reset"):
        await chain.serve()

    assert chain.state("hello") == chain.state("world") == "asleep"


async def test_one_that_is_crash_looping_is_not_tried_for_others(box: Box) -> None:
    looping = replace(WORLD, crashes=1, backoff=100.0)
    box.summoner.tenant("world").service = looping
    box.driver.behaviours["world"] = Behaviour(ready_after=None, crash_after=0.0)
    box.ask("world")
    await eventually(lambda: box.state("world") == "crash-looping")

    assert box.ask() == [False]
    assert box.summoner.tenant("hello").last == "world, on which it depends: crash-looping: the guest reset itself"
    assert order(box).count("world") == 1
    assert "hello" not in order(box)


async def test_a_stop_waits_for_nobody(box: Box) -> None:
    box.driver.behaviours["world"] = NEVER
    answers = box.ask()
    starting = asyncio.create_task(box.summoner.start("hello"))
    await eventually(lambda: box.state("world") == "booting")
    await box.summoner.stop("hello")
    with pytest.raises(DomainError, match="stopped by hand"):
        await starting
    box.driver.happen(box.domain(1), Happening.READY)
    await settled()

    assert answers == [False]
    assert box.state() == "asleep"
    assert "hello" not in order(box)


async def test_who_asks_after_a_stop_is_served_all_the_same(box: Box) -> None:
    box.driver.behaviours["world"] = NEVER
    box.ask()
    await eventually(lambda: box.state("world") == "booting")
    await box.summoner.stop("hello")
    answers = box.ask()
    box.driver.happen(box.domain(1), Happening.READY)
    await eventually(lambda: bool(answers))

    assert answers == [True]
    assert order(box).count("hello") == 1


async def test_one_is_not_dismissed_for_silence_while_it_is_needed(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summoning, "IDLE_TICK", 0)
    for name, idle in (("world", 0.0), ("probed", 0.0)):
        tenant = box.summoner.tenant(name)
        tenant.service = replace(tenant.service, idle=idle)
    await box.serve()
    watching = asyncio.create_task(box.summoner.watch_idleness())
    await settled()
    needed = (box.state("world"), box.state("probed"))
    await box.summoner.stop("hello")
    await eventually(lambda: box.state("world") == box.state("probed") == "asleep")
    watching.cancel()

    assert needed == ("serving", "serving")
