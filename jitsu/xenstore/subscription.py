"""A client's watches as a stream of events."""

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

from jitsu.xenstore import request
from jitsu.xenstore.link import Link


class Event(NamedTuple):
    """`path`, or something below it, may have changed. `missed`: so may everything below it that was not told."""

    path: str
    missed: bool = False


class Subscription:
    """The events of one or several watched paths, in order: an asynchronous iterator for one reader.

    The daemon tells each watched path once at the beginning. At most `limit` events wait to be taken: whoever is
    slower gets, in place of them all, one for each watched path with `missed` set, and should look at everything there.
    When the connection is lost the iterator raises StoreUnreachable, after what had come before.
    """

    def __init__(self, link: Link, paths: Sequence[str], token: bytes, limit: int) -> None:
        self.paths = tuple(dict.fromkeys(paths))
        self.token = token
        self._requests = [request.watch(path, token) for path in self.paths]
        self._link = link
        self._limit = max(limit, len(self.paths))
        self._events: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        link.watchers[token] = self._take
        link.closed.add_done_callback(self._lost)

    async def begin(self) -> None:
        """Tell the daemon. Raises StoreError for the first path that cannot be watched; then none is."""
        try:
            answers = await self._link.exchange([(each, 0) for each in self._requests])
            for each, answer in zip(self._requests, answers, strict=True):
                each.result(answer)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Watch no longer; the iterator ends. May be called twice."""
        if self._ended:
            return
        self._ended = True
        self._wake.set()
        self._link.closed.remove_done_callback(self._lost)
        del self._link.watchers[self.token]
        # What was not watched is refused, and that is as good; with the connection all its watches are gone.
        self._link.tell([(request.unwatch(path, self.token), 0) for path in self.paths])

    async def __aenter__(self) -> "Subscription":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            if self._link.closed.done():
                raise self._link.unreachable()
            self._wake.clear()
            await self._wake.wait()
        return self._events.popleft()

    def _take(self, path: str) -> None:
        if len(self._events) >= self._limit:
            self._events.clear()
            self._events.extend(Event(watched, missed=True) for watched in self.paths)
        else:
            self._events.append(Event(path))
        self._wake.set()

    def _lost(self, closed: "asyncio.Future[None]") -> None:
        self._wake.set()
