"""The summoner: carries out what the state machine decides, for all services.

Nothing on the way from a packet to a spawned monitor blocks or waits, and the monitor is the only process spawned. The
order of that way is the order of its cost: the tap's descriptor, then the monitor, and while it loads, the port.
"""

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from ipaddress import IPv4Address

from jitsu.config import NetworkConfig, ServiceConfig
from jitsu.domains.driver import Domain, DomainEvent, Driver, Happening
from jitsu.errors import DomainError, JitsuError
from jitsu.network.frames import Segment, read_segment
from jitsu.network.host import Network
from jitsu.network.packet import Interest
from jitsu.summon import machine
from jitsu.summon.admission import Budget
from jitsu.summon.delivery import deliver
from jitsu.summon.machine import Phase, State
from jitsu.summon.tenant import Holding, Row, Tenant, spec_of
from jitsu.synjitsu.connections import ConnectionTable
from jitsu.synjitsu.embryonic import Embryo, Verdict
from jitsu.synjitsu.probe import Door, Probe
from jitsu.synjitsu.sentinel import Sentinel
from jitsu.trace import Trace, Traces

log = logging.getLogger(__name__)

IDLE_TICK = 0.25
"""Seconds between two looks for idle guests."""

Told = Callable[[str], None]
"""Called with an empty text when what was waited for happened, or with the reason why it never will."""


