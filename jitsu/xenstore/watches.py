"""Who is told of which change.

A watch on P hears of every change at P and below it; of a removed subtree it hears once if it is at or above the root
of that, and once if it is exactly on a node that went with it. Source: docs/misc/xenstore.txt, and
tools/xenstored/watch.c for the order (that of registration) and for who may know.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Protocol

from jitsu.xenstore.operations import Caller
from jitsu.xenstore.paths import ROOT, is_special, parent_of
from jitsu.xenstore.permissions import READ, Permissions
from jitsu.xenstore.view import Event
from jitsu.xenstore.wire import StoreError, joined


class Watcher(Protocol):
    """Who watches: a connection."""

    caller: Caller
    home: str

    def notify(self, path: bytes, token: bytes) -> None:
        """Put an event into what waits to be sent."""


class Watch:
    """One watch. `given` is the path as its owner wrote it, `depth` how many levels below it count (-1: all), `size`
    how many bytes it counts for."""

    __slots__ = ("depth", "given", "number", "path", "size", "token", "watcher")

    def __init__(
        self, watcher: Watcher, path: str, given: bytes, token: bytes, depth: int, size: int, number: int
    ) -> None:
        self.watcher = watcher
        self.path = path
        self.given = given
        self.token = token
        self.depth = depth
        self.size = size
        self.number = number

    def payload(self) -> bytes:
        """That of the request that set it."""
        depth = () if self.depth < 0 else (b"%d" % self.depth,)
        return joined(self.given, self.token, *depth)

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
    """All watches, by path and then by domain: of one that may not know of a change no watch is looked at."""

    def __init__(self) -> None:
        self._at: dict[str, dict[int, dict[Watch, None]]] = {}
        self._size = 0
        self._numbers = count()

    def __len__(self) -> int:
        return self._size

    def add(self, watcher: Watcher, path: str, given: bytes, token: bytes, depth: int = -1, size: int = 0) -> Watch:
        watch = Watch(watcher, path, given, token, depth, size, next(self._numbers))
        self._at.setdefault(path, {}).setdefault(watcher.caller.domid, {})[watch] = None
        self._size += 1
        return watch

    def remove(self, watch: Watch) -> None:
        at = self._at[watch.path]
        domid = watch.watcher.caller.domid
        of_domain = at[domid]
        del of_domain[watch]
        self._size -= 1
        if not of_domain:
            del at[domid]
            if not at:
                del self._at[watch.path]

    def fire(self, events: list[Event]) -> None:
        """Tell of changes, in their order, everybody who watches and may know."""
        if not self._at:
            return
        for event in events:
            for watch in self._concerned(event.path, event.exact, partial(_may_know, event.judges)):
                reported = watch.reaches(event.path)
                if reported is not None:
                    watch.watcher.notify(watch.shown(reported), watch.token)

    def fire_special(self, name: str, domid: int, may_know: Callable[[Caller], bool]) -> None:
        """`@introduceDomain` or `@releaseDomain`, of a domain: to those who watch it, or it for this domain."""
        single = f"{name}/{domid}"
        for watch in self._concerned(single, False, may_know):
            by_domain = watch.path == single or watch.depth > 0
            watch.watcher.notify((single if by_domain else name).encode(), watch.token)

    def _concerned(self, path: str, exact: bool, may_know: Callable[[Caller], bool]) -> list[Watch]:
        """The watches at a path and, unless `exact`, above it, of those who may know, in the order of registration."""
        found: list[Watch] = []
        knows: dict[int, bool] = {0: True}
        for at in (path,) if exact else (path, *_above(path)):
            for domid, watches in self._at.get(at, _NO_WATCHES).items():
                known = knows.get(domid)
                if known is None:
                    known = knows[domid] = may_know(next(iter(watches)).watcher.caller)
                if known:
                    found += watches
        found.sort(key=lambda watch: watch.number)
        return found


_NO_WATCHES: dict[int, dict[Watch, None]] = {}


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
    if not word.isdigit() or len(word) > 9:
        raise StoreError("EINVAL", f"{word!r} is no depth")
    return int(word)


def _may_know(judges: tuple[Permissions, ...], who: Caller) -> bool:
    return any(who.may(permissions, READ) for permissions in judges)
