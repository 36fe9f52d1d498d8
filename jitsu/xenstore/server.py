"""The daemon's loop: whoever has something to say is heard in turn, and nobody for long.

One turn: wait for what is readable, execute what has come (so many requests of each connection at most), make safe what
was changed, then send all answers and events. A request that has to wait for a lease holds its connection: nothing more
is read from it until it was answered, so that answers keep the order of requests.
"""

import logging
import select
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from heapq import heappop, heappush
from itertools import count

from jitsu.xenstore.peer import Peer
from jitsu.xenstore.store import Store
from jitsu.xenstore.transport import Listener, Transport
from jitsu.xenstore.turns import ROUND, SHARE, Turns
from jitsu.xenstore.wire import Message, Parser, ProtocolError

MOST_REQUESTS = 64
"""Requests of one connection of domain 0 executed in one turn."""

MOST_CONNECTIONS = 4096

MOST_OF_A_GUEST = 64
"""Connections of one domain that is not privileged."""

FOR_DOMAIN_0 = 256
"""Connections that are left for domain 0 when guests have all others."""

OTHER_DESCRIPTORS = 32
"""Of those that may be open, so many are none of clients: the epoll, the log, the state."""

FULL = 256 * 1024
"""Bytes that wait to be sent, from which on nothing more is read from a connection."""

log = logging.getLogger(__name__)


class Connection:
    """One client: its stream, its peer in the store, and requests that have come and are not answered."""

    __slots__ = ("ended", "held", "interest", "parser", "peer", "requests", "transport")

    def __init__(self, transport: Transport, peer: Peer, ended: Callable[[], None]) -> None:
        self.transport = transport
        self.peer = peer
        self.ended = ended
        self.parser = Parser()
        self.requests: deque[Message] = deque()
        self.held = False
        self.interest = select.EPOLLIN

    @property
    def fd(self) -> int:
        return self.transport.fileno()


