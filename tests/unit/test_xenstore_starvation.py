"""What guests do, no other notices: floods, connections, answers that nobody takes, writes under domain 0's eyes."""

import threading
from collections.abc import Iterator

import pytest

from jitsu.xenstore import server as server_room
from jitsu.xenstore import store as store_room
from jitsu.xenstore.credit import BURST
from jitsu.xenstore.peer import MOST_EVENTS_BYTES
from jitsu.xenstore.server import FULL
from jitsu.xenstore.turns import SHARE
from jitsu.xenstore.wire import Type
from tests.unit.xenstore_hall import Client, Hall
from tests.xenstore_domains import domains, done

READ = b"/n\0"


@pytest.fixture
def hall() -> Iterator[Hall]:
    hall = Hall()
    hall.make(b"/n", b"r0", b"v")
    for domid in (1, 2, 3):
        hall.make(b"/local/domain/%d" % domid, b"n%d" % domid)
    yield hall
    hall.close()


def answered_by_turns(hall: Hall, clients: list[Client], turns: int) -> list[int]:
    """How many answers each client got in so many turns, when each has always more to ask."""
    counts = [0] * len(clients)
    for _ in range(turns):
        hall.turn()
        for index, client in enumerate(clients):
            client.push()
            counts[index] += client.take()
    return counts


def test_in_each_turn_of_a_flood_others_are_answered(hall):
    flood, other = hall.client(1), hall.client(2)
    flood.say(Type.READ, READ, times=5000)
    hall.turn(3)
    for _ in range(50):
        before = flood.answers
        flood.take()
        assert flood.answers - before <= 3 * SHARE
        for client in (other, hall.zero):
            client.take()
            client.say(Type.READ, READ)
        hall.turn(2)
        assert other.take() == 1
        assert hall.zero.take() == 1
    assert flood.answers > 50, "and the flood is served too"


def test_many_connections_of_a_domain_have_one_share(hall):
    many = [hall.client(1) for _ in range(20)]
    one = hall.client(2)
    for client in (*many, one):
        client.say(Type.READ, READ, times=1000)
    *of_many, of_one = answered_by_turns(hall, [*many, one], 60)
    assert sum(of_many) <= 1.5 * of_one
    assert min(of_many) > 0, "and among themselves they take turns"


def test_dear_requests_are_paid_for_with_turns(hall):
    hall.store.quotas.set("nodes", 3000)
    dear, cheap = hall.client(1), hall.client(2)
    for number in range(2000):
        dear.say(Type.WRITE, b"d/%d\0" % number)
    while dear.answers < 2000:
        hall.turn()
        dear.push()
        dear.take()
    dear.say(Type.RM, b"d\0")
    dear.say(Type.READ, READ, times=200)
    cheap.say(Type.READ, READ, times=1000)
    of_dear, of_cheap = answered_by_turns(hall, [dear, cheap], 1)
    assert of_dear <= SHARE
    of_dear, of_cheap = answered_by_turns(hall, [dear, cheap], 3)
    assert of_dear == 0, "removing 2000 nodes takes longer than three rounds give"
    assert of_cheap > 0
    answered_by_turns(hall, [dear, cheap], 400)
    assert dear.answers == 2000 + 1 + 200, "but it comes back"


def test_who_takes_no_answers_is_not_heard_until_he_does(hall):
    deaf, other = hall.client(1), hall.client(2)
    hall.make(b"/big", b"r0", b"x" * 4000)
    deaf.say(Type.READ, b"/big\0", times=2000)
    for _ in range(600):
        hall.turn()
        deaf.push()
    peer = deaf.connection.peer
    assert 0 < peer.unanswered <= 20, "the quota of outstanding requests"
    assert peer.backlog <= 20 * 4016 < FULL
    executed = hall.ask(other, Type.READ, READ)
    assert executed.payload == b"v"
    assert hall.server._patience() != 0, "and nobody turns round and round for him"
    answered_by_turns(hall, [deaf], 3000)
    assert deaf.answers == 2000


