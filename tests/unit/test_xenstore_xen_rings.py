"""Domains of a Xen host come and go; Xen itself is played here, and no page is really shared."""

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from jitsu.errors import HostError
from jitsu.xenstore.domains import Domains
from jitsu.xenstore.server import Server
from jitsu.xenstore.store import Store
from jitsu.xenstore.toolstack import Toolstack
from jitsu.xenstore.wire import Message, Parser, Type, joined
from jitsu.xenstore.xen_devices import Xen
from jitsu.xenstore.xen_rings import XenRings
from tests.unit.ring_guest import ANSWERS_MADE, CONNECTION, ERROR, FEATURES, REQUESTS_MADE, REQUESTS_TAKEN, Guest
from tests.unit.xen_machine import VIRQ, Machine


class Host:
    """A server on that machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.store = Store(Domains(lives=machine.exists))
        self.server = Server(self.store, saved=lambda: self.rings.settle())
        self.rings = XenRings(
            self.server, cast(Xen, SimpleNamespace(events=machine, pages=machine, hypervisor=machine))
        )
        toolstack = Toolstack(self.store, introduced=self._introduced, released=self.rings.release)
        self.admin = self.store.connect(0)
        self.events = 0
        self.ask(Type.WATCH, b"@releaseDomain", b"token")
        self.rings.begin(toolstack)

    def end(self) -> None:
        self.server.stop()
        self.server.run()
        os.close(self.machine.bell)

    def _introduced(self, domid: int) -> None:
        self.rings.introduce(domid, self.store.domains.get(domid).port)

    def ask(self, kind: Type, *words: bytes) -> bytes:
        """The answer's payload, if it is one, to a toolstack on a socket; otherwise the error."""
        self.store.execute(self.admin, Message(kind, 1, 0, joined(*words)))
        self.rings.settle()
        return next(each.payload for each in self._heard() if each.type != Type.WATCH_EVENT)

    def releases(self) -> int:
        """How many events the watch has had, but for its first."""
        self._heard()
        return self.events - 1

    def _heard(self) -> list[Message]:
        data = bytes(self.admin.waiting())
        self.admin.sent(len(data))
        messages = list(Parser().feed(data))
        self.events += sum(each.type == Type.WATCH_EVENT for each in messages)
        return messages

    def event(self, port: int) -> None:
        self.machine.events.append(port)
        os.eventfd_write(self.machine.bell, 1)
        for _ in range(3):
            self.server.turn(0)

    def request(self, domid: int, kind: Type, payload: bytes) -> list[Message]:
        """What a guest hears, over its ring."""
        guest = self.machine.guests[domid]
        guest.say(Message(kind, 7, 0, payload).encode())
        self.event(100 + domid)
        return list(Parser().feed(guest.hear()))


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host(Machine())
    yield host
    host.end()


def test_what_the_kernel_of_domain_0_has_asked_before_is_answered() -> None:
    machine = Machine()
    machine.guests[0].say(Message(Type.READ, 7, 0, b"/tool/xenstored/jitsu\0").encode())
    host = Host(machine)
    host.server.turn(0)

    assert machine.notified[0] == 100
    assert list(Parser().feed(machine.guests[0].hear())) == [Message(Type.READ, 7, 0, b"1")]
    host.end()


def test_a_kernel_whose_watches_are_not_known_is_not_served() -> None:
    machine = Machine()
    machine.guests[0] = Guest(630)

    with pytest.raises(HostError, match="another XenStore has served this machine's kernel") as refused:
        Host(machine)
    assert "--state" in refused.value.hint


def test_a_domain_that_is_introduced_has_a_new_beginning(host: Host) -> None:
    guest = host.machine.guests[5]

    assert host.ask(Type.INTRODUCE, b"5", b"1234", b"9") == b"OK\0"
    assert host.machine.bound[105] == 9
    assert guest.read(REQUESTS_MADE) == guest.read(ANSWERS_MADE) == 0
    assert guest.read(FEATURES) == 15
    assert host.machine.notified[-1] == 105
    assert host.request(5, Type.GET_DOMAIN_PATH, b"5\0")[0].payload == b"/local/domain/5\0"
    assert host.request(5, Type.RELEASE, b"5\0")[0].payload == b"EACCES\0"


def test_it_is_offered_what_the_toolstack_says(host: Host) -> None:
    host.ask(Type.SET_FEATURE, b"5", b"2")
    host.ask(Type.INTRODUCE, b"5", b"1234", b"9")

    assert host.machine.guests[5].read(FEATURES) == 2