class Server:
    """Serves a store. `saved` is called before anything is sent that tells of changes."""

    def __init__(
        self, store: Store, *, saved: Callable[[], None] = lambda: None, descriptors: int = MOST_CONNECTIONS
    ) -> None:
        """`descriptors` is how many may be open at once, of whatever kind."""
        self.store = store
        self._descriptors = descriptors
        self._saved = saved
        self._epoll = select.epoll()
        self._listeners: dict[int, Listener] = {}
        self._connections: dict[int, Connection] = {}
        self._of_peer: dict[Peer, Connection] = {}
        self._pending: dict[Connection, None] = {}
        """Connections of domain 0 with requests that have come."""
        self._turns: Turns[Connection] = Turns()
        self._silenced: dict[int, dict[Connection, None]] = {}
        """Guests that are not heard for a while, and what they have to say."""
        self._paused: set[int] = set()
        """Those that are heard again when they have credit."""
        self._refused = False
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._wakers: dict[int, Callable[[], None]] = {}
        self._numbers = count()
        self._stopping = False

    # What is served

    def listen(self, listener: Listener) -> None:
        """Serve whoever connects there, as the listener's domain."""
        self._listeners[listener.fileno()] = listener
        self._epoll.register(listener.fileno(), select.EPOLLIN)

    def deafen(self, domid: int) -> None:
        """Serve a domain's listener no longer."""
        for fd, listener in list(self._listeners.items()):
            if listener.domid == domid and domid:
                self._epoll.unregister(fd)
                del self._listeners[fd]
                listener.close()

    def connect(self, transport: Transport, domid: int, ended: Callable[[], None] = lambda: None) -> Connection:
        """Serve a stream as a domain. `ended` is called when that is over, from whatever cause."""
        connection = Connection(transport, self.store.connect(domid), ended)
        self._connections[connection.fd] = connection
        self._of_peer[connection.peer] = connection
        self._epoll.register(connection.fd, transport.want(select.EPOLLIN))
        return connection

    def resume(self, connection: Connection, unread: bytes, unsent: bytes) -> None:
        """Go on with a connection where an earlier life of the daemon was: what had come and was not executed, and what
        was not sent. Raises `ProtocolError` for what cannot have come."""
        connection.requests.extend(connection.parser.feed(unread))
        connection.peer.owe(unsent)
        if connection.requests:
            self._listen_to(connection, False)
            if connection.peer.domid:
                self._turns.add(connection.peer.domid, connection)
            else:
                self._pending[connection] = None

    def reset(self, domid: int) -> None:
        """Forget the watches and transactions of a domain's connections."""
        for peer in self._of_peer:
            if peer.domid == domid:
                self.store.reset(peer)

    def disconnect(self, domid: int) -> None:
        """End the connections of a domain."""
        for connection in list(self._connections.values()):
            if connection.peer.domid == domid:
                self.close(connection)

    def close(self, connection: Connection) -> None:
        """End a connection, if it has not ended yet."""
        if self._of_peer.pop(connection.peer, None) is None:
            return
        del self._connections[connection.fd]
        self._epoll.unregister(connection.fd)
        self._pending.pop(connection, None)
        self._turns.discard(connection.peer.domid, connection)
        self._silenced.get(connection.peer.domid, {}).pop(connection, None)
        self._refused = False
        self.store.disconnect(connection.peer)
        connection.transport.close()
        connection.ended()

    def when_readable(self, fd: int, call: Callable[[], None]) -> None:
        """Call when a descriptor that is no client's is readable."""
        self._wakers[fd] = call
        self._epoll.register(fd, select.EPOLLIN)

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), call))

    def stop(self) -> None:
        """Let `run` return after this turn."""
        self._stopping = True

    @property
    def is_stopping(self) -> bool:
        """Is the end near, so that nobody is to be served anew?"""
        return self._stopping

    # The loop

    def run(self) -> None:
        """Serve until `stop`; then close everything."""
        try:
            patience = 0.0  # there may be something to say from the beginning
            while not self._stopping:
                self.turn(patience)
                patience = self._patience()
        finally:
            for connection in list(self._connections.values()):
                self.close(connection)
            for listener in self._listeners.values():
                listener.close()
            self._epoll.close()

    def turn(self, patience: float) -> None:
        """One turn; waits for `patience` seconds at most, -1 for ever."""
        connections = self._connections
        for fd, what in self._epoll.poll(patience):
            connection = connections.get(fd)
            if connection is not None:
                guest = connection.peer.domid
                what = connection.transport.ready(what)
                if what & select.EPOLLHUP and (connection.held or (guest and not connection.interest & select.EPOLLIN)):
                    self.close(connection)  # who would hear the answer is gone
                    continue
                if what & ~select.EPOLLOUT:
                    if guest:
                        self._turns.add(guest, connection)
                    else:
                        self._read(connection)
                if what & select.EPOLLOUT:
                    self.store.unsent[connection.peer] = None  # when all that waits there is saved
            elif fd in self._listeners:
                self._accept(self._listeners[fd])
            elif fd in self._wakers:
                self._wakers[fd]()
        self._call_timers()
        pending, self._pending = self._pending, {}
        for connection in pending:
            self._execute(connection)
        if self._turns:
            self._hear_guests()
        if len(self.store.leases):
            self.store.expire()
        self._resume()
        self._saved()
        unsent = self.store.unsent
        while unsent:
            peer = next(iter(unsent))
            del unsent[peer]
            known = self._of_peer.get(peer)
            if known is not None:
                self._send(known)

    def _patience(self) -> float:
        if self._pending or self._turns:
            return 0
        deadlines = list(self._deadlines())
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else -1

    def _deadlines(self) -> Iterator[float]:
        if self._timers:
            yield self._timers[0][0]
        lease = self.store.leases.next_deadline()
        if lease is not None:
            yield lease

    def _call_timers(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            heappop(self._timers)[2]()

    def _accept(self, listener: Listener) -> None:
        transport = listener.accept()
        if transport is None:
            return
        if self._has_room_for(listener.domid):
            self.connect(transport, listener.domid)
            return
        transport.close()
        if not self._refused:
            log.warning("refused a connection of domain %d: there are %d", listener.domid, len(self._connections))
            self._refused = True  # it is said again when a connection has ended

    def _has_room_for(self, domid: int) -> bool:
        """May a domain have a connection more?"""
        most = min(MOST_CONNECTIONS, self._descriptors - len(self._listeners) - OTHER_DESCRIPTORS)
        if domid:
            most -= min(FOR_DOMAIN_0, most // 4)
            if self.store.account(domid).connections >= MOST_OF_A_GUEST:
                return False
        return len(self._connections) < most

    def _read(self, connection: Connection) -> None:
        if connection.held or connection.requests or connection.peer.backlog > FULL:
            self._listen_to(connection, False)
            return
        data = connection.transport.receive()
        if data is None:
            return
        if not data:
            self.close(connection)
            return
        try:
            connection.requests.extend(connection.parser.feed(data))
        except ProtocolError as error:
            log.warning("domain %d: %s", connection.peer.domid, error.message)
            connection.transport.refuse()
            self.close(connection)
            return
        if connection.requests:
            self._execute(connection)

    def _hear_guests(self) -> None:
        """A round of all guests that are ready."""
        # Processor time: what the machine does meanwhile is nobody's fault here.
        began = before = time.thread_time()
        clock = time.monotonic()
        for connection in self._turns.round():
            domid = connection.peer.domid
            if self._is_to_wait(domid, clock):
                self._listen_to(connection, False)
                self._silenced.setdefault(domid, {})[connection] = None
            elif connection.requests and not connection.held:
                self._execute(connection)
            else:
                self._listen_to(connection, True)
                self._read(connection)
            now = time.thread_time()
            self._turns.used(domid, now - before)
            if now - began > ROUND:
                break
            before = now

    def _is_to_wait(self, domid: int, now: float) -> bool:
        """Is a guest not to be heard, until it takes answers or has credit again?"""
        pause = self.store.credit.seconds_until_heard(domid, now)
        if pause:
            if domid not in self._paused:
                self._paused.add(domid)
                self.call_later(pause, partial(self._hear_again, domid))
            return True
        return self.store.has_too_much_unread(domid)

    def _hear_again(self, domid: int) -> None:
        self._paused.discard(domid)
        for connection in self._silenced.pop(domid, ()):
            self._turns.add(domid, connection)

    def _execute(self, connection: Connection) -> None:
        """Execute what has come, up to a fair share; the rest has its turn later."""
        requests, peer, execute = connection.requests, connection.peer, self.store.execute
        if connection.held or peer not in self._of_peer:
            return
        for _ in range(min(SHARE, self.store.answers_free(peer.domid)) if peer.domid else MOST_REQUESTS):
            if not requests:
                self._listen_to(connection, True)
                return
            taken = execute(peer, requests[0])
            if taken is not None:
                self.store.leases.wait(taken, peer)
                connection.held = True
                return
            requests.popleft()
        if peer.domid:
            self._turns.add(peer.domid, connection)
        else:
            self._pending[connection] = None

    def _resume(self) -> None:
        """Go on with those whose wait is over, in their order."""
        resumed = self.store.resumed
        while resumed:
            peer = resumed.pop(0)
            connection = self._of_peer.get(peer)
            if connection is not None and connection.held and not self.store.leases.waits_on(peer):
                connection.held = False
                self._execute(connection)
                if not connection.held:
                    self.store.leases.served(peer)

    def _send(self, connection: Connection) -> None:
        peer = connection.peer
        if not peer.backlog:
            return
        count = connection.transport.send(peer.waiting())
        if count is None or peer.stuck:
            self.close(connection)
            return
        peer.sent(count)
        blocked = bool(peer.backlog)
        if blocked != bool(connection.interest & select.EPOLLOUT):
            self._interest(connection, connection.interest ^ select.EPOLLOUT)
        if peer.domid in self._silenced and peer.domid not in self._paused:
            self._hear_again(peer.domid)
        if not blocked and not connection.held and not connection.requests:
            self._listen_to(connection, True)

    def _listen_to(self, connection: Connection, wanted: bool) -> None:
        if wanted != bool(connection.interest & select.EPOLLIN):
            self._interest(connection, connection.interest ^ select.EPOLLIN)

    def _interest(self, connection: Connection, interest: int) -> None:
        connection.interest = interest
        self._epoll.modify(connection.fd, connection.transport.want(interest))