class Summoner:
    """All services of one daemon. `sentinel` must be set before the first packet is let in.

    It is the sentinel's `Household`, the driver's listener (`happened`), and what the directory asks (`question`).
    """

    sentinel: Sentinel

    def __init__(
        self,
        services: Mapping[str, ServiceConfig],
        settings: NetworkConfig,
        network: Network,
        driver: Driver,
        budget: Budget,
        *,
        boot_limit: float,
    ) -> None:
        self._settings = settings
        self._network = network
        self._driver = driver
        self._budget = budget
        self._boot_limit = boot_limit
        self._tenants = {name: Tenant(service) for name, service in services.items()}
        self._tokens = itertools.count(1)
        self._told: dict[int, Told] = {}
        self._domids = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self.traces = Traces()

    # What the world says.

    def question(self, service: str, client: str, arrived: float, done: Callable[[bool], None]) -> None:
        """A DNS question for the service's address: `done(True)` when resources are granted, else `done(False)`."""
        tenant = self._tenants[service]
        token = self._token(lambda problem: done(not problem))
        self._want(tenant, machine.Asked(token), arrived)

    def knocked(self, service: str, segment: Segment, frame: bytes) -> None:
        """A SYN at the sentinel: held, or passed on if it strayed."""
        tenant = self._tenants[service]
        now = time.monotonic()
        if tenant.state.phase is Phase.SERVING and self._pass_on(tenant, segment, frame):
            return
        match tenant.embryos.hold(segment, frame, now):
            case Verdict.HELD:
                self._want(tenant, machine.Knocked(), now)
            case Verdict.KNOWN:
                since = tenant.embryos.held_since(segment)
                if tenant.trace is not None and since is not None:
                    waited = (now - since) * 1000
                    tenant.trace.note(f"{_peer(segment)} repeated its SYN after {waited:.0f} ms on hold")
            case Verdict.FULL:
                if not tenant.dropped:
                    log.warning("%s: %d SYNs are on hold, more are dropped", service, len(tenant.embryos))
                tenant.dropped += 1

    def strayed(self, service: str, frame: bytes) -> None:
        """A frame that was on its way to the sentinel when the gate was opened."""
        holding = self._tenants[service].holding
        if holding is not None and holding.channel is not None:
            try:
                holding.channel.send(frame)
            except OSError as error:
                log.debug("%s: a stray frame was lost: %s", service, error)

    def happened(self, event: DomainEvent) -> None:
        """What a domain did by itself."""
        tenant = self._tenants.get(event.domain.service)
        if tenant is None or tenant.holding is None or tenant.holding.domid != event.domain.domid:
            return
        if event.happening is Happening.READY:
            self._step(tenant, machine.BecameReady())
        else:
            log.warning("%s: its domain %d ended: %s", tenant.name, event.domain.domid, event.detail)
            self._step(tenant, machine.Ended(event.detail, wanted=len(tenant.embryos) > 0))

    async def watch_idleness(self) -> None:
        """Dismiss who is silent, for ever."""
        while True:
            await asyncio.sleep(IDLE_TICK)
            now = time.monotonic()
            for tenant in self._tenants.values():
                holding = tenant.holding
                if tenant.state.phase is not Phase.SERVING or holding is None or holding.port is None:
                    continue
                try:
                    unused = self._network.gate_unused(tenant.service.mac, holding.port)
                except OSError as error:
                    log.warning("%s: cannot say when its gate was last used: %s", tenant.name, error)
                    continue
                if unused is not None and tenant.is_idle(unused, now):
                    self._step(tenant, machine.Silent(f"idle for {tenant.silence(unused, now):.1f} s"))

    # What people say.

    async def start(self, service: str) -> None:
        """Summon by hand; returns when the guest serves. Raises DomainError."""
        tenant = self.tenant(service)
        await self._wait_for(lambda token: self._want(tenant, machine.Ordered(token), time.monotonic()), tenant)

    async def stop(self, service: str, reason: str = "stopped by hand") -> None:
        """Dismiss by hand; returns when the domain is gone."""
        tenant = self.tenant(service)
        await self._wait_for(lambda token: self._step(tenant, machine.Unwanted(token, reason)), tenant)

    async def close(self) -> None:
        """Dismiss everybody, and wait for what is under way."""
        await asyncio.gather(*(self.stop(name, "the daemon stops") for name in self._tenants))
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def tenant(self, service: str) -> Tenant:
        """The service of that name. Raises DomainError if there is none."""
        try:
            return self._tenants[service]
        except KeyError:
            known = ", ".join(self._tenants)
            raise DomainError(f"there is no service {service}", hint=f"the services are: {known}") from None

    def rows(self) -> list[Row]:
        return [tenant.row() for tenant in self._tenants.values()]

    # Domains that outlived an earlier daemon.

    async def adopt(self, domains: Iterable[Domain]) -> None:
        """Take over what still fits the configuration; end what does not."""
        found = list(domains)
        self._domids = itertools.count(max((domain.domid for domain in found), default=0) + 1)
        # All that stay are taken over before any end is waited for: what a guest says meanwhile must find it here.
        for domain in [domain for domain in found if not self._fits(domain)]:
            await self._end(domain)

    def _fits(self, domain: Domain) -> bool:
        """Take over this domain if it can be."""
        tenant = self._tenants.get(domain.service)
        if tenant is None or tenant.holding is not None or domain.fingerprint != tenant.service.fingerprint:
            log.info("%s: domain %d is of another configuration and is ended", domain.service, domain.domid)
            return False
        try:
            self._adopt(tenant, Holding(domain.domid, domain))
        except (JitsuError, OSError) as error:
            log.warning("%s: domain %d cannot be adopted and is ended: %s", tenant.name, domain.domid, error)
            self._bury(tenant, f"it could not be adopted: {error}")
            return False
        return True

    def _adopt(self, tenant: Tenant, holding: Holding) -> None:
        tenant.holding = holding
        self._connect(tenant, holding)
        self._budget.grant(holding.domid, tenant.service.memory)
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

    # The machine, and its actions.

    def _want(self, tenant: Tenant, event: machine.Asked | machine.Knocked | machine.Ordered, at: float) -> None:
        """Somebody wants the guest, since `at`. What it does not set off now is set off when its domain has ended."""
        tenant.active = at
        lost_port = tenant.state.phase is Phase.SERVING and isinstance(event, machine.Knocked)
        if lost_port or tenant.state.phase in (Phase.ASLEEP, Phase.DISMISSING):
            tenant.wanted_since = tenant.wanted_since or at
        self._step(tenant, event)

    def _step(self, tenant: Tenant, event: machine.Event) -> None:
        tenant.state, actions = machine.step(tenant.state, event)
        for action in actions:
            self._carry_out(tenant, action)

    def _carry_out(self, tenant: Tenant, action: machine.Action) -> None:
        match action:
            case machine.Launch(cause):
                self._spawn(self._launch(tenant, cause))
            case machine.Tell(tokens, problem):
                for token in tokens:
                    self._told.pop(token)(problem)
            case machine.Serve():
                self._serve(tenant)
            case machine.Dismiss(reason):
                self._dismiss(tenant, reason)
            case machine.ResetHeld(reason):
                tenant.wanted_since = None
                abandoned = tenant.embryos.abandon()
                for embryo in abandoned:
                    self.sentinel.reset(embryo.segment)
                if abandoned:
                    log.info("%s: %d held SYNs are reset: %s", tenant.name, len(abandoned), reason)
            case machine.Bury(reason):
                self._bury(tenant, reason)

    async def _launch(self, tenant: Tenant, cause: str) -> None:
        """Admission, tap, monitor, port: from a decision to a domain that boots."""
        domid = next(self._domids)
        service = tenant.service
        trace = Trace(tenant.name, cause, origin=tenant.wanted_since or time.monotonic(), domid=domid)
        tenant.wanted_since = None
        trace.begin("decide", at=trace.origin)
        trace.end("decide")
        self.traces.add(trace)
        tenant.trace = trace
        tenant.summons += 1
        holding = Holding(domid)
        tenant.holding = holding
        try:
            reason = self._budget.refuses(service.memory)
            if reason is not None:
                raise DomainError(reason)
            self._budget.grant(domid, service.memory)
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
            await self._end(holding.domain)
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
        door = Door(tenant.mac, tenant.service.address.packed, tenant.service.port)

        def opened() -> None:
            channel.listen_for(Interest.CONNECTIONS)
            self._step(tenant, machine.BecameReady())

        channel = holding.channel

        def send(frame: bytes) -> None:
            try:
                channel.send(frame)
            except OSError as error:
                log.debug("%s: a probe was lost: %s", tenant.name, error)

        holding.probe = Probe(door, self._settings.probe.packed, send, opened)
        holding.probe.start()

    def _heard(self, tenant: Tenant, holding: Holding, frame: bytes, to_guest: bool) -> None:
        """A frame on the guest's port."""
        if holding.probe is not None and not to_guest:
            holding.probe.heard(frame)
        segment = read_segment(frame)
        if segment is None or self._settings.probe.packed in (segment.source, segment.target):
            return
        tenant.active = time.monotonic()
        tenant.connections.see(segment, to_guest)

    def _serve(self, tenant: Tenant) -> None:
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
            unwanted = machine.Unwanted(self._token(lambda problem: None), f"its gate cannot be opened: {error}")
            asyncio.get_running_loop().call_soon(self._step, tenant, unwanted)
            return
        self.sentinel.step_aside(tenant.name)
        holding.serving_since = tenant.active = time.monotonic()
        if len(tenant.embryos):
            with trace.span("deliver"):
                for embryo in tenant.embryos.release():
                    deliver(tenant, embryo, self._settings)
        trace.finish("serving")
        log.info("%s: domain %d serves after %.1f ms", tenant.name, holding.domid, trace.record()["total_ms"])

    def _pass_on(self, tenant: Tenant, segment: Segment, frame: bytes) -> bool:
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

    def _dismiss(self, tenant: Tenant, reason: str) -> None:
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
            await self._end(holding.domain)
        self._step(tenant, machine.Gone(wanted=len(tenant.embryos) > 0))

    async def _end(self, domain: Domain) -> None:
        """End a domain; one that cannot be is given up, for nobody is helped by waiting for it."""
        try:
            await self._driver.destroy(domain)
        except JitsuError as error:
            log.error("%s: domain %d could not be ended: %s", domain.service, domain.domid, error)

    def _bury(self, tenant: Tenant, reason: str) -> None:
        """Nothing of the domain stays; its port, its gate and its tap went with its monitor."""
        holding = tenant.holding
        tenant.last = reason or tenant.last
        self.sentinel.step_in(tenant.name)
        tenant.embryos.domain_ended()
        tenant.dropped = 0
        tenant.connections = ConnectionTable()
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

    # Small parts.

    def _token(self, told: Told) -> int:
        token = next(self._tokens)
        self._told[token] = told
        return token

    async def _wait_for(self, say: Callable[[int], None], tenant: Tenant) -> None:
        """Say something with a token in it, and wait until the token is told. Raises DomainError."""
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def told(problem: str) -> None:
            if not answered.done():
                answered.set_result(problem)

        say(self._token(told))
        problem = await answered
        if problem:
            raise DomainError(f"service {tenant.name}: {problem}", hint=f"see: jitsu logs {tenant.name}")

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


def _peer(segment: Segment) -> str:
    return f"{IPv4Address(segment.source)}:{segment.source_port}"
