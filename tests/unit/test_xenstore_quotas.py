"""How much a domain may have: each limit is reached, refused, and what was given back can be had again."""

from collections.abc import Iterator

import pytest

from jitsu.xenstore.quotas import DEFAULTS
from jitsu.xenstore.wire import Type
from tests.xenstore_domains import Host, domains, done
from tests.xenstore_peer import Answer, Peer

GUEST, NEIGHBOUR = 1, 2
HOME = b"/local/domain/1"


@pytest.fixture(scope="module")
def running() -> Iterator[Host]:
    with domains() as host:
        yield host


@pytest.fixture
def host(running: Host) -> Iterator[Host]:
    """Domains 1 and 2 are new, with a home of their own, and limits are those that everybody has."""
    running.release(GUEST, NEIGHBOUR)
    for name, value in DEFAULTS.items():
        done(running[0].ask(Type.SET_QUOTA, name.encode(), b"%d" % value))
    for domid in (GUEST, NEIGHBOUR):
        home = b"/local/domain/%d" % domid
        running[0].ask(Type.RM, home)
        running.make(home, b"n%d" % domid)
    yield running
    assert done(running[0].ask(Type.CONTROL, b"check")) == b"OK\0"
    assert "Traceback" not in running.log()


def limit(host: Host, name: str, value: int) -> None:
    done(host[0].ask(Type.SET_QUOTA, name.encode(), b"%d" % value))


def write(peer: Peer, name: bytes, value: bytes = b"", transaction: int = 0) -> Answer:
    return peer.write(name, value, transaction)


def test_domain_0_has_no_limit(host):
    for name in DEFAULTS:
        limit(host, name, 1)
    for number in range(20):
        done(host[0].write(b"/deep/%d" % number, bytes(4000)))
        done(host[0].ask(Type.WATCH, b"/deep", b"%d" % number))
    done(host[0].ask(Type.SET_PERMS, b"/deep", *[b"n0"] * 20))
    transactions = [host[0].start() for _ in range(20)]
    for transaction in transactions:
        for number in range(20):
            done(host[0].ask(Type.READ, b"/deep/%d" % number, transaction=transaction))
        done(host[0].end(transaction))
    done(host[0].ask(Type.RESET_WATCHES, b""))
    done(host[0].ask(Type.RM, b"/deep"))


def test_nodes(host):
    limit(host, "nodes", 5)  # its home is one
    for number in range(4):
        done(write(host[GUEST], b"%d" % number))
    assert write(host[GUEST], b"4").error == "ENOSPC"
    assert host[GUEST].ask(Type.MKDIR, b"4").error == "ENOSPC"
    done(write(host[GUEST], b"3", b"what is there may be changed"))
    done(write(host[NEIGHBOUR], b"0"))
    done(host[0].write(HOME + b"/of-domain-0", b""))
    done(host[GUEST].ask(Type.RM, b"of-domain-0"))
    done(host[GUEST].ask(Type.RM, b"0"))
    assert write(host[GUEST], b"a/b").error == "ENOSPC", "two, and one is free"
    assert host[GUEST].ask(Type.READ, b"a").error == "ENOENT"
    done(write(host[GUEST], b"a"))


def test_nodes_in_transactions_and_when_several_commit(host):
    limit(host, "nodes", 5)
    first, second = host[GUEST].start(), host[GUEST].start()
    for transaction, letter in ((first, b"a"), (second, b"b")):
        for number in range(4):
            done(write(host[GUEST], b"%c%d" % (letter[0], number), b"", transaction))
        assert write(host[GUEST], b"too-many", b"", transaction).error == "ENOSPC"
    done(host[GUEST].end(first))
    assert host[GUEST].end(second).error in ("ENOSPC", "EAGAIN")
    assert done(host[GUEST].ask(Type.DIRECTORY, HOME)) == b"a0\0a1\0a2\0a3\0"
    third = host[GUEST].start()
    done(host[GUEST].ask(Type.RM, b"a0", transaction=third))
    done(write(host[GUEST], b"c", b"", third))
    done(host[GUEST].end(third))


@pytest.mark.parametrize("connections", [1, 3])
def test_watches(host, connections):
    limit(host, "watches", 6)
    peers = [host.connect(GUEST) for _ in range(connections)]
    for number in range(6):
        done(peers[number % connections].ask(Type.WATCH, b"x", b"%d" % number))
    for peer in peers:
        assert peer.ask(Type.WATCH, b"x", b"one more").error == "ENOSPC"
    done(host[NEIGHBOUR].ask(Type.WATCH, b"x", b"0"))
    done(peers[0].ask(Type.UNWATCH, b"x", b"0"))
    done(peers[-1].ask(Type.WATCH, b"y", b"0"))
    assert peers[0].ask(Type.WATCH, b"x", b"one more").error == "ENOSPC"
    peers[0].close()
    left = host.connect(GUEST)
    assert eventually(lambda: left.ask(Type.WATCH, b"x", b"again").error is None), "they went with their connection"


