"""Guests that rest, are saved and are restored, by the driver alone: who they are afterwards, and what time they think
it is."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jitsu.domains.accelerator import choose_accelerator
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.driver import Domain, DomainEvent, DomainSpec, Happening, Verdict
from jitsu.domains.qemu import QemuDriver
from jitsu.domains.qemu_adoption import identity_of, survivors
from jitsu.domains.snapshots import HEADER_SIZE, Snapshots, _header
from jitsu.errors import DomainError
from tests.vm.wires import GUEST, Tap, status

pytestmark = pytest.mark.usefixtures("private_network")

INSTANCE = f"saved-{os.getpid()}"
HOURS = 3 * 3600


class Wired:
    """A driver, and a guest that is reached at GUEST through whichever tap is up."""

    def __init__(self, folder: Path, hello: Path) -> None:
        self.folder = folder
        self.events: list[DomainEvent] = []
        self.drivers: list[QemuDriver] = []
        self.keeper = ConsoleKeeper(folder / "run", folder / "console")
        self._hello = hello
        self._news = asyncio.Event()

    def driver(self) -> QemuDriver:
        verdict = Verdict(choose_accelerator(self.folder).accelerator, "")
        run, saved = self.folder / "run", self.folder / "snapshots"
        driver = QemuDriver(INSTANCE, run, saved, self.keeper, verdict, self._take)
        self.drivers.append(driver)
        return driver

    def spec(self, domid: int = 1) -> DomainSpec:
        mac = "52:54:00:00:00:0a"
        cmdline = f"name=hello ip={GUEST}/24 mac={mac}"
        return DomainSpec("hello", domid, self._hello, 8 << 20, cmdline, mac, fingerprint="f")

    async def cold(self, driver: QemuDriver, domid: int) -> Domain:
        """A guest that has just become ready."""
        with Tap(domid) as tap:
            return await self.ready(await driver.launch(self.spec(domid), [tap.fd]))

    async def blank(self, driver: QemuDriver, domid: int) -> Domain:
        with Tap(domid) as tap:
            return await driver.blank(self.spec(domid), [tap.fd])

    async def ready(self, domain: Domain) -> Domain:
        """Wait for the next `ready` of the domain; nothing else may happen."""
        async with asyncio.timeout(20):
            while not self.events:
                self._news.clear()
                await self._news.wait()
        event = self.events.pop(0)
        assert (event.happening, event.domain) == (Happening.READY, domain), event.detail
        return domain

    def _take(self, event: DomainEvent) -> None:
        self.events.append(event)
        self._news.set()


@pytest.fixture
async def wired(tmp_path: Path, hello: Path) -> AsyncIterator[Wired]:
    place = Wired(tmp_path, hello)
    yield place
    for driver in place.drivers:
        await driver.close()
    place.keeper.close()
    for pid in survivors(INSTANCE):
        os.kill(pid, signal.SIGKILL)


def hours_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time_ns
    monkeypatch.setattr("jitsu.domains.readiness.time.time_ns", lambda: real() - HOURS * 10**9)


async def test_two_copies_of_one_guest_share_nothing_that_must_be_secret_and_know_the_time(
    wired: Wired, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state was saved by a guest that thought it was three hours ago."""
    driver = wired.driver()
    original = await wired.cold(driver, 1)
    assert status(1)[0]["unix_us"] == 0
    with monkeypatch.context() as earlier:
        hours_ago(earlier)
        await driver.pause(original)
        await driver.resume(original)
        await wired.ready(original)
    page, _ = status(1)
    assert page["unix_us"] / 1e6 == pytest.approx(time.time() - HOURS, abs=120)
    await driver.save(original, wired.spec())
    await driver.destroy(original)
    assert driver.restorable(wired.spec(2))

    pages, numbers = [], []
    for domid in (2, 3, 4, 5):
        copy = await driver.restore(await wired.blank(driver, domid), wired.spec(domid))
        assert copy == Domain("hello", domid, copy.handle, "f")
        await wired.ready(copy)
        page, number = status(domid)
        assert page["unix_us"] / 1e6 == pytest.approx(time.time(), abs=120)
        pages.append(page)
        numbers.append(number)
        await driver.destroy(copy)
    assert len({page["boot_id"] for page in pages}) == 1, "copies of one guest"
    assert len({page["token"] for page in pages}) == len(pages)
    # Without a key of its own each would have taken the number of the moment, a few thousand apart.
    apart = [min((number - numbers[0]) % 2**32, (numbers[0] - number) % 2**32) for number in numbers[1:]]
    assert max(apart) > 1 << 20, apart
    assert wired.events == []


