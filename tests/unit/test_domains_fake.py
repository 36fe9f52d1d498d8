"""The fake driver does what it is told, and remembers what it was asked."""

import asyncio
from pathlib import Path

import pytest

from jitsu.domains.driver import Domain, DomainEvent, DomainSpec, Driver, Happening
from jitsu.domains.fake import Behaviour, Call, FakeDriver
from jitsu.errors import DomainError


def spec(service: str, domid: int) -> DomainSpec:
    return DomainSpec(service, domid, Path("/k"), 1 << 24, "", "52:54:00:00:00:01", fingerprint="f")


async def test_ready_then_crash_and_the_record() -> None:
    events: list[DomainEvent] = []
    fake = FakeDriver(events.append, {"web": Behaviour(ready_after=0.001, crash_after=0.01)})
    driver: Driver = fake
    domain = await driver.launch(spec("web", 1), [5])
    assert events == []
    await asyncio.sleep(0.03)
    assert [(event.happening, event.domain) for event in events] == [
        (Happening.READY, domain),
        (Happening.CRASHED, domain),
    ]
    assert fake.running == {}
    await driver.destroy(domain)
    assert fake.calls == [Call("launch", "web", 1, (5,)), Call("destroy", "web", 1)]


async def test_a_destroyed_domain_reports_nothing() -> None:
    events: list[DomainEvent] = []
    driver = FakeDriver(events.append, {"web": Behaviour(ready_after=0.005, exit_after=0.01)})
    await driver.destroy(await driver.launch(spec("web", 1), []))
    assert driver._timers == {}
    await asyncio.sleep(0.02)
    assert events == []


async def test_prepared_domains_wait_and_resume_is_the_start() -> None:
    events: list[DomainEvent] = []
    driver = FakeDriver(events.append)
    domain = await driver.prepare(spec("web", 1), [])
    await asyncio.sleep(0.005)
    assert events == []
    for _ in range(2):
        await driver.resume(domain)
        await asyncio.sleep(0.005)
        await driver.pause(domain)
    assert [event.happening for event in events] == [Happening.READY, Happening.READY]
    assert driver.paused == {1: domain}


async def test_refusals() -> None:
    driver = FakeDriver(lambda event: None, {"bad": Behaviour(refusal=DomainError("no"))})
    with pytest.raises(DomainError, match="no"):
        driver.check(spec("bad", 1))
    with pytest.raises(DomainError, match="no"):
        await driver.launch(spec("bad", 1), [])
    with pytest.raises(DomainError, match="is not running here"):
        await driver.pause(Domain("web", 9, 9))
    await driver.launch(spec("web", 2), [])
    with pytest.raises(DomainError, match="exists already"):
        await driver.launch(spec("web", 2), [])
    await driver.close()


async def test_survivors_are_adopted_once_and_say_ready_again() -> None:
    events: list[DomainEvent] = []
    survivor = Domain("web", 4, 4, "f")
    driver = FakeDriver(events.append, survivors=[survivor])
    assert await driver.adopt() == [survivor]
    assert await driver.adopt() == []
    await asyncio.sleep(0.005)
    assert events == [DomainEvent(Happening.READY, survivor, "ready web 0")]
    driver.happen(survivor, Happening.EXITED)
    driver.happen(survivor, Happening.EXITED)
    assert len(events) == 2