@pytest.mark.parametrize("connections", [1, 3])
def test_transactions(host, connections):
    limit(host, "transactions", 6)
    peers = [host.connect(GUEST) for _ in range(connections)]
    begun = [(peers[number % connections], peers[number % connections].start()) for number in range(6)]
    for peer in peers:
        assert peer.ask(Type.TRANSACTION_START, b"").error == "ENOSPC"
    host[NEIGHBOUR].end(host[NEIGHBOUR].start())
    peer, transaction = begun[0]
    done(peer.end(transaction, commit=False))
    peers[-1].start()
    assert peer.ask(Type.TRANSACTION_START, b"").error == "ENOSPC"
    done(peer.ask(Type.RESET_WATCHES, b""))
    peer.start()


def test_what_one_transaction_looks_at(host):
    limit(host, "transaction-nodes", 8)
    for number in range(12):
        done(write(host[GUEST], b"%d" % number))
    transaction = host[GUEST].start()
    for number in range(8):
        done(host[GUEST].ask(Type.READ, b"%d" % number, transaction=transaction))
        done(write(host[GUEST], b"%d" % number, b"changed", transaction))
        if number == 6:
            break  # its home, where paths begin, is looked at too when a node is made
    done(host[GUEST].end(transaction))
    transaction = host[GUEST].start()
    errors = [host[GUEST].ask(Type.READ, b"%d" % number, transaction=transaction).error for number in range(12)]
    assert errors[:8] == [None] * 8
    assert errors[8] == "ENOSPC"
    assert None not in errors[8:]
    assert host[GUEST].end(transaction).error == "ENOMEM"
    assert host[GUEST].end(transaction).error == "ENOENT"
    transaction = host[GUEST].start()
    done(write(host[GUEST], b"1", b"again", transaction))
    done(host[GUEST].end(transaction))


def test_permissions_of_one_node(host):
    done(write(host[GUEST], b"n"))
    assert host[GUEST].ask(Type.SET_PERMS, b"n", *[b"n1"] * 6).error == "ENOSPC"
    limit(host, "node-permissions", 2)
    assert host[GUEST].ask(Type.SET_PERMS, b"n", *[b"n1"] * 3).error == "ENOSPC"
    done(host[GUEST].ask(Type.SET_PERMS, b"n", *[b"n1"] * 2))


def test_length_of_a_path(host):
    limit(host, "path-max", 20)
    for path in (b"a" * 20, HOME + b"/" + b"b" * 20):
        done(write(host[GUEST], path))
        for kind in (Type.READ, Type.MKDIR, Type.RM, Type.DIRECTORY, Type.GET_PERMS):
            assert host[GUEST].ask(kind, path + b"c").error == "EINVAL"
        assert write(host[GUEST], path + b"c").error == "EINVAL"
        assert host[GUEST].ask(Type.WATCH, path + b"c", b"t").error == "EINVAL"
        done(host[GUEST].ask(Type.WATCH, path, b"t"))
    limit(host, "path-max", 0)
    done(write(host[GUEST], b"d" * 3000))


def test_size_of_a_node(host):
    limit(host, "node-size", 100)
    assert write(host[GUEST], b"n", bytes(101)).error == "ENOSPC"
    done(write(host[GUEST], b"n", bytes(70)))
    assert write(host[GUEST], b"n", bytes(101)).error == "ENOSPC"
    assert done(host[GUEST].ask(Type.READ, b"n")) == bytes(70)
    transaction = host[GUEST].start()
    assert write(host[GUEST], b"n", bytes(101), transaction).error == "ENOSPC"


def test_memory_in_nodes(host):
    limit(host, "memory", 20_000)
    errors = [write(host[GUEST], b"%d" % number, bytes(1000)).error for number in range(20)]
    assert errors[:19] == [None] * 19, "17 bytes of path, and 1000 of value"
    assert errors[19] == "ENOMEM"
    assert write(host[GUEST], b"0", bytes(2000)).error == "ENOMEM", "nor may what is there grow"
    done(write(host[GUEST], b"0", bytes(900)))
    done(write(host[NEIGHBOUR], b"0", bytes(1000)))
    done(host[GUEST].ask(Type.RM, b"0"))
    done(write(host[GUEST], b"again", bytes(1000)))
    assert host[GUEST].ask(Type.READ, b"19").error == "ENOENT"


def test_memory_in_what_others_write_into_ones_nodes(host):
    limit(host, "memory", 5_000)
    host.make(HOME + b"/inbox", b"b1")
    for number in range(3):
        done(host[0].write(HOME + b"/inbox/%d" % number, b""))
    errors = [host[NEIGHBOUR].write(HOME + b"/inbox/%d" % number, bytes(2000)).error for number in range(3)]
    assert errors == [None, None, "ENOMEM"]
    done(host[GUEST].ask(Type.RM, b"inbox/0"))
    done(host[GUEST].write(b"mine", bytes(1000)))


