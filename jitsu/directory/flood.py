"""How much one client may ask for: pure policy, with the time told from outside.

A client is an IPv4 address or an IPv6 /64, the smallest that is given away (RFC 6177), for within it whoever has it can
take any address. Two things are limited:

    answers over UDP    their sender may be forged, and the answers then hit somebody who never asked. What is too much
                        is not answered but for every second question, which is told to come over TCP: that is no longer
                        than the question, a forger cannot follow it, and a real client can (as BIND's and NSD's "slip")
    summons             of services that sleep; questions for those that run cost little and are not counted. Over UDP
                        the client is told to come over TCP, where it has a share that no forger can use up; what is too
                        much there as well is SERVFAIL, upon which a resolver tries another board at once, where silence
                        would make it wait for nothing
"""

from collections import OrderedDict
from enum import Enum
from ipaddress import IPv6Address

MOST_CLIENTS = 8192
"""Clients that are remembered, some 200 bytes each. Beyond, those that have been quiet longest are forgotten."""

SLIP = 2
"""Of the answers over UDP that are too many, every so manieth is sent, truncated."""


class Rates:
    """Who has done a thing how often lately: `rate` times a second on the average are allowed to each client, and
    twice as many at once. A rate of 0 allows everything."""

    def __init__(self, rate: float, most: int = MOST_CLIENTS) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._most = most
        # A token bucket in one number (the generic cell rate algorithm, ITU-T I.371): when it will be full again.
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, client: str, now: float) -> bool:
        """May the client of this IP address do it once more at `now`, in seconds? If so, it is counted."""
        if not self._interval:
            return True
        key = prefix_of(client)
        full_at = max(self._full_at.get(key, now), now)
        allowed = full_at - now < 2.0 - self._interval / 2
        self._full_at[key] = full_at + self._interval if allowed else full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return allowed


class Verdict(Enum):
    """What becomes of a question over UDP."""

    ANSWER = "answer"
    TRUNCATE = "truncate"
    DROP = "drop"


class AnswerLimit:
    """The limit on answers over UDP: `rate` a second to each client, 0 for none."""

    def __init__(self, rate: float) -> None:
        self._rates = Rates(rate)
        self._refused = 0

    def judge(self, client: str, now: float) -> Verdict:
        """What becomes of a question from this IP address at `now`, in seconds."""
        if self._rates.take(client, now):
            return Verdict.ANSWER
        self._refused += 1
        return Verdict.DROP if self._refused % SLIP else Verdict.TRUNCATE


def prefix_of(client: str) -> str:
    """Who an IP address counts as."""
    if ":" not in client:
        return client
    address = IPv6Address(client)
    # A socket that systemd hands over may speak both families.
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return address.packed[:8].hex()
