"""Which domains exist, and which of them were introduced to the store.

On Xen the hypervisor would say which exist; here the one who starts the daemon does. Source: docs/misc/xenstore.txt,
INTRODUCE and the others for toolstacks.
"""

from collections.abc import Iterator

from jitsu.errors import JitsuError
from jitsu.xenstore.wire import StoreError

LAST_DOMID = 0x7FEF
"""DOMID_FIRST_RESERVED - 1."""

SELF = 0x7FF0
"""DOMID_SELF."""


class Introduced:
    """What INTRODUCE said of a domain, and what became of it since."""

    __slots__ = ("frame", "port", "resting", "target")

    def __init__(self, frame: int, port: int) -> None:
        self.frame = frame
        self.port = port
        self.target: int | None = None
        self.resting = False
        """Its shutdown was seen, and not followed by RESUME."""


class Domains:
    """`first` to `last` are the domids that exist; 0 always does."""

    def __init__(self, first: int = 0, last: int = LAST_DOMID) -> None:
        self.first = first
        self.last = last
        self._introduced: dict[int, Introduced] = {}

    def exists(self, domid: int) -> bool:
        return domid == 0 or self.first <= domid <= self.last

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
        for other in self._introduced.values():
            if other.target == domid:
                other.target = None

    def target_of(self, domid: int) -> int | None:
        domain = self._introduced.get(domid)
        return domain.target if domain is not None else None

    def __iter__(self) -> Iterator[tuple[int, Introduced]]:
        return iter(self._introduced.items())

    def __len__(self) -> int:
        return len(self._introduced)


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