def test_memory_in_transactions_and_when_they_commit(host):
    limit(host, "memory", 20_000)
    for number in range(12):
        done(write(host[GUEST], b"%d" % number, bytes(1000)))
    transaction = host[GUEST].start()
    errors = []
    while None in errors[-1:] or not errors:
        errors.append(write(host[GUEST], b"t%d" % len(errors), bytes(1000), transaction).error)
    assert errors[-1] == "ENOMEM"
    assert 2 <= len(errors) <= 6, "twice: what was asked, and what it makes"
    done(host[GUEST].end(transaction, commit=False))
    transaction = host[GUEST].start()
    done(write(host[GUEST], b"t", bytes(2000), transaction))
    for number in range(6):
        done(host[0].write(HOME + b"/of-0-%d" % number, bytes(1000)))
    assert host[GUEST].end(transaction).error == "ENOMEM", "when it ends there is no room"
    assert host[GUEST].ask(Type.READ, b"t").error == "ENOENT"
    done(host[GUEST].ask(Type.RM, b"0"))
    done(host[GUEST].ask(Type.RM, b"1"))
    transaction = host[GUEST].start()
    done(write(host[GUEST], b"t", bytes(1000), transaction))
    done(host[GUEST].end(transaction))


def test_memory_of_what_is_remembered_of_a_transaction(host):
    limit(host, "memory", 20_000)
    done(write(host[GUEST], b"n", bytes(1000)))
    transaction = host[GUEST].start()
    errors: list[str | None] = []
    while errors[-1:] in ([], [None]):
        errors.append(host[GUEST].ask(Type.READ, b"n", transaction=transaction).error)
    assert errors[-1] == "ENOMEM"
    assert 10 <= len(errors) <= 20
    assert host[GUEST].ask(Type.READ, b"n", transaction=transaction).error == "ENOMEM"
    assert host[GUEST].end(transaction).error == "ENOMEM"
    done(write(host[GUEST], b"m", bytes(1000)))


def test_memory_in_watches(host):
    limit(host, "memory", 20_000)
    errors: list[str | None] = []
    while errors[-1:] in ([], [None]):
        errors.append(host[GUEST].ask(Type.WATCH, b"n", b"%d" % len(errors) + bytes(1000)).error)
    assert errors[-1] == "EINVAL", "a token has no NUL"
    errors.clear()
    while errors[-1:] in ([], [None]):
        errors.append(host[GUEST].ask(Type.WATCH, b"n", b"%d" % len(errors) + b"t" * 1000).error)
    assert errors[-1] == "ENOMEM"
    assert 5 <= len(errors) <= 20
    assert write(host[GUEST], b"n", bytes(2000)).error == "ENOMEM", "all kinds together"
    done(host[GUEST].ask(Type.UNWATCH, b"n", b"0" + b"t" * 1000))
    done(write(host[GUEST], b"n", bytes(1000)))


def test_a_limit_of_one_domain(host):
    done(host[0].ask(Type.INTRODUCE, b"1", b"1", b"1"))
    done(host[0].ask(Type.SET_QUOTA, b"1", b"nodes", b"2"))
    assert done(host[0].ask(Type.GET_QUOTA, b"1", b"nodes")) == b"2\0"
    assert done(host[0].ask(Type.GET_QUOTA, b"nodes")) == b"1000\0"
    done(write(host[GUEST], b"a"))
    assert write(host[GUEST], b"b").error == "ENOSPC"
    for number in range(3):
        done(write(host[NEIGHBOUR], b"%d" % number))
    host.release(GUEST)
    host.make(HOME, b"n1")
    for number in range(3):
        done(write(host[GUEST], b"%d" % number))


def test_names_and_values_of_limits(host):
    names = done(host[0].ask(Type.GET_QUOTA)).rstrip(b"\0").split()
    assert [name.decode() for name in names] == list(DEFAULTS)
    for name, value in DEFAULTS.items():
        assert done(host[0].ask(Type.GET_QUOTA, name.encode())) == b"%d\0" % value
    assert host[0].ask(Type.GET_QUOTA, b"nonsense").error == "EINVAL"
    assert host[0].ask(Type.SET_QUOTA, b"nonsense", b"1").error == "EINVAL"
    assert host[0].ask(Type.SET_QUOTA, b"nodes", b"-1").error == "EINVAL"
    assert host[0].ask(Type.GET_QUOTA, b"9", b"nodes").error == "ENOENT"
    assert host[0].ask(Type.SET_QUOTA, b"9", b"nodes", b"1").error == "ENOENT"
    done(host[0].ask(Type.CONTROL, b"quota", b"set", b"nodes", b"3"))
    assert b"nodes 3\n" in done(host[0].ask(Type.CONTROL, b"quota"))
    for number in range(2):
        done(write(host[GUEST], b"%d" % number))
    assert write(host[GUEST], b"2").error == "ENOSPC"


def eventually(holds) -> bool:
    """Does it hold before long? The daemon learns of a closed connection in a turn of its own."""
    return any(holds() for _ in range(2000))
