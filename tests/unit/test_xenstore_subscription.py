"""Watches of the client: whose an event is, how many may wait, and how it ends."""

import asyncio

import pytest

from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable
from jitsu.xenstore.subscription import Event, Subscription
from jitsu.xenstore.wire import StoreError, Type
from tests.unit.store_dialogue import Peer, talking


async def accept(peer: Peer, path: str) -> bytes:
    """Take a watch, as C xenstored: the answer before the first event. Gives its token."""
    (watch,) = await peer.hear_all(Type.WATCH)
    heard, token = watch.payload.split(b"\0")[:2]
    assert heard == path.encode()
    peer.answer(watch)
    peer.event(path, token)
    return token


async def test_events_go_to_whose_token_they_have() -> None:
    async def talk(peer: Peer) -> None:
        first = await accept(peer, "/a")
        second = await accept(peer, "/a")
        assert first != second
        peer.event("/a/x", second)
        peer.event("/a/y", first)
        peer.event("/a/z", b"of nobody")
        for token in (first, second):
            (unwatch,) = await peer.hear_all(Type.UNWATCH)
            assert unwatch.payload == b"/a\0" + token + b"\0"
            peer.answer(unwatch)

    async with talking(talk) as client:
        first, second = await client.watch("/a"), await client.watch("/a")
        assert [await anext(first), await anext(first)] == [Event("/a"), Event("/a/y")]
        assert [await anext(second), await anext(second)] == [Event("/a"), Event("/a/x")]
        first.close()
        second.close()


async def test_a_first_event_before_the_answer_is_not_lost() -> None:
    """As oxenstored does it."""

    async def talk(peer: Peer) -> None:
        (watch,) = await peer.hear_all(Type.WATCH)
        peer.event("/a", watch.payload.split(b"\0")[1])
        peer.answer(watch)

    async with talking(talk) as client:
        assert await anext(await client.watch("/a")) == Event("/a")


async def test_several_paths_are_one_stream() -> None:
    async def talk(peer: Peer) -> None:
        heard = await peer.hear_all(Type.WATCH, Type.WATCH)
        for watch in heard:
            path, token = watch.payload.split(b"\0")[:2]
            peer.answer(watch)
            peer.event(path.decode(), token)
        for unwatch in await peer.hear_all(Type.UNWATCH, Type.UNWATCH):
            peer.answer(unwatch)

    async with talking(talk) as client, await client.watch("/a", "@releaseDomain", "/a") as events:
        assert [await anext(events), await anext(events)] == [Event("/a"), Event("@releaseDomain")]


async def test_who_does_not_keep_up_is_told_to_look_at_everything() -> None:
    async def talk(peer: Peer) -> None:
        token = await accept(peer, "/a")
        for number in range(6):
            peer.event(f"/a/{number}", token)
        peer.answer(await peer.hear(), b"told")

    async with talking(talk) as client:
        events = await client.watch("/a", limit=4)
        assert await client.read("/after") == b"told"
        # Four filled the room; the fifth emptied it.
        assert [await anext(events) for _ in range(3)] == [Event("/a", missed=True), Event("/a/4"), Event("/a/5")]


async def test_what_came_before_the_end_is_taken_first() -> None:
    async def talk(peer: Peer) -> None:
        await accept(peer, "/a")
        peer.close()

    async with talking(talk) as client:
        events = await client.watch("/a")
        await client.closed()
        assert await anext(events) == Event("/a")
        with pytest.raises(StoreUnreachable):
            await anext(events)
        events.close()


async def test_who_waits_for_an_event_hears_of_the_end() -> None:
    leave = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await accept(peer, "/a")
        await leave.wait()
        peer.close()

    async with talking(talk) as client:
        events = await client.watch("/a")
        await anext(events)
        waiting = asyncio.create_task(taken(events))
        await asyncio.sleep(0)
        leave.set()
        with pytest.raises(StoreUnreachable, match="closed by the daemon"):
            await waiting


async def taken(events: Subscription) -> list[Event]:
    return [event async for event in events]


async def test_the_stream_ends_when_it_is_closed() -> None:
    async def talk(peer: Peer) -> None:
        await accept(peer, "/a")
        peer.answer(await peer.hear())

    async with talking(talk) as client:
        events = await client.watch("/a")
        reading = asyncio.create_task(taken(events))
        await asyncio.sleep(0)
        events.close()
        events.close()
        assert await reading == [Event("/a")]


async def test_a_path_that_cannot_be_watched_leaves_none_watched() -> None:
    async def talk(peer: Peer) -> None:
        good, bad = await peer.hear_all(Type.WATCH, Type.WATCH)
        peer.answer(good)
        peer.refuse(bad, "EINVAL")
        for unwatch, answer in zip(await peer.hear_all(Type.UNWATCH, Type.UNWATCH), ("", "ENOENT"), strict=True):
            if answer:
                peer.refuse(unwatch, answer)
            else:
                peer.answer(unwatch)

    async with talking(talk) as client:
        with pytest.raises(StoreError, match="watch /b//: the daemon takes it for malformed"):
            await client.watch("/a", "/b//")


@pytest.mark.parametrize("path", ["/a\0b", "/" + "x" * 5000])
async def test_a_path_that_cannot_be_sent_is_not_watched(path: str) -> None:
    async with talking(lambda peer: peer.silence()) as client:
        with pytest.raises(StoreError):
            await client.watch(path)
        assert client_watches(client) == 0


def client_watches(client: StoreClient) -> int:
    return len(client._link.watchers)
