"""A console of Xen's with real pseudo-terminals, and the test in xenconsoled's place and in `xl console`'s."""

import asyncio
import errno
import os
import termios
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jitsu.domains import console_keeper
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.console_kinds import all_consoles_in
from jitsu.domains.xen_console import XenConsole, unread
from tests.kept_console import kept_console
from tests.unit.xenconsoled import Xenconsoled


class Scene:
    def __init__(self, path: Path) -> None:
        self.run, self.logs = path / "run", path / "logs"
        self.run.mkdir()
        self.console = XenConsole(self.run, 12, "hello")
        self.xenconsoled = Xenconsoled()
        self.console.make(self.xenconsoled.terminal)

    def keeper(self) -> ConsoleKeeper:
        keeper = ConsoleKeeper(self.run, self.logs)
        keeper.find()
        return keeper

    def said(self) -> list[str]:
        return [line.partition(" ")[2] for line in kept_console(self.logs, "hello")]

    async def until_said(self, line: str) -> None:
        await until(lambda: line in self.said())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - logs and terminals have no event here
            await asyncio.sleep(0.005)


async def read(fd: int, end: bytes) -> bytes:
    """What can be read there, up to `end`."""
    data = b""

    def more() -> bool:
        nonlocal data
        try:
            data += os.read(fd, 65536)
        except BlockingIOError:
            return False
        return end in data

    await until(more)
    return data


async def write(fd: int, data: bytes) -> None:
    def more() -> bool:
        nonlocal data
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            return False
        return not data

    await until(more)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.xenconsoled.close()


def look(scene: Scene) -> int:
    """As `xl console` opens the terminal that it is told of."""
    return os.open(scene.console.shared, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)


async def test_a_console_from_its_beginning_to_its_end(scene: Scene) -> None:
    os.write(scene.xenconsoled.end, b"early\r\nhel")
    keeper = scene.keeper()
    await scene.until_said("early")
    os.write(scene.xenconsoled.end, b"lo\r\nlast words")
    await until(lambda: keeper.console_of("hello")._log.unfinished == b"last words")
    scene.xenconsoled.close()
    await until(lambda: len(keeper) == 0)
    keeper.ended(scene.console, "crashed")
    assert scene.said() == [
        *("--- domain 12 started ---", "early", "hello", "last words"),
        "--- domain 12 ended: crashed ---",
    ]
    assert list(scene.run.iterdir()) == []


async def test_nothing_of_what_is_printed_is_echoed_or_changed(scene: Scene) -> None:
    keeper = scene.keeper()
    os.write(scene.xenconsoled.end, b"a\tb\x03c\n")
    await scene.until_said("a bc")
    with pytest.raises(BlockingIOError):
        os.read(scene.xenconsoled.end, 100)
    keeper.close()


async def test_others_see_what_is_printed_and_type(scene: Scene) -> None:
    keeper = scene.keeper()
    os.write(scene.xenconsoled.end, b"one\n")
    await scene.until_said("one")
    terminal = look(scene)
    os.write(scene.xenconsoled.end, b"two\n")
    assert await read(terminal, b"two\n") == b"one\ntwo\n"
    os.write(terminal, b"ls\r")
    assert await read(scene.xenconsoled.end, b"\r") == b"ls\r"
    keeper.ended(scene.console, "gone")
    assert scene.said()[1:3] == ["one", "two"]
    with pytest.raises(OSError, match="Input/output error"):
        os.write(terminal, b"still there?")
    os.close(terminal)


async def test_where_nobody_looks_the_first_and_the_last_wait_and_the_log_is_whole(scene: Scene) -> None:
    keeper = scene.keeper()
    lines = [b"line %d %s\n" % (number, b"x" * 50) for number in range(6000)]
    await write(scene.xenconsoled.end, b"".join(lines))
    await scene.until_said(lines[-1].decode().rstrip())
    terminal = look(scene)
    waited = await read(terminal, lines[-1])
    assert waited.startswith(lines[0])
    assert len(waited) < len(b"".join(lines)) / 2
    os.write(scene.xenconsoled.end, b"and on\n")
    assert (await read(terminal, b"and on\n")).endswith(b"and on\n")
    os.close(terminal)
    kept = [line for line in scene.said() if line.startswith("line")]
    assert kept == [line.decode().rstrip() for line in lines][-len(kept) :]
    assert len(kept) > 2000
    keeper.close()


