"""A connection as the store sees it: whose it is, its transactions and watches, and what waits to be sent to it."""

from collections import deque
from itertools import islice

from jitsu.xenstore.operations import Caller
from jitsu.xenstore.paths import home_of
from jitsu.xenstore.transaction import Transaction
from jitsu.xenstore.watches import Watch
from jitsu.xenstore.wire import HEADER, LONGEST_PAYLOAD, Message, StoreError, Type

MOST_EVENTS_BYTES = 256 * 1024
"""Bytes of events that wait for a domain that does not read; more are dropped. (C xenstored drops them by age.)"""

MOST_WAITING_BYTES = 16 * 1024 * 1024
"""Bytes that wait for any connection; then it is taken for stuck, and closed."""

MOST_AT_ONCE = 128 * 1024
"""Bytes put together for one turn of sending, about what the kernel takes."""

_LAST_ID = 0xFFFFFFFF

_EVENT = HEADER.pack(Type.WATCH_EVENT, 0, 0, 0)[:4]


class Peer:
    """One connection. The transport takes from the outbox by `waiting()` and `sent()`; `unsent` is where a peer puts
    itself when there is something to be sent."""

    def __init__(self, caller: Caller, unsent: "dict[Peer, None]") -> None:
        self.caller = caller
        self.domid = caller.domid
        self.home = home_of(caller.domid)
        self.transactions: dict[int, Transaction] = {}
        self.watches: dict[tuple[str, bytes], Watch] = {}
        self.backlog = 0
        """Bytes in the outbox."""
        self.unanswered = 0
        """Answers in the outbox."""
        self.watched = 0
        """Bytes that the watches take."""
        self._last_transaction = 0
        self._outbox: deque[bytes] = deque()
        self._unsent_events: set[bytes] = set()
        self._begun = 0
        self._unsent = unsent

    # Transactions

    def transaction(self, number: int) -> Transaction:
        """Raises `StoreError` ENOENT."""
        transaction = self.transactions.get(number)
        if transaction is None:
            raise StoreError("ENOENT", f"there is no transaction {number}")
        return transaction

    def number(self, transaction: Transaction) -> int:
        """Give a transaction its id: the next that is not in use. Clients may rely on that they count from 1."""
        number = self._last_transaction
        while True:
            number = number + 1 if number < _LAST_ID else 1
            if number not in self.transactions:
                break
        self._last_transaction = number
        self.transactions[number] = transaction
        return number

    @property
    def last_transaction(self) -> int:
        """The id that was given last, 0 if none was."""
        return self._last_transaction

    def renumber(self, last: int, transactions: dict[int, Transaction]) -> None:
        """Have the transactions, and the last id, of an earlier life of the daemon."""
        self._last_transaction = last
        self.transactions.update(transactions)

    # The outbox

    @property
    def stuck(self) -> bool:
        return self.backlog > MOST_WAITING_BYTES

    def reply(self, message: Message, payload: bytes) -> None:
        """Answer a request. Raises `StoreError` E2BIG for more than a message can hold."""
        if len(payload) > LONGEST_PAYLOAD:
            raise StoreError("E2BIG", f"an answer of {len(payload)} bytes")
        self.unanswered += 1
        self._put(HEADER.pack(message.type, message.request, message.transaction, len(payload)) + payload)

    def fail(self, message: Message, errno: str) -> None:
        payload = errno.encode() + b"\0"
        self.unanswered += 1
        self._put(HEADER.pack(Type.ERROR, message.request, message.transaction, len(payload)) + payload)

    def notify(self, path: bytes, token: bytes) -> None:
        """Put a watch event into the outbox, unless the same one waits there unsent."""
        payload = path + b"\0" + token + b"\0"
        if len(payload) > LONGEST_PAYLOAD:
            return
        event = HEADER.pack(Type.WATCH_EVENT, 0, 0, len(payload)) + payload
        if event in self._unsent_events and path[:1] != b"@":
            return
        if self.domid and self.backlog > MOST_EVENTS_BYTES:
            return
        self._unsent_events.add(event)
        self._put(event)

    def owed(self) -> bytes:
        """Everything that is to be sent."""
        return b"".join(self._outbox)[self._begun :]

    def owe(self, rest: bytes) -> None:
        """What an earlier life of the daemon did not get to send: messages, of the first perhaps the end only."""
        if rest:
            self.unanswered += rest[: len(_EVENT)] != _EVENT
            self._put(rest)

    def waiting(self) -> bytes:
        """What is to be sent first: all, or as much as a socket may take at once."""
        outbox = self._outbox
        if len(outbox) == 1 and not self._begun:
            return outbox[0]
        if self.backlog <= MOST_AT_ONCE:
            return b"".join(outbox)[self._begun :]
        size = count = 0
        for message in outbox:
            size += len(message)
            count += 1
            if size - self._begun >= MOST_AT_ONCE:
                break
        return b"".join(islice(outbox, count))[self._begun :]

    def sent(self, count: int) -> None:
        """The first `count` bytes of it have been sent."""
        self.backlog -= count
        if not self.backlog:
            self._outbox.clear()
            self._unsent_events.clear()
            self._begun = self.unanswered = 0
            return
        count += self._begun
        while len(self._outbox[0]) <= count:
            message = self._outbox.popleft()
            count -= len(message)
            if message[: len(_EVENT)] == _EVENT:
                self._unsent_events.discard(message)
            else:
                self.unanswered -= 1
        if count:
            self._unsent_events.discard(self._outbox[0])
        self._begun = count

    def _put(self, message: bytes) -> None:
        if not self.backlog:
            self._unsent[self] = None
        self._outbox.append(message)
        self.backlog += len(message)
