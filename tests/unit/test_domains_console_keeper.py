"""Consoles with real pipes, and the test in QEMU's place: kept, shown, ended, and found again."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jitsu.domains import console_keeper
from jitsu.domains.console_files import CAPACITY, ConsoleFiles, consoles_in, waiting
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.errors import DomainError, HostError, ResourceBusy
from tests.kept_console import kept_console


class Place:
    """A folder with pipes and one with logs."""

    def __init__(self, path: Path) -> None:
        self.run, self.logs = path / "run", path / "logs"
        self.run.mkdir()

    def keeper(self) -> ConsoleKeeper:
        return ConsoleKeeper(self.run, self.logs)

    def console(self, domid: int = 12, service: str = "hello") -> ConsoleFiles:
        files = ConsoleFiles(self.run, domid, service)
        files.make()
        return files

    def said(self, service: str = "hello") -> list[str]:
        return [line.partition(" ")[2] for line in kept_console(self.logs, service)]

    async def until_said(self, line: str, service: str = "hello") -> None:
        async with asyncio.timeout(5):
            while line not in self.said(service):  # noqa: ASYNC110 - a log has no event
                await asyncio.sleep(0.005)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@contextmanager
def guest(console: ConsoleFiles) -> Iterator[int]:
    """QEMU's end of the pipe, opened as it does."""
    fd = os.open(console.output, os.O_RDWR | os.O_NONBLOCK)
    yield fd
    os.close(fd)


class Looker:
    """A viewer that remembers."""

    def __init__(self) -> None:
        self.saw = b""
        self.is_over = False

    def show(self, data: bytes) -> None:
        self.saw += data

    def over(self) -> None:
        self.is_over = True


async def test_a_console_from_its_beginning_to_its_end(place: Place) -> None:
    keeper, console = place.keeper(), place.console()
    keeper.began(console)
    with guest(console) as pipe:
        os.write(pipe, b"one\ntwo\nlo")
        await place.until_said("two")
        os.write(pipe, b"gin: ")
    assert len(keeper) == 1
    keeper.ended(console, "the guest shut down")
    assert place.said() == [
        *("--- domain 12 started ---", "one", "two", "login: "),
        "--- domain 12 ended: the guest shut down ---",
    ]
    assert list(place.run.iterdir()) == []
    assert len(keeper) == 0


async def test_what_is_printed_before_anybody_keeps_it_waits(place: Place) -> None:
    console = place.console()
    held = console.open_output()
    with guest(console) as pipe:
        os.write(pipe, b"early\n")
    os.close(console.open_output())
    keeper = place.keeper()
    keeper.ended(console, "it was dismissed")
    os.close(held)
    assert place.said() == ["--- domain 12 started ---", "early", "--- domain 12 ended: it was dismissed ---"]


async def test_a_keeper_that_follows_another_finds_its_consoles_and_marks_the_gap(place: Place) -> None:
    console = place.console()
    first = place.keeper()
    first.find()
    with guest(console) as pipe:
        os.write(pipe, b"one\n")
        await place.until_said("one")
        first.close()
        os.write(pipe, b"two\n")
        second = place.keeper()
        second.find()
        second.began(console)
        await place.until_said("two")
    second.ended(console, "gone")
    gap = f"--- domain 12: {console_keeper.GAP} ---"
    assert place.said() == ["--- domain 12 started ---", "one", gap, "two", "--- domain 12 ended: gone ---"]


async def test_a_guest_that_ended_unseen_is_buried_when_no_daemon_comes(place: Place) -> None:
    keeper, console, other = place.keeper(), place.console(), place.console(13)
    keeper.find()
    with guest(other):
        with guest(console) as pipe:
            os.write(pipe, b"last\n")
        async with asyncio.timeout(5):
            while len(keeper) > 1:  # noqa: ASYNC110 - the end of a pipe has no event of its own
                await asyncio.sleep(0.005)
        keeper.end_abandoned()
        assert [files.domid for files in consoles_in(place.run)] == [13]
    assert place.said()[-2:] == ["last", "--- domain 12 ended: it ended while no daemon ran ---"]
    keeper.close()


