"""Console logs: bounded, rotated, harmless to look at; and streams that starve nobody."""

import asyncio
import os
import random
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jitsu.domains import console, guest_stream
from jitsu.domains.console import LARGEST_FILE, ConsoleLog
from jitsu.domains.guest_stream import LONGEST_REST, MOST_AT_ONCE, GuestStream
from tests.kept_console import kept_console

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


def said(directory: Path, service: str = "hello") -> list[str]:
    """The log without its times, each of which must be there."""
    kept = kept_console(directory, service)
    assert all(STAMP.match(line) for line in kept)
    return [STAMP.sub("", line, count=1) for line in kept]


def test_lines_marks_and_partial_lines(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path, "hello")
    log.mark("domain 12 started")
    log.feed(b"one\r\n\ntw")
    log.feed(b"o\nlogin: ")
    assert said(tmp_path) == ["--- domain 12 started ---", "one", "two"]
    log.close()
    log.close()
    following = ConsoleLog(tmp_path, "hello")
    following.mark("domain 13 started")
    following.close()
    assert said(tmp_path) == ["--- domain 12 started ---", "one", "two", "login: ", "--- domain 13 started ---"]
    assert said(tmp_path)[-2:] == ["login: ", "--- domain 13 started ---"]
    assert kept_console(tmp_path, "absent") == []


def test_a_log_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path, "hello")
    for number in range(20_000):
        log.feed(b"line %d: %s\n" % (number, b"x" * 40))
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hello.log", "hello.log.1"]
    assert all(path.stat().st_size <= LARGEST_FILE for path in tmp_path.iterdir())
    lines = said(tmp_path)
    numbers = [int(line.split()[1].rstrip(":")) for line in lines]
    assert numbers == list(range(numbers[0], 20_000))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) > LARGEST_FILE


def test_a_line_without_end_is_broken_and_kept_nowhere(tmp_path: Path) -> None:
    log = ConsoleLog(tmp_path, "hello")
    for _ in range(1000):
        log.feed(b"x" * MOST_AT_ONCE)
        assert len(log._partial) <= console.LONGEST_LINE
    log.close()
    lines = said(tmp_path)
    assert {len(line) for line in lines} == {console.LONGEST_LINE}


def test_two_logs_of_one_service_follow_each_others_rotation(tmp_path: Path) -> None:
    old, new = ConsoleLog(tmp_path, "hello"), ConsoleLog(tmp_path, "hello")
    for _ in range(3000):
        new.feed(b"new %s\n" % (b"y" * 100))
    old.feed(b"the old one still talks\n")
    assert said(tmp_path)[-1:] == ["the old one still talks"]
    os.unlink(tmp_path / "hello.log")
    new.feed(b"after somebody removed it\n")
    assert said(tmp_path)[-1:] == ["after somebody removed it"]
    old.close()
    new.close()


def test_a_disk_that_is_full_costs_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = ConsoleLog(tmp_path, "hello")
    with monkeypatch.context() as patch:

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "write", full)
        log.feed(b"lost\n")
    log.feed(b"kept\n")
    log.close()
    assert said(tmp_path) == ["--- console output lost: the log could not be written ---", "kept"]


def test_a_log_that_cannot_be_made_is_made_when_it_can_be(tmp_path: Path) -> None:
    place, stranger = tmp_path / "logs", tmp_path / "stranger"
    log = ConsoleLog(place, "hello")
    log.feed(b"lost\n")
    place.mkdir()
    stranger.touch()
    (place / "hello.log").symlink_to(stranger)
    log.feed(b"lost, for that is no place to write to\n")
    (place / "hello.log").unlink()
    log.feed(b"kept\n")
    log.close()
    assert said(place) == ["--- console output lost: the log could not be written ---", "kept"]
    assert stranger.read_bytes() == b""


def test_no_hostile_bytes_reach_a_terminal(tmp_path: Path) -> None:
    noise = random.Random(7).randbytes(200_000)
    log = ConsoleLog(tmp_path, "hello")
    for at in range(0, len(noise), MOST_AT_ONCE):
        log.feed(noise[at : at + MOST_AT_ONCE])
    log.close()
    assert all(line.isprintable() for line in said(tmp_path))


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    guest, host = socket.socketpair()
    guest.setblocking(False)
    with guest, host:
        yield guest, host


async def test_a_stream_hands_on_at_once_and_ends(pair: tuple[socket.socket, socket.socket]) -> None:
    guest, host = pair
    heard = bytearray()
    stream = GuestStream(host, heard.extend)
    guest.send(b"ready\n")
    await asyncio.sleep(0.002)
    assert heard == b"ready\n"
    guest.send(b"more\n")
    guest.close()
    await asyncio.sleep(0.05)
    assert heard == b"ready\nmore\n"
    assert host.fileno() < 0
    stream.close()


async def test_a_flood_does_not_starve_the_loop(pair: tuple[socket.socket, socket.socket]) -> None:
    """A guest that fills the socket without end is read ever more seldom, and others have the loop."""
    guest, host = pair
    pieces: list[int] = []
    stream = GuestStream(host, lambda data: pieces.append(len(data)))
    turns = 0
    end = asyncio.get_running_loop().time() + 0.5
    while asyncio.get_running_loop().time() < end:
        with suppress(BlockingIOError):
            guest.send(bytes(65536))
        turns += 1
        await asyncio.sleep(0)
    stream.close()
    guest.close()
    assert max(pieces) <= MOST_AT_ONCE
    assert 3 <= len(pieces) <= 8
    assert turns > 1000
    assert LONGEST_REST <= 0.2


async def test_what_an_ended_guest_left_is_read_up_to_a_bound(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    guest, host = pair
    monkeypatch.setattr(guest_stream, "MOST_DRAINED", 4 * MOST_AT_ONCE)
    heard = bytearray()
    stream = GuestStream(host, heard.extend)
    assert guest.send(bytes(8 * MOST_AT_ONCE)) == 8 * MOST_AT_ONCE
    stream.drain()
    assert len(heard) == 4 * MOST_AT_ONCE
    assert host.fileno() < 0
