"""Interfaces are waited for as the kernel tells of them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator

import pytest

from jitsu.network.arrivals import Arrivals

pytestmark = pytest.mark.usefixtures("private_network")

LONG = 60.0


@pytest.fixture
async def arrivals() -> AsyncIterator[Arrivals]:
    arrivals = Arrivals()
    yield arrivals
    arrivals.close()


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


async def test_what_is_there_is_there_at_once(arrivals: Arrivals) -> None:
    ip("link", "add", "vif7.0", "type", "bridge")
    await arrivals.come("vif7.0", LONG)


async def test_what_comes_and_goes_is_told_to_all_who_wait(arrivals: Arrivals) -> None:
    waiting = [asyncio.create_task(arrivals.come("vif7.0", LONG)) for _ in range(2)]
    other = asyncio.create_task(arrivals.come("vif70.0", LONG))
    await asyncio.sleep(0)
    ip("link", "add", "vif7.0", "type", "bridge")
    await asyncio.gather(*waiting)
    assert not other.done()
    gone = asyncio.create_task(arrivals.gone("vif7.0", LONG))
    await asyncio.sleep(0)
    assert not gone.done()
    ip("link", "delete", "vif7.0")
    await gone
    await arrivals.gone("vif7.0", LONG)
    other.cancel()


async def test_what_nobody_waits_for_is_not_told(arrivals: Arrivals) -> None:
    """A plugged interface changes half a dozen times, which wakes nobody; and the next wait hears again."""
    ip("link", "add", "vif7.0", "type", "bridge")
    await arrivals.come("vif7.0", LONG)
    told = arrivals._socket
    ip("link", "set", "vif7.0", "up")
    ip("link", "delete", "vif7.0")
    with pytest.raises(BlockingIOError):
        told.recv(65536)
    waiting = asyncio.create_task(arrivals.come("vif8.0", LONG))
    await asyncio.sleep(0)
    ip("link", "add", "vif8.0", "type", "bridge")
    await waiting


async def test_what_does_not_come_is_not_waited_for_for_ever(arrivals: Arrivals) -> None:
    with pytest.raises(TimeoutError):
        await arrivals.come("vif7.0", 0.01)
