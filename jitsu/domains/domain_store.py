"""The domains that we run, as they are to stand in the XenStore, and the work of seeing that they do.

What ought to stand there is kept here, and nobody waits for it to be written: not a summon, and not while there is no
XenStore at all. Each domain that changed is written by a task of its own, which goes on until nothing is left to do;
whoever connects to a XenStore has everything that is missing there written, and what nobody runs any more removed.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from jitsu.domains.domain_record import (
    Record,
    Standing,
    amend,
    appoint,
    enter,
    furnish,
    make_places,
    recorded,
    strike,
)
from jitsu.domains.driver import DomainSpec
from jitsu.domains.ready_watches import ReadyWatches
from jitsu.errors import JitsuError
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.wire import StoreError

log = logging.getLogger(__name__)

AFTER = 0.1
"""Seconds after which a change is written: two processors have enough to do with a guest's start."""

SOON = 0.002
"""The same where the guest reads it: when the DNS answer has left, and before its kernel is loaded."""

PATIENCE = 10.0
"""Seconds in which a XenStore must have answered all that one change takes; then it is given up, and another sought."""

_FRAME, _PORT = 0, 1
"""Of INTRODUCE. There is no ring to map; 0 would be no event channel."""


class DomainStore:
    """The records of one daemon's domains. Everything happens in the running event loop."""

    def __init__(self, *, homes: bool = True) -> None:
        """Without `homes`, what stands in /local/domain is the driver's to write, before its domains run, and it
        introduces them: so it is on Xen."""
        self._homes = homes
        self.ready = ReadyWatches()
        self._records: dict[int, Record] = {}
        self._control: dict[int, dict[str, bytes]] = {}
        """What guests are told; also of domains that are not on record yet."""
        self._there: dict[int, Record] = {}
        """What stands in the XenStore, as far as we know."""
        self._busy: dict[int, asyncio.Task[None]] = {}
        self._due: set[int] = set()
        self._client: StoreClient | None = None
        self._joining = False
        """There is a XenStore, and what it is to hold is not even begun to be written."""
        self._adopted = asyncio.Event()
        self._found: frozenset[int] | None = frozenset()
        """The domains that were found alive; None when the store's word on them has been heard."""
        self._idle = asyncio.Event()
        self._idle.set()
        self.recalled: Callable[[Record, bool], None] = lambda record, lives: None
        """Called with what an earlier daemon's records say, once, and whether a monitor confirms that it lives."""

    # What ought to stand there.

    def began(self, spec: DomainSpec, standing: Standing = Standing.BOOTING, *, present: bool = True) -> None:
        """A domain is built, or found, by this spec. One that is not `present` yet has `arrived` later on."""
        record = replace(Record.of(spec, standing), present=present)
        self._records[spec.domid] = replace(record, control=tuple(self._control.get(spec.domid, {}).items()))
        self._later(spec.domid, SOON if spec.store_port else AFTER)

    def arrived(self, domid: int) -> None:
        """The guest runs, so that its port may be opened: it must see that."""
        self._change(domid, present=True)
        self._settle(domid)

    def tell(self, domid: int, word: str, value: bytes) -> None:
        """Say something to a guest, now; it stands there until something else does."""
        control = self._control.setdefault(domid, {})
        control[word] = value
        self._change(domid, control=tuple(control.items()))
        self._settle(domid)

    def becomes(self, domid: int, standing: Standing, since: float | None = None) -> None:
        """A domain does something else now, if it serves: since then."""
        self._change(domid, standing=standing, since=since)
        self._later(domid)

    def ended(self, domid: int) -> None:
        """A domain is gone, or about to be; may be said twice."""
        self._control.pop(domid, None)
        if self._records.pop(domid, None) is not None:
            self._later(domid)

    def _change(self, domid: int, **changes: Any) -> None:
        record = self._records.get(domid)
        if record is not None:
            self._records[domid] = replace(record, **changes)

    # What an earlier daemon left there.

    def adopted(self, found: Iterable[int] = ()) -> None:
        """These are the domains that an earlier daemon left and that lived; what is to become of them has been said.

        Their monitors are right about that. Whatever else stands there is to go; what it says is `recalled` first.
        """
        self._found = frozenset(found)
        self._adopted.set()

    # Writing it.

    async def keep(self, client: StoreClient) -> None:
        """Keep it written through this connection, until that is lost. Raises StoreError and StoreUnreachable."""
        self._joining = True
        self._idle.clear()
        lost = asyncio.ensure_future(client.closed())
        adopted = asyncio.ensure_future(self._adopted.wait())
        try:
            async with asyncio.timeout(PATIENCE):
                places = client.pipeline()
                make_places(places)
                await places.commit()
                self._there = await recorded(client)
            await asyncio.wait((lost, adopted), return_when=asyncio.FIRST_COMPLETED)
            if not lost.done():
                self._client = client
                self._joining = False
                self._recall()
                # What was read back has no `config`, so all that live are written again: parts may be missing.
                for domid in {**self._there, **self._records}:
                    self._settle(domid)
                self.ready.connect(client)
                self._look_idle()
                await lost
        finally:
            self._client, self._joining = None, False
            self.ready.disconnect()
            self._look_idle()
            for task in (lost, adopted):
                task.cancel()

    @property
    def empty(self) -> bool:
        """Is there no domain, neither here nor there?"""
        return not (self._records or self._there)

    def _recall(self) -> None:
        found, self._found = self._found, None
        if found is not None:
            for record in self._there.values():
                self.recalled(record, record.domid in found)

    async def settled(self, within: float) -> None:
        """Wait until everything stands there as it ought to, or there is no XenStore, or it is not known what ought."""
        if not self._adopted.is_set():
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._idle.wait()

    def _later(self, domid: int, seconds: float = AFTER) -> None:
        self._due.add(domid)
        self._idle.clear()
        asyncio.get_running_loop().call_later(seconds, self._settle, domid)

    def _settle(self, domid: int) -> None:
        """See that a domain stands there as it ought to, if there is a XenStore, and nobody does already."""
        self._due.discard(domid)
        busy = self._busy.get(domid)
        if self._client is not None and (busy is None or busy.done()):
            self._idle.clear()
            task = self._busy[domid] = asyncio.create_task(self._write(self._client, domid))
            task.add_done_callback(partial(self._wrote, domid))
        self._look_idle()

    def _wrote(self, domid: int, task: "asyncio.Task[None]") -> None:
        if self._busy[domid] is task:
            del self._busy[domid]
        self._look_idle()

    def _look_idle(self) -> None:
        if not (self._due or self._busy or self._joining):
            self._idle.set()

    async def _write(self, client: StoreClient, domid: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while await self._step(client, domid):
                    pass
        except TimeoutError:
            log.error("domain %d: the XenStore does not answer", domid)
            await client.close()
        except JitsuError as error:
            # A lost connection is said by who keeps it, and everything is written to the next.
            level = logging.WARNING if isinstance(error, StoreError) else logging.DEBUG
            log.log(level, "domain %d cannot be entered in the XenStore: %s", domid, error)

    async def _step(self, client: StoreClient, domid: int) -> bool:
        """Do one thing for a domain. False: all is as it ought to be."""
        wanted, there = self._records.get(domid), self._there.get(domid)
        if wanted == there:
            return False
        pipeline = client.pipeline()
        if wanted is None:
            assert there is not None  # noqa: S101 - they differ
            if self._homes:
                # Before its nodes go: by them whoever comes after us knows what is still to be released.
                with suppress(StoreError):
                    # It may be a XenStore that never heard of it.
                    await client.release(domid)
            strike(pipeline, domid, homes=self._homes)
            appoint(pipeline, there.service, self._domain_of(there.service))
            await pipeline.commit()
            del self._there[domid]
        elif there is not None and amend(pipeline, there, wanted):
            await pipeline.commit()
            self._there[domid] = wanted
            if wanted.present and not there.present:
                await self._introduce(client, domid)
        else:
            anew = there is not None and not there.is_of(wanted)
            if anew and there is not None:
                appoint(pipeline, there.service, self._domain_of(there.service))
            if self._homes:
                furnish(pipeline, wanted, anew=anew)
            enter(pipeline, wanted)
            if wanted.standing is not Standing.TEMPLATE:
                appoint(pipeline, wanted.service, self._domain_of(wanted.service))
            await pipeline.commit()
            self._there[domid] = wanted
            if wanted.present:
                await self._introduce(client, domid)
        return True

    async def _introduce(self, client: StoreClient, domid: int) -> None:
        if not self._homes:
            return
        try:
            await client.introduce(domid, _FRAME, _PORT)
        except StoreError as error:
            # Its guest has no way to this store then. What stands there is as true.
            log.warning("domain %d cannot be introduced to the XenStore: %s", domid, error)

    def _domain_of(self, service: str) -> int | None:
        """The domain that a service has: of several, the last."""
        return next(
            (
                record.domid
                for record in reversed(self._records.values())
                if record.service == service and record.standing is not Standing.TEMPLATE
            ),
            None,
        )