async def test_a_guest_that_rested_draws_new_secrets_and_goes_on(wired: Wired) -> None:
    driver = wired.driver()
    domain = await wired.cold(driver, 1)
    before, _ = status(1)
    for _ in range(3):
        await driver.pause(domain)
        await driver.resume(domain)
        await wired.ready(domain)
        page, _ = status(1)
        assert page["boot_id"] == before["boot_id"]
        assert page["connections"]["accepted"] > before["connections"]["accepted"]
        assert page["unix_us"] / 1e6 == pytest.approx(time.time(), abs=120)
        before = page
    await driver.destroy(domain)
    assert wired.events == []


async def test_a_state_that_was_damaged_is_not_used(wired: Wired) -> None:
    driver = wired.driver()
    spec = wired.spec()
    original = await wired.cold(driver, 1)
    await driver.save(original, spec)
    await driver.destroy(original)
    [file] = (wired.folder / "snapshots").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    whole = file.read_bytes()

    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert not driver.restorable(spec)
    with pytest.raises(DomainError, match="it changed since it was examined"):
        await driver.restore(await wired.blank(driver, 2), spec)
    assert not await driver.examine(spec)
    assert not file.exists()

    # Well signed and all the same no guest: only QEMU can tell.
    with file.open("w+b") as forged:
        forged.write(bytes(HEADER_SIZE) + whole[HEADER_SIZE : len(whole) // 2])
        forged.flush()
        os.pwrite(forged.fileno(), _header(forged.fileno()), 0)
    assert await driver.examine(spec)
    with pytest.raises(DomainError, match="not restored: QEMU failed with status 1: load of migration failed"):
        await driver.restore(await wired.blank(driver, 3), spec)
    assert not driver.restorable(spec)
    assert not file.exists()
    assert survivors(INSTANCE) == {}
    assert list((wired.folder / "run").iterdir()) == []
    assert wired.events == []


async def test_a_state_outlives_the_daemon_and_fits_only_what_made_it(wired: Wired) -> None:
    first = wired.driver()
    original = await wired.cold(first, 1)
    await first.save(original, wired.spec())
    await first.destroy(original)
    await first.close()
    second = wired.driver()
    assert not second.restorable(wired.spec()), "nobody has looked at it yet"
    assert await second.examine(wired.spec())
    copy = await second.restore(await wired.blank(second, 2), wired.spec(2))
    await wired.ready(copy)
    await second.destroy(copy)
    folder = wired.folder / "snapshots"
    assert Snapshots(folder, "another QEMU").examine(wired.spec()) == "there is none"
    second.prune([wired.spec()])
    assert len(list(folder.iterdir())) == 1
    second.prune([])
    assert list(folder.iterdir()) == []


async def test_the_next_daemon_knows_who_rests_who_was_restored_and_who_is_nobody(wired: Wired) -> None:
    first = wired.driver()
    original = await wired.cold(first, 1)
    await first.save(original, wired.spec())
    await first.destroy(original)
    resting = await wired.cold(first, 2)
    await first.pause(resting)
    blank = await wired.blank(first, 3)
    copy = await first.restore(await wired.blank(first, 4), wired.spec(4))
    await wired.ready(copy)
    before, _ = status(4)
    await first.close()

    second = wired.driver()
    found = sorted(await second.adopt(), key=lambda domain: domain.domid)
    assert [(domain.domid, domain.service, domain.paused) for domain in found] == [
        (2, "hello", True),
        (4, "hello", False),
    ]
    assert identity_of(blank.handle) is None
    await wired.ready(found[1])
    page, _ = status(4)
    assert page["boot_id"] == before["boot_id"]
    await second.resume(found[0])
    await wired.ready(found[0])
    for domain in found:
        await second.destroy(domain)
    assert list((wired.folder / "run").iterdir()) == []
