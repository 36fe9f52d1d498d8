"""The consoles of a driver's domains on a real XenStore and real terminals, with the test in xenconsoled's place."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jitsu.domains import xen_consoles
from jitsu.domains.console_keeper import ANOTHER, UNSEEN, ConsoleKeeper
from jitsu.domains.xen_console import XenConsole, xen_consoles_in
from jitsu.domains.xen_consoles import XenConsoles
from jitsu.domains.xen_keys import tty_of
from jitsu.xenstore.client import StoreClient
from tests.kept_console import kept_console
from tests.unit.store_process import StoreProcess
from tests.unit.xenconsoled import Xenconsoled


class Dom0:
    """A store, a keeper of consoles, and the consoles of a driver."""

    def __init__(self, folder: Path, store: StoreClient) -> None:
        self.store, self.run, self.logs = store, folder / "run", folder / "logs"
        self.run.mkdir()
        self.keeper = ConsoleKeeper(self.run, self.logs)
        self.consoles = XenConsoles(self.run, self.keeper)
        self.console = XenConsole(self.run, 5, "www")

    def said(self) -> list[str]:
        return [line.partition(" ")[2] for line in kept_console(self.logs, "www")]

    async def announce(self, xenconsoled: Xenconsoled) -> None:
        await self.store.write(tty_of(5), xenconsoled.terminal.encode())

    async def until_shared(self) -> None:
        async with asyncio.timeout(20):
            while await self.store.read(tty_of(5)) != self.console.shared.encode():  # noqa: ASYNC110 - a short wait
                await asyncio.sleep(0.01)

    async def until_said(self, line: str) -> None:
        await until(lambda: line in self.said())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - logs have no event here
            await asyncio.sleep(0.005)


@pytest.fixture
async def dom0(tmp_path: Path) -> AsyncIterator[Dom0]:
    with StoreProcess(tmp_path) as process:
        async with await StoreClient.connect(process.path) as store:
            dom0 = Dom0(tmp_path, store)
            dom0.consoles.connect(store)
            yield dom0
            dom0.consoles.disconnect()
            dom0.keeper.close()


async def test_a_console_is_kept_once_xenconsoled_has_made_it_and_named_for_others(dom0: Dom0) -> None:
    dom0.consoles.began(5, "www")
    xenconsoled = Xenconsoled()
    os.write(xenconsoled.end, b"early\r\n")
    await dom0.announce(xenconsoled)
    await dom0.until_shared()
    await dom0.until_said("early")
    dom0.consoles.leave(5, "www")
    xenconsoled.close()
    dom0.consoles.ended(5, "www", "it was dismissed")
    assert dom0.said() == ["--- domain 5 started ---", "early", "--- domain 5 ended: it was dismissed ---"]
    assert list(dom0.run.iterdir()) == []


async def test_a_xenconsoled_that_is_started_again_is_followed(dom0: Dom0) -> None:
    dom0.consoles.began(5, "www")
    first, second = Xenconsoled(), Xenconsoled()
    await dom0.announce(first)
    await dom0.until_shared()
    first.close()
    await dom0.announce(second)
    await dom0.until_shared()
    os.write(second.end, b"after\r\n")
    await dom0.until_said("after")
    assert dom0.said() == ["--- domain 5 started ---", f"--- domain 5: {ANOTHER} ---", "after"]
    second.close()


async def test_a_driver_that_follows_another_finds_what_that_had_named(dom0: Dom0) -> None:
    dom0.consoles.began(5, "www")
    xenconsoled = Xenconsoled()
    await dom0.announce(xenconsoled)
    await dom0.until_shared()
    dom0.consoles.disconnect()
    dom0.keeper.close()
    dead = XenConsole(dom0.run, 4, "www")
    dead.make(xenconsoled.terminal)

    dom0.keeper = ConsoleKeeper(dom0.run, dom0.logs)
    dom0.consoles = XenConsoles(dom0.run, dom0.keeper)
    dom0.consoles.began(5, "www")
    dom0.consoles.bury([5])
    dom0.consoles.connect(dom0.store)
    os.write(xenconsoled.end, b"after\r\n")
    await dom0.until_said("after")
    assert f"--- domain 4 ended: {UNSEEN} ---" in dom0.said()
    assert [console.domid for console in xen_consoles_in(dom0.run)] == [5]
    xenconsoled.close()


async def test_last_words_are_waited_for_until_they_are_read(dom0: Dom0, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xen_consoles, "PATIENCE", 20.0)
    dom0.keeper.close()
    dom0.consoles = XenConsoles(dom0.run, _Nobody())
    dom0.consoles.connect(dom0.store)
    dom0.consoles.began(5, "www")
    xenconsoled = Xenconsoled()
    os.write(xenconsoled.end, b"last words\r\n")
    await dom0.announce(xenconsoled)
    waiting = asyncio.create_task(dom0.consoles.last_words(5, "www"))
    await asyncio.wait((waiting,), timeout=4 * xen_consoles.SILENCE)
    assert not waiting.done()
    dom0.keeper = ConsoleKeeper(dom0.run, dom0.logs)
    dom0.keeper.find()
    await asyncio.wait_for(waiting, 20)
    assert dom0.said()[-1] == "last words"
    xenconsoled.close()


async def test_of_a_domain_that_never_had_a_console_nothing_is_told(
    dom0: Dom0, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xen_consoles, "PATIENCE", 0.1)
    dom0.consoles.began(5, "www")
    await dom0.consoles.last_words(5, "www")
    dom0.consoles.leave(5, "www")
    dom0.consoles.ended(5, "www", "crashed")
    assert dom0.said() == []


async def test_one_that_is_left_has_no_nodes_written(dom0: Dom0) -> None:
    """Its nodes are about to be removed, and would be there again."""
    dom0.keeper.close()
    dom0.consoles = XenConsoles(dom0.run, _Nobody())
    dom0.consoles.connect(dom0.store)
    dom0.consoles.began(5, "www")
    xenconsoled = Xenconsoled()
    await dom0.announce(xenconsoled)
    await until(lambda: Path(dom0.console.terminal).exists())
    dom0.consoles.leave(5, "www")
    os.symlink(xenconsoled.terminal, dom0.console.shared)
    await asyncio.sleep(2 * xen_consoles._LONGEST_LOOK)
    assert await dom0.store.read(tty_of(5)) == xenconsoled.terminal.encode()
    xenconsoled.close()


class _Nobody:
    """No consoled, as yet."""

    def began(self, console: object) -> None:
        pass

    def ended(self, console: object, why: str) -> None:
        pass
