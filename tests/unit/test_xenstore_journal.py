"""The state file: a store comes out of it as it went in, and what cannot be kept is not answered."""

import random
import resource
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from jitsu.errors import ConfigError, HostError, ResourceBusy
from jitsu.xenstore.control import Control
from jitsu.xenstore.daemon import Daemon
from jitsu.xenstore.domains import Domains
from jitsu.xenstore.journal import PAGES_WORTH_IT, Journal
from jitsu.xenstore.permissions import Permissions
from jitsu.xenstore.server import Server
from jitsu.xenstore.store import Store
from jitsu.xenstore.toolstack import Toolstack
from jitsu.xenstore.transport import SocketTransport
from jitsu.xenstore.wire import Message, Parser, Type, joined

Nodes = list[tuple[str, bytes, Permissions]]


class Kept:
    """A store with its file; every request is saved when it was executed."""

    def __init__(self, path: Path) -> None:
        self.store = Store()
        Toolstack(self.store, introduced=lambda domid: None, released=lambda domid: None)
        Control(self.store)
        self.journal = Journal(path, self.store)
        self._parser, self._peers = Parser(), {0: self.store.connect(0)}

    def ask(self, kind: Type, payload: bytes, *, transaction: int = 0, domid: int = 0, save: bool = True) -> bytes:
        """The answer, or the name of the error."""
        peer = self._peers.setdefault(domid, self.store.connect(domid))
        assert self.store.execute(peer, Message(kind, 1, transaction, payload)) is None
        if save:
            self.journal.save()
        answers = list(self._parser.feed(peer.waiting()))
        peer.sent(peer.backlog)
        return answers[0].payload

    def do(self, kind: Type, *words: bytes, transaction: int = 0) -> None:
        assert self.ask(kind, joined(*words), transaction=transaction) == b"OK\0"

    def write(self, path: bytes, value: bytes = b"", *, transaction: int = 0) -> None:
        assert self.ask(Type.WRITE, path + b"\0" + value, transaction=transaction) == b"OK\0"

    def start(self) -> int:
        return int(self.ask(Type.TRANSACTION_START, b"\0")[:-1])

    @property
    def nodes(self) -> Nodes:
        """Everything, in the order in which it is listed."""
        return [(path, node.value, node.perms) for path, node in self.store.tree.everything()]


@contextmanager
def kept(path: Path) -> Iterator[Kept]:
    store = Kept(path)
    with closing(store.journal):
        yield store


def same_again(path: Path, store: Kept) -> None:
    """Close it; the next one has the same nodes, in the same order, and counts them the same."""
    nodes, tree = store.nodes, store.store.tree
    store.journal.close()
    with kept(path) as again:
        assert again.nodes == nodes
        fresh = again.store.tree
        assert (fresh.owned, fresh.mentioned, fresh.weight) == (tree.owned, tree.mentioned, tree.weight)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_a_new_file_has_what_a_new_store_has(path: Path) -> None:
    with kept(path) as first:
        fresh = first.nodes

    assert fresh == [(name, node.value, node.perms) for name, node in Store().tree.everything()]
    assert path.stat().st_mode & 0o777 == 0o600
    with kept(path) as again:
        assert again.nodes == fresh


def test_values_with_every_byte_permissions_and_marks_come_again(path: Path) -> None:
    with kept(path) as store:
        store.write(b"/a/b", bytes(range(256)) * 15)
        store.write(b"/a/empty")
        store.do(Type.SET_PERMS, b"/a/b", b"n5", b"r6", b"w32757", b"b0")
        store.do(Type.SET_PERMS, b"@releaseDomain", b"n0", b"r7")
        store.do(Type.CONTROL, b"restrict", b"/a", b"on")
        store.do(Type.CONTROL, b"restrict", b"/a/b", b"on")
        store.do(Type.CONTROL, b"restrict", b"/a/b", b"off")
        store.write(b"/", b"the root has a value")

        assert store.store.tree["/a"].perms.restricted
        assert store.store.tree["/a/b"].perms.encode() == b"n5\0r6\0w32757\0b0\0"
        same_again(path, store)


def test_siblings_keep_their_order(path: Path) -> None:
    with kept(path) as store:
        for name in (b"c", b"a", b"b", b"d"):
            store.write(b"/s/" + name + b"/below")
        store.write(b"/s/c", b"written again, and still the first")
        store.do(Type.RM, b"/s/a")
        store.write(b"/s/a/anew")

        assert list(store.store.tree.names("/s")) == ["c", "b", "d", "a"]
        same_again(path, store)


