"""Which domains exist, and which of them were introduced to the store.

On Xen the hypervisor says which exist; elsewhere the one who starts the daemon does. Source: docs/misc/xenstore.txt,
INTRODUCE and the others for toolstacks.
"""

from collections.abc import Callable, Iterator

from jitsu.errors import JitsuError
from jitsu.xenstore.wire import StoreError

LAST_DOMID = 0x7FEF
"""DOMID_FIRST_RESERVED - 1."""

SELF = 0x7FF0
"""DOMID_SELF."""


class Introduced:
    """What INTRODUCE said of a domain, and what became of it since."""

    __slots__ = ("frame", "port", "resting", "target")

    def __init__(self, frame: int, port: int, target: int | None = None) -> None:
        self.frame = frame
        self.port = port
        self.target = target
        self.resting = False
        """Its shutdown was seen, and not followed by RESUME."""


class Domains:
    """`first` to `last` are the domids that exist, those that `lives` knows if it is given; 0 always does."""

    def __init__(self, first: int = 0, last: int = LAST_DOMID, *, lives: Callable[[int], bool] | None = None) -> None:
        self.first = first
        self.last = last
        self._lives = lives
        self.features: dict[int, int] = {}
        """What SET_FEATURE said that a domain is offered."""
        self.changed: set[int] | None = None
        """Of which domains anything here is not as it was, for a journal."""
        self._introduced: dict[int, Introduced] = {}

    def exists(self, domid: int) -> bool:
        if domid == 0:
            return True
        return self.first <= domid <= self.last and (self._lives is None or self._lives(domid))

    def get(self, domid: int) -> Introduced:
        """Raises `StoreError` ENOENT for one that was not introduced."""
        domain = self._introduced.get(domid)
        if domain is None:
            raise StoreError("ENOENT", f"domain {domid} was not introduced")
        return domain

    def is_introduced(self, domid: int) -> bool:
        return domid in (0, SELF) or domid in self._introduced

    def introduce(self, domid: int, frame: int, port: int) -> bool:
        """Says whether it is new; one that is known gets another port. Raises `StoreError` EINVAL."""
        if port <= 0 or domid == 0 or not self.exists(domid):
            raise StoreError("EINVAL", f"domain {domid} with event channel {port} cannot be introduced")
        self._note(domid)
        known = self._introduced.get(domid)
        if known is not None:
            known.port = port
            return False
        self._introduced[domid] = Introduced(frame, port)
        return True

    def release(self, domid: int) -> None:
        """Raises `StoreError` ENOENT."""
        self.get(domid)
        del self._introduced[domid]
        self.features.pop(domid, None)
        self._note(domid)
        for each, other in self._introduced.items():
            if other.target == domid:
                other.target = None
                self._note(each)

    def set_target(self, domid: int, target: int) -> None:
        """`domid` serves `target` from now on. Raises `StoreError` ENOENT."""
        domain = self.get(domid)
        self.get(target)
        domain.target = target
        self._note(domid)

    def set_features(self, domid: int, features: int) -> None:
        self.features[domid] = features
        self._note(domid)

    def restore(self, domid: int, introduced: Introduced | None, features: int | None) -> None:
        """Know a domain again that was known in an earlier life."""
        if introduced is not None:
            self._introduced[domid] = introduced
        if features is not None:
            self.features[domid] = features

    def target_of(self, domid: int) -> int | None:
        domain = self._introduced.get(domid)
        return domain.target if domain is not None else None

    def __iter__(self) -> Iterator[tuple[int, Introduced]]:
        return iter(self._introduced.items())

    def __len__(self) -> int:
        return len(self._introduced)

    def _note(self, domid: int) -> None:
        if self.changed is not None:
            self.changed.add(domid)


def domids(text: str) -> tuple[int, int]:
    """The range that `--domains` names: `0-32751`, or one number. Raises `JitsuError`."""
    first, dash, last = text.partition("-")
    try:
        low, high = int(first), int(last if dash else first)
    except ValueError:
        low, high = 1, 0
    if not 0 <= low <= high <= LAST_DOMID:
        raise JitsuError(f"{text!r} is no range of domids", hint=f"for example 0-{LAST_DOMID}, the widest")
    return low, high
