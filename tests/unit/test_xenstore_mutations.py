"""1,000,000 mutated messages (20,000 in `make test`) before the store, from domain 0 and from guests: nothing raises,
who is beside them is answered rightly, and the store's books are right in the end."""

import random
import tracemalloc

import pytest

from jitsu.xenstore.control import Control
from jitsu.xenstore.domains import Domains
from jitsu.xenstore.peer import Peer
from jitsu.xenstore.quotas import DEFAULTS
from jitsu.xenstore.store import Store
from jitsu.xenstore.toolstack import Toolstack
from jitsu.xenstore.wire import Message, Parser, ProtocolError, Type
from tests.xenstore_mutations import HEALTHY, HEALTHY_PATH, cut, pieces

DOMIDS = (0, 0, 1, 1, 2, 3)


class Clients:
    """A store, and connections whose bytes it gets. Who breaks the protocol is disconnected and comes again."""

    def __init__(self) -> None:
        self.now = 0.0
        self.store = Store(Domains(), clock=lambda: self.now)
        Toolstack(self.store, introduced=self._ended, released=self._ended)
        Control(self.store)
        self.answers: dict[int, int] = {}
        """How many messages of each type the store gave."""
        self.broken = 0
        self._peers = [self.store.connect(domid) for domid in DOMIDS]
        self._parsers = [Parser() for _ in DOMIDS]
        self._healthy = self.store.connect(HEALTHY)
        for name, value in DEFAULTS.items():
            self.store.quotas.set(name, value, HEALTHY)  # domain 0 may change those of all
        zero = self.store.connect(0)
        for message in (
            Message(Type.WRITE, 1, 0, HEALTHY_PATH + b"\0"),
            Message(Type.SET_PERMS, 2, 0, HEALTHY_PATH + b"\0n%d\0" % HEALTHY),
        ):
            assert self.ask(zero, message).type == message.type
        self.store.disconnect(zero)
        self._writes = 0

    def ask(self, peer: Peer, message: Message) -> Message:
        """What a request is answered with, at once."""
        while self.store.execute(peer, message) is not None:
            self.now += 1.0
            self.store.expire()
        (answer,) = self.taken(peer)
        return answer

    def taken(self, peer: Peer) -> list[Message]:
        """What waits for a connection; as on the wire."""
        said: list[Message] = []
        parser = Parser()
        while peer.backlog:
            data = peer.waiting()
            said += parser.feed(data)
            peer.sent(len(data))
        return said

    def feed(self, who: int, data: bytes) -> bool:
        """Says whether it is still connected."""
        peer = self._peers[who]
        try:
            requests = list(self._parsers[who].feed(data))
        except ProtocolError:
            self._come_again(who)
            return False
        for request in requests:
            self.now += 0.0001
            if self.store.execute(peer, request) is not None:
                # What has to wait is asked again when all leases are over.
                self.now += 1.0
                self.store.expire()
                assert self.store.execute(peer, request) is None
            said = self.taken(peer)
            replies = [message for message in said if message.type != Type.WATCH_EVENT]
            assert [(reply.request, reply.transaction) for reply in replies] == [request[1:3]]
            assert replies[0].type in (request.type, Type.ERROR)
            for message in said:
                self.answers[message.type] = self.answers.get(message.type, 0) + 1
        for other in self.store.unsent:
            self.taken(other)
        self.store.unsent.clear()
        self.store.resumed.clear()
        return True

    def check_the_healthy(self) -> None:
        self._writes += 1
        value = b"%d" % self._writes
        write = Message(Type.WRITE, 7, 0, HEALTHY_PATH + b"\0" + value)
        assert self.ask(self._healthy, write) == Message(Type.WRITE, 7, 0, b"OK\0")
        read = Message(Type.READ, 8, 0, HEALTHY_PATH + b"\0")
        assert self.ask(self._healthy, read) == Message(Type.READ, 8, 0, value)

    def check_the_books(self) -> None:
        """What is counted along the way is what there is; and nothing is left of those who are gone."""
        store = self.store
        for who in range(len(DOMIDS)):
            self._come_again(who)
        tree = store.tree
        owned: dict[int, int] = {}
        weight: dict[int, int] = {}
        restricted = set()
        for path, node in tree.everything():
            owner = node.perms.owner
            owned[owner] = owned.get(owner, 0) + 1
            weight[owner] = weight.get(owner, 0) + len(path) + len(node.value)
            if node.perms.restricted:
                restricted.add(path)
        assert tree.owned == owned
        assert tree.weight == weight
        assert tree.restricted == restricted
        assert tree.remembered == 0
        assert len(store.watches) == 0
        assert len(store.leases) == 0
        assert len(store.peers) == len(DOMIDS) + 1
        assert all(store.account(domid).besides() == 0 for domid in DOMIDS)

    def _come_again(self, who: int) -> None:
        self.broken += 1
        self.store.disconnect(self._peers[who])
        self._peers[who] = self.store.connect(DOMIDS[who])
        self._parsers[who] = Parser()

    def _ended(self, domid: int) -> None:
        for peer in self._peers:
            if peer.domid == domid:
                self.store.reset(peer)


def stream(clients: Clients, seeded: random.Random, count: int) -> None:
    """Messages of one client after another, coalesced and split anywhere."""
    left = count
    while left:
        some = min(left, seeded.choice((1, 1, 5, 20, 100)))
        left -= some
        who = seeded.randrange(len(DOMIDS))
        for data in cut(seeded, b"".join(pieces(seeded, some))):
            if not clients.feed(who, data):
                break
        clients.check_the_healthy()
        if left % 1000 < some:
            sweep(clients)


def sweep(clients: Clients) -> None:
    """Domain 0 may store as much as it likes; it removes it again."""
    zero = clients.store.connect(0)
    for name in clients.ask(zero, Message(Type.DIRECTORY, 1, 0, b"/\0")).payload.split(b"\0")[:-1]:
        if b"/" + name != HEALTHY_PATH:
            clients.ask(zero, Message(Type.RM, 1, 0, b"/" + name + b"\0"))
    clients.store.disconnect(zero)


@pytest.mark.timeout(900)
def test_no_message_confuses_the_store(full, seeded):
    clients = Clients()
    count = 1_000_000 if full else 20_000
    stream(clients, seeded, count)
    clients.check_the_books()
    assert clients.broken > 20
    assert sum(clients.answers.values()) > count / 3, "most were understood, right or wrong"
    assert len(clients.answers) >= 22, "of 26 types most were at some time right in every word"


def test_memory_does_not_grow_with_what_is_sent(seeded):
    seed = seeded.random()
    clients = Clients()
    stream(clients, random.Random(seed), 1000)
    tracemalloc.start()
    try:
        stream(clients, random.Random(seed), 1000)
        clients.check_the_books()
        sweep(clients)
        before, _ = tracemalloc.get_traced_memory()
        stream(clients, random.Random(seed), 1000)
        clients.check_the_books()
        sweep(clients)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 256 * 1024
