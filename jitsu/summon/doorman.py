"""Which SYNs may wake somebody, so that a flood of them neither boots everything nor keeps others out. Pure.

Anybody can send a SYN in anybody's name, without a question before it and without waiting for an answer. So what such
SYNs set off is counted: launches a second in all, launches a second for each client, and how much of the box may go to
guests that nobody is known to have reached. Whoever is refused hears nothing. An RST would hit whoever was slandered,
and would tell a real client to give up; one that hears nothing sends the same SYN again after one second, three, seven.
That is what a flood hardly ever does, for it would have to send everything twice; so half of everything is kept for
SYNs that come again.
"""

import struct
from array import array
from collections import Counter, OrderedDict

from jitsu.config import LimitsConfig
from jitsu.domains.driver import MONITOR_OVERHEAD
from jitsu.summon.machine import Phase
from jitsu.summon.tenant import Tenant
from jitsu.synjitsu.embryonic import Key, WaitingRoom, client_of

_CLIENTS = 4096
"""Clients whose launches are counted; the one that was not seen for longest makes room."""

_SILENCE = 10.0
"""Seconds between two complaints."""

_NUMBERS = struct.Struct("=HHI")
_SLOTS = 1 << 18
_TICKS_A_SECOND = 8
_SHORTEST_REPETITION = 4
"""Ticks, half a second: no client's timer is shorter (RFC 6298), and what comes sooner is an echo."""


class Doorman:
    """Decides at each SYN for a sleeper. Times are `time.monotonic()` seconds. A guest takes `overhead` bytes beside
    its own memory."""

    def __init__(self, limits: LimitsConfig, overhead: int = MONITOR_OVERHEAD) -> None:
        self._limits = limits
        self._overhead = overhead
        self.room = WaitingRoom(limits.held, a_service=limits.held // 8, a_client=limits.held // 16)
        each = limits.knocks / 2
        self._first, self._again = Allowance(each), Allowance(each)
        self._clients: OrderedDict[bytes, Allowance] = OrderedDict()
        self._seen = Repetitions()
        self._strangers: dict[str, int] = {}
        self.refused: Counter[str] = Counter()
        """SYNs that were refused, by the name of the limit in [limits]."""
        self._told: Counter[str] = Counter()
        self._complained = -_SILENCE

    def limit(self, limits: LimitsConfig) -> None:
        """From now on there is so much memory, and so many guests; the other limits are as they were."""
        self._limits = limits

    def lets_in(self, tenant: Tenant, key: Key, now: float) -> bool:
        """May this SYN wake the guest, or wait for it?"""
        if tenant.held and tenant.embryos.holds(key):
            return True
        if tenant.state.phase in (Phase.STARTING, Phase.BOOTING):
            return not (tenant.held and tenant.embryos.crowded) or self.lets_wait(tenant.name, key, now)
        return self.lets_wake(tenant.name, tenant.service.memory, key, now)

    def lets_wake(self, service: str, memory: int, key: Key, now: float) -> bool:
        """May this SYN start the service's guest, which has so many bytes of memory? It is a stranger's then."""
        insists = self._seen.again(service, key, now)
        if not self._strangers_fit(service, memory, insists):
            return self.refuse("strangers")
        if self._limits.knocks and not (self._again if insists else self._first).has_one(now):
            return self.refuse("knocks")
        if self._limits.client_knocks and not self._allowance_of(client_of(key[0])).take(now):
            return self.refuse("client-knocks")
        (self._again if insists else self._first).take(now)
        self.admit_stranger(service, memory)
        return True

    def lets_wait(self, service: str, key: Key, now: float) -> bool:
        """May this SYN take one of the last places on hold? Only if it is sent again."""
        return self._seen.again(service, key, now) or self.refuse("held")

    def admit_stranger(self, service: str, memory: int) -> None:
        """The service's guest is about to be started, and only a bare SYN is known that wants it."""
        self._strangers[service] = memory + self._overhead

    def is_stranger(self, service: str) -> bool:
        return service in self._strangers

    def forget_stranger(self, service: str) -> None:
        """Somebody reached the guest or asked for it, or it is gone."""
        self._strangers.pop(service, None)

    def refuse(self, limit: str) -> bool:
        """Count a SYN that is not listened to."""
        self.refused[limit] += 1
        return False

    def complaint(self, now: float) -> str:
        """One line about what was refused since the last one, every ten seconds at most; else nothing."""
        if now < self._complained + _SILENCE:
            return ""
        self._complained = now
        news = self.refused - self._told
        self._told = self.refused.copy()
        limits = ", ".join(f"{count} by {limit}" for limit, count in sorted(news.items()))
        return f"{news.total()} SYNs for sleepers are not listened to: {limits} ([limits])"

    def _strangers_fit(self, service: str, memory: int, insists: bool) -> bool:
        """One stranger always may; all together may take their part, and half of it on their first SYN."""
        if not self._strangers or service in self._strangers:
            return True
        part = self._limits.strangers / (100 if insists else 200)
        taken = sum(self._strangers.values()) + memory + self._overhead
        return taken <= part * self._limits.memory and len(self._strangers) < part * self._limits.guests

    def _allowance_of(self, client: bytes) -> "Allowance":
        allowance = self._clients.get(client)
        if allowance is None:
            if len(self._clients) >= _CLIENTS:
                self._clients.popitem(last=False)
            allowance = self._clients[client] = Allowance(self._limits.client_knocks)
        else:
            self._clients.move_to_end(client)
        return allowance


class Allowance:
    """So many a second, and twice as many at once after a pause."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left = 2 * rate
        self._at = 0.0

    def has_one(self, now: float) -> bool:
        self._left = min(2 * self._rate, self._left + (now - self._at) * self._rate) if self._at else self._left
        self._at = now
        return self._left >= 1

    def take(self, now: float) -> bool:
        if not self.has_one(now):
            return False
        self._left -= 1
        return True


class Repetitions:
    """Which SYNs came before, half a second ago or earlier: one mebibyte, whatever a flood brings.

    A slot holds 24 bits of a SYN's hash and the time of its first arrival, in eighths of a second, modulo 32 s. A newer
    SYN takes the place of an older one: at 20,000 a second, 93 of 100 are still there after a second.
    """

    def __init__(self) -> None:
        self._slots = array("I", bytes(4 * _SLOTS))

    def again(self, service: str, key: Key, now: float) -> bool:
        """Did this one come before? Note it if not."""
        # Hashed as bytes: Python keys that hash at random, so that nobody can aim at a slot.
        source, *numbers = key
        number = hash(_NUMBERS.pack(*numbers) + source + service.encode())
        at = number % _SLOTS
        mark = (number // _SLOTS & 0xFFFFFF) << 8
        tick = int(now * _TICKS_A_SECOND) & 0xFF
        kept = self._slots[at]
        if kept and kept & 0xFFFFFF00 == mark:
            return (tick - kept) & 0xFF >= _SHORTEST_REPETITION
        self._slots[at] = mark | tick
        return False
