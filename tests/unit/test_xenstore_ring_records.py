"""A store of a Xen host is killed at any instant, over and over, and no ring's other side notices."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from jitsu.errors import HostError
from jitsu.xenstore.domains import Domains
from jitsu.xenstore.journal import Journal
from jitsu.xenstore.ring import SIZE
from jitsu.xenstore.ring_records import RingRecords
from jitsu.xenstore.server import Server
from jitsu.xenstore.store import Store
from jitsu.xenstore.toolstack import Toolstack
from jitsu.xenstore.wire import Message, Parser, Type, joined
from jitsu.xenstore.xen_devices import Xen
from jitsu.xenstore.xen_rings import XenRings
from tests.unit.ring_guest import ANSWERS_MADE, CONNECTION, ERROR, REQUESTS_MADE, REQUESTS_TAKEN, Guest
from tests.unit.xen_machine import Machine

GUEST = 5
DATA = b"/local/domain/5/data"


class Killed(Exception):
    pass


class Life:
    """One life of the daemon, over the same machine and file as the one before; `moment` may end it, wherever it is."""

    def __init__(
        self, machine: Machine, path: Path, moment: Callable[[], None] = lambda: None, boot: str = "1"
    ) -> None:
        self.machine = machine
        self._moment = moment
        records = RingRecords(boot)
        self.store = Store(Domains(lives=machine.exists))
        self.journal = Journal(path, self.store, sync="off", rings=records)
        self.server = Server(self.store, saved=self._saved)
        self.rings = XenRings(
            self.server, cast(Xen, SimpleNamespace(events=self, pages=machine, hypervisor=machine)), records
        )
        self.admin = self.store.connect(0)
        try:
            self.rings.begin(Toolstack(self.store, introduced=self._introduced, released=self.rings.release))
        except (Killed, HostError):
            self.end()
            raise

    def __getattr__(self, name: str) -> object:
        return getattr(self.machine, name)

    def notify(self, port: int) -> None:
        """Each is between two steps of what a turn does to pages."""
        self._moment()
        self.machine.notify(port)

    def _saved(self) -> None:
        self._moment()
        self.rings.record()
        self.journal.save()
        self._moment()
        self.rings.settle()
        self._moment()

    def _introduced(self, domid: int) -> None:
        self.rings.introduce(domid, self.store.domains.get(domid).port)

    def introduce(self) -> None:
        self.store.execute(self.admin, Message(Type.INTRODUCE, 1, 0, joined(b"%d" % GUEST, b"1", b"9")))
        self.server.turn(0)

    def turn(self) -> None:
        self.server.turn(0)

    def end(self) -> None:
        """As a kill does it: nothing more is saved or said."""
        self._moment = lambda: None
        self.server.stop()
        self.server.run()
        self.journal.close()
        self.machine.bound.clear()
        self.machine.mapped.clear()


class Kernel:
    """Asks one thing after the other, in pieces of any size. Like Linux's it says so only where the store may sleep:
    when all that it had said before was taken, or there was no room for an answer."""

    def __init__(self, machine: Machine, domid: int, seeded: random.Random) -> None:
        self.guest = machine.guests[domid]
        self._tell = partial(machine.tell, domid)
        self._seeded = seeded
        self._parser = Parser()
        self._said = b""
        self._last = 0
        self.answers: list[Message] = []
        self.events: list[bytes] = []

    def ask(self, kind: Type, payload: bytes, transaction: int = 0) -> None:
        self._last += 1
        self._said += Message(kind, self._last, transaction, payload).encode()

    def move(self) -> None:
        """Say something, hear something, as much as chance has it."""
        size = self._seeded.choice((1, 5, 40, 2000))
        slept = self.guest.read(REQUESTS_MADE) == self.guest.read(REQUESTS_TAKEN)
        said = self.guest.say(self._said[:size]) if self._said else 0
        self._said = self._said[said:]
        if said and slept:
            self._tell()
        stuck = self.guest.unread() == SIZE
        heard = self.guest.hear(self._seeded.choice((0, 0, 0, 3, 30, 1024)))
        if heard and stuck:
            self._tell()
        for message in self._parser.feed(heard):
            if message.type == Type.WATCH_EVENT:
                self.events.append(message.payload.split(b"\0")[0])
            else:
                self.answers.append(message)

    @property
    def is_waiting(self) -> bool:
        return len(self.answers) < self._last


class World:
    """A machine, and lives of the daemon in a row."""

    def __init__(self, path: Path, seeded: random.Random, odds: float) -> None:
        self.machine = Machine()
        self._path = path
        self._seeded = seeded
        self._odds = 0.0
        self.kills = 0
        self.dom0 = Kernel(self.machine, 0, seeded)
        self.guest = Kernel(self.machine, GUEST, seeded)
        self.life = Life(self.machine, path, self._moment)
        self.life.introduce()
        self._odds = odds

    def _moment(self) -> None:
        """Something is done while the daemon is at work, or it is killed there."""
        if self._seeded.random() < self._odds:
            raise Killed
        self._act()

    def _act(self) -> None:
        for kernel in self.dom0, self.guest:
            if self._seeded.random() < 0.5:
                kernel.move()

    def move(self) -> None:
        self._act()
        try:
            self.life.turn()
        except Killed:
            self.begin_again()

    def begin_again(self) -> None:
        self.life.end()
        while True:
            self.kills += 1
            try:
                self.life = Life(self.machine, self._path, self._moment)
            except Killed:
                continue
            return

    def rest(self) -> None:
        """Until everything is answered and heard."""
        for _ in range(5000):
            self.move()
            if not (self.dom0.is_waiting or self.guest.is_waiting):
                break
        for _ in range(100):
            self.move()
        for kernel in self.dom0, self.guest:
            assert not kernel.is_waiting

    def turns(self) -> None:
        for _ in range(3):
            self.life.turn()

    def watch_data(self) -> None:
        """Domain 0's kernel gives the guest a place, and watches it."""
        self.dom0.ask(Type.WRITE, DATA + b"\0")
        self.dom0.ask(Type.SET_PERMS, DATA + b"\0n5\0")
        self.dom0.ask(Type.WATCH, DATA + b"\0" + b"t" * 200 + b"\0")
        self.rest()
        self.dom0.events.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def world(path: Path, seeded: random.Random) -> Iterator[World]:
    world = World(path, seeded, odds=0.0)
    yield world
    world.life.end()