async def test_a_guest_that_does_not_listen_holds_up_who_types(scene: Scene) -> None:
    keeper = scene.keeper()
    terminal = look(scene)
    sent = 0
    for _ in range(1000):
        try:
            sent += os.write(terminal, b"k" * 1000)
        except BlockingIOError:
            await asyncio.sleep(0.001)
    assert sent < 500_000, "somewhere all of that is being kept"
    got = 0

    def taken() -> bool:
        nonlocal got
        try:
            got += len(os.read(scene.xenconsoled.end, 65536))
        except BlockingIOError:
            return False
        return got == sent

    await until(taken)
    os.close(terminal)
    keeper.close()


async def test_a_keeper_that_follows_another_opens_the_terminal_again(scene: Scene) -> None:
    first = scene.keeper()
    os.write(scene.xenconsoled.end, b"one\n")
    await scene.until_said("one")
    first.close()
    assert not scene.console.is_shared()
    os.write(scene.xenconsoled.end, b"two\n")
    second = scene.keeper()
    assert scene.console.is_shared()
    await scene.until_said("two")
    second.close()
    assert scene.said() == ["--- domain 12 started ---", "one", f"--- domain 12: {console_keeper.GAP} ---", "two"]


async def test_a_terminal_that_is_another_by_now_is_not_read(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody logged in, and was given the number of the terminal that xenconsoled has closed."""
    scene.xenconsoled.close()
    shell = Xenconsoled()
    while shell.terminal != scene.xenconsoled.terminal:
        shell.close()
        shell = Xenconsoled()
    keeper = scene.keeper()
    assert len(keeper) == 0
    assert "console of domain 12: the terminal of xenconsoled's is gone" in caplog.text
    keeper.ended(scene.console, "crashed")
    assert scene.said() == ["--- domain 12 ended unheard: crashed ---"]
    assert list(scene.run.iterdir()) == []
    shell.close()


async def test_a_xenconsoled_that_is_started_again_is_heard(scene: Scene) -> None:
    keeper = scene.keeper()
    os.write(scene.xenconsoled.end, b"one\n")
    await scene.until_said("one")
    keeper.began(scene.console)
    terminal = look(scene)
    scene.xenconsoled.close()
    scene.xenconsoled = Xenconsoled()
    scene.console.make(scene.xenconsoled.terminal)
    keeper.began(scene.console)
    os.write(scene.xenconsoled.end, b"two\n")
    await scene.until_said("two")
    os.write(terminal, b"ls\r")
    assert await read(scene.xenconsoled.end, b"\r") == b"ls\r"
    os.close(terminal)
    keeper.close()
    assert scene.said() == ["--- domain 12 started ---", "one", f"--- domain 12: {console_keeper.ANOTHER} ---", "two"]


def test_consoles_of_both_kinds_are_found(scene: Scene) -> None:
    (scene.run / "13.console.www.out").touch()
    (scene.run / "14.console.www.shared").touch()
    assert sorted((console.domid, console.kind) for console in all_consoles_in(scene.run)) == [
        (12, "xen"),
        (13, "pipe"),
    ]
    assert list(all_consoles_in(scene.run / "absent")) == []


async def test_what_waits_in_a_terminal_is_counted_also_when_it_is_closed(scene: Scene) -> None:
    terminal = scene.console.open_output()
    assert termios.tcgetattr(terminal)[3] & (termios.ECHO | termios.ICANON) == 0
    os.write(scene.xenconsoled.end, b"abc")
    await until(lambda: unread(terminal) == 3)
    scene.xenconsoled.close()
    assert unread(terminal) == 0
    os.close(terminal)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - by its number
        scene.console.open_output()
    assert caught.value.errno in (errno.ENOENT, errno.EIO)


def test_a_terminal_that_is_closed_while_it_is_opened_is_an_error_like_any_other(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when xl has destroyed the domain just then: whoever hears of ends must go on."""
    setraw = tty.setraw
    opened: list[int] = []

    def too_late(fd: int, when: int) -> None:
        opened.append(fd)
        scene.xenconsoled.close()
        setraw(fd, when)

    monkeypatch.setattr("jitsu.domains.xen_console.tty.setraw", too_late)
    with pytest.raises(OSError) as caught:  # noqa: PT011 - by its number
        scene.console.open_output()
    assert caught.value.errno == errno.EIO
    (terminal,) = opened
    assert not os.path.exists(f"/proc/self/fd/{terminal}"), "it is not left open"
