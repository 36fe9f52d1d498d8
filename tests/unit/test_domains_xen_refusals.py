"""What netback refuses, on a real XenStore, with the test in netback's place."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jitsu.domains.xen_keys import REFUSALS, refusal_of
from jitsu.domains.xen_refusals import Refusals
from jitsu.xenstore.client import StoreClient
from tests.unit.store_process import StoreProcess


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StoreClient]:
    with StoreProcess(tmp_path) as process:
        async with await StoreClient.connect(process.path) as store:
            yield store


@pytest.fixture
async def refusals(store: StoreClient) -> AsyncIterator[Refusals]:
    refusals = Refusals()
    await refusals.connect(store)
    yield refusals
    refusals.disconnect()


class Said(asyncio.Queue[str]):
    """What was heard of one domain."""

    async def next(self) -> str:
        async with asyncio.timeout(20):
            return await self.get()


async def test_it_is_told_once_and_to_whom_it_concerns(store: StoreClient, refusals: Refusals) -> None:
    www, shop = Said(), Said()
    refusals.follow(7, www.put_nowait)
    refusals.follow(8, shop.put_nowait)
    for number in (7, 7, 9, 8):
        await store.write(refusal_of(number), b"22 saw state %d at frontend" % number)
    assert await shop.next() == "22 saw state 8 at frontend"
    assert await www.next() == "22 saw state 7 at frontend"
    assert (www.empty(), shop.empty()) == (True, True)


async def test_who_follows_next_hears_what_was_said_before(store: StoreClient, refusals: Refusals) -> None:
    builder, driver = Said(), Said()
    refusals.follow(7, builder.put_nowait)
    await store.write(refusal_of(7), b"17 creating interface")
    assert await builder.next() == "17 creating interface"
    refusals.follow(7, driver.put_nowait)
    assert driver.get_nowait() == "17 creating interface"


async def test_what_was_said_of_an_earlier_domain_of_that_number_is_not_told(
    store: StoreClient, refusals: Refusals
) -> None:
    earlier, later = Said(), Said()
    refusals.follow(7, earlier.put_nowait)
    await store.write(refusal_of(7), b"34 reading handle")
    await earlier.next()
    refusals.leave(7)
    refusals.follow(7, later.put_nowait)
    await store.rm(f"{REFUSALS}/7")
    await store.write(refusal_of(7), b"5 map\x1b[2Jping")
    assert await later.next() == "5 mapping"
    assert later.empty()


async def test_a_store_that_is_back_is_listened_to_again(store: StoreClient, refusals: Refusals) -> None:
    said = Said()
    refusals.follow(7, said.put_nowait)
    refusals.disconnect()
    await store.write(refusal_of(7), b"5 nobody listens")
    await refusals.connect(store)
    await store.write(refusal_of(7), b"5 mapping")
    assert await said.next() == "5 mapping"


async def test_what_is_said_late_of_a_domain_that_ended_is_removed_and_of_others_it_stays(
    store: StoreClient, refusals: Refusals
) -> None:
    said = Said()
    refusals.follow(7, said.put_nowait)
    refusals.leave(7)
    async with asyncio.timeout(20), await store.watch(f"{REFUSALS}/7") as changes:
        for number in (9, 7):
            await store.write(refusal_of(number), b"2 reading ring-ref")
        async for change in changes:
            # The first one is the watch's own.
            if change.path == f"{REFUSALS}/7" and not await store.exists(f"{REFUSALS}/7"):
                break
    assert await store.exists(refusal_of(9))
    assert said.empty()


async def test_who_has_the_number_of_one_that_ended_is_heard(store: StoreClient, refusals: Refusals) -> None:
    said = Said()
    refusals.leave(7)
    refusals.follow(7, said.put_nowait)
    await store.write(refusal_of(7), b"5 mapping")
    assert await said.next() == "5 mapping"
    assert await store.exists(refusal_of(7))