@pytest.mark.parametrize("outstanding", [1, 3, 0])
def test_the_quota_of_outstanding_requests(hall, outstanding):
    hall.store.quotas.set("outstanding", outstanding)
    client = hall.client(1)
    client.say(Type.READ, READ, times=100)
    counts = []
    while client.answers < 100:
        hall.turn()
        counts.append(client.take())
    assert max(counts) == (outstanding or SHARE)


def test_who_waits_for_more_memory_than_he_may_have_is_heard_when_he_has_taken_it(hall):
    hall.store.quotas.set("memory", 30_000)
    client = hall.client(1)
    for number in range(3):
        hall.ask(client, Type.WATCH, b"/n\0%d\0" % number)
    hall.turn()
    client.take()
    hall.make(b"/b", b"r0", b"x" * 4000)
    client.say(Type.READ, b"/b\0", times=500)
    for _ in range(300):
        hall.turn()
        client.push()
    assert client.connection.peer.backlog < 30_000 + SHARE * 4016
    answered_by_turns(hall, [client], 2000)
    assert client.answers == 503
    assert hall.ask(client, Type.WRITE, b"x\0v").type == Type.WRITE


def test_a_silent_guest_that_hangs_up_is_gone(hall):
    deaf = hall.client(1)
    deaf.say(Type.READ, READ, times=20_000)
    for _ in range(2500):
        hall.turn()
    deaf.close()
    hall.turn(5)
    assert deaf.connection.peer not in hall.store.peers
    assert hall.server._patience() == -1


def test_a_watcher_that_never_reads_costs_a_bounded_amount_and_nobody_else(hall):
    deaf, other = hall.client(1), hall.client(2)
    for number in range(128):
        assert hall.ask(deaf, Type.WATCH, b"/\0%d\0" % number).type == Type.WATCH
    hall.ask(other, Type.WATCH, b"/n\0t\0")
    before = other.events
    for number in range(300):
        assert hall.ask(hall.zero, Type.WRITE, READ + b"%d" % number).type == Type.WRITE
        other.take()
    assert other.events - before == 300
    assert deaf.connection.peer.backlog <= MOST_EVENTS_BYTES + 4096
    deaf.take()
    assert deaf.events > 128, "it was told at first"
    assert hall.ask(other, Type.READ, READ).payload == b"299"


def test_watches_of_who_may_not_know_are_not_looked_at(hall, monkeypatch):
    """128 watches of each of many guests on the root would have every write of domain 0 look at all of them."""
    looked = []
    monkeypatch.setattr("jitsu.xenstore.watches.Watch.reaches", lambda watch, path: looked.append(watch))
    for domid in (1, 2, 3):
        client = hall.client(domid)
        for number in range(128):
            assert hall.ask(client, Type.WATCH, b"/\0%d\0" % number).type == Type.WATCH
    hall.ask(hall.zero, Type.WRITE, b"/private\0v")
    assert looked == []
    hall.ask(hall.zero, Type.WRITE, READ)
    assert len(looked) == 3 * 128


def transaction(hall: Hall, client: Client) -> int:
    return int(hall.ask(client, Type.TRANSACTION_START, b"\0").payload.rstrip(b"\0"))


def test_a_guest_that_makes_domain_0s_answers_false_is_not_heard_for_a_while(hall):
    writer, other = hall.client(1), hall.client(2)
    hall.make(b"/local/domain/1/state", b"r1", b"0")
    number = transaction(hall, hall.zero)
    assert hall.ask(hall.zero, Type.READ, b"/local/domain/1/state\0", number).payload == b"0"
    for each in (writer, other):
        each.say(Type.WRITE, b"state\0busy", times=200)
    hall.turn(400)
    assert writer.take() < BURST + 2 * SHARE
    assert other.take() == 200, "nobody looked at what is his"
    assert 0 < hall.server._patience() < 1, "and time brings it back"
    hall.ask(hall.zero, Type.TRANSACTION_END, b"F\0", number)
    before = writer.answers
    while writer.answers < 200:
        hall.server.turn(hall.server._patience())
        writer.take()
    assert before < writer.answers


