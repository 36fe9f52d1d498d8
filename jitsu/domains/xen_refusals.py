"""What netback refuses, told as it happens: one watch for all domains, so none costs a request more.

Netback says in the XenStore why it gives up on an interface (xenbus_dev_fatal of Linux's drivers/xen/xenbus/
xenbus_client.c), be it that it cannot make it or, when the guest runs, that it cannot connect to it. It also complains
of a domain that ends just when it looks there; behind the removal of the domain's nodes that would stay, so it is
removed when it comes.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from jitsu.domains.guest_text import printable
from jitsu.domains.xen_keys import REFUSALS, refusal_of, refusals_of
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable
from jitsu.xenstore.subscription import Event, Subscription
from jitsu.xenstore.wire import StoreError

LATE = 64
"""How many of the domains that ended last are not forgotten: what is said of them late is."""

Hear = Callable[[str], None]
"""Called with an errno and words, as in `22 mapping shared-frames 8/9 port tx 3 rx 4`."""


class Refusals:
    """Everybody who wants to hear of one domain's, whether there is a XenStore or not."""

    def __init__(self) -> None:
        self._hear: dict[int, Hear] = {}
        self._said: dict[int, str] = {}
        self._left: deque[int] = deque(maxlen=LATE)
        self._task: asyncio.Task[None] | None = None

    def follow(self, number: int, hear: Hear) -> None:
        """Call `hear` with what is refused of this domain from now on, or was since somebody else followed it."""
        self._hear[number] = hear
        with suppress(ValueError):
            self._left.remove(number)
        if number in self._said:
            hear(self._said[number])

    def leave(self, number: int) -> None:
        """This domain is ended, and its nodes are about to be removed; may be said twice."""
        self._hear.pop(number, None)
        self._said.pop(number, None)
        if number not in self._left:
            self._left.append(number)

    async def connect(self, store: StoreClient) -> None:
        """Here is a XenStore. Raises StoreError and StoreUnreachable."""
        self._task = asyncio.create_task(self._listen(store, await store.watch(REFUSALS)))

    def disconnect(self) -> None:
        """There is none any more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _listen(self, store: StoreClient, refusals: Subscription) -> None:
        try:
            async for event in refusals:
                for number in self._concerned(event):
                    # Of one that is left, we have removed it with its domain, or do so now.
                    with suppress(StoreError):
                        if number in self._hear:
                            self._tell(number, printable(await store.read(refusal_of(number))))
                        else:
                            await store.rm(refusals_of(number))
        except StoreUnreachable:
            # Whoever keeps the connection says so.
            return

    def _concerned(self, event: Event) -> list[int]:
        """The domains that are or were followed, of those of which something may have been said."""
        ours = [*self._hear, *self._left]
        number = event.path.removeprefix(f"{REFUSALS}/").partition("/")[0]
        if event.missed:
            return ours
        return [int(number)] if number.isdecimal() and int(number) in ours else []

    def _tell(self, number: int, said: str) -> None:
        if number in self._hear and self._said.get(number) != said:
            self._said[number] = said
            self._hear[number](said)
