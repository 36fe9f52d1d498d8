"""Transactions of the client: how many round trips, what a failure inside does, and what becomes of abandoned ones."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from jitsu.xenstore.client import StoreClient, Transaction
from jitsu.xenstore.link import StoreUnreachable, TransactionIds
from jitsu.xenstore.pipeline import Pipeline
from jitsu.xenstore.wire import Message, StoreError, Type
from tests.unit.store_dialogue import Peer, talking

START, END = Type.TRANSACTION_START, Type.TRANSACTION_END


def filled(client: StoreClient) -> Pipeline:
    pipeline = client.pipeline()
    pipeline.mkdir("/d")
    pipeline.write("/d/k", b"v")
    return pipeline


BODY = (Type.MKDIR, Type.WRITE)


async def one_burst(peer: Peer, number: int) -> list[Message]:
    """A whole transaction, heard before any of it is answered."""
    messages = await peer.hear_all(START, *BODY, END)
    assert messages[0].payload == b"doom\0"
    assert [message.transaction for message in messages] == [0, number, number, number]
    assert messages[-1].payload == b"T\0"
    return messages


def grant(peer: Peer, messages: list[Message], number: int) -> None:
    peer.answer(messages[0], b"%d\0" % number)
    for message in messages[1:]:
        peer.answer(message)


async def test_with_our_daemon_a_transaction_is_one_round_trip() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=True)
        for number in (1, 2):
            grant(peer, await one_burst(peer, number), number)

    async with talking(talk) as client:
        assert await filled(client).commit() == 0
        assert await filled(client).commit() == 0


async def test_a_wrong_guess_is_made_good_with_the_id_that_was_given() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=True)
        messages = await one_burst(peer, 1)
        peer.answer(messages[0], b"40\0")
        for message in messages[1:]:
            peer.refuse(message, "ENOENT")
        again = await peer.hear_all(*BODY, END)
        assert {message.transaction for message in again} == {40}
        assert again[-1].payload == b"T\0"
        for message in again:
            peer.answer(message)
        grant(peer, await one_burst(peer, 41), 41)

    async with talking(talk) as client:
        assert await filled(client).commit() == 0
        await filled(client).commit()


async def test_a_daemon_that_serves_a_transaction_it_did_not_begin_is_left() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=True)
        messages = await one_burst(peer, 1)
        peer.answer(messages[0], b"2\0")
        for message in messages[1:]:
            peer.answer(message)
        await peer.silence()

    async with talking(talk) as client:
        with pytest.raises(StoreUnreachable, match="had not begun"):
            await filled(client).commit()


async def test_while_a_start_is_unanswered_no_id_is_guessed() -> None:
    """The second of two transactions at once has its requests sent when its id is known."""

    async def talk(peer: Peer) -> None:
        await peer.identify(ours=True)
        grant(peer, await one_burst(peer, 1), 1)
        first = await one_burst(peer, 2)
        (second,) = await peer.hear_all(START)
        assert second.payload == b"doom\0"
        grant(peer, first, 2)
        peer.answer(second, b"3\0")
        rest = await peer.hear_all(*BODY, END)
        assert {message.transaction for message in rest} == {3}
        for message in rest:
            peer.answer(message)

    async with talking(talk) as client:
        await filled(client).commit()
        assert await asyncio.gather(filled(client).commit(), filled(client).commit()) == [0, 0]


async def test_a_request_that_fails_is_the_callers_error() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=True)
        messages = await one_burst(peer, 1)
        peer.answer(messages[0], b"1\0")
        peer.answer(messages[1])
        peer.refuse(messages[2], "EACCES")
        peer.refuse(messages[3], "EACCES")

    async with talking(talk) as client:
        with pytest.raises(StoreError, match=r"write /d/k: not permitted \(EACCES\)"):
            await filled(client).commit()


async def test_any_other_daemon_is_asked_to_commit_when_all_answers_are_in() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=False)
        for number in (7, 9):
            (start,) = await peer.hear_all(START)
            assert start.payload == b"\0"
            peer.answer(start, b"%d\0" % number)
            for message in await peer.hear_all(*BODY):
                assert message.transaction == number
                peer.answer(message)
            (end,) = await peer.hear_all(END)
            assert (end.transaction, end.payload) == (number, b"T\0")
            peer.answer(end)

    async with talking(talk) as client:
        assert await filled(client).commit() == 0
        assert await filled(client).commit() == 0


async def test_any_other_daemon_is_told_to_forget_a_transaction_in_which_something_failed() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=False)
        (start,) = await peer.hear_all(START)
        peer.answer(start, b"1\0")
        first, second = await peer.hear_all(*BODY)
        peer.refuse(first, "ENOSPC")
        peer.answer(second)
        (end,) = await peer.hear_all(END)
        assert (end.transaction, end.payload) == (1, b"F\0")
        peer.answer(end)

    async with talking(talk) as client:
        with pytest.raises(StoreError, match=r"make /d: a quota is used up \(ENOSPC\)"):
            await filled(client).commit()


async def test_eagain_is_tried_again_with_the_same_requests_and_counted() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=True)
        sent = []
        for number in (1, 2, 3):
            messages = await one_burst(peer, number)
            sent.append([message.payload for message in messages])
            peer.answer(messages[0], b"%d\0" % number)
            for message in messages[1:3]:
                peer.answer(message)
            if number < 3:
                peer.refuse(messages[3], "EAGAIN")
            else:
                peer.answer(messages[3])
        assert sent[0] == sent[1] == sent[2]

    async with talking(talk) as client:
        assert await filled(client).commit() == 2


async def test_a_daemon_may_give_up_a_transaction_before_its_end() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=True)
        messages = await one_burst(peer, 1)
        peer.answer(messages[0], b"1\0")
        for message in messages[1:]:
            peer.refuse(message, "EAGAIN")
        grant(peer, await one_burst(peer, 2), 2)

    async with talking(talk) as client:
        assert await filled(client).commit() == 1


async def test_eagain_is_given_up_at_the_bound() -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=False)
        for _ in range(3):
            peer.answer(await peer.hear(), b"1\0")
            for message in await peer.hear_all(*BODY):
                peer.answer(message)
            peer.refuse(await peer.hear(), "EAGAIN")

    async with talking(talk) as client:
        with pytest.raises(StoreError, match="a transaction of 2 requests was refused 3 times") as caught:
            await filled(client).commit(attempts=3)
    assert caught.value.errno == "EAGAIN"


@pytest.mark.parametrize("ours", [True, False])
async def test_what_was_read_is_there_afterwards(ours: bool) -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=ours)
        answers = {START: b"1\0", Type.READ: b"value", Type.DIRECTORY: b"x\0y\0", Type.WRITE: b"OK\0", END: b"OK\0"}
        for _ in range(5):
            heard = await peer.hear()
            peer.answer(heard, answers[Type(heard.type)])

    async with talking(talk) as client:
        pipeline = client.pipeline()
        value = pipeline.read("/a")
        names = pipeline.list("/b")
        pipeline.write("/c", b"")
        await pipeline.commit()
    assert (value.value, names.value) == (b"value", ["x", "y"])


async def test_a_pipeline_of_nothing_says_nothing() -> None:
    async with talking(lambda peer: peer.silence()) as client:
        assert await client.pipeline().commit() == 0


@pytest.mark.parametrize("errno", ["ENOSPC", "EBUSY"])
async def test_a_start_that_is_refused(errno: str) -> None:
    async def talk(peer: Peer) -> None:
        await peer.identify(ours=True)
        messages = await one_burst(peer, 1)
        peer.refuse(messages[0], errno)
        for message in messages[1:]:
            peer.refuse(message, "ENOENT")
        grant(peer, await one_burst(peer, 1), 1)

    async with talking(talk) as client:
        with pytest.raises(StoreError, match=f"begin a transaction: .*{errno}"):
            await filled(client).commit()
        await filled(client).commit()


async def test_a_start_without_a_number_is_no_start() -> None:
    async def talk(peer: Peer) -> None:
        peer.answer(await peer.hear(), b"first\0")
        await peer.silence()

    async with talking(talk) as client:
        with pytest.raises(StoreUnreachable, match="without a number"):
            await client.begin()


@pytest.mark.parametrize("ours", [True, False])
async def test_a_transaction_that_nobody_waits_for_is_aborted(ours: bool) -> None:
    """Its owner was cancelled before the START was answered, with another id than was guessed."""
    asked, cancelled, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.identify(ours=ours)
        messages = await one_burst(peer, 1) if ours else await peer.hear_all(START)
        asked.set()
        await cancelled.wait()
        peer.answer(messages[0], b"5\0")
        for message in messages[1:]:
            peer.refuse(message, "ENOENT")
        (end,) = await peer.hear_all(END)
        assert (end.transaction, end.payload) == (5, b"F\0")
        ended.set()
        await peer.silence()

    async with talking(talk) as client:
        committing = asyncio.create_task(filled(client).commit())
        await asked.wait()
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        cancelled.set()
        await ended.wait()


async def test_a_transaction_whose_requests_nobody_waits_for_is_aborted() -> None:
    asked = asyncio.Event()

    async def talk(peer: Peer) -> None:
        await peer.identify(ours=False)
        peer.answer(await peer.hear(), b"1\0")
        await peer.hear_all(*BODY)
        asked.set()
        (end,) = await peer.hear_all(END)
        assert (end.transaction, end.payload) == (1, b"F\0")

    async with talking(talk) as client:
        committing = asyncio.create_task(filled(client).commit())
        await asked.wait()
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing


async def test_a_transaction_whose_owner_is_gone_as_the_answer_comes_is_aborted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = asyncio.Event()

    async def talk(peer: Peer) -> None:
        peer.answer(await peer.hear(), b"1\0")
        (end,) = await peer.hear_all(END)
        assert (end.transaction, end.payload) == (1, b"F\0")
        ended.set()

    async with talking(talk) as client:
        beginning = asyncio.create_task(client.begin())
        cancel_soon = partial(asyncio.get_running_loop().call_soon, beginning.cancel)
        monkeypatch.setattr(client._link.ids, "answered", lambda number: cancel_soon())
        with pytest.raises(asyncio.CancelledError):
            await beginning
        await ended.wait()


async def test_leaving_a_transaction_aborts_it() -> None:
    async def talk(peer: Peer) -> None:
        peer.answer(await peer.hear(), b"1\0")
        (read,) = await peer.hear_all(Type.READ)
        assert read.transaction == 1
        peer.answer(read, b"v")
        (end,) = await peer.hear_all(END)
        assert (end.transaction, end.payload) == (1, b"F\0")

    async with talking(talk) as client, await client.begin() as transaction:
        assert await transaction.read("/a") == b"v"


async def test_a_body_is_run_again_until_it_is_committed() -> None:
    seen: list[bytes] = []

    async def talk(peer: Peer) -> None:
        for value, refusal in ((b"1", "EAGAIN"), (b"2", "")):
            peer.answer(await peer.hear(), b"1\0")
            peer.answer(await peer.hear(), value)
            (end,) = await peer.hear_all(END)
            assert end.payload == b"T\0"
            if refusal:
                peer.refuse(end, refusal)
            else:
                peer.answer(end)

    async def body(transaction: Transaction) -> int:
        seen.append(await transaction.read("/a"))
        return len(seen)

    async with talking(talk) as client:
        assert await client.transact(body) == 2
    assert seen == [b"1", b"2"]


async def test_a_body_that_fails_aborts() -> None:
    async def talk(peer: Peer) -> None:
        peer.answer(await peer.hear(), b"1\0")
        (end,) = await peer.hear_all(END)
        assert end.payload == b"F\0"

    async def body(transaction: Transaction) -> None:
        raise LookupError

    async with talking(talk) as client:
        with pytest.raises(LookupError):
            await client.transact(body)


def step(ids: TransactionIds, number: int | None) -> None:
    ids.asked()
    ids.answered(number)


@pytest.mark.parametrize(
    ("history", "guess"),
    [
        (lambda ids: None, 1),
        (lambda ids: step(ids, 1), 2),
        (lambda ids: step(ids, None), 1),
        (lambda ids: (step(ids, 1), ids.ended(1)), 2),
        (lambda ids: ids.asked(), None),
        (lambda ids: (ids.asked(), ids.asked(), ids.answered(1)), None),
        (lambda ids: step(ids, 0xFFFFFFFF), 1),
        (lambda ids: (step(ids, 1), step(ids, 0xFFFFFFFF)), 2),
        (lambda ids: (step(ids, 2), step(ids, 3), step(ids, 1)), 4),
        (lambda ids: (step(ids, 2), step(ids, 1), ids.ended(2)), 2),
    ],
)
def test_the_next_id(history: Callable[[TransactionIds], object], guess: int | None) -> None:
    ids = TransactionIds()
    history(ids)
    assert ids.predict() == guess
