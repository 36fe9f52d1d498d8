"""The libvirt driver with a real libvirtd and guests of a few bytes each."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.driver import DomainEvent, DomainSpec, Happening, Verdict
from jitsu.domains.libvirt import LibvirtDriver
from jitsu.domains.libvirt_process import process_of
from jitsu.errors import DomainError, HostError
from jitsu.network.tap import open_tap
from tests.kept_console import kept_console
from tests.vm.libvirt_host import LibvirtHost
from tests.vm.tiny_guests import HALT, POWER_OFF, TICKING, TRIPLE_FAULT, WAIT, saying

INSTANCE = f"test-{os.getpid()}"


class Board:
    """A place for drivers that come and go, and what they reported."""

    def __init__(self, libvirt: LibvirtHost, path: Path) -> None:
        self.libvirt = libvirt
        self.path = path
        self.events: list[DomainEvent] = []
        self.drivers: list[LibvirtDriver] = []
        self.keeper = ConsoleKeeper(path / "run", path / "logs")
        self._news = asyncio.Event()

    async def driver(self) -> LibvirtDriver:
        verdict = Verdict("tcg", "for a test")
        driver = LibvirtDriver(self.libvirt.uri, INSTANCE, self.path / "run", self.keeper, verdict, self._take)
        self.drivers.append(driver)
        await driver.open()
        return driver

    def spec(self, image: bytes, domid: int = 1, *, machine: str = "") -> DomainSpec:
        kernel = self.path / f"kernel{domid}"
        kernel.write_bytes(image)
        return DomainSpec(
            "hello", domid, kernel, 16 << 20, "", "52:54:00:00:00:01", machine=machine, fingerprint="f,/1"
        )

    def said(self) -> list[str]:
        return [line.split(" ", 1)[1] for line in kept_console(self.path / "logs")]

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.path / "run").iterdir())

    async def names(self) -> list[str]:
        return await asyncio.to_thread(self.libvirt.names)

    async def happened(self, number: int = 1) -> DomainEvent:
        async with asyncio.timeout(10):
            while len(self.events) < number:
                self._news.clear()
                await self._news.wait()
        return self.events[number - 1]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - a log file has no event to wait for
                await asyncio.sleep(0.01)

    def _take(self, event: DomainEvent) -> None:
        self.events.append(event)
        self._news.set()


@pytest.fixture
async def board(libvirt: LibvirtHost, tmp_path: Path) -> AsyncIterator[Board]:
    place = Board(libvirt, tmp_path)
    yield place
    for driver in place.drivers:
        await driver.close()
    place.keeper.close()
    for name in await place.names():
        await asyncio.to_thread(libvirt.virsh, "destroy", name)


async def test_how_a_domain_ends_is_told(board: Board) -> None:
    driver = await board.driver()
    fault = await driver.launch(board.spec(saying(b"oh\n", WAIT + TRIPLE_FAULT), 1), [])
    assert await board.happened(1) == DomainEvent(
        Happening.CRASHED, fault, "the guest reset itself (a reboot or a triple fault)"
    )
    orderly = await driver.launch(board.spec(saying(b"bye\n", WAIT + POWER_OFF), 2, machine="q35"), [])
    assert await board.happened(2) == DomainEvent(Happening.EXITED, orderly, "the guest shut down")
    killed = await driver.launch(board.spec(TICKING, 3), [])
    os.kill(killed.handle, 9)
    event = await board.happened(3)
    assert (event.happening, event.domain) == (Happening.CRASHED, killed)
    assert event.detail == "QEMU ended (killed or failed, says libvirt)"
    assert board.files() == []
    assert board.said()[:3] == [
        *("--- domain 1 started ---", "oh"),
        "--- domain 1 ended: the guest reset itself (a reboot or a triple fault) ---",
    ]


async def test_a_prepared_guest_runs_when_it_is_resumed_and_not_while_paused(board: Board) -> None:
    driver = await board.driver()
    domain = await driver.prepare(board.spec(TICKING), [])
    assert "tick" not in board.said()
    await driver.resume(domain)
    await board.until(lambda: "tick" in board.said())
    await driver.pause(domain)
    # What it had said already may still be on its way.
    await asyncio.sleep(0.3)
    ticks = board.said().count("tick")
    await asyncio.sleep(0.3)
    assert board.said().count("tick") == ticks
    await driver.resume(domain)
    await board.until(lambda: board.said().count("tick") > ticks)


async def test_destroy_leaves_nothing_and_reports_nothing(board: Board) -> None:
    driver = await board.driver()
    domain = await driver.launch(board.spec(saying(b"here\n", HALT)), [])
    await board.until(lambda: "here" in board.said())
    assert board.files() == ["1.console.hello.in", "1.console.hello.kept", "1.console.hello.out", "1.ready"]
    usage = driver.usage(1)
    assert usage is not None
    assert usage.resident > 8 << 20
    await driver.destroy(domain)
    assert driver.usage(1) is None
    assert (board.files(), await board.names()) == ([], [])
    with pytest.raises(ProcessLookupError):
        os.kill(domain.handle, 0)
    await driver.destroy(domain)
    with pytest.raises(DomainError, match=r"domain 1 \(hello\): is not running here"):
        await driver.resume(domain)
    assert board.events == []
    assert board.said()[-1] == "--- domain 1 ended: it was dismissed ---"


async def test_nobody_waits_for_it_any_longer_so_it_is_ended(board: Board, private_network: None) -> None:
    driver = await board.driver()
    tap = open_tap("jtest0")
    launch = asyncio.create_task(driver.launch(board.spec(TICKING), [tap]))
    await asyncio.sleep(0.05)
    launch.cancel()
    with suppress(asyncio.CancelledError):
        await launch
    # The caller closes its copy at once, and libvirt is not done yet.
    os.close(tap)
    async with asyncio.timeout(20):
        while "--- domain 1 ended: it was dismissed ---" not in board.said() or await board.names():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert (board.files(), await board.names(), board.events) == ([], [], [])


async def test_the_next_driver_takes_over_what_runs_and_hears_it(board: Board) -> None:
    first = await board.driver()
    domain = await first.launch(board.spec(TICKING), [])
    await first.close()
    (board.path / "run" / "7.ready").touch()
    second = await board.driver()
    assert await second.adopt() == [domain]
    ticks = board.said().count("tick")
    await board.until(lambda: board.said().count("tick") > ticks)
    assert board.files() == ["1.console.hello.in", "1.console.hello.kept", "1.console.hello.out", "1.ready"]
    await second.destroy(domain)
    assert await board.names() == []


async def test_a_guest_that_was_laid_to_rest_is_taken_over_resting(board: Board) -> None:
    first = await board.driver()
    domain = await first.launch(board.spec(TICKING), [])
    await first.pause(domain)
    await first.close()
    second = await board.driver()
    resting = replace(domain, paused=True)
    assert await second.adopt() == [resting]
    ticks = board.said().count("tick")
    await second.resume(resting)
    await board.until(lambda: board.said().count("tick") > ticks)


async def test_a_guest_that_was_never_let_run_is_ended_by_the_next_driver(board: Board) -> None:
    first = await board.driver()
    await first.prepare(board.spec(TICKING), [])
    await first.close()
    second = await board.driver()
    assert await second.adopt() == []
    assert await board.names() == []


async def test_what_another_instance_or_nobody_of_ours_runs_is_left_alone(board: Board) -> None:
    first = await board.driver()
    await first.launch(board.spec(TICKING), [])
    stranger = LibvirtDriver(
        board.libvirt.uri, "stranger", board.path / "run2", board.keeper, Verdict("tcg", ""), lambda _: None
    )
    board.drivers.append(stranger)
    await stranger.open()
    assert await stranger.adopt() == []
    assert await board.names() == [f"jitsu.{INSTANCE}.hello.1"]


async def test_a_half_built_domain_is_ended_when_libvirt_is_back(board: Board) -> None:
    """A call that libvirt was killed under may have had its effect all the same."""
    driver = await board.driver()
    ghost = await driver.launch(board.spec(TICKING, 1), [])
    other = await driver.launch(board.spec(TICKING, 2), [])
    # As if it had never returned.
    await driver._processes.pop(ghost.domid).let_go()
    with board.libvirt.away():
        pass
    async with asyncio.timeout(20):
        while await board.names() != [f"jitsu.{INSTANCE}.hello.{other.domid}"]:  # noqa: ASYNC110 - virsh is asked
            await asyncio.sleep(0.1)
    await driver.destroy(other)


async def test_calls_under_way_fail_when_libvirt_is_lost_and_leave_nothing(board: Board) -> None:
    driver = await board.driver()
    launch = asyncio.create_task(driver.launch(board.spec(TICKING), []))
    await asyncio.sleep(0.1)
    with board.libvirt.away(), pytest.raises(DomainError) as raised:
        await launch
    assert raised.value.message == f"service hello: libvirt at {board.libvirt.uri} does not answer"
    async with asyncio.timeout(20):
        while await board.names():  # noqa: ASYNC110 - virsh is asked
            await asyncio.sleep(0.1)


async def test_a_qemu_that_cannot_be_is_refused_with_its_own_words(board: Board) -> None:
    driver = await board.driver()
    spec = board.spec(TICKING)
    (board.path / "run" / "1.ready").mkdir()
    with pytest.raises(DomainError, match=r"service hello: libvirt: .*1\.ready"):
        await driver.launch(spec, [])
    (board.path / "run" / "1.ready").rmdir()
    assert (board.files(), await board.names()) == ([], [])


async def test_an_accelerator_that_libvirt_does_not_know_of_ends_the_start(board: Board, tmp_path: Path) -> None:
    (tmp_path / "qemu-system-x86_64").symlink_to("/bin/false")
    driver = LibvirtDriver(
        board.libvirt.uri, INSTANCE, tmp_path / "run", board.keeper, Verdict("tcg", ""), lambda _: None
    )
    driver._qemu = str(tmp_path / "qemu-system-x86_64")
    with pytest.raises(HostError, match="libvirt: "):
        await driver.open()


def test_a_uuid_that_nobody_runs_has_no_process() -> None:
    assert process_of("00000000-0000-0000-0000-000000000000") is None