def test_what_is_removed_and_made_again_in_one_turn_is_as_it_was_left(path: Path) -> None:
    with kept(path) as store:
        store.write(b"/s/a/old", b"1")
        store.write(b"/s/b")
        for name in (b"/s/a/new", b"/s/c"):
            store.ask(Type.WRITE, name + b"\0", save=False)
        store.ask(Type.RM, b"/s/a\0", save=False)
        store.ask(Type.WRITE, b"/s/a/newest\0" + b"2", save=False)
        store.journal.save()

        assert [name for name, _, _ in store.nodes if name.startswith("/s/")] == ["/s/b", "/s/c", "/s/a", "/s/a/newest"]
        same_again(path, store)


def test_a_removal_takes_what_is_below_and_no_neighbours(path: Path) -> None:
    with kept(path) as store:
        for name in (b"/s/a", b"/s/a/x/y", b"/s/a-b", b"/s/a0", b"/s/ab", b"/s/a_", b"/s/A", b"/s/a@"):
            store.write(name)
        store.do(Type.RM, b"/s/a")

        assert list(store.store.tree.names("/s")) == ["a-b", "a0", "ab", "a_", "A", "a@"]
        same_again(path, store)


def test_a_transaction_is_saved_with_its_commit_only(path: Path) -> None:
    with kept(path) as store:
        store.write(b"/s/old")
        committed, dropped, unfinished = store.start(), store.start(), store.start()
        store.do(Type.RM, b"/s/old", transaction=committed)
        store.write(b"/s/old/1", b"anew", transaction=committed)
        store.do(Type.SET_PERMS, b"/s/old/1", b"n7", transaction=committed)
        store.write(b"/s/2", transaction=dropped)
        store.write(b"/s/3", transaction=unfinished)
        store.do(Type.TRANSACTION_END, b"F", transaction=dropped)
        store.do(Type.TRANSACTION_END, b"T", transaction=committed)

        assert [name for name, _, _ in store.nodes if name.startswith("/s/")] == ["/s/old", "/s/old/1"]
        same_again(path, store)


def test_what_was_not_saved_is_not_in_the_file(path: Path) -> None:
    with kept(path) as store:
        store.write(b"/s/a")
        before = store.nodes
        store.ask(Type.WRITE, b"/s/b\0", save=False)
    with kept(path) as again:
        assert again.nodes == before


def test_domains_are_known_again_and_released_with_all_they_had(path: Path) -> None:
    with kept(path) as store:
        store.do(Type.SET_FEATURE, b"6", b"2")
        store.do(Type.SET_FEATURE, b"9", b"4")
        for domid in (b"5", b"6", b"7"):
            store.do(Type.INTRODUCE, domid, b"123456789012", b"3")
        store.do(Type.INTRODUCE, b"5", b"1", b"9")
        store.do(Type.SET_TARGET, b"5", b"7")
        store.do(Type.SET_TARGET, b"6", b"5")
        store.write(b"/local/domain/7/x", b"its own")
        store.do(Type.SET_PERMS, b"/local/domain/7/x", b"n7")
        store.write(b"/s", b"of another")
        store.do(Type.SET_PERMS, b"/s", b"n0", b"r7")

    def known(store: Kept) -> list[tuple[int, int, int, int | None]]:
        return [(domid, it.frame, it.port, it.target) for domid, it in store.store.domains]

    with kept(path) as again:
        assert known(again) == [(5, 123456789012, 9, 7), (6, 123456789012, 3, 5), (7, 123456789012, 3, None)]
        assert again.ask(Type.GET_FEATURE, b"6\0") == b"2\0"
        assert again.ask(Type.READ, b"/local/domain/7/x\0", domid=5) == b"its own"
        again.do(Type.RELEASE, b"7")
        again.do(Type.RELEASE, b"6")
    with kept(path) as last:
        assert known(last) == [(5, 123456789012, 9, None)]
        assert last.store.tree.node("/local/domain/7/x") is None
        assert last.store.tree["/s"].perms.encode() == b"n0\0"
        last.do(Type.INTRODUCE, b"9", b"1", b"1")
        assert last.ask(Type.GET_FEATURE, b"9\0") == b"4\0"


def test_quotas_that_were_set_are_in_force_again(path: Path) -> None:
    with kept(path) as store:
        store.do(Type.INTRODUCE, b"5", b"1", b"1")
        store.do(Type.INTRODUCE, b"6", b"1", b"1")
        store.do(Type.SET_QUOTA, b"nodes", b"7")
        store.do(Type.CONTROL, b"quota", b"set", b"watches", b"3")
        store.do(Type.SET_QUOTA, b"5", b"nodes", b"0")
        store.do(Type.SET_QUOTA, b"5", b"nodes", b"9")
        store.do(Type.SET_QUOTA, b"6", b"nodes", b"8")
        store.do(Type.RELEASE, b"6")
    with kept(path) as again:
        quotas = again.store.quotas
        assert [quotas.limit("nodes"), quotas.limit("watches"), quotas.limit("memory")] == [7, 3, 2_621_440]
        assert [quotas.limit("nodes", domid) for domid in (5, 6)] == [9, 7]


