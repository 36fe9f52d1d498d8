"""Carries out what the state machine decides: a domain is launched, served, dismissed, buried.

Nothing on the way from a packet to a spawned monitor blocks or waits, and the monitor is the only process spawned. The
order of that way is the order of its cost: the tap's descriptor, then the monitor, and while it loads, the port.
"""

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Callable, Coroutine

from jitsu.config import NetworkConfig
from jitsu.domains.driver import Domain, Driver
from jitsu.errors import DomainError, JitsuError
from jitsu.network.frames import Segment, read_segment
from jitsu.network.host import Network
from jitsu.network.packet import Interest
from jitsu.summon import machine
from jitsu.summon.admission import Budget
from jitsu.summon.delivery import deliver, deliver_datagram
from jitsu.summon.machine import Phase, State
from jitsu.summon.tenant import Holding, Tenant, spec_of
from jitsu.synjitsu.embryonic import Embryo
from jitsu.synjitsu.probe import Door, Probe
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
        budget: Budget,
        *,
        boot_limit: float,
        step: Step,
    ) -> None:
        self._settings = settings
        self._spare = {settings.half(version).probe.packed for version in (4, 6)}
        self._network = network
        self._driver = driver
        self._budget = budget
        self._boot_limit = boot_limit
        self._step = step
        self._domids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.traces = Traces()

    def adopt(self, tenant: Tenant, domain: Domain) -> None:
        """Take over a domain that outlived an earlier daemon. Raises JitsuError or OSError; bury it then."""
        holding = Holding(domain.domid, domain)
        tenant.holding = holding
        self._connect(tenant, holding)
        self._budget.grant(holding.domid, tenant.service.memory, tenant.service.vcpus)
        # Its connections are unknown, so it counts as busy for one idle period.
        tenant.active = time.monotonic()
        tenant.trace = Trace(tenant.name, "adoption", domid=holding.domid)
        self.traces.add(tenant.trace)
        if holding.port is not None and self._network.gate_unused(tenant.service.mac, holding.port) is not None:
            tenant.state = State(Phase.SERVING)
            holding.serving_since = tenant.active
            self.sentinel.step_aside(tenant.name)
            tenant.trace.finish("serving")
        else:
            tenant.state = State(Phase.BOOTING)
            tenant.trace.begin("boot")
            self._await_readiness(tenant, holding)
        log.info("%s: domain %d adopted, %s", tenant.name, holding.domid, tenant.state.phase.value)

    def launch(self, tenant: Tenant, cause: str) -> None:
        """Begin a launch; `Launched` or `Refused` follows."""
        self._spawn(self._launch(tenant, cause))

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
        """Wait for whatever is under way."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def count_domids_from(self, domid: int) -> None:
        """The next domain gets this domid: those of domains that outlived an earlier daemon are not given again."""
        self._domids = itertools.count(domid)

    async def _launch(self, tenant: Tenant, cause: str) -> None:
        """Admission, tap, monitor, port: from a decision to a domain that boots."""
        domid = next(self._domids)
        service = tenant.service
        trace = Trace(tenant.name, cause, origin=tenant.wanted_since or time.monotonic(), domid=domid)
        tenant.wanted_since = None
        waited = "depends" if service.depends else "decide"
        trace.begin(waited, at=trace.origin)
        trace.end(waited)
        self.traces.add(trace)
        tenant.trace = trace
        tenant.summons += 1
        holding = Holding(domid)
        tenant.holding = holding
        try:
            reason = self._budget.refuses(service.memory, service.vcpus)
            if reason is not None:
                raise DomainError(reason)
            self._budget.grant(domid, service.memory, service.vcpus)
            with trace.span("tap"):
                tap = self._network.open_tap(domid)
            try:
                with trace.span("spawn"):
                    holding.domain = await self._driver.launch(spec_of(service, self._settings, domid), [tap])
                trace.begin("boot")
                with trace.span("port"):
                    self._connect(tenant, holding)
            finally:
                await _close_tap(tap, holding)
        except (JitsuError, OSError) as error:
            await self._abort(tenant, holding, str(error))
            return
        except Exception:
            # A fault of ours. Whoever waits is told all the same, and the service can be tried again.
            log.exception("%s: cannot be started", tenant.name)
            await self._abort(tenant, holding, "an error that nobody expected; the daemon's log has it")
            return
        with trace.span("answer"):
            self._step(tenant, machine.Launched())
        if tenant.state.phase is Phase.BOOTING:
            self._await_readiness(tenant, holding)

    async def _abort(self, tenant: Tenant, holding: Holding, reason: str) -> None:
        """A launch failed half-way."""
        log.warning("%s: cannot be started: %s", tenant.name, reason)
        if holding.domain is not None:
            await self.end(holding.domain)
        self._step(tenant, machine.Refused(reason))

    def _connect(self, tenant: Tenant, holding: Holding) -> None:
        """Make the domain's tap a port, or find that it is one, and listen on it. Raises JitsuError or OSError."""
        holding.port = self._network.plug(holding.domid)
        interest = Interest.CONNECTIONS if tenant.service.ready == "told" else Interest.PROBES

        def heard(frame: bytes, to_guest: bool) -> None:
            self._heard(tenant, holding, frame, to_guest)

        holding.channel = self._network.listen(holding.port, interest, heard)

    def _await_readiness(self, tenant: Tenant, holding: Holding) -> None:
        limit = self._boot_limit
        reason = f"not ready within {limit:g} s ([limits] boot)"
        loop = asyncio.get_running_loop()
        holding.deadline = loop.call_later(limit, lambda: self._step(tenant, machine.Overdue(reason)))
        if tenant.service.ready == "told" or holding.channel is None:
            return
        # Over IPv4 if it has an address of that: the first that it has.
        address = tenant.service.addresses[0]
        door = Door(tenant.mac, address.packed, tenant.service.port)

        def opened() -> None:
            channel.listen_for(Interest.CONNECTIONS)
            self._step(tenant, machine.BecameReady())

        channel = holding.channel

        def send(frame: bytes) -> None:
            try:
                channel.send(frame)
            except OSError as error:
                log.debug("%s: a probe was lost: %s", tenant.name, error)

        holding.probe = Probe(door, self._settings.half(address.version).probe.packed, send, opened)
        holding.probe.start()

    def _heard(self, tenant: Tenant, holding: Holding, frame: bytes, to_guest: bool) -> None:
        """A frame on the guest's port."""
        if holding.probe is not None and not to_guest:
            holding.probe.heard(frame)
        segment = read_segment(frame)
        if segment is None or not self._spare.isdisjoint((segment.source, segment.target)):
            return
        tenant.active = time.monotonic()
        holding.connections.see(segment, to_guest)

    def serve(self, tenant: Tenant) -> None:
        """Gate first, then what is on hold: the guest's answers must find the gate open."""
        holding, trace = tenant.holding, tenant.trace
        if holding is None or holding.port is None or trace is None:
            return
        _cancel(holding.deadline)
        trace.end("boot")
        try:
            with trace.span("gate"):
                self._network.open_gate(tenant.service.mac, holding.port)
        except OSError as error:
            # Most likely the port died with its domain. A guest that nobody can reach is of no use in any case.
            lost = machine.Lost(f"its gate cannot be opened: {error}")
            asyncio.get_running_loop().call_soon(self._step, tenant, lost)
            return
        self.sentinel.step_aside(tenant.name)
        holding.serving_since = tenant.active = time.monotonic()
        if tenant.held:
            with trace.span("deliver"):
                for embryo in tenant.embryos.release():
                    deliver(tenant, embryo, self._settings)
                for held in tenant.datagrams.release():
                    deliver_datagram(tenant, held, self._settings)
        trace.finish("serving")
        log.info("%s: domain %d serves after %.1f ms", tenant.name, holding.domid, trace.record()["total_ms"])

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

    def dismiss(self, tenant: Tenant, reason: str) -> None:
        """Gate first: from here on whoever knocks is held, for the next domain."""
        holding = tenant.holding
        tenant.last = reason
        log.info("%s: dismissed: %s", tenant.name, reason)
        if holding is None:
            return
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
        self._spawn(self._destroy(tenant, holding))

    async def _destroy(self, tenant: Tenant, holding: Holding) -> None:
        if holding.domain is not None:
            await self.end(holding.domain)
        self._step(tenant, machine.Gone(wanted=tenant.held > 0))

    async def end(self, domain: Domain) -> None:
        """End a domain; one that cannot be is given up, for nobody is helped by waiting for it."""
        try:
            await self._driver.destroy(domain)
        except JitsuError as error:
            log.error("%s: domain %d could not be ended: %s", domain.service, domain.domid, error)

    def bury(self, tenant: Tenant, reason: str) -> None:
        """Nothing of the domain stays; its port, its gate and its tap went with its monitor."""
        holding = tenant.holding
        tenant.last = reason or tenant.last
        self.sentinel.step_in(tenant.name)
        tenant.embryos.domain_ended()
        tenant.dropped = 0
        if tenant.trace is not None and not tenant.trace.outcome:
            tenant.trace.finish(reason)
        if holding is None:
            return
        tenant.holding = None
        self._budget.release(holding.domid)
        _cancel(holding.deadline)
        if holding.probe is not None:
            holding.probe.stop()
        if holding.channel is not None:
            self._spawn(holding.channel.close())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("an error that nobody expected", exc_info=task.exception())


async def _close_tap(tap: int, holding: Holding) -> None:
    """Close our copy. Without a monitor it is the last, and the kernel takes its time to remove the interface."""
    if holding.domain is None:
        await asyncio.to_thread(os.close, tap)
    else:
        os.close(tap)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
