"""Pools, refill and provision together, on a box without a kernel: which way a summon takes, and what is kept."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from jitsu.config import ServiceConfig, WarmConfig
from jitsu.domains.driver import MONITOR_OVERHEAD, Domain, DomainSpec, Happening
from jitsu.domains.fake import Behaviour
from jitsu.errors import DomainError
from jitsu.summon import refill
from jitsu.summon.machine import Silent
from jitsu.summon.summoner import Summoner
from jitsu.synjitsu.sentinel import Sentinel
from tests.unit.box import HELLO, MIB, NETWORK, WORLD, Box, boxed, eventually, settled

WARM = WarmConfig()
COST = HELLO.memory + MONITOR_OVERHEAD


class WarmBox(Box):
    """A box whose services are kept warm, and whose pools are being filled."""

    def furnish(self, services: list[ServiceConfig], warm: WarmConfig) -> None:
        sentinel = self.summoner.sentinel
        self.summoner = Summoner(
            {each.name: each for each in services},
            NETWORK,
            self.network,
            self.driver,
            self.store,
            self.budget,
            self.doorman,
            boot_limit=30.0,
            warm=warm,
        )
        self.summoner.sentinel = Sentinel(sentinel._fd, self.summoner)
        for each in services:
            self.summoner.sentinel.guard(each.name, each.addresses, each.mac)

    def kept(self, name: str) -> str:
        return self.summoner.register.row(self.summoner.tenant(name))["warm"]

    def called(self, *methods: str) -> list[str]:
        return [call.method for call in self.driver.calls if call.method in methods]


@asynccontextmanager
async def warm_box(
    *services: ServiceConfig, warm: WarmConfig = WARM, prepare: Callable[[WarmBox], None] = lambda box: None
) -> AsyncIterator[WarmBox]:
    async with boxed() as box:
        box.__class__ = WarmBox
        assert isinstance(box, WarmBox)
        box.furnish(list(services), warm)
        prepare(box)
        filling = asyncio.create_task(box.summoner.keep_warm())
        yield box
        filling.cancel()
        await box.summoner.close()
        assert box.driver.paused == {}
        assert box.driver.blanks == {}


PAUSED, ALSO_PAUSED = replace(HELLO, mode="paused"), replace(WORLD, mode="paused")
SAVED = replace(HELLO, mode="snapshot")


async def test_a_paused_service_is_booted_beforehand_and_resumed() -> None:
    async with warm_box(PAUSED) as box:
        await eventually(lambda: box.kept("hello") == "paused")
        assert box.summoner.register.row(box.summoner.tenant("hello"))["state"] == "paused"
        assert box.network.resting == {1}
        assert box.budget.memory_used == COST
        box.knock()
        await eventually(lambda: box.state() == "serving")
        assert box.called("launch", "resume") == ["launch", "resume"]
        assert box.network.resting == set()
        assert len(box.guest().sent) == 2, "an ARP request and the SYN"
        assert [span["name"] for span in box.trace()["spans"]] == [
            *("decide", "resume", "wake", "port", "answer", "gate", "deliver")
        ]


async def test_silence_lets_it_rest_with_its_gate_closed_first() -> None:
    async with warm_box(PAUSED) as box:
        await eventually(lambda: box.kept("hello") == "paused")
        await box.serve()
        box.network.done.clear()
        box.summoner._step(box.summoner.tenant("hello"), Silent("idle for 60.0 s"))
        await eventually(lambda: box.kept("hello") == "paused")
        assert box.network.done == ["close"]
        assert box.network.resting == {1}
        assert box.called("launch", "destroy") == ["launch"]
        await box.serve()
        assert box.called("resume") == ["resume", "resume"]


async def test_whoever_knocks_while_it_goes_to_rest_wakes_it_again() -> None:
    async with warm_box(PAUSED) as box:
        await eventually(lambda: box.kept("hello") == "paused")
        await box.serve()
        box.summoner._step(box.summoner.tenant("hello"), Silent("idle for 60.0 s"))
        box.knock(7)
        await eventually(lambda: box.state() == "serving")
        assert box.launches() == [1]
        assert len(box.guest().sent) == 2


async def test_a_saved_service_is_restored_into_a_blank_monitor() -> None:
    async with warm_box(SAVED) as box:
        await eventually(lambda: box.kept("hello") == "blank")
        assert box.called("launch", "save", "destroy", "blank") == ["launch", "save", "destroy", "blank"]
        await box.serve()
        assert box.called("restore") == ["restore"]
        assert box.launches() == [1]
        assert box.trace()["domid"] == 2
        await eventually(lambda: len(box.driver.blanks) == 1)


async def test_a_copy_is_introduced_to_the_store_once_it_runs() -> None:
    async with warm_box(SAVED) as box:
        await eventually(lambda: box.kept("hello") == "blank")
        restore = box.driver.restore
        present: list[bool] = []

        async def restoring(blank: Domain, spec: DomainSpec) -> Domain:
            present.append(box.store._records[blank.domid].present)
            return await restore(blank, spec)

        box.driver.restore = restoring  # type: ignore[method-assign]
        await box.summoner.start("hello")
        domid = box.summoner.tenant("hello").row()["domid"]
        assert domid is not None
        assert (present, box.store._records[domid].present) == ([False], True)


async def test_a_state_that_is_no_good_means_a_cold_boot_and_a_new_state() -> None:
    def spoil(box: WarmBox) -> None:
        box.driver.states.add("hello")
        box.driver.unrestorable.add("hello")

    async with warm_box(SAVED, prepare=spoil) as box:
        await eventually(lambda: box.kept("hello") == "blank")
        answers = box.ask()
        await eventually(lambda: box.state() == "serving")
        assert answers == [True]
        assert box.called("restore", "launch")[:2] == ["restore", "launch"]
        assert box.trace()["notes"] == ["service hello: not restored: bad migration stream: a cold boot"]
        box.driver.unrestorable.clear()
        await eventually(lambda: box.kept("hello") == "blank")
        await box.summoner.stop("hello")
        await box.serve()
        assert box.called("restore") == ["restore", "restore"]


async def test_a_restored_guest_that_never_serves_discredits_its_state() -> None:
    def restored(box: WarmBox) -> None:
        box.driver.states.add("hello")
        box.driver.behaviours["hello"] = Behaviour(wake_time=None)

    async with warm_box(SAVED, prepare=restored) as box:
        await eventually(lambda: box.kept("hello") == "blank")
        box.knock()
        await eventually(lambda: box.state() == "booting")
        [domain] = box.driver.running.values()
        box.driver.happen(domain, Happening.CRASHED, "the guest reset itself")
        await settled()
        assert box.resets() == [1000]
        await eventually(lambda: box.called("save") == ["save"])


async def test_spares_give_way_the_least_lately_wanted_first() -> None:
    cold = replace(WORLD, name="cold", memory=400 * MIB)
    async with warm_box(PAUSED, ALSO_PAUSED, cold) as box:
        await eventually(lambda: box.kept("hello") == box.kept("world") == "paused")
        await box.serve("hello")
        box.summoner._step(box.summoner.tenant("hello"), Silent("idle for 60.0 s"))
        await eventually(lambda: box.kept("hello") == "paused")
        await box.serve("cold")
        assert (box.kept("hello"), box.kept("world")) == ("paused", "")
        await box.summoner.stop("cold")
        await eventually(lambda: box.kept("world") == "paused")


async def test_a_summon_that_no_spare_can_help_is_refused() -> None:
    giant = replace(WORLD, memory=600 * MIB)
    async with warm_box(PAUSED, giant) as box:
        await eventually(lambda: box.kept("hello") == "paused")
        with pytest.raises(DomainError, match="the box is full"):
            await box.serve("world")


async def test_there_is_no_more_than_the_bound_allows() -> None:
    async with warm_box(PAUSED, ALSO_PAUSED, warm=WarmConfig(memory=COST)) as box:
        await eventually(lambda: [box.kept("hello"), box.kept("world")].count("paused") == 1)
        for name in ("hello", "world", "hello"):
            await box.serve(name)
            box.summoner._step(box.summoner.tenant(name), Silent("idle for 60.0 s"))
            await eventually(lambda name=name: box.kept(name) == "paused")  # type: ignore[misc]
            await eventually(lambda: len(box.driver.paused) == 1)


async def test_a_spare_that_ends_is_replaced_and_one_that_always_fails_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refill, "TICK", 0.0)
    async with warm_box(PAUSED) as box:
        await eventually(lambda: box.kept("hello") == "paused")
        box.driver.happen(box.driver.paused[1], Happening.CRASHED, "QEMU was killed")
        assert box.kept("hello") == ""
        await eventually(lambda: box.kept("hello") == "paused")
        assert box.launches() == [1, 2]
        box.driver.behaviours["hello"] = Behaviour(ready_after=None, crash_after=0.0)
        box.driver.happen(box.driver.paused[2], Happening.CRASHED, "QEMU was killed")
        await eventually(lambda: box.launches() == [1, 2, 3] and not box.driver.running)
        for _ in range(50):
            await settled()
        assert box.launches() == [1, 2, 3]
        assert box.budget.guests_used == 0


async def test_a_summon_does_not_wait_for_the_spare_that_is_being_made() -> None:
    def slow(box: WarmBox) -> None:
        box.driver.behaviours["hello"] = Behaviour(ready_after=None)

    async with warm_box(PAUSED, prepare=slow) as box:
        await eventually(lambda: len(box.driver.running) == 1)
        box.driver.behaviours["hello"] = Behaviour()
        await box.serve()
        assert box.launches() == [1, 2]
        await eventually(lambda: list(box.driver.running) == [2])
        assert box.trace()["notes"] == ["no guest of it rests: a cold boot"]


async def test_stop_ends_the_spare_until_the_next_summon() -> None:
    async with warm_box(PAUSED) as box:
        await eventually(lambda: box.kept("hello") == "paused")
        await box.summoner.stop("hello")
        for _ in range(50):
            await settled()
        assert box.driver.paused == {}
        await box.serve()
        await box.summoner.stop("hello")
        for _ in range(50):
            await settled()
        assert box.driver.paused == {}, "stopped is stopped"


async def test_a_stop_that_comes_while_a_guest_goes_to_rest_wins() -> None:
    async with warm_box(PAUSED) as box:
        await eventually(lambda: box.kept("hello") == "paused")
        await box.serve()
        may_rest, pause = asyncio.Event(), box.driver.pause

        async def slow(domain: Domain) -> None:
            await may_rest.wait()
            await pause(domain)

        box.driver.pause = slow  # type: ignore[method-assign]
        box.summoner._step(box.summoner.tenant("hello"), Silent("idle for 60.0 s"))
        await settled()
        stopping = asyncio.create_task(box.summoner.stop("hello"))
        await settled()
        may_rest.set()
        await stopping
        assert (box.kept("hello"), box.driver.paused, box.state()) == ("", {}, "asleep")


async def test_a_guest_that_rests_is_let_go_when_its_service_becomes_another() -> None:
    async with warm_box(PAUSED) as box:
        await eventually(lambda: box.kept("hello") == "paused")
        tenant = box.summoner.tenant("hello")
        tenant.service = replace(PAUSED, cmdline="loud")
        box.summoner._keep_warm(tenant)
        await eventually(lambda: list(box.driver.paused) == [2])
        tenant.service = HELLO
        box.summoner._keep_warm(tenant)
        await eventually(lambda: box.driver.paused == {})


async def test_what_rests_is_adopted_where_it_fits() -> None:
    async with warm_box(PAUSED, WORLD) as box:
        resting = Domain("hello", 7, 7, PAUSED.fingerprint, paused=True)
        of_nobody = Domain("world", 8, 8, WORLD.fingerprint, paused=True)
        box.driver.survivors = [resting, of_nobody]
        await eventually(lambda: box.kept("hello") == "paused")
        await box.summoner.stop("hello")
        await box.summoner.adopt(await box.driver.adopt())
        assert box.kept("hello") == "paused"
        await eventually(lambda: list(box.driver.paused) == [7])
        await box.serve()
        assert box.called("resume") == ["resume"]


async def test_what_always_runs_is_started_by_itself_and_never_idle() -> None:
    async with warm_box(replace(HELLO, mode="running", idle=0.0)) as box:
        await eventually(lambda: box.state() == "serving")
        assert box.trace()["cause"] == "running"
        tenant = box.summoner.tenant("hello")
        assert not tenant.is_idle(1e6, tenant.active + 1e6)


async def test_a_service_that_is_removed_takes_its_spare_and_its_saved_state_along() -> None:
    async with warm_box(PAUSED, replace(SAVED, name="world", mac=WORLD.mac, address=WORLD.address)) as box:
        await eventually(lambda: box.kept("hello") == "paused" and box.kept("world") == "blank")
        await box.summoner.remove("hello", "removed")
        await box.summoner.remove("world", "removed")
        await eventually(lambda: box.driver.paused == {} and box.budget.guests_used == len(box.driver.blanks))
        assert box.driver.running == {}
        assert box.driver.states == set()


async def test_a_service_that_is_added_is_kept_warm_or_running_as_it_says() -> None:
    async with warm_box(replace(WORLD, mode="running")) as box:
        await eventually(lambda: box.state("world") == "serving")
        box.summoner.add(PAUSED)
        await eventually(lambda: box.kept("hello") == "paused")
        box.summoner.redefine(replace(PAUSED, mode="running"))
        await eventually(lambda: box.state("hello") == "serving")
        box.summoner.redefine(replace(WORLD, mode="cold"))
        assert box.summoner.register.pending() == set()
        assert box.state("world") == "serving"
