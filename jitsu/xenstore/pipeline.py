"""A transaction whose requests are known beforehand, in as few round trips as its daemon allows.

The id of a transaction is in START's answer, and every request must carry it. `jitsu xenstored` gives ids that can be
foretold, and dooms a transaction at its first failure if START asks for that: START, all requests and END go out
together, one round trip. Any other daemon would commit what is left when a request fails in the middle, so END waits
until all answers are in: START, requests, END, three round trips.
"""

import asyncio
from collections.abc import Sequence
from typing import Generic, TypeVar

from jitsu.xenstore import request
from jitsu.xenstore.link import Link
from jitsu.xenstore.request import COMMIT, Request, decoded
from jitsu.xenstore.wire import Message, StoreError, Type, strings

MOST_ATTEMPTS = 1024
"""How often a transaction is tried by default; with C xenstored 16 parallel clients need up to 400."""

OURS = "/tool/xenstored/jitsu"
"""A node that `jitsu xenstored` has, with the value 1, and no other daemon."""

DOOM = b"doom\0"
"""START's payload that asks for a transaction which commits nothing if any request in it failed."""

_T = TypeVar("_T")


class Answer(Generic[_T]):
    """What a question in a pipeline brought; `value` is there once the pipeline is committed."""

    value: _T


class Pipeline:
    """Requests that are collected and then done together, or not at all. Made by `StoreClient.pipeline`.

    A request that fails fails all: also a read of what is not there. Listings that do not fit into one message are
    E2BIG here. It can be committed again, which does the same once more.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._requests: list[Request] = []
        self._values: list[tuple[int, Answer[bytes]]] = []
        self._listings: list[tuple[int, Answer[list[str]]]] = []

    def __len__(self) -> int:
        return len(self._requests)

    def write(self, path: str, value: bytes) -> None:
        """Set a value; the node and those above it are made if they are missing."""
        self._requests.append(request.write(path, value))

    def mkdir(self, path: str) -> None:
        """Make a node, and those above it; one that is there stays as it is."""
        self._requests.append(request.mkdir(path))

    def rm(self, path: str) -> None:
        """Remove a node and everything below it. It may be missing, but the one above it may not."""
        self._requests.append(request.rm(path))

    def set_perms(self, path: str, perms: Sequence[str]) -> None:
        """Set permissions, the owner's first: `["n0", "r5"]`."""
        self._requests.append(request.set_perms(path, perms))

    def read(self, path: str) -> Answer[bytes]:
        """The value of a node."""
        answer: Answer[bytes] = Answer()
        self._values.append((len(self._requests), answer))
        self._requests.append(request.read(path))
        return answer

    def list(self, path: str) -> Answer[list[str]]:
        """The names of the nodes right below one."""
        answer: Answer[list[str]] = Answer()
        self._listings.append((len(self._requests), answer))
        self._requests.append(request.directory(path))
        return answer

    async def commit(self, attempts: int = MOST_ATTEMPTS) -> int:
        """Do all of it, at most `attempts` times while the daemon answers EAGAIN; gives how often that was.

        Raises StoreError for the first request that failed, or for the commit: then nothing was done. Raises
        StoreUnreachable when the connection is lost: then it may have been done.
        """
        if not self._requests:
            return 0
        if self._link.dooms is None:
            self._link.dooms = await self._is_ours()
        for retries in range(attempts):
            try:
                self._keep(await (self._doomable() if self._link.dooms else self._careful()))
                return retries
            except StoreError as error:
                if error.errno != "EAGAIN":
                    raise
        raise StoreError(
            "EAGAIN",
            f"a transaction of {len(self._requests)} requests was refused {attempts} times, for others changed what it "
            "touches",
            hint="try again when less is going on",
        )

    async def _is_ours(self) -> bool:
        answer = (await self._link.exchange([(request.read(OURS), 0)]))[0]
        return answer.type == Type.READ and answer.payload == b"1"

    async def _doomable(self) -> Sequence[Message]:
        """One round trip; two where the id cannot be foretold, or was something else."""
        guess = self._link.ids.predict()
        if guess is None:
            number, _ = await begin(self._link, DOOM)
        else:
            number, answers = await begin(self._link, DOOM, self._requests, guess)
            if number == guess:
                return self._committed(answers)
            # None of those requests found a transaction; the one that was begun is open, and as it should be.
            if any(answer.type != Type.ERROR for answer in answers):
                self._link.close("broke off: the daemon served requests of a transaction that it had not begun")
                raise self._link.unreachable()
        self._link.ids.ended(number)
        return self._committed(
            await self._link.exchange([*((each, number) for each in self._requests), (COMMIT, number)])
        )

    def _committed(self, answers: Sequence[Message]) -> Sequence[Message]:
        """The answers in a transaction that dooms itself, if they and its END are good."""
        for each, answer in zip(self._requests, answers, strict=False):
            each.result(answer)
        COMMIT.result(answers[-1])
        return answers

    async def _careful(self) -> Sequence[Message]:
        """Three round trips, for daemons which would commit what is left of a transaction with failures in it."""
        link = self._link
        number, _ = await begin(link)
        try:
            answers = await link.exchange([(each, number) for each in self._requests])
            for each, answer in zip(self._requests, answers, strict=True):
                each.result(answer)
        except BaseException:
            link.abort(number)
            raise
        link.ids.ended(number)
        COMMIT.result((await link.exchange([(COMMIT, number)]))[0])
        return answers

    def _keep(self, answers: Sequence[Message]) -> None:
        for position, value in self._values:
            value.value = answers[position].payload
        for position, listing in self._listings:
            listing.value = [decoded(name) for name in strings(answers[position].payload)]


async def begin(
    link: Link, payload: bytes = b"\0", requests: Sequence[Request] = (), guess: int | None = None
) -> tuple[int, Sequence[Message]]:
    """Begin a transaction; gives its id and the answers to what went out with it.

    That is, where its id is guessed, `requests` and a commit, all of them with the guessed id. A transaction that is
    open when its owner has stopped waiting is aborted. Raises StoreError.
    """
    ids, start = link.ids, request.start(payload)
    sent = [(start, 0)]
    if guess is not None:
        sent += [(each, guess) for each in (*requests, COMMIT)]
    begun: int | None = None

    def answered(answers: Sequence[Message]) -> None:
        nonlocal begun
        begun = _number(answers[0])
        ids.answered(begun)
        if begun is not None and begun == guess:
            ids.ended(begun)
        elif future.cancelled():
            abandon()

    def abandon() -> None:
        if begun is not None and begun != guess:
            link.abort(begun)

    future = link.exchange(sent, answered)
    ids.asked()
    try:
        answers = await future
    except asyncio.CancelledError:
        # The answer may have come in the same moment.
        abandon()
        raise
    start.result(answers[0])
    if begun is None:
        link.close("broke off: the daemon began a transaction without a number")
        raise link.unreachable()
    return begun, answers[1:]


def _number(answer: Message) -> int | None:
    """The id in START's answer, if it is one."""
    digits = answer.payload.rstrip(b"\0")
    return int(digits) if answer.type == Type.TRANSACTION_START and digits.isdigit() and len(digits) <= 10 else None
