"""An asynchronous client of any XenStore daemon: `jitsu xenstored`, Xen's own, or oxenstored.

Many requests may be under way at once. No request has a deadline of its own: a daemon may hold an answer back so that
somebody else's transaction gets through, and who cannot wait says so with `asyncio.timeout`. When the connection is
lost, everything that waits raises StoreUnreachable, `closed` returns, and the owner makes a new client; watches and
transactions are gone with the connection.
"""

import asyncio
import builtins
import itertools
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from jitsu.xenstore import request
from jitsu.xenstore.link import Link, connected
from jitsu.xenstore.pipeline import MOST_ATTEMPTS, Pipeline, begin
from jitsu.xenstore.request import COMMIT, Request, decoded
from jitsu.xenstore.subscription import Subscription
from jitsu.xenstore.wire import Message, StoreError, Type, strings

_MOST_LISTINGS = 64
"""How often a listing of several parts is begun anew because the directory changed under it."""

_T = TypeVar("_T")


def default_socket() -> Path:
    """Where a XenStore daemon listens, as all clients have it: $XENSTORED_PATH, $XENSTORED_RUNDIR, or Xen's folder."""
    if path := os.environ.get("XENSTORED_PATH"):
        return Path(path)
    return Path(os.environ.get("XENSTORED_RUNDIR") or "/var/run/xenstored") / "socket"


class Requests:
    """What can be asked inside of a transaction and outside of any. Each raises StoreError and StoreUnreachable.

    Paths are absolute, or relative to the caller's own `/local/domain/DOMID`.
    """

    def __init__(self, link: Link, transaction: int = 0) -> None:
        self._link = link
        self._transaction = transaction

    async def read(self, path: str) -> bytes:
        """The value of a node."""
        return await self._ask(request.read(path))

    async def write(self, path: str, value: bytes) -> None:
        """Set a value; the node and those above it are made if they are missing."""
        await self._ask(request.write(path, value))

    async def mkdir(self, path: str) -> None:
        """Make a node, and those above it; one that is there stays as it is."""
        await self._ask(request.mkdir(path))

    async def rm(self, path: str) -> None:
        """Remove a node and everything below it. It may be missing, but the one above it may not."""
        await self._ask(request.rm(path))

    async def exists(self, path: str) -> bool:
        """Is there a node that the caller may know of?"""
        try:
            await self.read(path)
        except StoreError as error:
            if error.errno == "ENOENT":
                return False
            raise
        return True

    async def get_perms(self, path: str) -> builtins.list[str]:
        """The permissions of a node or of a special watch, the owner's first: `["n0", "r5"]`."""
        return [decoded(perm) for perm in strings(await self._ask(request.get_perms(path)))]

    async def set_perms(self, path: str, perms: Sequence[str]) -> None:
        """Set them, all of them."""
        await self._ask(request.set_perms(path, perms))

    async def list(self, path: str) -> builtins.list[str]:
        """The names of the nodes right below one, however many, in the daemon's order."""
        try:
            names = strings(await self._ask(request.directory(path)))
        except StoreError as error:
            if error.errno != "E2BIG":
                raise
            names = await self._listed_in_parts(path)
        return [decoded(name) for name in names]

    async def answers(self, requests: Sequence[Request]) -> Sequence[Message]:
        """Ask many questions at once; gives the answers as they came, errors too."""
        return await self._link.exchange([(each, self._transaction) for each in requests])

    async def _listed_in_parts(self, path: str) -> builtins.list[bytes]:
        """A listing of more than one message: parts of one generation of the directory, or all over again."""
        for _ in range(_MOST_LISTINGS):
            parts = b""
            generation = None
            while True:
                asked = request.directory_part(path, len(parts))
                counted, _, part = (await self._ask(asked)).partition(b"\0")
                if generation not in (None, counted):
                    break
                generation = counted
                if part in (b"", b"\0") or part.endswith(b"\0\0"):
                    # The empty name is the end of the list.
                    return strings(parts + part[:-1])
                parts += part
        raise StoreError(
            "EAGAIN", f"list {path}: it changed {_MOST_LISTINGS} times while it was listed", hint="try again"
        )

    async def _ask(self, asked: Request) -> bytes:
        return asked.result((await self.answers([asked]))[0])