def test_a_random_life_comes_again(path: Path, seeded: random.Random) -> None:
    names = [b"a", b"a0", b"b", b"c-"]

    def any_path() -> bytes:
        return b"/s/" + b"/".join(seeded.choices(names, k=seeded.randint(1, 4)))

    with kept(path) as store:
        store.write(b"/s/a")
        for _ in range(600):
            choice, save = seeded.random(), seeded.random() < 0.3
            if choice < 0.6:
                store.ask(Type.WRITE, any_path() + b"\0" + seeded.randbytes(5), save=save)
            elif choice < 0.85:
                store.ask(Type.RM, any_path() + b"\0", save=save)
            else:
                perms = b"n%d\0r%d\0" % (seeded.randint(0, 3), seeded.randint(0, 3))
                store.ask(Type.SET_PERMS, any_path() + b"\0" + perms, save=save)
        store.journal.save()

        assert len(store.store.tree) > 30
        same_again(path, store)


# Files that are not as they should be


def test_one_file_is_for_one_daemon(path: Path) -> None:
    with kept(path) as store:
        with pytest.raises(ResourceBusy, match="another daemon has its state in"):
            Kept(path)
        store.write(b"/s")
    with kept(path) as again:
        assert again.store.tree.node("/s") is not None


def of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE nodes (theirs)")


def of_a_later_version(path: Path) -> None:
    changed(path, "PRAGMA user_version = 2")


def changed(path: Path, statement: str) -> None:
    with kept(path) as store:
        store.write(b"/s/a")
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute(statement).rowcount


def overwritten(path: Path) -> None:
    with kept(path) as store:
        for number in range(500):
            store.write(b"/s/%d" % number, bytes(100))
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 5 * 4096] = b"\xee" * 8192
    path.write_bytes(content)


BROKEN = {
    "of another program": of_another_program,
    "its schema is 2": of_a_later_version,
    "not a database": lambda path: path.write_text("somebody's letter\n" * 100),
    "damaged|malformed": overwritten,
    "/s/a is in no directory": lambda path: changed(path, "DELETE FROM nodes WHERE path = '/s'"),
    "the root is missing": lambda path: changed(path, "DELETE FROM nodes"),
    "damaged: .* is not a permission": lambda path: changed(path, "UPDATE nodes SET perms = x'7a00'"),
    "damaged: there is no quota": lambda path: changed(path, "INSERT INTO quotas VALUES (NULL, 'x', 1)"),
}


@pytest.mark.parametrize("reason", BROKEN)
def test_a_file_that_cannot_be_used_is_refused_and_left_alone(path: Path, reason: str) -> None:
    BROKEN[reason](path)
    before = path.read_bytes()

    with pytest.raises(HostError, match=f"{path} is no state file that can be used: .*({reason})") as refused:
        Kept(path)

    assert "move it away" in refused.value.hint
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be opened"):
        Kept(tmp_path / "none" / "state")


def test_a_file_that_was_full_once_is_small_again(path: Path) -> None:
    with kept(path) as store:
        for number in range(2 * PAGES_WORTH_IT):
            store.write(b"/s/%d" % number, bytes(4000))
        store.do(Type.RM, b"/s")
    full = path.stat().st_size
    with kept(path) as again:
        again.write(b"/t")
    assert path.stat().st_size < full / 10


def test_it_does_not_grow_with_domains_that_come_and_go(path: Path) -> None:
    def room() -> int:
        return sum(each.stat().st_size for each in path.parent.glob("state*"))

    with kept(path) as store:
        rooms = []
        for number in range(200):
            for key in range(40):
                payload = b"/local/domain/%d/device/vif/%d/key\0" % (number, key) + bytes(number % 50)
                store.ask(Type.WRITE, payload, save=key % 4 == 0)
            if number >= 16:
                store.do(Type.RM, b"/local/domain/%d" % (number - 16))
            if number in (99, 199):
                rooms.append(room())
        store.journal.close()
        assert rooms[1] < 1.25 * rooms[0]
        assert path.stat().st_size < 400_000
        assert [each.name for each in path.parent.iterdir()] == ["state"]