class Wanted:
    """What the guest asks in a random life, and what it is to be answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids = 0
        self.answers: list[tuple[int, bytes]] = []

    def ask(self, kind: Type, payload: bytes, answer: bytes = b"OK\0", *, transaction: int = 0) -> None:
        self._world.guest.ask(kind, payload, transaction)
        self.answers.append((Type.ERROR if answer[:1] == b"E" else kind, answer))

    def write(self, number: int, value: bytes) -> None:
        """A node, and around it what cannot be done twice without a difference."""
        watch = b"data/w\0%d\0" % number
        self.ask(Type.WATCH, watch)
        self.ask(Type.WRITE, b"data/%d\0" % number + value)
        self.ask(Type.READ, b"data/%d\0" % number, value)
        self.ask(Type.TRANSACTION_START, b"\0", b"%d\0" % (number + 1))
        self.ask(Type.WRITE, b"data/dropped\0", transaction=number + 1)
        self.ask(Type.WATCH, watch, b"EEXIST\0")
        self.ask(Type.TRANSACTION_END, b"F\0", transaction=number + 1)
        if number % 2:
            self.ask(Type.UNWATCH, watch)
            self.ask(Type.UNWATCH, watch, b"ENOENT\0")


@pytest.mark.timeout(900)
def test_nothing_is_done_twice_or_lost_whenever_the_daemon_is_killed(
    path: Path, seeded: random.Random, full: bool
) -> None:
    kills = 0
    for life in range(300 if full else 6):
        world = World(path.with_name(f"state{life}"), seeded, seeded.choice((0.0, 0.02, 0.1, 0.3)))
        watched = [DATA + b"/%d" % number for number in range(20)]
        world.watch_data()
        wanted = Wanted(world)
        for number in range(20):
            wanted.write(number, bytes(seeded.choices(b"abc", k=1500)))
            for _ in range(seeded.randrange(12)):
                world.dom0.ask(Type.READ, b"/tool/xenstored/jitsu\0")
                world.move()
        world.rest()
        world.life.end()

        answers = world.guest.answers
        assert [(each.type, each.payload) for each in answers] == wanted.answers
        assert [each.request for each in answers] == list(range(1, len(answers) + 1))
        assert world.guest.events == [b"data/w"] * 20
        assert world.dom0.events == watched
        kills += world.kills
    assert kills > 50


def test_what_waits_for_one_who_does_not_listen_waits_still(world: World) -> None:
    world.watch_data()
    for number in range(20):
        world.guest.ask(Type.WRITE, DATA + b"/%d\0" % number)
    while world.guest.is_waiting:
        world.guest.move()
        world.life.turn()
    world.begin_again()
    world.rest()

    assert world.dom0.events == [DATA + b"/%d" % number for number in range(20)]


def test_a_transaction_that_was_begun_before_has_to_be_begun_again(world: World) -> None:
    world.watch_data()
    guest = world.guest
    guest.ask(Type.TRANSACTION_START, b"\0")
    guest.ask(Type.WRITE, b"data/lost\0", 1)
    world.rest()
    world.begin_again()
    guest.ask(Type.WRITE, b"data/lost\0", 1)
    guest.ask(Type.READ, b"data/lost\0", 1)
    guest.ask(Type.TRANSACTION_END, b"T\0", 1)
    guest.ask(Type.READ, b"data/lost\0")
    guest.ask(Type.TRANSACTION_START, b"\0")
    guest.ask(Type.WRITE, b"data/kept\0", 2)
    guest.ask(Type.TRANSACTION_END, b"T\0", 2)
    world.rest()

    assert [each.payload for each in guest.answers] == [
        *(b"1\0", b"OK\0", b"OK\0", b"", b"EAGAIN\0", b"ENOENT\0", b"2\0", b"OK\0", b"OK\0")
    ]
    assert world.dom0.events == [DATA + b"/kept"]


def test_the_end_of_a_domain_while_nobody_served_is_told(world: World) -> None:
    world.watch_data()
    world.dom0.ask(Type.WATCH, b"@releaseDomain\0t\0")
    world.rest()
    world.dom0.events.clear()
    del world.machine.guests[GUEST]
    world.begin_again()
    world.dom0.ask(Type.READ, DATA + b"\0")
    world.rest()

    assert world.dom0.events == [DATA, b"@releaseDomain"]
    assert world.dom0.answers[-1].payload == b"ENOENT\0"
    assert world.machine.mapped == {0}
    world.begin_again()
    world.begin_again()
    world.rest()
    assert world.dom0.events == [DATA, b"@releaseDomain"]


def test_a_guest_that_asked_for_a_new_beginning_while_nobody_served_gets_one(world: World) -> None:
    world.watch_data()
    world.guest.ask(Type.WATCH, b"data\0t\0")
    world.rest()
    page = world.machine.guests[GUEST]
    page.write(CONNECTION, 1)
    world.begin_again()
    world.turns()

    assert page.read(CONNECTION) == page.read(REQUESTS_TAKEN) == 0
    world.begin_again()
    assert sum(len(peer.watches) for peer in world.life.store.peers) == 1  # that of dom0's


def test_a_guest_that_scribbled_while_nobody_served_begins_anew(world: World) -> None:
    world.watch_data()
    world.guest.ask(Type.WATCH, b"data\0t\0")
    world.rest()
    page = world.machine.guests[GUEST]
    page.write(ANSWERS_MADE, 77777)
    world.begin_again()
    world.turns()

    assert page.read(ANSWERS_MADE) == page.read(REQUESTS_TAKEN) == 0
    assert world.life.store.domains.is_introduced(GUEST)


def test_a_connection_that_was_given_up_stays_so_until_the_guest_asks(world: World) -> None:
    page = world.machine.guests[GUEST]
    page.write(REQUESTS_MADE, 55555)
    world.machine.tell(GUEST)
    world.turns()
    assert page.read(ERROR)
    world.begin_again()
    world.turns()
    assert not any(peer.domid == GUEST for peer in world.life.store.peers)
    page.write(CONNECTION, 1)
    world.machine.tell(GUEST)
    world.turns()

    assert page.read(ERROR) == 0
    assert any(peer.domid == GUEST for peer in world.life.store.peers)


def test_a_file_of_another_life_of_the_machine_is_refused(world: World, path: Path) -> None:
    world.watch_data()
    world.life.end()
    with pytest.raises(HostError, match="of an earlier boot of this machine"):
        Life(world.machine, path, boot="2")

    world.machine.guests[0] = Guest(630)  # as if another store had served since
    with pytest.raises(HostError, match="another XenStore has served this machine's kernel"):
        Life(world.machine, path)
