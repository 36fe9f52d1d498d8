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

from jitsu.domains.domain_record import (
    Record,
    Standing,
    appoint,
    enter,
    make_places,
    recorded,
    stand,
    strike,
)
from jitsu.domains.driver import DomainSpec
from jitsu.errors import JitsuError
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.wire import StoreError

log = logging.getLogger(__name__)

AFTER = 0.002
"""Seconds after which a change is written: what a summon does at once comes first, and some changes are the last."""

PATIENCE = 10.0
"""Seconds in which a XenStore must have answered all that one change takes; then it is given up, and another sought."""

_FRAME, _PORT = 0, 1
"""Of INTRODUCE. There is no ring to map; 0 would be no event channel."""


class DomainStore:
    """The records of one daemon's domains. Everything happens in the running event loop."""

    def __init__(self) -> None:
        self._records: dict[int, Record] = {}
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

    def began(self, spec: DomainSpec, standing: Standing = Standing.BOOTING) -> None:
        """A domain is built, or found, by this spec."""
        self._records[spec.domid] = Record.of(spec, standing)
        self._later(spec.domid)

    def becomes(self, domid: int, standing: Standing, since: float | None = None) -> None:
        """A domain does something else now, if it serves: since then."""
        record = self._records.get(domid)
        if record is not None:
            self._records[domid] = replace(record, standing=standing, since=since)
            self._later(domid)

    def ended(self, domid: int) -> None:
        """A domain is gone, or about to be; may be said twice."""
        if self._records.pop(domid, None) is not None:
            self._later(domid)

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
                self._look_idle()
                await lost
        finally:
            self._client, self._joining = None, False
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

    def _later(self, domid: int) -> None:
        if domid not in self._due:
            self._due.add(domid)
            self._idle.clear()
            asyncio.get_running_loop().call_later(AFTER, self._settle, domid)

    def _settle(self, domid: int) -> None:
        """See that a domain stands there as it ought to, if there is a XenStore, and nobody does already."""
        self._due.discard(domid)
        busy = self._busy.get(domid)
        if self._client is not None and (busy is None or busy.done()):
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
            strike(pipeline, domid)
            appoint(pipeline, there.service, self._domain_of(there.service))
            await pipeline.commit()
            del self._there[domid]
            with suppress(StoreError):
                # It may be a XenStore that never heard of it.
                await client.release(domid)
        elif there is not None and there == replace(wanted, standing=there.standing, since=there.since):
            stand(pipeline, wanted)
            await pipeline.commit()
            self._there[domid] = wanted
        else:
            anew = there is not None and not there.is_of(wanted)
            if anew and there is not None:
                appoint(pipeline, there.service, self._domain_of(there.service))
            enter(pipeline, wanted, anew=anew)
            if wanted.standing is not Standing.TEMPLATE:
                appoint(pipeline, wanted.service, self._domain_of(wanted.service))
            await pipeline.commit()
            self._there[domid] = wanted
            await client.introduce(domid, _FRAME, _PORT)
        return True

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