# What cannot be saved


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file of ours gets larger: writes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_on_a_full_disk_nothing_is_half_saved(path: Path) -> None:
    saved = 0
    with kept(path) as store, small_files(200_000):
        refused = None
        while refused is None and saved < 1000:
            for half in (b"a", b"b"):
                store.ask(Type.WRITE, b"/s/%d/%s\0" % (saved, half) + bytes(1000), save=False)
            try:
                store.journal.save()
                saved += 1
            except HostError as error:
                refused = error
    assert refused is not None
    assert "cannot be written" in refused.message
    assert saved > 5
    with kept(path) as again:
        assert list(again.store.tree.names("/s")) == [str(number) for number in range(saved)]
        assert all(len(again.store.tree.names(f"/s/{number}")) == 2 for number in range(saved))


# The loop: nothing is sent that is not saved


class Watchful:
    """A `saved` that notes what a client has got by then."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ends: list[socket.socket] = []
        self.early: list[bytes] = []
        self.calls = 0

    def __call__(self) -> None:
        log = self.store.tree.log
        assert log is not None
        self.calls += bool(log)
        for end in self.ends if log else ():
            with suppress(BlockingIOError):
                self.early.append(end.recv(65536))
        log.clear()


@pytest.fixture
def watchful() -> Iterator[tuple[Server, Watchful]]:
    store = Store()
    store.tree.log = []
    saved = Watchful(store)
    server = Server(store, saved=saved)
    yield server, saved
    for end in saved.ends:
        end.close()
    server.stop()
    server.run()


def join(server: Server, saved: Watchful) -> socket.socket:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    server.connect(SocketTransport(theirs), 0)
    saved.ends.append(ours)
    return ours


def test_an_answer_leaves_when_the_change_is_saved(watchful: tuple[Server, Watchful]) -> None:
    server, saved = watchful
    client, watcher = join(server, saved), join(server, saved)
    watcher.send(Message(Type.WATCH, 1, 0, b"/s\0t\0").encode())
    server.turn(1)
    watcher.recv(65536)

    client.send(Message(Type.WRITE, 1, 0, b"/s\0v").encode())
    server.turn(1)

    assert (saved.calls, saved.early) == (1, [])
    assert client.recv(65536) == Message(Type.WRITE, 1, 0, b"OK\0").encode()
    assert watcher.recv(65536) == Message(Type.WATCH_EVENT, 0, 0, b"/s\0t\0").encode()


def test_nor_does_it_leave_early_to_a_client_that_had_no_room(watchful: tuple[Server, Watchful]) -> None:
    """It asks for much, changes something, and makes room: that it is readable and writable is one event."""
    server, saved = watchful
    client = join(server, saved)
    client.send(Message(Type.WRITE, 1, 0, b"/s\0" + bytes(4000)).encode())
    server.turn(1)
    client.recv(65536)
    peer = next(iter(server.store.peers))
    while not peer.backlog:
        client.send(Message(Type.READ, 2, 0, b"/s\0").encode())
        server.turn(1)
    saved.calls = 0
    client.send(Message(Type.WRITE, 3, 0, b"/s\0new").encode())
    with suppress(BlockingIOError):
        while client.recv(65536):
            pass
    server.turn(1)

    assert (saved.calls, saved.early) == (1, [])
    assert client.recv(65536).endswith(Message(Type.WRITE, 3, 0, b"OK\0").encode())


def test_a_save_that_fails_closes_connections_unanswered(watchful: tuple[Server, Watchful]) -> None:
    store = Store()

    def full() -> None:
        if store.tree.node("/s") is not None:
            raise HostError("the disk is full")

    server = Server(store, saved=full)
    ours, theirs = socket.socketpair()
    with closing(ours):
        server.connect(SocketTransport(theirs), 0)
        ours.send(Message(Type.WRITE, 1, 0, b"/s\0v").encode())
        with pytest.raises(HostError, match="the disk is full"):
            server.run()
        assert ours.recv(65536) == b""


# The daemon


def test_sockets_of_domains_come_again(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the one of a domid that has none from the beginning, over which the daemon was killed."""
    with kept(path) as store:
        store.do(Type.INTRODUCE, b"5000", b"1", b"1")
    monkeypatch.setattr("jitsu.xenstore.daemon.FIRST_SOCKETS", 4)
    (tmp_path / "d").mkdir()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "d" / "5000.sock"))
    left.close()

    daemon = Daemon(tmp_path / "s", domains=Domains(), folder=tmp_path / "d", state=path)
    with closing(socket.socket(socket.AF_UNIX)) as guest:
        guest.connect(str(tmp_path / "d" / "5000.sock"))
        daemon.server.stop()
        daemon.run()


def test_a_domain_outside_of_domains_is_said(tmp_path: Path, path: Path) -> None:
    with kept(path) as store:
        store.do(Type.INTRODUCE, b"50", b"1", b"1")

    with pytest.raises(ConfigError, match="has domain 50, which does not exist: --domains is 0-9"):
        Daemon(tmp_path / "s", domains=Domains(0, 9), state=path)
