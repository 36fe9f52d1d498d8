"""How a guest's word that it is ready reaches us, and ours that it wakes or shall stop reaches the guest.

There are two ways, of which a domain has one: its port `org.jitsu.ready` (`ReadyPort`), and nodes of the XenStore
(`StoreReadiness`).
"""

import secrets
import time
from typing import NamedTuple, Protocol

LONGEST_WORD = 256
"""Bytes; what is longer does not mean ready."""

SEED_BYTES = 32


class Readiness(Protocol):
    """One domain's. Its owner is called once for the beginning and once for every wake, with a line for people."""

    @property
    def said(self) -> bool:
        """Has the guest been ready, since it was woken last?"""

    def wake(self, *, strict: bool = True) -> None:
        """Give the guest a seed and the time; what it answers is reported as its being ready.

        `strict`: only the answer to this very wake counts. Otherwise any word of being ready may: the guest may be one
        that does not know of wakes, and has no copies. Raises `DomainError` when it cannot be told.
        """

    def stop(self) -> None:
        """Ask the guest to shut down. Not every guest knows this word; one that does not listen is not waited for."""

    def drain(self) -> None:
        """Hear what was said, and listen no longer."""


class Wake(NamedTuple):
    """What a guest is told that goes on after a rest: randomness that no other gets, and the time, which it repeats."""

    words: bytes
    clock: bytes

    @classmethod
    def now(cls) -> "Wake":
        clock = b"%d" % time.time_ns()
        return cls(secrets.token_hex(SEED_BYTES).encode() + b" " + clock, clock)