@pytest.mark.parametrize(
    ("seen", "done_by_guest"),
    [
        ((Type.READ, b"/local/domain/1/a\0"), (Type.WRITE, b"a\0new")),
        ((Type.GET_PERMS, b"/local/domain/1/a\0"), (Type.SET_PERMS, b"a\0b1\0")),
        ((Type.DIRECTORY, b"/local/domain/1\0"), (Type.WRITE, b"b/c\0")),
        ((Type.DIRECTORY, b"/local/domain/1\0"), (Type.RM, b"a\0")),
        ((Type.READ, b"/local/domain/1/x/y/z\0"), (Type.WRITE, b"x/y/z\0")),
        ((Type.READ, b"/local/domain/1/x/y/z\0"), (Type.MKDIR, b"x/y/z/below\0")),
        ((Type.READ, b"/local/domain/1/a/deep\0"), (Type.RM, b"a\0")),
    ],
)
@pytest.mark.parametrize("committed", [False, True])
def test_what_costs_credit(hall, seen, done_by_guest, committed):
    hall.make(b"/local/domain/1/a", b"r1", b"old")
    hall.make(b"/local/domain/1/a/deep", b"r1", b"old")
    guest, friend = hall.client(1), hall.client(2)
    other = transaction(hall, friend)
    hall.ask(friend, seen[0], seen[1], other)
    act(hall, guest, (Type.WRITE, b"unseen\0"), committed)
    assert len(hall.store.credit) == 0, "what only a guest saw, or nobody, is free"
    hall.ask(guest, Type.RM, b"unseen\0")
    number = transaction(hall, hall.zero)
    hall.ask(hall.zero, *seen, number)
    act(hall, guest, (Type.WRITE, b"a/deep/er\0"), committed)
    assert len(hall.store.credit) == 0, "and so is what was not looked at"
    act(hall, guest, done_by_guest, committed)
    assert len(hall.store.credit) == 1
    assert hall.ask(hall.zero, Type.TRANSACTION_END, b"T\0", number).type == Type.TRANSACTION_END, "it wrote nothing"


def act(hall: Hall, guest: Client, request: tuple[Type, bytes], committed: bool) -> None:
    number = transaction(hall, guest) if committed else 0
    assert hall.ask(guest, *request, number).type == request[0]
    if committed:
        assert hall.ask(guest, Type.TRANSACTION_END, b"T\0", number).type == Type.TRANSACTION_END


def test_nobody_pays_for_what_another_made_false(hall):
    hall.make(b"/local/domain/1/a", b"r1", b"old")
    guest = hall.client(1)
    number = transaction(hall, hall.zero)
    hall.ask(hall.zero, Type.DIRECTORY, b"/local/domain\0", number)
    hall.ask(hall.zero, Type.READ, b"/local/domain/1/a\0", number)
    hall.make(b"/local/domain/7", b"n7")
    hall.ask(guest, Type.WRITE, b"mine\0v")
    hall.ask(guest, Type.WRITE, b"a/below\0v")
    assert len(hall.store.credit) == 0


