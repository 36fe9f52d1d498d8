"""Readiness by nodes of the XenStore, in the guest's `/local/domain/DOMID/data/jitsu`:

    ready              NAME MICROSECONDS          the guest, once it serves
    control/wake       SEED CLOCK                 the host, after a rest, a restore, an adoption
    ready              NAME MICROSECONDS CLOCK    the guest: its secrets are new and its clock is right
    control/stop                                  the host: it shall shut down

Words that are lost on their way need not worry anybody: nodes stay, the guest watches its own and we watch ours, and
whichever side begins anew looks at what is there.
"""

from collections.abc import Callable

from jitsu.domains.domain_store import DomainStore
from jitsu.domains.guest_text import printable
from jitsu.domains.readiness import LONGEST_WORD, Wake


class StoreReadiness:
    """Implements `Readiness`. One that has `booted` is heard when it is woken."""

    def __init__(self, store: DomainStore, domid: int, ready: Callable[[str], None], *, booted: bool = False) -> None:
        self._store = store
        self._domid = domid
        self._ready = ready
        self._said = booted
        self._clock = b""
        if not booted:
            store.ready.follow(domid, self._hear)

    @property
    def said(self) -> bool:
        return self._said

    def wake(self, *, strict: bool = True) -> None:
        """The answer to this wake counts in any case: whoever speaks to the store knows of wakes."""
        wake = Wake.now()
        self._said, self._clock = False, wake.clock
        self._store.tell(self._domid, "wake", wake.words)
        self._store.ready.follow(self._domid, self._hear)

    def stop(self) -> None:
        self._store.tell(self._domid, "stop", b"")

    def drain(self) -> None:
        """What the guest wrote last is not looked at: it is gone."""
        self._store.ready.leave(self._domid)

    def _hear(self, value: bytes) -> None:
        words = value.split(b" ")
        if self._said or not value or len(value) >= LONGEST_WORD or (self._clock and words[2:3] != [self._clock]):
            return
        self._said = True
        self._store.ready.leave(self._domid)
        self._ready(printable(b"ready " + value))