def test_a_domain_that_is_introduced_again_begins_anew(host: Host) -> None:
    host.ask(Type.INTRODUCE, b"5", b"1234", b"9")
    host.request(5, Type.WATCH, b"/tool\0token\0")

    assert host.ask(Type.INTRODUCE, b"5", b"1234", b"11") == b"OK\0"
    assert host.machine.bound[105] == 11
    assert host.machine.guests[5].read(REQUESTS_TAKEN) == 0
    assert sum(peer.domid == 5 for peer in host.store.peers) == 1
    assert not any(peer.watches for peer in host.store.peers if peer.domid == 5)


def test_a_domain_that_is_released_leaves_nothing(host: Host) -> None:
    host.ask(Type.INTRODUCE, b"5", b"1234", b"9")

    assert host.ask(Type.RELEASE, b"5") == b"OK\0"
    assert host.machine.mapped == {0}
    assert set(host.machine.bound) == {100}
    assert not any(peer.domid == 5 for peer in host.store.peers)


@pytest.mark.parametrize(("domid", "port", "errno"), [(b"6", b"9", b"EINVAL"), (b"5", b"666", b"EIO")])
def test_what_cannot_be_served_is_not_introduced(host: Host, domid: bytes, port: bytes, errno: bytes) -> None:
    assert host.ask(Type.INTRODUCE, domid, b"1234", port) == errno + b"\0"
    assert host.machine.mapped == {0}
    assert host.ask(Type.IS_DOMAIN_INTRODUCED, domid) == b"F\0"


def test_a_domain_without_a_page_is_not_introduced(host: Host) -> None:
    host.machine.granting.clear()

    assert host.ask(Type.INTRODUCE, b"5", b"1234", b"9") == b"EIO\0"
    assert host.ask(Type.IS_DOMAIN_INTRODUCED, b"5") == b"F\0"


@pytest.mark.parametrize("beyond", [0, 123456])
def test_a_guest_that_asks_for_a_new_beginning_gets_one(host: Host, beyond: int) -> None:
    host.ask(Type.INTRODUCE, b"5", b"1234", b"9")
    host.request(5, Type.GET_DOMAIN_PATH, b"5\0")
    host.request(5, Type.WATCH, b"/tool\0token\0")
    guest = host.machine.guests[5]
    guest.say(b"half a request")
    guest.write(CONNECTION, 1)
    guest.write(
        REQUESTS_MADE, guest.read(REQUESTS_MADE) + beyond
    )  # of which nothing is to be believed until it was answered
    host.event(105)

    assert guest.read(CONNECTION) == guest.read(REQUESTS_MADE) == guest.read(ERROR) == 0
    assert host.request(5, Type.WATCH, b"/tool\0token\0")[0].payload == b"OK\0"


def test_so_does_one_whose_ring_was_given_up(host: Host) -> None:
    host.ask(Type.INTRODUCE, b"5", b"1234", b"9")
    guest = host.machine.guests[5]
    guest.write(REQUESTS_MADE, 123456)
    host.event(105)
    assert guest.read(ERROR) == 2
    host.event(105)
    guest.write(CONNECTION, 1)
    host.event(105)

    assert guest.read(ERROR) == 0
    assert host.request(5, Type.GET_DOMAIN_PATH, b"5\0")[0].payload == b"/local/domain/5\0"


def test_a_crash_is_told_once_and_the_domain_kept(host: Host) -> None:
    host.ask(Type.INTRODUCE, b"5", b"1234", b"9")
    host.machine.down.add(5)
    host.event(VIRQ)
    host.event(VIRQ)

    assert host.releases() == 1
    assert host.machine.mapped == {0, 5}
    host.ask(Type.RESUME, b"5")
    host.event(VIRQ)
    assert host.releases() == 2


def test_a_domain_that_dies_leaves_nothing(host: Host) -> None:
    host.ask(Type.INTRODUCE, b"5", b"1234", b"9")
    host.ask(Type.MKDIR, b"/mine")
    host.ask(Type.SET_PERMS, b"/mine", b"n5")
    host.machine.dying.add(5)
    host.event(VIRQ)
    host.event(105)

    assert host.releases() == 1
    assert host.machine.mapped == {0}
    assert host.ask(Type.READ, b"/mine") == b"ENOENT\0"


def test_a_domain_that_dies_before_it_is_introduced_leaves_no_nodes(host: Host) -> None:
    host.ask(Type.MKDIR, b"/mine")
    host.ask(Type.SET_PERMS, b"/mine", b"n5")
    host.event(VIRQ)
    assert host.ask(Type.READ, b"/mine") == b""
    del host.machine.guests[5]
    host.event(VIRQ)

    assert host.ask(Type.READ, b"/mine") == b"ENOENT\0"


@pytest.mark.parametrize("machine", ["armv7l", "aarch64"])
def test_where_accesses_to_memory_have_no_order_it_is_said(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)

    with pytest.raises(HostError, match=f"rings of Xen cannot be served on {machine}") as refused:
        Xen()
    assert refused.value.hint == "run Xen's own xenstored there"
