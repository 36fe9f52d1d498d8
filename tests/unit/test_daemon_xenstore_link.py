"""The daemon's XenStore as a process of its own: found, started, started again, and ended with the last guest."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from jitsu.config import DaemonConfig
from jitsu.daemon import companion
from jitsu.daemon.sockets import XENSTORED
from jitsu.daemon.xenstore_link import XenstoreLink
from jitsu.daemon.xenstored import STATE_NAME
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import DomainSpec
from tests.store_nodes import nodes
from tests.unit.store_process import StoreProcess

SPEC = DomainSpec("www", 7, Path("/boot/guest"), 8 << 20, "", "52:54:00:00:00:07", config=(("ip", "10.77.0.7/24"),))


class Board:
    """A runtime folder and a state folder, and daemons that come and go."""

    def __init__(self, folder: Path) -> None:
        self.runtime, self.state = folder / "run", folder / "state"
        self.runtime.mkdir()
        self.links: list[XenstoreLink] = []

    def daemon(self, socket: Path | None = None) -> tuple[XenstoreLink, DomainStore]:
        store = DomainStore()
        link = XenstoreLink(DaemonConfig("jitsu", self.runtime, self.state), socket, store)
        self.links.append(link)
        link.start()
        return link, store

    async def kill(self, link: XenstoreLink) -> None:
        """The daemon is gone without having said anything."""
        assert link._task is not None
        link._task.cancel()
        await asyncio.wait([link._task])
        link._xenstored.forget()
        self.links.remove(link)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.runtime.iterdir())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - processes have no event here
            await asyncio.sleep(0.01)


async def until_there(path: Path, node: str, *, there: bool = True) -> None:
    give_up = time.monotonic() + 10
    while (node in await nodes(path, "/jitsu")) is not there:
        assert time.monotonic() < give_up


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
async def board() -> AsyncIterator[Board]:
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        board = Board(Path(folder))
        yield board
        for link in board.links:
            pid = link.pid
            await link.close()
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


async def test_a_daemon_starts_one_and_it_ends_with_it(board: Board) -> None:
    link, store = board.daemon()
    store.adopted()
    store.began(SPEC)
    await until(lambda: link.pid)
    await until_there(link.path, "/jitsu/domains/7/service")
    pid = link.pid
    assert pid is not None
    store.ended(7)
    await link.close()
    assert board.left() == []
    assert not lives(pid)


async def test_one_that_is_killed_is_started_again_and_told_everything(board: Board) -> None:
    link, store = board.daemon()
    store.adopted()
    store.began(SPEC)
    for _ in range(3):
        await until(lambda: link.pid)
        await until_there(link.path, "/jitsu/domains/7/service")
        assert link.pid is not None
        os.kill(link.pid, signal.SIGKILL)
        await until(lambda: link.pid is None)
    await until(lambda: link.pid)
    await until_there(link.path, "/jitsu/domains/7/service")
    store.ended(7)


async def test_it_outlives_a_daemon_that_is_killed_and_one_that_leaves_guests_behind(board: Board) -> None:
    link, store = board.daemon()
    store.adopted()
    store.began(SPEC)
    await until(lambda: link.pid)
    await until_there(link.path, "/jitsu/domains/7/service")
    pid = link.pid
    assert pid is not None
    await board.kill(link)
    # One whose start fails: it has adopted nobody.
    link, store = board.daemon()
    await until(lambda: link.pid == pid and not store.empty)
    await link.close()
    assert lives(pid)
    # The guest is gone meanwhile.
    link, store = board.daemon()
    store.adopted()
    await until_there(link.path, "/jitsu/domains/7", there=False)
    await link.close()
    await until(lambda: not lives(pid))
    assert board.left() == []


async def test_one_that_somebody_else_keeps_is_used_and_left(board: Board) -> None:
    with StoreProcess(board.runtime) as process:
        assert process.path == board.runtime / XENSTORED
        link, store = board.daemon()
        store.adopted()
        await until(lambda: link.pid == process.process.pid)
        store.began(SPEC)
        await until_there(link.path, "/jitsu/domains/7/service")
        store.ended(7)
        await link.close()
        assert process.process.poll() is None
        assert "/jitsu/domains/7" not in await nodes(process.path, "/jitsu")


async def test_one_that_is_named_is_waited_for_and_none_is_started(
    board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = board.runtime / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(companion, "LONGEST_BACKOFF", 0.1)
    link, store = board.daemon(elsewhere / "xenstore.sock")
    store.adopted()
    store.began(SPEC)
    await until(lambda: f"no XenStore daemon listens on {elsewhere}/xenstore.sock" in caplog.text)
    assert board.left() == ["elsewhere"]
    with StoreProcess(elsewhere) as process:
        await until(lambda: link.pid == process.process.pid)
        await until_there(link.path, "/jitsu/domains/7/service")
        store.ended(7)
        await link.close()
        assert process.process.poll() is None


async def test_one_that_cannot_begin_is_said_why_and_keeps_nobody_waiting(
    board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (board.runtime / XENSTORED).mkdir()
    link, store = board.daemon()
    store.adopted()
    store.began(SPEC)
    await until(lambda: f"{board.runtime}/{XENSTORED}" in caplog.text)
    monkeypatch.setattr(companion, "PATIENCE", 0.2)
    await link.close()
    assert board.left() == [STATE_NAME, XENSTORED]


def test_one_of_our_own_ends_when_nobody_has_come_for_long(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from jitsu.daemon import xenstored;"
        "xenstored.LONELY = 0.1; xenstored.OwnXenstored(Path(sys.argv[1]), Path(sys.argv[1])).run()"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], timeout=20, check=True)
    assert list(tmp_path.iterdir()) == []