def test_a_listing_transaction_of_domain_0_ends_though_two_guests_write_in_a_loop():
    """With two processes and threads of their own: the guests write as fast as they can what domain 0 reads."""
    with domains() as host:
        stop = threading.Event()
        writes = [0, 0]

        def write(index: int) -> None:
            domid = index + 1
            peer = host[domid]
            while not stop.is_set():
                done(peer.write(b"state", b"%d" % writes[index]))
                writes[index] += 1

        for domid in (1, 2):
            host.make(b"/local/domain/%d" % domid, b"n%d" % domid)
            host.make(b"/local/domain/%d/state" % domid, b"r%d" % domid)
            assert host[domid].ask(Type.READ, b"state").error is None
        threads = [threading.Thread(target=write, args=(index,)) for index in range(2)]
        for thread in threads:
            thread.start()
        try:
            retries = []
            for number in range(5):
                tries = 0
                while True:
                    begun = host[0].start()
                    for name in done(host[0].ask(Type.DIRECTORY, b"/local/domain", transaction=begun)).split(b"\0")[
                        :-1
                    ]:
                        host[0].ask(Type.READ, b"/local/domain/" + name + b"/state", transaction=begun)
                    done(host[0].write(b"/seen/%d" % number, b"", begun))
                    if host[0].end(begun).error is None:
                        break
                    tries += 1
                    assert tries < 100, "for ever"
                retries.append(tries)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert max(retries) <= 20, retries
        assert min(writes) > 0


def test_guests_do_not_make_domain_0_wait_for_a_lease(hall):
    """What guests' transactions fail over is not taken for contended."""
    hall.make(b"/shared", b"b1", b"0")
    first, second = hall.client(1), hall.client(1)
    for _ in range(20):
        number = transaction(hall, first)
        hall.ask(first, Type.READ, b"/shared\0", number)
        hall.ask(second, Type.WRITE, b"/shared\0x")
        hall.ask(first, Type.WRITE, b"/shared\0y", number)
        assert hall.ask(first, Type.TRANSACTION_END, b"T\0", number).payload in (b"EAGAIN\0", b"OK\0")
    assert not hall.store.leases.anything_hot
    number = transaction(hall, hall.zero)
    hall.ask(hall.zero, Type.READ, b"/shared\0", number)
    assert len(hall.store.leases) == 0


def test_what_is_remembered_for_guests_that_keep_transactions_open_is_bounded(hall, monkeypatch):
    monkeypatch.setattr(store_room, "MOST_REMEMBERED", 300)
    number = transaction(hall, hall.zero)
    hall.ask(hall.zero, Type.READ, READ, number)
    guest = hall.client(1)
    for name in range(400):
        hall.ask(guest, Type.WRITE, b"%d\0a" % name)
    kept = transaction(hall, guest)
    hall.ask(guest, Type.READ, READ, kept)
    for name in range(400):
        hall.ask(guest, Type.WRITE, b"%d\0b" % name)
        assert hall.store.tree.remembered <= 300
    assert hall.ask(guest, Type.TRANSACTION_END, b"T\0", kept).payload == b"EAGAIN\0"


def test_domain_0s_transactions_are_the_last_to_be_given_up(hall, monkeypatch):
    for name in range(400):
        hall.make(b"/d/%d" % name, b"r0", b"a")
    number = transaction(hall, hall.zero)
    hall.ask(hall.zero, Type.READ, READ, number)
    guest = hall.client(1)
    kept = transaction(hall, guest)
    hall.ask(guest, Type.READ, READ, kept)
    monkeypatch.setattr(store_room, "MOST_REMEMBERED", 0)
    hall.ask(hall.zero, Type.WRITE, b"/d/1\0b")
    assert hall.ask(guest, Type.TRANSACTION_END, b"T\0", kept).payload == b"EAGAIN\0"


def test_connections_of_a_guest_are_bounded_and_some_are_left_for_domain_0(monkeypatch):
    with domains() as host:
        mine = [host.connect(1) for _ in range(server_room.MOST_OF_A_GUEST)]
        for peer in mine:
            done(peer.ask(Type.GET_DOMAIN_PATH, b"1"))
        with pytest.raises(ConnectionError):
            host.connect(1).ask(Type.GET_DOMAIN_PATH, b"1")
        done(host[2].ask(Type.GET_DOMAIN_PATH, b"2"))
        done(host[0].ask(Type.GET_DOMAIN_PATH, b"0"))
        mine[0].close()
        done(host[0].ask(Type.GET_DOMAIN_PATH, b"0"))
        done(host.connect(1).ask(Type.GET_DOMAIN_PATH, b"1"))
        assert host.log().count("refused a connection of domain 1") == 1