async def test_a_pipe_that_was_full_is_marked_where_bytes_may_be_missing(place: Place) -> None:
    console = place.console()
    held = console.open_output()
    assert console.capacity(held) == CAPACITY
    with guest(console) as pipe:
        line = b"x" * 63 + b"\n"
        wrote = 0
        while waiting(held) < CAPACITY:
            wrote += os.write(pipe, line)
        with pytest.raises(BlockingIOError):
            os.write(pipe, line)
        keeper = place.keeper()
        keeper.began(console)
        mark = f"--- domain 12 {console_keeper.TOO_FAST} ---"
        await place.until_said(mark)
        os.write(pipe, b"after\n")
        await place.until_said("after")
    os.close(held)
    keeper.close()
    assert place.said().index(mark) - place.said().index("x" * 63) == wrote // 64
    assert place.said().count(mark) == 1


async def test_viewers_see_what_is_printed_and_when_it_is_over(place: Place) -> None:
    keeper, console = place.keeper(), place.console()
    keeper.began(console)
    early, late, gone = Looker(), Looker(), Looker()
    with guest(console) as pipe:
        keeper.console_of("hello").look(early)
        keeper.console_of("hello").look(gone)
        os.write(pipe, b"one\nlogin: ")
        await place.until_said("one")
        keeper.console_of("hello").look_away(gone)
        keeper.console_of("hello").look(late)
        os.write(pipe, b"root\n")
        await place.until_said("login: root")
    keeper.ended(console, "gone")
    end = b"\n--- domain 12 ended: gone ---\n"
    assert (early.saw, early.is_over) == (b"one\nlogin: root\n" + end, True)
    assert (late.saw, late.is_over) == (b"login: root\n" + end, True)
    assert (gone.saw, gone.is_over) == (b"one\nlogin: ", False)


async def test_the_newest_guest_of_a_service_is_looked_at(place: Place) -> None:
    keeper = place.keeper()
    for domid, service in ((9, "hello"), (10, "hello"), (11, "world")):
        keeper.began(place.console(domid, service))
    assert keeper.console_of("hello").files.domid == 10
    with pytest.raises(DomainError) as caught:
        keeper.console_of("nobody")
    assert caught.value.message == "service nobody has no console: no guest of it runs"
    assert keeper.recent("world", 5) == ["--- domain 11 started ---"]
    keeper.close()


async def test_a_flood_is_read_at_a_bounded_pace_and_others_have_the_loop(place: Place) -> None:
    keeper, console = place.keeper(), place.console()
    keeper.began(console)
    looker = Looker()
    keeper.console_of("hello").look(looker)
    turns = 0
    loop = asyncio.get_running_loop()
    begin = loop.time()
    with guest(console) as pipe:
        while loop.time() < begin + 0.3:
            try:
                os.write(pipe, bytes(65536))
            except BlockingIOError:
                turns += 1
            await asyncio.sleep(0)
        took = loop.time() - begin
    assert turns > 100
    assert 0 < len(looker.saw) <= console_keeper.MOST_AT_ONCE * (took / console_keeper.REST + 2)
    keeper.close()


def test_files_that_are_no_consoles_are_passed_over(place: Place) -> None:
    for name in ("12.qmp", "12.console.hello.in", "x.console.hello.out", "1.console.hello.kept", "lock"):
        (place.run / name).touch()
    assert list(consoles_in(place.run)) == []
    assert list(consoles_in(place.run / "absent")) == []


async def test_what_is_no_pipe_is_not_read(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    keeper = place.keeper()
    secret = place.run.parent / "secret"
    secret.write_text("of the host's\n")
    console = ConsoleFiles(place.run, 12, "hello")
    os.symlink(secret, console.output)
    keeper.find()
    os.unlink(console.output)
    (place.run / "12.console.hello.out").write_text("a file\n")
    keeper.find()
    assert len(keeper) == 0
    assert len([record for record in caplog.records if "console of domain 12" in record.message]) == 2
    assert place.said() == []


def test_pipes_are_made_once_and_both_or_none(place: Place) -> None:
    console = place.console()
    with pytest.raises(ResourceBusy):
        console.make()
    Path(console.output).unlink()
    with pytest.raises(ResourceBusy):
        console.make()
    assert not Path(console.output).exists()
    with pytest.raises(HostError, match="No such file"):
        ConsoleFiles(place.run / "absent", 1, "hello").make()


def test_logs_that_cannot_be_are_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HostError) as caught:
        ConsoleKeeper(tmp_path, tmp_path / "file" / "logs")
    assert caught.value.message == f"directory {tmp_path}/file/logs: not a directory"
