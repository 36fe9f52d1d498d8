"""The ready port: what counts as ready, before a wake and after."""

import asyncio
import re
import socket
from collections.abc import Iterator

import pytest

from jitsu.domains.readiness import LONGEST_WORD
from jitsu.domains.ready_port import ReadyPort
from jitsu.errors import DomainError


class Guest:
    """The guest's end, and what the host understood."""

    def __init__(self, *, booted: bool = False) -> None:
        ours, self.end = socket.socketpair()
        self.ready: list[str] = []
        self.end.settimeout(5)
        self.port = ReadyPort(ours, self.ready.append, booted=booted)

    async def says(self, *lines: str) -> list[str]:
        self.end.sendall("".join(f"{line}\n" for line in lines).encode())
        # The stream rests for a moment after each piece.
        await asyncio.sleep(0.03)
        return self.ready

    def woken(self) -> str:
        """The clock that came with a wake."""
        match = re.fullmatch(rb"wake ([0-9a-f]{64}) ([0-9]+)\n", self.end.recv(4096))
        assert match is not None
        return match[2].decode()


@pytest.fixture
def guests() -> Iterator[list[Guest]]:
    made: list[Guest] = []
    yield made
    for guest in made:
        guest.end.close()
        guest.port.drain()


async def test_ready_is_told_once_until_the_guest_is_woken(guests: list[Guest]) -> None:
    guests.append(guest := Guest())
    assert await guest.says("ready www 12") == ["ready www 12"]
    assert await guest.says("ready www 13", "ready www 14") == ["ready www 12"]
    guest.port.wake()
    assert not guest.port.said
    clock = guest.woken()
    assert await guest.says("ready www 12", f"ready www 12 {int(clock) - 1}") == ["ready www 12"]
    assert await guest.says(f"ready www 12 {clock}") == ["ready www 12", f"ready www 12 {clock}"]
    assert guest.port.said


async def test_only_the_answer_to_the_last_wake_counts(guests: list[Guest]) -> None:
    guests.append(guest := Guest(booted=True))
    assert await guest.says("ready www 12") == []
    guest.port.wake()
    first = guest.woken()
    guest.port.wake()
    second = guest.woken()
    assert await guest.says(f"ready www 12 {first}") == []
    assert await guest.says(f"ready www 12 {second}") == [f"ready www 12 {second}"]


async def test_a_guest_that_has_no_copies_may_know_nothing_of_wakes(guests: list[Guest]) -> None:
    guests.append(guest := Guest())
    guest.port.wake(strict=False)
    guest.woken()
    assert await guest.says("ready www 12") == ["ready www 12"]


async def test_no_two_seeds_are_the_same(guests: list[Guest]) -> None:
    guests.append(guest := Guest(booted=True))
    for _ in range(50):
        guest.port.wake()
    seeds = [line.split()[1] for line in guest.end.recv(65536).splitlines()]
    assert len(set(seeds)) == 50


async def test_hostile_lines_are_no_answer(guests: list[Guest]) -> None:
    guests.append(guest := Guest())
    guest.port.wake()
    clock = guest.woken()
    spoken = ["ready", "ready www 12 x", f"ready {clock}", f"ready www 12 {clock}" + " x" * LONGEST_WORD, "\x1b[2J", ""]
    assert await guest.says(*spoken) == []


async def test_a_guest_that_does_not_read_cannot_be_woken(guests: list[Guest]) -> None:
    guests.append(guest := Guest())

    def wake_on() -> None:
        for _ in range(100_000):
            guest.port.wake()

    with pytest.raises(DomainError, match="the guest cannot be told that it wakes"):
        wake_on()
