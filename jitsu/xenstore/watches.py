"""Who is told of which change.

A watch on P hears of every change at P and below it; of a removed subtree it hears once if it is at or above the root
of that, and once if it is exactly on a node that went with it. Source: docs/misc/xenstore.txt, and
tools/xenstored/watch.c for the order (that of registration) and for who may know.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Protocol

from jitsu.xenstore.operations import Caller
from jitsu.xenstore.paths import ROOT, is_special, parent_of
from jitsu.xenstore.permissions import READ
from jitsu.xenstore.view import Event
from jitsu.xenstore.wire import StoreError


class Watcher(Protocol):
    """Who watches: a connection."""

    caller: Caller
    home: str

    def notify(self, path: bytes, token: bytes) -> None:
        """Put an event into what waits to be sent."""


class Watch:
    """One watch. `given` is the path as its owner wrote it, `depth` how many levels below it count (-1: all)."""

    __slots__ = ("depth", "given", "number", "path", "token", "watcher")

    def __init__(self, watcher: Watcher, path: str, given: bytes, token: bytes, depth: int, number: int) -> None:
        self.watcher = watcher
        self.path = path
        self.given = given
        self.token = token
        self.depth = depth
        self.number = number

    def shown(self, path: str) -> bytes:
        """A changed path as the owner of the watch knows it: relative, if that is how he asked."""
        if not is_special(path) and self.given[:1] != b"/":
            return path.removeprefix(self.watcher.home + "/").encode()
        return path.encode()

    def reaches(self, path: str) -> str | None:
        """What of a changed path at or below this one is reported, or None for too deep."""
        if self.depth < 0 or path == self.path:
            return path
        rest = path[len(self.path) :].lstrip("/") if self.path != ROOT else path[1:]
        return path if rest.count("/") < self.depth else None


class Watches:
    """All watches, by path."""

    def __init__(self) -> None:
        self._at: dict[str, list[Watch]] = {}
        self._numbers = count()

    def __len__(self) -> int:
        return sum(len(watches) for watches in self._at.values())

    def add(self, watcher: Watcher, path: str, given: bytes, token: bytes, depth: int = -1) -> Watch:
        watch = Watch(watcher, path, given, token, depth, next(self._numbers))
        self._at.setdefault(path, []).append(watch)
        return watch

    def remove(self, watch: Watch) -> None:
        at = self._at[watch.path]
        at.remove(watch)
        if not at:
            del self._at[watch.path]

    def fire(self, events: list[Event]) -> None:
        """Tell of changes, in their order, everybody who watches and may know."""
        if not self._at:
            return
        for event in events:
            for watch in self._concerned(event.path, event.exact):
                reported = watch.reaches(event.path)
                if reported is not None and _may_know(watch.watcher.caller, event):
                    watch.watcher.notify(watch.shown(reported), watch.token)

    def fire_special(self, name: str, domid: int, may_know: Callable[[Caller], bool]) -> None:
        """`@introduceDomain` or `@releaseDomain`, of a domain: to those who watch it, or it for this domain."""
        single = f"{name}/{domid}"
        for watch in self._concerned(single, False):
            if may_know(watch.watcher.caller):
                by_domain = watch.path == single or watch.depth > 0
                watch.watcher.notify((single if by_domain else name).encode(), watch.token)

    def _concerned(self, path: str, exact: bool) -> list[Watch]:
        """The watches at a path and, unless `exact`, above it, in the order of their registration."""
        at = self._at
        found = list(at.get(path, ()))
        if not exact:
            for above in _above(path):
                found += at.get(above, ())
        found.sort(key=lambda watch: watch.number)
        return found


def _above(path: str) -> Iterator[str]:
    """The paths above one; a special one is in no directory."""
    if is_special(path):
        name, slash, _ = path.partition("/")
        if slash:
            yield name
        return
    while path != ROOT:
        path = parent_of(path)
        yield path


def depth_from(word: bytes) -> int:
    """Raises `StoreError` EINVAL."""
    if not word.isdigit():
        raise StoreError("EINVAL", f"{word!r} is no depth")
    return int(word)


def _may_know(who: Caller, event: Event) -> bool:
    return not who.domid or any(who.may(permissions, READ) for permissions in event.judges)
