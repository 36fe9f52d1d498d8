"""The summoner: what the world and people say becomes events of the state machine, for all services."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from ipaddress import ip_address

from jitsu.config import LimitsConfig, NetworkConfig, ServiceConfig, WarmConfig
from jitsu.config.hours import within
from jitsu.config.wake import wakes
from jitsu.domains.domain_record import Record
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Domain, DomainEvent, Driver, Happening
from jitsu.errors import DomainError, JitsuError
from jitsu.events import Events, Kind
from jitsu.network.datagrams import Datagram
from jitsu.network.frames import Segment
from jitsu.network.host import Network
from jitsu.summon import machine
from jitsu.summon.admission import Budget
from jitsu.summon.adoption import adopt, recall
from jitsu.summon.doorman import Doorman
from jitsu.summon.executor import Executor
from jitsu.summon.gathering import Gathering, needed
from jitsu.summon.machine import Phase
from jitsu.summon.news import news_of
from jitsu.summon.register import Register
from jitsu.summon.tenant import Tenant
from jitsu.synjitsu.embryonic import Verdict, key_of
from jitsu.synjitsu.sentinel import Sentinel
from jitsu.trace import Traces

log = logging.getLogger(__name__)

IDLE_TICK = 0.25
"""Seconds between two looks for idle guests."""

Told = Callable[[str], None]
"""Called with an empty text when what was waited for happened, or with the reason why it never will."""


class Summoner:
    """All services of one daemon. `sentinel` must be set before the first packet is let in.

    It is the sentinel's `Household`, the driver's listener (`happened`), and what the directory asks (`question`).
    """

    def __init__(
        self,
        services: Mapping[str, ServiceConfig],
        settings: NetworkConfig,
        network: Network,
        driver: Driver,
        store: DomainStore,
        budget: Budget,
        doorman: Doorman,
        *,
        boot_limit: float,
        warm: WarmConfig | None = None,
        events: Events | None = None,
    ) -> None:
        self.events = events if events is not None else Events()
        self._network = network
        self._doorman = doorman
        self.budget = budget
        self._executor = Executor(
            settings,
            network,
            driver,
            store,
            budget,
            doorman,
            boot_limit=boot_limit,
            warm=warm or WarmConfig(),
            step=self._step,
        )
        self.register = Register(services, doorman.room, self._executor.pools.warmth)
        for tenant in self.register.tenants.values():
            if tenant.service.mode != "cold":
                self._keep_warm(tenant)
        self._tokens = itertools.count(1)
        self._told: dict[int, Told] = {}
        self.redefined: Callable[[ServiceConfig, ServiceConfig], None] = lambda before, after: None
        """Called when another definition of a service comes into force, with the one before and the new one."""

    @property
    def sentinel(self) -> Sentinel:
        """Who stands in for sleepers."""
        return self._executor.sentinel

    @sentinel.setter
    def sentinel(self, sentinel: Sentinel) -> None:
        self._executor.sentinel = sentinel

    @property
    def traces(self) -> Traces:
        """The last summons."""
        return self._executor.traces

    # What the world says.

    def question(self, service: str, client: str, arrived: float, done: Callable[[bool], None]) -> None:
        """A DNS question for the service's address: `done(True)` when resources are granted, else `done(False)`."""
        tenant = self.register.tenants[service]
        token = self._token(lambda problem: done(not problem))
        self._executor.vouch(tenant)
        self._want(tenant, machine.Asked(token), arrived)

    def awake(self, service: str) -> bool:
        """Whether a question for the service sets off nothing: its domain is there, or about to be, or must not be."""
        return self.tenant(service).state.phase not in (Phase.ASLEEP, Phase.DISMISSING)

    def knocked(self, service: str, segment: Segment, frame: bytes) -> None:
        """A SYN at the sentinel: held, or passed on if it strayed, or not listened to."""
        tenant = self.register.tenants[service]
        now = time.monotonic()
        if tenant.state.phase is Phase.SERVING and self._executor.pass_on(tenant, segment, frame):
            return
        if not self._may_wait(tenant) and not wakes(tenant.service.wake, "tcp", segment.target_port):
            self.sentinel.reset(segment)
            return
        if not self._doorman.lets_in(tenant, key_of(segment), now):
            self._complain(now)
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
                if tenant.state.phase in machine.AT_REST:
                    self._doorman.forget_stranger(service)
                self._doorman.refuse("held")
                self._complain(now)

    def _complain(self, now: float) -> None:
        complaint = self._doorman.complaint(now)
        if complaint:
            log.warning(complaint)

    def arrived(self, service: str, datagram: Datagram, frame: bytes) -> None:
        """A datagram or an echo request at the sentinel: held if it wakes the service and there is room, or dropped."""
        tenant = self.register.tenants[service]
        if not wakes(tenant.service.wake, datagram.protocol, datagram.port):
            return
        now = time.monotonic()
        asker = datagram.source, 0, datagram.port, 0
        if not self._may_wait(tenant) and not self._doorman.lets_wake(service, tenant.service.memory, asker, now):
            self._complain(now)
        elif tenant.datagrams.hold(datagram, frame):
            self._want(tenant, machine.Knocked(datagram.protocol), now)

    def strayed(self, service: str, frame: bytes) -> None:
        """A frame that was on its way to the sentinel when the gate was opened."""
        holding = self.register.tenants[service].holding
        if holding is not None and holding.channel is not None:
            try:
                holding.channel.send(frame)
            except OSError as error:
                log.debug("%s: a stray frame was lost: %s", service, error)

    def happened(self, event: DomainEvent) -> None:
        """What a domain did by itself."""
        tenant = self.register.tenants.get(event.domain.service)
        if tenant is None or tenant.holding is None or tenant.holding.domid != event.domain.domid:
            self._executor.pools.happened(event)
            return
        if event.happening is Happening.READY:
            self._step(tenant, machine.BecameReady())
        else:
            log.warning("%s: its domain %d ended: %s", tenant.name, event.domain.domid, event.detail)
            in_order = event.happening is Happening.EXITED
            self._step(tenant, machine.Ended(event.detail, wanted=tenant.held > 0, in_order=in_order))

    async def watch_idleness(self) -> None:
        """Dismiss who is silent, for ever."""
        while True:
            await asyncio.sleep(IDLE_TICK)
            self.keep_hours(datetime.now())
            now = time.monotonic()
            needed_now = needed(self.register.awake.values())
            # Whoever sleeps costs nothing here, however many they are.
            for tenant in list(self.register.awake.values()):
                kept = tenant.name in needed_now or tenant.upkeep.kept
                if kept:
                    tenant.active = now
                holding = tenant.holding
                if tenant.state.phase is not Phase.SERVING or holding is None or holding.port is None:
                    continue
                try:
                    unused = self._network.gate_unused(tenant.service.mac, holding.port)
                except OSError as error:
                    # The bridge is gone. Whoever looks after the network says so, and puts it back.
                    log.debug("%s: cannot say when its gate was last used: %s", tenant.name, error)
                    continue
                if unused is None:
                    self._executor.reach_again(tenant, holding)
                elif not kept and tenant.is_idle(unused, now):
                    tenant.upkeep.dismissed()
                    self._step(tenant, machine.Silent(tenant.why_idle(unused, now)))

    def plug_again(self) -> None:
        """The bridge is another one: every guest that lives becomes a port of it, and open gates are opened."""
        for tenant in list(self.register.awake.values()):
            if tenant.holding is not None:
                self._executor.plug_again(tenant, tenant.holding)

    def keep_hours(self, moment: datetime) -> None:
        """Start those whose hours it is. `moment` is what clocks show; one that was set just counts as it is now."""
        for tenant in self.register.timed.values():
            tenant.upkeep.look(within(tenant.service.hours, moment))
            if tenant.upkeep.kept and tenant.state.phase is Phase.ASLEEP and tenant.retry is None:
                self._step(tenant, machine.Due("hours"))

    async def keep_warm(self) -> None:
        """Start whoever shall always run, and keep the spares that the services' modes ask for, for ever."""
        for tenant in list(self.register.tenants.values()):
            if tenant.service.mode == "running":
                self._step(tenant, machine.Due("running"))
        await self._executor.refill.run()

    # What people say.

    async def start(self, service: str) -> None:
        """Summon by hand; returns when the guest serves. Raises DomainError."""
        tenant = self.tenant(service)
        tenant.upkeep.start()
        self._executor.vouch(tenant)
        await self._wait_for(lambda token: self._want(tenant, machine.Ordered(token), time.monotonic()), tenant)

    async def stop(self, service: str, reason: str = "stopped by hand") -> None:
        """Dismiss by hand; returns when the domain is gone."""
        tenant = self.tenant(service)
        tenant.upkeep.stop()
        self._executor.pools.dismiss(service)

        def say(token: int) -> None:
            self._step(tenant, machine.Unwanted(token, reason))
            self._give_up(tenant, reason)

        await self._wait_for(say, tenant)

    async def close(self) -> None:
        """Dismiss everybody, and wait for what is under way."""
        await asyncio.gather(*(self.stop(name, "the daemon stops") for name in self.register.awake))
        await self._executor.finished()

    def tenant(self, service: str) -> Tenant:
        """The service of that name. Raises DomainError if there is none."""
        return self.register.tenant(service)

    # Services that come, change and go.

    def add(self, service: ServiceConfig) -> None:
        """A new service, asleep."""
        tenant = self.register.add(service)
        self._guard(service)
        self._mind(tenant)

    def redefine(self, service: ServiceConfig) -> bool:
        """Another definition for a service of that name. Its policy counts from now on, the rest as soon as no domain
        of the old one is left: False if there is one."""
        tenant = self.tenant(service.name)
        if tenant.holding is None:
            self._take_on(tenant, service)
            return True
        before = tenant.service
        tenant.define(before.with_policy_of(service))
        tenant.successor = service if tenant.service != service else None
        self._mind(tenant)
        self.redefined(before, tenant.service)
        return tenant.successor is None

    def limit(self, limits: LimitsConfig) -> None:
        """Other limits, for whatever starts from now on."""
        self._executor.boot_limit = limits.boot
        self.budget.resize(limits.memory, limits.guests, limits.vcpus)
        self._doorman.limit(limits)

    async def remove(self, name: str, reason: str) -> None:
        """Dismiss a service and forget it; returns when nothing of it is left. Nobody can summon it meanwhile."""
        tenant = self.tenant(name)
        tenant.leaving = True
        self._executor.reset_held(tenant, reason)
        await self.stop(name, reason)
        self._executor.pools.forget(name)
        self._executor.builder.discard(tenant.service)
        self.sentinel.forget(name, tenant.service.addresses)
        self.register.remove(name)

    def _take_on(self, tenant: Tenant, service: ServiceConfig) -> None:
        """From now on the service is so defined; there is no domain of it."""
        before, tenant.successor = tenant.service, None
        tenant.define(service)
        if (before.addresses, before.mac) != (service.addresses, service.mac):
            # Nobody is there any more to whom these SYNs could be delivered.
            self._executor.reset_held(tenant, "its address changed")
            self.sentinel.forget(service.name, before.addresses)
            self._guard(service)
        self._mind(tenant)
        self.redefined(before, service)

    def _mind(self, tenant: Tenant) -> None:
        """See to what a new definition wants beside summons: hours, a guest that always runs, spares."""
        self.register.keep_time(tenant)
        self._keep_warm(tenant)
        if tenant.service.mode == "running":
            self._step(tenant, machine.Due("running"))

    def _guard(self, service: ServiceConfig) -> None:
        self.sentinel.guard(service.name, service.addresses, service.mac)
        self.sentinel.announce_one(service.name, service.addresses)

    async def adopt(self, domains: Iterable[Domain]) -> None:
        """Take over what an earlier daemon left, where it still fits the configuration; end what does not."""
        await adopt(domains, self.register, self._executor, self.events)

    def recalled(self, record: Record, lives: bool) -> None:
        """What stood in the store of a domain of an earlier daemon, when it has been adopted or is gone."""
        recall(record, lives, self.register, self._executor, self.events)

    # The machine, and its actions.

    def _want(self, tenant: Tenant, event: machine.Asked | machine.Knocked | machine.Ordered, at: float) -> None:
        """Somebody wants the guest, since `at`. What it does not set off now is set off when its domain has ended."""
        if tenant.leaving:
            self._turn_away(tenant, event)
            return
        tenant.active = at
        lost_port = tenant.state.phase is Phase.SERVING and isinstance(event, machine.Knocked)
        if lost_port or tenant.state.phase in (Phase.ASLEEP, Phase.DISMISSING):
            tenant.wanted_since = tenant.wanted_since or at
        self._step(tenant, event)

    def _turn_away(self, tenant: Tenant, event: machine.Asked | machine.Knocked | machine.Ordered) -> None:
        """Nobody gets a service that is being removed."""
        reason = "it is being removed"
        if isinstance(event, machine.Knocked):
            self._executor.reset_held(tenant, reason)
        else:
            self._told.pop(event.token)(reason)

    def _step(self, tenant: Tenant, event: machine.Event) -> None:
        before = tenant.state.phase
        tenant.state, actions = machine.step(tenant.state, event, self._rest(tenant, event))
        domid = tenant.holding.domid if tenant.holding is not None else 0
        # Told before it has consequences, which are news of their own.
        for kind, detail in news_of(before, event, actions, tenant.state):
            self.events.add(kind, tenant.name, domid=domid, detail=detail)
        for action in actions:
            self._carry_out(tenant, action)
        self.register.keep_in_sight(tenant)
        if tenant.state.phase in machine.AT_REST:
            self._doorman.forget_stranger(tenant.name)

    def _rest(self, tenant: Tenant, event: machine.Event) -> machine.Rest:
        """What follows this event, if it is the end of a domain."""
        if not machine.ends(tenant.state, event):
            return machine.Rest()
        if isinstance(event, machine.Refused):
            return tenant.upkeep.refused(own=tenant.cause in ("restart", "hours", "running"))
        now = time.monotonic()
        in_order = isinstance(event, machine.Ended) and event.in_order
        rest = tenant.upkeep.ended(tenant.service, now, tenant.served(now), in_order=in_order)
        if rest.looping:
            log.warning(
                "%s: ended %d times in a row, next try in %g s", tenant.name, tenant.upkeep.crashes, rest.seconds
            )
        return rest

    def _carry_out(self, tenant: Tenant, action: machine.Action) -> None:
        match action:
            case machine.Launch(cause):
                tenant.call_off()
                tenant.cause = cause
                self._gather(tenant)
            case machine.Wait(seconds):
                tenant.retry = asyncio.get_running_loop().call_later(seconds, self._retry, tenant)
            case machine.CallOff():
                tenant.call_off()
            case machine.Tell(tokens, problem):
                for token in tokens:
                    self._told.pop(token)(problem)
            case machine.Serve():
                self._executor.serve(tenant)
                self._tell_ready(tenant)
            case machine.Dismiss(reason, keep):
                self._executor.dismiss(tenant, reason, keep=keep)
            case machine.ResetHeld(reason):
                self._executor.reset_held(tenant, reason)
            case machine.Bury(reason):
                self._executor.bury(tenant, reason)
                if tenant.successor is not None:
                    self._take_on(tenant, tenant.successor)

    def _gather(self, tenant: Tenant) -> None:
        """Launch as soon as everybody whom the service depends on serves; they come side by side."""
        if not tenant.service.depends:
            self._executor.launch(tenant, tenant.cause)
            return
        gathering = tenant.gathering = Gathering(tenant.service.depends)
        now = time.monotonic()
        for name in tenant.service.depends:
            token = self._token(partial(self._gathered, tenant, gathering, name))
            self._want(self.register.tenants[name], machine.Ordered(token, by_hand=False), now)

    def _gathered(self, tenant: Tenant, gathering: Gathering, name: str, problem: str) -> None:
        """Somebody whom the service depends on serves, or never will."""
        if tenant.gathering is not gathering:
            return
        if problem:
            self._give_up(tenant, f"{name}, on which it depends: {problem}")
        elif gathering.serves(name):
            tenant.gathering = None
            self._executor.launch(tenant, tenant.cause)

    def _give_up(self, tenant: Tenant, reason: str) -> None:
        """Wait for nobody any more; there will be no launch."""
        if tenant.gathering is not None:
            tenant.gathering = None
            log.warning("%s: cannot be started: %s", tenant.name, reason)
            self._step(tenant, machine.Refused(reason))

    def _tell_ready(self, tenant: Tenant) -> None:
        if tenant.holding is not None and tenant.trace is not None:
            taken = f"after {tenant.trace.record()['total_ms']:.1f} ms"
            self.events.add(Kind.READY, tenant.name, domid=tenant.holding.domid, detail=taken)

    def _retry(self, tenant: Tenant) -> None:
        tenant.retry = None
        self._step(tenant, machine.Due("restart"))

    # Small parts.

    def _may_wait(self, tenant: Tenant) -> bool:
        """Is somebody on the way whom a SYN may wait for, whether it would have woken them or not?"""
        return tenant.state.phase in (Phase.STARTING, Phase.BOOTING, Phase.SERVING)

    def _keep_warm(self, tenant: Tenant) -> None:
        """Keep what the service's mode asks for, if the service can be built at all: its first summon says why not."""
        try:
            self._executor.pools.know(tenant.service, lambda: tenant.state.phase is Phase.ASLEEP)
        except JitsuError as error:
            log.warning("%s: cannot be kept warm: %s", tenant.name, error)

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


def _peer(segment: Segment) -> str:
    address = ip_address(segment.source)
    host = f"[{address}]" if address.version == 6 else f"{address}"
    return f"{host}:{segment.source_port}"
