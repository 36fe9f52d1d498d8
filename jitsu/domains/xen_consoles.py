"""The consoles of Xen's domains as a driver has them: told of as soon as xenconsoled has made their terminals.

Nobody waits for that: what a guest prints meanwhile is kept by xenconsoled. Node `console/tty`, in which it says which
terminal it made, is watched while the domain lives, for a xenconsoled that is started again makes another. Once
somebody keeps the console and shares it, the node names the shared terminal instead: there `xl console` looks.
"""

import asyncio
import logging
import os
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

from jitsu.domains.console_keeper import UNSEEN, Consoles
from jitsu.domains.xen_console import XenConsole, unread, xen_consoles_in
from jitsu.domains.xen_keys import tty_of
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable
from jitsu.xenstore.wire import StoreError

log = logging.getLogger(__name__)

SILENCE = 0.25
"""Seconds in which nothing of a guest that has ended waited to be read: then all it printed is out. xenconsoled pauses
for 0.2 s when a guest keeps it busy."""

PATIENCE = 2.0
"""Seconds after which nothing more is waited for: nobody takes what was printed."""

BEHIND = 0.1
"""Seconds after a domain's start at which its console is looked at: processors have enough to do with its start."""

_LOOK = 0.01
_SHORTEST_LOOK, _LONGEST_LOOK = 0.1, 1.0
"""Seconds between two looks whether a console is shared; they double."""


class XenConsoles:
    """The consoles of one driver's domains. `directory` has their files; `consoles` is told."""

    def __init__(self, directory: Path, consoles: Consoles) -> None:
        self._directory = directory
        self._consoles = consoles
        self._store: StoreClient | None = None
        self._attached: dict[XenConsole, asyncio.Event] = {}
        self._tasks: dict[XenConsole, asyncio.Task[None]] = {}

    def connect(self, store: StoreClient) -> None:
        """Here is a XenStore."""
        self._store = store
        for console in self._attached:
            self._tasks[console] = asyncio.create_task(self._follow(store, console))

    def disconnect(self) -> None:
        """There is none any more."""
        self._store = None
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def began(self, number: int, service: str) -> None:
        """A domain was built, or adopted."""
        console = XenConsole(self._directory, number, service)
        self._attached[console] = asyncio.Event()
        if self._store is not None:
            self._tasks[console] = asyncio.create_task(self._follow(self._store, console))

    async def last_words(self, number: int, service: str) -> None:
        """Wait until all that a domain printed which has shut down or crashed is out of xenconsoled and was read."""
        console = XenConsole(self._directory, number, service)
        if console not in self._attached:
            return
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(PATIENCE):
                await self._attached[console].wait()
                terminal = console.open_output()
                try:
                    await _silence(terminal)
                finally:
                    os.close(terminal)

    def leave(self, number: int, service: str) -> None:
        """Its nodes are about to be removed: none is written any more."""
        task = self._tasks.pop(XenConsole(self._directory, number, service), None)
        if task is not None:
            task.cancel()

    def ended(self, number: int, service: str, why: str) -> None:
        """A domain that was left is gone."""
        console = XenConsole(self._directory, number, service)
        attached = self._attached.pop(console, None)
        if attached is not None and attached.is_set():
            self._consoles.ended(console, why)

    def bury(self, alive: Container[int]) -> None:
        """Tell of the end of all domains but these that an earlier daemon told of."""
        for console in list(xen_consoles_in(self._directory)):
            if console.domid not in alive:
                self._consoles.ended(console, UNSEEN)

    async def _follow(self, store: StoreClient, console: XenConsole) -> None:
        path = tty_of(console.domid)
        await asyncio.sleep(BEHIND)
        try:
            async with await store.watch(path, limit=1) as changes:
                async for _ in changes:
                    # Before xenconsoled was there, there is no such node.
                    with suppress(StoreError):
                        await self._attach(store, console)
        except StoreUnreachable:
            # Whoever keeps the connection says so.
            return
        except (StoreError, OSError, ValueError) as error:
            log.error("%s: console of domain %d: %s", console.service, console.domid, error)

    async def _attach(self, store: StoreClient, console: XenConsole) -> None:
        """Tell of the console, and have the node name the shared terminal. Raises `StoreError` and `OSError`."""
        path, told, pause = tty_of(console.domid), "", _SHORTEST_LOOK
        while terminal := (await store.read(path)).decode():
            ours = terminal == console.shared
            if terminal != told:
                if not ours:
                    console.make(terminal)
                self._attached[console].set()
                self._consoles.began(console)
                told = terminal
            if ours:
                return
            # Until it is shared, whoever looks there sees xenconsoled's own.
            if console.is_shared():
                await store.write(path, console.shared.encode())
            else:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_LOOK)


async def _silence(terminal: int) -> None:
    silent = 0.0
    while silent < SILENCE:
        await asyncio.sleep(_LOOK)
        silent = 0.0 if unread(terminal) else silent + _LOOK
