"""Watches on the nodes by which guests say that they are ready: `data/jitsu/ready` of each that is waited for.

A guest may write its node as often as it likes; only one of which something is still to be heard is watched, and it is
read at a pace at which it starves nobody.
"""

import asyncio
import logging
from collections.abc import Callable

from jitsu.domains.domain_record import ready_of
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable
from jitsu.xenstore.wire import StoreError

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Changes of a node that are looked at as they come; for every further one there is a `REST`."""

REST = 0.05
"""Seconds."""

Hear = Callable[[bytes], None]


class ReadyWatches:
    """Everybody who is waited for, whether there is a XenStore or not."""

    def __init__(self) -> None:
        self._hear: dict[int, Hear] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._client: StoreClient | None = None

    def follow(self, domid: int, hear: Hear) -> None:
        """Call `hear` with what stands in the node, and again when that changed, until `leave`."""
        self.leave(domid)
        self._hear[domid] = hear
        if self._client is not None:
            self._begin(self._client, domid)

    def leave(self, domid: int) -> None:
        """Wait for this domain no longer; may be said twice, and by whoever is called."""
        self._hear.pop(domid, None)
        task = self._tasks.pop(domid, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def connect(self, client: StoreClient) -> None:
        """Here is a XenStore."""
        self._client = client
        for domid in self._hear:
            self._begin(client, domid)

    def disconnect(self) -> None:
        """There is none any more."""
        self._client = None
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def _begin(self, client: StoreClient, domid: int) -> None:
        self._tasks[domid] = asyncio.create_task(self._watch(client, domid, self._hear[domid]))

    async def _watch(self, client: StoreClient, domid: int, hear: Hear) -> None:
        path = ready_of(domid)
        changes = 0
        try:
            async with await client.watch(path, limit=1) as subscription:
                async for _ in subscription:
                    try:
                        value = await client.read(path)
                    except StoreError:
                        # It has said nothing yet.
                        continue
                    hear(value)
                    if self._hear.get(domid) is not hear:
                        return
                    changes += 1
                    if changes > AT_ONCE:
                        await asyncio.sleep(REST)
        except StoreUnreachable:
            # Whoever keeps the connection says so.
            return
        except StoreError as error:
            log.warning("domain %d: its readiness cannot be watched: %s", domid, error)
