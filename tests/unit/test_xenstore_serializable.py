"""Many clients of a real daemon at once, whose transactions only make sense one after the other.

Whatever order the daemon gives them: money is neither made nor lost, nobody draws a number twice, two never hold a
lock, who numbers a new item by looking at the list has a number of his own, and who only looks always sees all of it.
"""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from jitsu.xenstore.wire import Message, Type, joined
from tests.peers.xenstore_daemons import jitsu_xenstored
from tests.xenstore_peer import Peer

CLIENTS = 6
ACCOUNTS = 4
MONEY = 100
ITEMS = 500
"""More do not fit into one answer."""

Asked = tuple[Type, bytes]


def read(path: str) -> Asked:
    return Type.READ, joined(path.encode())


def write(path: str, value: int | str) -> Asked:
    return Type.WRITE, joined(path.encode()) + str(value).encode()


class Client:
    """One connection. Requests are sent ahead of the answers to earlier ones, the start of a transaction included."""

    def __init__(self, path: Path, name: int, rng: random.Random, holders: list[int]) -> None:
        self.done: Counter[str] = Counter()
        self.tickets: list[int] = []
        self.items: list[int] = []
        self._peer = Peer(path)
        self._name = name
        self._rng = rng
        self._last = 0
        self._holders = holders

    def work(self, transactions: int) -> None:
        kinds = (self._transfer, self._draw, self._lock, self._number, self._look)
        with self._peer:
            while sum(self.done.values()) - self.done["again"] < transactions:
                kind = self._rng.choice(kinds)
                self.done[kind.__name__ if kind() else "again"] += 1

    # Each says whether it was committed.

    def _transfer(self) -> bool:
        giver, taker = self._rng.sample(range(ACCOUNTS), 2)
        has, had = (int(answer.payload) for answer in self._begin(read(f"/bank/{giver}"), read(f"/bank/{taker}")))
        amount = self._rng.randint(1, 9)
        return self._commit(write(f"/bank/{giver}", has - amount), write(f"/bank/{taker}", had + amount))

    def _draw(self) -> bool:
        (number,) = (int(answer.payload) for answer in self._begin(read("/next")))
        committed = self._commit(write("/next", number + 1), write(f"/drawn/{self._name}/{number}", ""))
        if committed:
            self.tickets.append(number)
        return committed

    def _lock(self) -> bool:
        (holder,) = self._begin(read("/lock"))
        if holder.type != Type.ERROR:
            # Taken: nothing to do, and no reason to fail.
            assert self._commit()
            return True
        if not self._commit(write("/lock", self._name)):
            return False
        self._holders.append(self._name)
        assert self._holders == [self._name], "two hold the lock"
        (mine,) = self._ask(0, read("/lock"))
        assert mine.payload == str(self._name).encode()
        self._holders.remove(self._name)
        (gone,) = self._ask(0, (Type.RM, b"/lock\0"))
        assert gone.payload == b"OK\0"
        return True

    def _number(self) -> bool:
        (listed,) = self._begin((Type.DIRECTORY, b"/items\0"))
        number = 1 + max((int(name) for name in listed.payload.split(b"\0") if name), default=0)
        if number > ITEMS:
            return self._commit()
        committed = self._commit((Type.MKDIR, f"/items/{number}\0".encode()))
        if committed:
            self.items.append(number)
        return committed

    def _look(self) -> bool:
        seen = self._begin(*(read(f"/bank/{number}") for number in range(ACCOUNTS)))
        assert sum(int(answer.payload) for answer in seen) == MONEY * ACCOUNTS, "half of a transfer"
        assert self._commit(), "one that wrote nothing was refused"
        return True

    # How they ask

    def _begin(self, *asked: Asked) -> list[Message]:
        """Begin and ask, in one go: ids count from 1."""
        self._last += 1
        self._peer.send(Type.TRANSACTION_START, 0, b"\0")
        for kind, payload in asked:
            self._peer.send(kind, self._last, payload)
        assert self._peer.receive().payload == b"%d\0" % self._last
        return [self._peer.receive() for _ in asked]

    def _commit(self, *asked: Asked) -> bool:
        *answers, verdict = self._ask(self._last, *asked, (Type.TRANSACTION_END, b"T\0"))
        assert all(answer.payload == b"OK\0" for answer in answers)
        assert verdict.payload in (b"OK\0", b"EAGAIN\0")
        return verdict.payload == b"OK\0"

    def _ask(self, transaction: int, *asked: Asked) -> list[Message]:
        for kind, payload in asked:
            self._peer.send(kind, transaction, payload)
        return [self._peer.receive() for _ in asked]


@pytest.fixture
def furnished() -> Iterator[Path]:
    """The socket of a daemon with a bank, a dispenser of numbers, and a list."""
    with jitsu_xenstored() as daemon:
        with Peer(daemon.socket) as peer:
            for account in range(ACCOUNTS):
                peer.write(b"/bank/%d" % account, b"%d" % MONEY)
            peer.write(b"/next", b"0")
            peer.ask(Type.MKDIR, b"/items")
        yield daemon.socket


@pytest.mark.timeout(600)
def test_invariants_of_one_after_the_other_hold_for_many_at_once(
    furnished: Path, seeded: random.Random, full: bool
) -> None:
    holders: list[int] = []
    clients = [Client(furnished, name, random.Random(seeded.random()), holders) for name in range(CLIENTS)]
    together = threading.Barrier(CLIENTS)

    def work(client: Client) -> None:
        together.wait()
        client.work(5000 if full else 100)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(work, client) for client in clients]:
            done.result()

    tickets = sorted(number for client in clients for number in client.tickets)
    items = sorted(number for client in clients for number in client.items)
    assert tickets == list(range(len(tickets)))
    assert items == list(range(1, len(items) + 1))
    done_by_all = sum((client.done for client in clients), Counter())
    print(dict(done_by_all))
    assert len(done_by_all) == 6, "something never happened, a refusal or a kind of transaction"
    with Peer(furnished) as peer:
        left = [int(peer.ask(Type.READ, b"/bank/%d" % account).payload) for account in range(ACCOUNTS)]
        listed = peer.ask(Type.DIRECTORY, b"/items").payload
        drawn = int(peer.ask(Type.READ, b"/next").payload)
    assert sum(left) == MONEY * ACCOUNTS
    assert listed == joined(*(b"%d" % number for number in items))
    assert drawn == len(tickets)
