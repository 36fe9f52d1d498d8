"""A driver without a hypervisor, for tests of policy: domains that behave as they are told, and a record of calls."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from jitsu.domains.driver import (
    Capabilities,
    Domain,
    DomainEvent,
    DomainSpec,
    Ending,
    Happening,
    Listener,
    Saver,
    Usage,
)
from jitsu.errors import DomainError, JitsuError


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What the domains of a service do. Times are seconds from the moment they run; None means never."""

    ready_after: float | None = 0.0
    exit_after: float | None = None
    crash_after: float | None = None
    refusal: JitsuError | None = None
    """Raised instead of building the domain."""
    build_time: float = 0.0
    """Seconds that `prepare`, `launch` and `blank` take."""
    obeys: bool = True
    """Whether they shut down when they are asked to."""
    wake_time: float | None = 0.0
    """Seconds from a resume or a restore to its being ready again."""


@dataclass(frozen=True, slots=True)
class Call:
    """A method of the driver that was called, for which domain of which service; `taps` and `patience` as they were
    given."""

    method: str
    service: str
    domid: int
    taps: tuple[int, ...] = ()
    patience: float = 0.0


@dataclass(slots=True)
class FakeDriver:
    """Implements `Driver` and `Saver` in memory, on the running event loop's clock.

    `behaviours` says by service what its domains do; other services are ready at once. `survivors` are domains that
    an earlier daemon left: `adopt` takes them over. `running`, `paused` and `blanks` are the domids that are there,
    `ending` those of which the end is still to be told, `taken` those that somebody else has.
    """

    listener: Listener
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    survivors: list[Domain] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    running: dict[int, Domain] = field(default_factory=dict)
    paused: dict[int, Domain] = field(default_factory=dict)
    blanks: dict[int, Domain] = field(default_factory=dict)
    ending: set[int] = field(default_factory=set)
    taken: set[int] = field(default_factory=set)
    states: set[str] = field(default_factory=set)
    """The services of which there is a saved state."""
    unrestorable: set[str] = field(default_factory=set)
    """Services whose saved state turns out to be bad when it is restored."""
    _started: set[int] = field(default_factory=set)
    _ready: set[int] = field(default_factory=set)
    _timers: dict[int, list[asyncio.TimerHandle]] = field(default_factory=dict)

    def capabilities(self) -> Capabilities:
        return Capabilities(name="fake", accelerator="none", pause=True, snapshot=True)

    def is_taken(self, domid: int) -> bool:
        return domid in self.taken

    def is_ending(self, domid: int) -> bool:
        return domid in self.ending

    def usage(self, domid: int) -> Usage | None:
        return None

    def check(self, spec: DomainSpec) -> None:
        self.calls.append(Call("check", spec.service, spec.domid))
        self._refuse(spec)

    async def prepare(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        self.calls.append(Call("prepare", spec.service, spec.domid, tuple(taps)))
        domain = await self._build(spec)
        self.paused[domain.domid] = domain
        return domain

    async def launch(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        self.calls.append(Call("launch", spec.service, spec.domid, tuple(taps)))
        domain = await self._build(spec)
        self._run(domain)
        return domain

    async def resume(self, domain: Domain) -> None:
        self.calls.append(Call("resume", domain.service, domain.domid))
        if domain.domid not in self.running:
            self._run(self._take(self.paused, domain))
            if domain.domid in self._ready:
                self._later(domain, self._behaviour(domain.service).wake_time)

    async def pause(self, domain: Domain) -> None:
        self.calls.append(Call("pause", domain.service, domain.domid))
        if domain.domid not in self.paused:
            self.paused[domain.domid] = self._take(self.running, domain)

    def saver(self) -> Saver:
        return self

    def shape(self, spec: DomainSpec) -> str:
        return "" if spec.machine == "q35" else f"{spec.memory}/{spec.vcpus}"

    async def blank(self, spec: DomainSpec, taps: Sequence[int]) -> Domain:
        self.calls.append(Call("blank", spec.service, spec.domid, tuple(taps)))
        domain = replace(await self._build(spec), service="", fingerprint="")
        self.blanks[domain.domid] = domain
        return domain

    async def restore(self, blank: Domain, spec: DomainSpec) -> Domain:
        self.calls.append(Call("restore", spec.service, blank.domid))
        domain = replace(self._take(self.blanks, blank), service=spec.service, fingerprint=spec.fingerprint)
        if spec.service in self.unrestorable or spec.service not in self.states:
            self.states.discard(spec.service)
            raise DomainError(f"service {spec.service}: not restored: bad migration stream")
        self.running[domain.domid] = domain
        self._later(domain, self._behaviour(domain.service).wake_time)
        return domain

    async def save(self, domain: Domain, spec: DomainSpec) -> None:
        self.calls.append(Call("save", spec.service, domain.domid))
        self.paused[domain.domid] = self._take(self.running, domain)
        self.states.add(spec.service)

    def restorable(self, spec: DomainSpec) -> bool:
        return spec.service in self.states

    async def examine(self, spec: DomainSpec) -> bool:
        return spec.service in self.states

    def discard(self, spec: DomainSpec) -> None:
        self.states.discard(spec.service)

    def prune(self, specs: Iterable[DomainSpec]) -> None:
        self.states &= {spec.service for spec in specs}

    async def destroy(self, domain: Domain, patience: float = 0.0) -> Ending:
        self.calls.append(Call("destroy", domain.service, domain.domid, patience=patience))
        self._remove(domain)
        return Ending.SHUT_DOWN if patience and self._behaviour(domain.service).obeys else Ending.ENDED

    async def adopt(self) -> list[Domain]:
        self.calls.append(Call("adopt", "", 0))
        adopted, self.survivors = self.survivors, []
        for domain in adopted:
            if domain.paused:
                self.paused[domain.domid] = domain
                self._started.add(domain.domid)
                self._ready.add(domain.domid)
            else:
                self._run(domain)
        return adopted

    async def close(self) -> None:
        self.calls.append(Call("close", "", 0))
        for domain in [*self.running.values(), *self.paused.values(), *self.blanks.values()]:
            self._remove(domain)

    def happen(self, domain: Domain, happening: Happening, detail: str = "") -> None:
        """Let something happen to a domain that is there, now; an end removes it. For tests to call."""
        if not any(domain.domid in place for place in (self.running, self.paused, self.blanks)):
            return
        if happening is Happening.READY:
            self._ready.add(domain.domid)
        else:
            self._remove(domain)
        self.listener(DomainEvent(happening, domain, detail))

    async def _build(self, spec: DomainSpec) -> Domain:
        self._refuse(spec)
        if any(spec.domid in place for place in (self.running, self.paused, self.blanks)):
            raise DomainError(f"domain {spec.domid}: exists already")
        if build_time := self._behaviour(spec.service).build_time:
            await asyncio.sleep(build_time)
        return Domain(spec.service, spec.domid, handle=spec.domid, fingerprint=spec.fingerprint)

    def _refuse(self, spec: DomainSpec) -> None:
        if (refusal := self._behaviour(spec.service).refusal) is not None:
            raise refusal

    def _behaviour(self, service: str) -> Behaviour:
        return self.behaviours.get(service, Behaviour())

    def _run(self, domain: Domain) -> None:
        """Let the domain run; what it does is set going the first time only, and a pause does not stop it."""
        self.running[domain.domid] = domain
        if domain.domid in self._started:
            return
        self._started.add(domain.domid)
        behaviour = self._behaviour(domain.service)
        script = (
            (behaviour.ready_after, Happening.READY, f"ready {domain.service} 0"),
            (behaviour.exit_after, Happening.EXITED, "the guest shut down"),
            (behaviour.crash_after, Happening.CRASHED, "the guest reset itself"),
        )
        loop = asyncio.get_running_loop()
        self._timers[domain.domid] = [
            loop.call_later(delay, self.happen, domain, happening, detail)
            for delay, happening, detail in script
            if delay is not None
        ]

    def _later(self, domain: Domain, delay: float | None) -> None:
        """The guest says that it is ready, again."""
        if delay is not None:
            say = asyncio.get_running_loop().call_later(
                delay, self.happen, domain, Happening.READY, f"ready {domain.service} 0"
            )
            self._timers.setdefault(domain.domid, []).append(say)

    def _take(self, place: dict[int, Domain], domain: Domain) -> Domain:
        if domain.domid not in place:
            raise DomainError(f"domain {domain.domid} ({domain.service}): is not running here")
        return place.pop(domain.domid)

    def _remove(self, domain: Domain) -> None:
        for timer in self._timers.pop(domain.domid, []):
            timer.cancel()
        self.running.pop(domain.domid, None)
        self.paused.pop(domain.domid, None)
        self.blanks.pop(domain.domid, None)