class Transaction(Requests):
    """A transaction whose requests depend on answers. Leaving `async with` without a commit aborts it."""

    def __init__(self, link: Link, transaction: int) -> None:
        super().__init__(link, transaction)
        self._open = True

    async def commit(self) -> None:
        """Do all of it. Raises StoreError: then nothing was done, and after EAGAIN the same may be tried again."""
        self._open = False
        self._link.ids.ended(self._transaction)
        await self._ask(COMMIT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._open:
            self._open = False
            self._link.abort(self._transaction)


class StoreClient(Requests):
    """A connection to a daemon. Made by `connect` or `over`; closed by `close` or at the end of `async with`."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self._tokens = itertools.count(1)

    @classmethod
    async def connect(cls, path: Path | None = None, timeout: float = 5.0) -> Self:
        """To the daemon that listens on `path`, or on `default_socket`. Raises StoreUnreachable, also after `timeout`
        seconds in which the daemon accepts nobody."""
        name = str(path or default_socket())
        return await cls.over(await connected(name, timeout), name)

    @classmethod
    async def over(cls, connection: socket.socket, name: str) -> Self:
        """Over a stream socket that is connected, and the client's from now on; `name` is what errors call it."""
        return cls(await Link.attach(connection, name))

    async def closed(self) -> None:
        """Return when the connection is gone, whoever ended it."""
        await asyncio.shield(self._link.closed)

    async def close(self) -> None:
        """Close the connection; what is under way fails, and watches end."""
        self._link.close()
        await self.closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def pipeline(self) -> Pipeline:
        """A transaction whose requests do not depend on answers: collected first, then sent at once."""
        return Pipeline(self._link)

    async def begin(self) -> Transaction:
        """A transaction whose requests do."""
        number, _ = await begin(self._link)
        return Transaction(self._link, number)

    async def transact(self, body: Callable[[Transaction], Awaitable[_T]], attempts: int = MOST_ATTEMPTS) -> _T:
        """Run `body` in a transaction, again while the daemon answers EAGAIN, and give what it gave in the end.

        Raises what `body` raises, and StoreError: EAGAIN after `attempts` of them.
        """
        for _ in range(attempts):
            try:
                async with await self.begin() as transaction:
                    result = await body(transaction)
                    await transaction.commit()
                    return result
            except StoreError as error:
                if error.errno != "EAGAIN":
                    raise
        raise StoreError(
            "EAGAIN",
            f"a transaction was refused {attempts} times, for others changed what it had seen",
            hint="try again when less is going on",
        )

    async def watch(self, *paths: str, limit: int = 1024) -> Subscription:
        """Watch nodes and all below them, or special paths as `@releaseDomain`; see `Subscription` for `limit`."""
        subscription = Subscription(self._link, paths, b"%d" % next(self._tokens), limit)
        await subscription.begin()
        return subscription

    async def introduce(self, domid: int, frame: int, port: int) -> None:
        """Tell the daemon of a domain, the frame number of its ring and its event channel."""
        await self._ask(request.about_domain(Type.INTRODUCE, "introduce", domid, frame, port))

    async def release(self, domid: int) -> None:
        """Tell the daemon that a domain is gone; what it owned is removed."""
        await self._ask(request.about_domain(Type.RELEASE, "release", domid))

    async def is_introduced(self, domid: int) -> bool:
        """Does the daemon serve that domain?"""
        answer = await self._ask(request.about_domain(Type.IS_DOMAIN_INTRODUCED, "ask about", domid))
        return answer.startswith(b"T")

    async def domain_path(self, domid: int) -> str:
        """Where a domain's nodes are, whether or not there is one."""
        answer = await self._ask(request.about_domain(Type.GET_DOMAIN_PATH, "ask the path of", domid))
        return decoded(answer.rstrip(b"\0"))

    async def control(self, *words: str) -> str:
        """A command to the daemon itself, such as `help`; gives what it says."""
        return decoded((await self._ask(request.control(words))).rstrip(b"\0"))
