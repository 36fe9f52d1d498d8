"""The ways to a domain, one method each: boot it, let it rest and resume it, restore it into a blank monitor.

The order of a cold start is the order of its cost: the tap's descriptor, then the monitor, and while it loads, the
port. Nothing here decides which way is taken.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from jitsu.config import NetworkConfig, ServiceConfig
from jitsu.domains.disk_images import examine
from jitsu.domains.domain_record import Standing
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Domain, Driver, Ending, Saver
from jitsu.errors import DomainError, JitsuError
from jitsu.network.frames import mac_bytes
from jitsu.network.host import Network
from jitsu.network.packet import Interest
from jitsu.summon.admission import Budget
from jitsu.summon.disk_claims import DiskClaims
from jitsu.summon.tasks import Tasks
from jitsu.summon.tenant import Holding, spec_of
from jitsu.synjitsu.connections import ConnectionTable
from jitsu.synjitsu.probe import Door, Probe
from jitsu.trace import Trace
from jitsu.xenstore.domains import LAST_DOMID

log = logging.getLogger(__name__)


class Builder:
    """Builds domains, each with what it holds on this host, and takes them apart again."""

    def __init__(
        self,
        settings: NetworkConfig,
        network: Network,
        driver: Driver,
        store: DomainStore,
        budget: Budget,
        tasks: Tasks,
    ) -> None:
        self._settings = settings
        self._network = network
        self._driver = driver
        self._store = store
        self._budget = budget
        self._tasks = tasks
        self._disks = DiskClaims()
        self._last_domid = 0

    @property
    def saver(self) -> Saver | None:
        """Who saves and restores states, where the hypervisor can."""
        return self._driver.saver()

    def count_domids_from(self, domid: int) -> None:
        """The next domain gets this domid: those of domains that outlived an earlier daemon are not given again."""
        self._last_domid = domid - 1

    def cost(self, service: ServiceConfig) -> int:
        """Bytes that a guest of this service takes."""
        return self._budget.cost(service.memory)

    def refuses(self, service: ServiceConfig) -> str | None:
        """Why there is no room for a guest of this service now, or None."""
        return self._budget.refuses(service.memory, service.vcpus)

    def admit(self, service: ServiceConfig) -> Holding:
        """Book the room and the disks for a guest of this service, or a monitor of its shape. Raises DomainError."""
        reason = self.refuses(service)
        if reason is not None:
            raise DomainError(reason)
        holding = Holding(self._next_domid())
        self._claim_disks(service, holding)
        self._budget.grant(holding.domid, service.memory, service.vcpus)
        return holding

    def _next_domid(self) -> int:
        """They go round, so that none is given again for long; more than there are have no room on any box."""
        while True:
            self._last_domid = self._last_domid % LAST_DOMID + 1
            if not self._budget.has(self._last_domid) and not self._driver.is_taken(self._last_domid):
                return self._last_domid

    def adopt(self, service: ServiceConfig, domain: Domain) -> Holding:
        """What a domain that outlived an earlier daemon holds. Raises JitsuError or OSError; `let_go` of it then."""
        holding = Holding(domain.domid, domain)
        self._budget.grant(holding.domid, service.memory, service.vcpus)
        # A guest needs no name any more for what it has open.
        with suppress(DomainError):
            self._claim_disks(service, holding)
        standing = Standing.RESTING if domain.paused else Standing.BOOTING
        self._store.began(spec_of(service, self._settings, holding.domid), standing)
        return holding

    def _claim_disks(self, service: ServiceConfig, holding: Holding) -> None:
        images = [examine(service.name, disk) for disk in service.disks]
        self._disks.claim(holding.domid, service.name, images)

    def serves(self, holding: Holding) -> None:
        """The guest's gate is open, since `serving_since`."""
        self._store.becomes(holding.domid, Standing.SERVING, holding.serving_since)

    def connect(self, service: ServiceConfig, holding: Holding, *, quiet: bool = False) -> None:
        """Make the domain's tap a port, or find that it is one, and listen on it. Raises JitsuError or OSError.

        A `quiet` port is not flooded: what its guest does not read would fill the tap.
        """
        holding.port = self._network.plug(holding.domid)
        if quiet:
            self._network.rest(holding.port)
        interest = Interest.PROBES if service.ready == "probe" else Interest.CONNECTIONS
        holding.channel = self._network.listen(
            holding.port, interest, lambda frame, to_guest: holding.hear(frame, to_guest)
        )

    async def boot(
        self, service: ServiceConfig, holding: Holding, trace: Trace, *, quiet: bool = False, template: bool = False
    ) -> None:
        """Start the guest cold. Raises JitsuError or OSError; `end` the holding then.

        A `template` is there to be saved: no later daemon shall take it for the service's own.
        """
        spec = spec_of(service, self._settings, holding.domid)
        if template:
            spec = replace(spec, fingerprint=f"{spec.fingerprint} template")
        with trace.span("tap"):
            taps = self._network.open_taps(holding.domid)
        try:
            with trace.span("spawn"):
                holding.domain = await self._driver.launch(spec, taps)
            self._store.began(spec, Standing.TEMPLATE if template else Standing.BOOTING)
            trace.begin("boot")
            with trace.span("port"):
                self.connect(service, holding, quiet=quiet)
        finally:
            await _close_taps(taps, holding)

    async def rest(self, holding: Holding) -> None:
        """Let the guest rest; its gate is closed. Raises JitsuError or OSError; `end` the holding then."""
        if holding.port is None or holding.domain is None:
            raise DomainError(f"domain {holding.domid}: it is not there")
        self._network.rest(holding.port)
        await self._driver.pause(holding.domain)
        self._store.becomes(holding.domid, Standing.RESTING)
        holding.serving_since = None
        # The sentinel refuses what is left of them while the guest rests.
        holding.connections = ConnectionTable()

    async def resume(self, holding: Holding, trace: Trace) -> None:
        """Let a guest that rests go on. Raises JitsuError or OSError; `end` the holding then."""
        if holding.domain is None:
            raise DomainError(f"domain {holding.domid}: it is not there")
        with trace.span("resume"):
            await self._driver.resume(holding.domain)
        self._store.becomes(holding.domid, Standing.BOOTING)
        trace.begin("wake")
        with trace.span("port"):
            holding.port = self._network.plug(holding.domid)

    async def blank(self, service: ServiceConfig, holding: Holding, trace: Trace) -> None:
        """Start a monitor of this service's shape, without a guest. Raises JitsuError or OSError; `end` it then."""
        with trace.span("tap"):
            taps = self._network.open_taps(holding.domid)
        try:
            with trace.span("spawn"):
                holding.domain = await self._saving().blank(spec_of(service, self._settings, holding.domid), taps)
            self.connect(service, holding, quiet=True)
        finally:
            await _close_taps(taps, holding)

    async def restore(self, service: ServiceConfig, holding: Holding, trace: Trace) -> None:
        """Make a blank monitor the service's guest. Raises JitsuError or OSError; `end` the holding then."""
        if holding.domain is None:
            raise DomainError(f"domain {holding.domid}: it is not there")
        spec = spec_of(service, self._settings, holding.domid)
        holding.restored = True
        with trace.span("port"):
            holding.port = self._network.plug(holding.domid)
        self._store.began(spec, present=False)
        with trace.span("restore"):
            # Awaited here and now: what the guest says first is reported as soon as this returns (see `Driver`).
            holding.domain = await self._saving().restore(holding.domain, spec)
        self._store.arrived(holding.domid)
        trace.begin("wake")

    async def save(self, service: ServiceConfig, holding: Holding) -> None:
        """Save a template's state as that of the service; `end` the holding then. Raises JitsuError."""
        if holding.domain is None:
            raise DomainError(f"domain {holding.domid}: it is not there")
        await self._saving().save(holding.domain, spec_of(service, self._settings))

    def shape(self, service: ServiceConfig) -> str:
        """The shape of a blank monitor for this service; empty where none can be made beforehand. Raises JitsuError."""
        saver = self.saver
        return "" if saver is None else saver.shape(spec_of(service, self._settings))

    async def examine(self, service: ServiceConfig) -> bool:
        """Look for a saved state of this service. Is there a good one? From then on it is `restorable`."""
        saver = self.saver
        return saver is not None and await saver.examine(spec_of(service, self._settings))

    def prune(self, services: Iterable[ServiceConfig]) -> None:
        """Remove all saved states but those of these services as they are now."""
        if (saver := self.saver) is not None:
            saver.prune([spec_of(service, self._settings) for service in services])

    def restorable(self, service: ServiceConfig) -> bool:
        """Is there a good saved state for this service?"""
        saver = self.saver
        return saver is not None and saver.restorable(spec_of(service, self._settings))

    def discard(self, service: ServiceConfig) -> None:
        """Let go of a saved state that proved to be no good."""
        if (saver := self.saver) is not None:
            saver.discard(spec_of(service, self._settings))

    def probe(self, service: ServiceConfig, holding: Holding, opened: Callable[[], None]) -> None:
        """Ask the guest whether it listens, until it does."""
        channel = holding.channel
        if channel is None:
            return
        # Over IPv4 if it has an address of that: the first that it has.
        address = service.addresses[0]
        door = Door(mac_bytes(service.mac), address.packed, service.port)

        def found() -> None:
            channel.listen_for(Interest.CONNECTIONS)
            opened()

        def send(frame: bytes) -> None:
            try:
                channel.send(frame)
            except OSError as error:
                log.debug("%s: a probe was lost: %s", service.name, error)

        channel.listen_for(Interest.PROBES)
        holding.probe = Probe(door, self._settings.half(address.version).probe.packed, send, found)
        holding.probe.start()

    async def end(self, holding: Holding, patience: float = 0.0) -> Ending:
        """End the domain, `patience` as for the driver, and let go of all that it held; one that cannot be ended is
        given up, for nobody is helped by waiting for it."""
        domain, ending = holding.domain, Ending.ENDED
        if domain is not None:
            try:
                ending = await self._driver.destroy(domain, patience)
            except JitsuError as error:
                ending = Ending.KILLED
                log.error("%s: domain %d could not be ended: %s", domain.service, domain.domid, error)
        self.bury(holding)
        return ending

    def bury(self, holding: Holding) -> None:
        """Give back all that a domain held that is gone; may be called twice."""
        self.let_go(holding)
        self._disks.release(holding.domid)

    def let_go(self, holding: Holding) -> None:
        """Give back what others can have before the domain is gone, its disks not among it; may be called twice."""
        self._budget.release(holding.domid)
        self._store.ended(holding.domid)
        if holding.deadline is not None:
            holding.deadline.cancel()
        if holding.probe is not None:
            holding.probe.stop()
        if holding.channel is not None:
            self._tasks.spawn(holding.channel.close())
            holding.channel = None

    def _saving(self) -> Saver:
        saver = self.saver
        if saver is None:
            raise DomainError("this hypervisor's guests cannot be saved", hint="use another `mode`")
        return saver


async def _close_taps(taps: Sequence[int], holding: Holding) -> None:
    """Close our copies. Without a monitor they are the last, and the kernel takes its time to remove an interface."""
    for tap in taps:
        if holding.domain is None:
            await asyncio.to_thread(os.close, tap)
        else:
            os.close(tap)
