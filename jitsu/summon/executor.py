"""Carries out what the state machine decides: a domain is launched, served, dismissed, buried.

Nothing on the way from a packet to a domain blocks, and a monitor is the only process that is spawned on it. Where the
domain comes from is chosen in provision.py.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from jitsu.config import NetworkConfig, WarmConfig
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Domain, Driver, Ending
from jitsu.errors import JitsuError
from jitsu.network.frames import Segment, read_segment
from jitsu.network.host import Network
from jitsu.network.packet import Interest
from jitsu.summon import machine
from jitsu.summon.admission import Budget
from jitsu.summon.builder import Builder
from jitsu.summon.delivery import deliver, deliver_datagram
from jitsu.summon.doorman import Doorman
from jitsu.summon.machine import Phase, State
from jitsu.summon.pools import Pools
from jitsu.summon.provision import Provision
from jitsu.summon.refill import Refill
from jitsu.summon.tasks import Tasks
from jitsu.summon.tenant import Holding, Tenant
from jitsu.synjitsu.embryonic import Embryo
from jitsu.synjitsu.handshake import HandshakeWatch
from jitsu.synjitsu.sentinel import Sentinel
from jitsu.trace import Trace, Traces

log = logging.getLogger(__name__)

Step = Callable[[Tenant, machine.Event], None]


class Executor:
    """The hands of a summoner. What happens in consequence of an action goes back to it, as an event, through `step`.

    `sentinel` must be set before the first packet is let in.
    """

    sentinel: Sentinel

    def __init__(
        self,
        settings: NetworkConfig,
        network: Network,
        driver: Driver,
        store: DomainStore,
        budget: Budget,
        doorman: Doorman,
        *,
        boot_limit: float,
        warm: WarmConfig,
        step: Step,
    ) -> None:
        self._settings = settings
        self._spare = {settings.half(version).probe.packed for version in (4, 6)}
        self._network = network
        self._driver = driver
        self._doorman = doorman
        self.boot_limit = boot_limit
        """Seconds in which a guest must be ready."""
        self._step = step
        self._tasks = Tasks()
        self._summoning: set[str] = set()
        self.builder = Builder(settings, network, driver, store, budget, self._tasks)
        self.pools = Pools(self.builder, self._tasks, warm)
        self.refill = Refill(self.pools, self.builder, boot_limit=boot_limit, busy=lambda: bool(self._summoning))
        self._provision = Provision(self.builder, self.pools)
        self.traces = Traces()

    def adopt(self, tenant: Tenant, domain: Domain) -> None:
        """Take over a domain that outlived an earlier daemon. Raises JitsuError or OSError; bury it then."""
        holding = tenant.holding = self.builder.adopt(tenant.service, domain)
        self.builder.connect(tenant.service, holding)
        self._listen(tenant, holding)
        # Its connections are unknown, so it counts as busy for one idle period.
        tenant.active = time.monotonic()
        tenant.trace = Trace(tenant.name, "adoption", domid=holding.domid)
        self.traces.add(tenant.trace)
        if holding.port is not None and self._network.gate_unused(tenant.service.mac, holding.port) is not None:
            tenant.state = State(Phase.SERVING)
            holding.serving_since = tenant.active
            self.builder.serves(holding)
            self.sentinel.step_aside(tenant.name)
            tenant.trace.finish("serving")
        else:
            tenant.state = State(Phase.BOOTING)
            tenant.trace.begin("boot")
            self._await_readiness(tenant, holding)
        log.info("%s: domain %d adopted, %s", tenant.name, holding.domid, tenant.state.phase.value)

    def launch(self, tenant: Tenant, cause: str) -> None:
        """Begin a launch; `Launched` or `Refused` follows."""
        if cause in ("syn", "udp", "icmp"):
            self._doorman.admit_stranger(tenant.name, tenant.service.memory)
        else:
            self._doorman.forget_stranger(tenant.name)
        self._summoning.add(tenant.name)
        self._tasks.spawn(self._launch(tenant, cause))

    def reset_held(self, tenant: Tenant, reason: str) -> None:
        """Refuse everybody whose SYN is on hold."""
        tenant.wanted_since = None
        if not tenant.held:
            return
        # Datagrams get no answer: a name in DNS does not promise one, and who sent them sends again.
        tenant.datagrams.release()
        abandoned = tenant.embryos.abandon()
        for embryo in abandoned:
            self.sentinel.reset(embryo.segment)
        if abandoned:
            log.info("%s: %d held SYNs are reset: %s", tenant.name, len(abandoned), reason)

    async def finished(self) -> None:
        """End all spares, and wait for whatever is under way."""
        await self.pools.close()
        await self._tasks.finished()

    async def _launch(self, tenant: Tenant, cause: str) -> None:
        """From a decision to a domain that runs."""
        trace = Trace(tenant.name, cause, origin=tenant.wanted_since or time.monotonic())
        tenant.wanted_since = None
        waited = "depends" if tenant.service.depends else "decide"
        trace.begin(waited, at=trace.origin)
        trace.end(waited)
        self.traces.add(trace)
        tenant.trace = trace
        tenant.summons += 1

        def held(holding: Holding) -> None:
            tenant.holding = holding
            trace.domid = holding.domid

        try:
            await self._provision.obtain(tenant.service, trace, held)
        except (JitsuError, OSError) as error:
            await self._abort(tenant, str(error))
            return
        except Exception:
            # A fault of ours. Whoever waits is told all the same, and the service can be tried again.
            log.exception("%s: cannot be started", tenant.name)
            await self._abort(tenant, "an error that nobody expected; the daemon's log has it")
            return
        # From the driver's return to here nothing has waited: no event of the domain can have been missed.
        if tenant.holding is not None:
            self._listen(tenant, tenant.holding)
        with trace.span("answer"):
            self._step(tenant, machine.Launched())
        if tenant.state.phase is Phase.BOOTING and tenant.holding is not None:
            self._await_readiness(tenant, tenant.holding)

    async def _abort(self, tenant: Tenant, reason: str) -> None:
        """A launch failed half-way."""
        log.warning("%s: cannot be started: %s", tenant.name, reason)
        if tenant.holding is not None:
            await self.builder.end(tenant.holding)
        self._step(tenant, machine.Refused(reason))

    def _listen(self, tenant: Tenant, holding: Holding) -> None:
        """Hear what happens on the domain's port."""
        holding.hear = lambda frame, to_guest: self._heard(tenant, holding, frame, to_guest)

    def _await_readiness(self, tenant: Tenant, holding: Holding) -> None:
        limit = self.boot_limit
        reason = f"not ready within {limit:g} s ([limits] boot)"
        loop = asyncio.get_running_loop()
        holding.deadline = loop.call_later(limit, lambda: self._step(tenant, machine.Overdue(reason)))
        if tenant.service.ready == "probe":
            self.builder.probe(tenant.service, holding, lambda: self._step(tenant, machine.BecameReady()))

    def _heard(self, tenant: Tenant, holding: Holding, frame: bytes, to_guest: bool) -> None:
        """A frame on the guest's port."""
        if holding.probe is not None and not to_guest:
            holding.probe.heard(frame)
        segment = read_segment(frame)
        if segment is None or not self._spare.isdisjoint((segment.source, segment.target)):
            return
        tenant.active = time.monotonic()
        holding.connections.see(segment, to_guest)
        if holding.doubt is not None and holding.doubt.completes(segment, to_guest):
            self.vouch(tenant)

    def vouch(self, tenant: Tenant) -> None:
        """Somebody is known to want the guest: it was asked for, or reached."""
        self._doorman.forget_stranger(tenant.name)
        if tenant.holding is not None:
            _trust(tenant.holding)

    def _doubt(self, tenant: Tenant, holding: Holding) -> None:
        """Look who reaches a guest that only packets without a question wanted. Where datagrams count as well, a
        handshake is not to be waited for."""
        provable = all(trigger.protocol == "tcp" for trigger in tenant.service.wake)
        if provable and holding.channel is not None and self._doorman.is_stranger(tenant.name):
            holding.doubt = HandshakeWatch()
            holding.channel.listen_for(Interest.SEGMENTS)

    def serve(self, tenant: Tenant) -> None:
        """Gate first, then what is on hold: the guest's answers must find the gate open."""
        holding, trace = tenant.holding, tenant.trace
        if holding is None or holding.port is None or trace is None:
            return
        if holding.deadline is not None:
            holding.deadline.cancel()
        self._summoning.discard(tenant.name)
        for stage in ("boot", "wake"):
            trace.end(stage)
        try:
            with trace.span("gate"):
                self._network.open_gate(tenant.service.mac, holding.port)
        except OSError as error:
            # Most likely the port died with its domain. A guest that nobody can reach is of no use in any case.
            reason = f"its gate cannot be opened: {error}"
            log.warning("%s: %s", tenant.name, reason)
            asyncio.get_running_loop().call_soon(self._step, tenant, machine.Lost(reason))
            return
        self.sentinel.step_aside(tenant.name)
        holding.serving_since = tenant.active = time.monotonic()
        self.builder.serves(holding)
        self._doubt(tenant, holding)
        if tenant.held:
            with trace.span("deliver"):
                for embryo in tenant.embryos.release():
                    deliver(tenant, embryo, self._settings)
                for held in tenant.datagrams.release():
                    deliver_datagram(tenant, held, self._settings)
        trace.finish("serving")
        log.info("%s: domain %d serves after %.1f ms", tenant.name, holding.domid, trace.record()["total_ms"])

    def reach_again(self, tenant: Tenant, holding: Holding) -> None:
        """There is no gate to a guest that serves: somebody removed the entry, or the port with it.

        An entry is made again. A port goes with its guest as well, which is told when the guest is all gone: only one
        that is missing for two looks was taken from a guest that lives, and such a guest nobody can reach.
        """
        try:
            if holding.port is not None:
                self._network.open_gate(tenant.service.mac, holding.port)
            holding.unreachable = False
        except OSError as error:
            if holding.unreachable and not self._driver.is_ending(holding.domid):
                reason = f"its port was taken away: {error}"
                log.warning("%s: %s", tenant.name, reason)
                self._step(tenant, machine.Lost(reason))
            holding.unreachable = True

    def plug_again(self, tenant: Tenant, holding: Holding) -> None:
        """Make the guest's tap a port of the bridge that there is now."""
        if holding.port is None:
            return
        try:
            holding.port = self._network.plug(holding.domid)
            if tenant.state.phase is Phase.SERVING:
                self._network.open_gate(tenant.service.mac, holding.port)
        except (JitsuError, OSError) as error:
            reason = f"it cannot be plugged in again: {error}"
            self._step(tenant, machine.Lost(reason) if tenant.state.phase is Phase.SERVING else machine.Overdue(reason))

    def pass_on(self, tenant: Tenant, segment: Segment, frame: bytes) -> bool:
        """Hand over a SYN that reached the sentinel although the gate is open. False: the port is gone, hold it."""
        holding = tenant.holding
        if holding is None or holding.port is None:
            return False
        try:
            if self._network.gate_unused(tenant.service.mac, holding.port) is None:
                # Somebody removed the entry, or it went with the port: then there is none to point an entry at.
                self._network.open_gate(tenant.service.mac, holding.port)
        except OSError:
            return False
        if tenant.embryos.mark_delivered(segment):
            deliver(tenant, Embryo(segment, frame, time.monotonic()), self._settings)
        return True

    def dismiss(self, tenant: Tenant, reason: str, *, keep: bool = False) -> None:
        """Gate first: from here on whoever knocks is held, for the next domain. Then the domain is ended, or, if it may
        be kept, rests."""
        holding = tenant.holding
        tenant.last = reason
        log.info("%s: dismissed: %s", tenant.name, reason)
        if holding is None:
            return
        _trust(holding)
        if holding.port is not None:
            try:
                self._network.close_gate(tenant.service.mac, holding.port)
            except OSError as error:
                # It closes anyway, a moment later, when the port goes with its domain.
                log.error("%s: the gate cannot be closed: %s", tenant.name, error)
        self.sentinel.step_in(tenant.name)
        tenant.embryos.domain_ended()
        if tenant.trace is not None and not tenant.trace.outcome:
            tenant.trace.finish(reason)
        self._tasks.spawn(self._leave(tenant, holding, keep=keep))

    async def _leave(self, tenant: Tenant, holding: Holding, *, keep: bool) -> None:
        if keep and await self.pools.park(tenant.service, holding):
            tenant.holding = None
        else:
            # A guest that never served, or that rests, has nothing to put in order.
            asks = tenant.service.dismiss == "ask" and holding.serving_since is not None
            patience = tenant.service.patience if asks else 0.0
            ending = await self.builder.end(holding, patience)
            if patience or ending is not Ending.ENDED:
                tenant.last = f"{tenant.last}; {_how(ending, patience)}"
                if tenant.trace is not None:
                    tenant.trace.note(tenant.last)
        self._step(tenant, machine.Gone(wanted=tenant.held > 0))

    def bury(self, tenant: Tenant, reason: str) -> None:
        """Nothing of the domain stays; its port, its gate and its tap went with its monitor."""
        holding = tenant.holding
        tenant.last = reason or tenant.last
        self.sentinel.step_in(tenant.name)
        tenant.embryos.domain_ended()
        if tenant.trace is not None and not tenant.trace.outcome:
            tenant.trace.finish(reason)
        self._summoning.discard(tenant.name)
        self.pools.news.set()
        if holding is None:
            return
        tenant.holding = None
        self.builder.bury(holding)
        if holding.restored and holding.serving_since is None:
            # Whatever it is, it is no guest that can be copied: the next one boots, and is saved anew.
            log.warning("%s: its saved state is given up, for a guest restored from it never served", tenant.name)
            self.builder.discard(tenant.service)
            self.pools.found_unsaved(tenant.service)


def _trust(holding: Holding) -> None:
    """Look no more who reaches it."""
    if holding.doubt is not None and holding.channel is not None:
        holding.channel.listen_for(Interest.CONNECTIONS)
    holding.doubt = None


def _how(ending: Ending, patience: float) -> str:
    """How far one had to go, where that was not just to end what was not asked."""
    if not patience or ending is Ending.SHUT_DOWN:
        return ending.value
    return f"it did not shut down within {patience:g} s, and {ending.value.removeprefix('it ')}"
