"""Guests' ports: a server that connects to its clients, and what becomes of a connection that is lost."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jitsu.xenstore.domains import Domains
from jitsu.xenstore.guest_port import LONGEST_PAUSE, SHORTEST_PAUSE, GuestPorts
from jitsu.xenstore.server import Connection, Server
from jitsu.xenstore.store import Store
from jitsu.xenstore.transport import SocketTransport, Transport
from jitsu.xenstore.wire import Message, Parser, Type


class Host:
    """A server, its guest ports, and the place of a monitor. Time passes only in `server.turn`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = Server(Store(Domains()))
        self.ports = GuestPorts(folder, self.server)
        self.sockets: list[socket.socket] = []

    def monitor(self, domid: int) -> socket.socket:
        """Listens as QEMU does for a guest."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.folder / f"{domid}.sock"))
        listener.listen(4)
        listener.setblocking(False)
        self.sockets.append(listener)
        return listener

    def toolstack(self) -> socket.socket:
        """A connection of domain 0."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.sockets.append(ours)
        self.server.connect(SocketTransport(theirs), 0)
        return ours

    def accepted(self, listener: socket.socket) -> socket.socket:
        """The server's next connection."""
        for _ in range(200):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                self.server.turn(0.05)
            else:
                connection.setblocking(False)
                self.sockets.append(connection)
                return connection
        raise TimeoutError("the server did not connect")

    def heard(self, guest: socket.socket, number: int) -> list[Message]:
        """The next messages that the server says to a guest."""
        parser, messages = Parser(), list[Message]()
        for _ in range(200):
            try:
                messages += parser.feed(guest.recv(4096))
            except BlockingIOError:
                if len(messages) >= number:
                    return messages
                self.server.turn(0.05)
        raise TimeoutError(f"{messages}")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    for end in host.sockets:
        end.close()
    host.server.stop()
    host.server.run()


def request(kind: Type, payload: bytes, *, transaction: int = 0) -> bytes:
    return Message(kind, 7, transaction, payload).encode()


def introduced(host: Host, domid: int) -> socket.socket:
    """The guest's side of a domain's first connection."""
    listener = host.monitor(domid)
    host.ports.introduce(domid)
    return host.accepted(listener)


def test_whose_port_it_is_says_who_speaks(host: Host) -> None:
    toolstack = host.toolstack()
    for domid in (5, 6):
        toolstack.sendall(
            request(Type.MKDIR, b"/local/domain/%d/data\0" % domid)
            + request(Type.SET_PERMS, b"/local/domain/%d/data\0n%d\0" % (domid, domid))
        )
        host.heard(toolstack, 2)
        guest = introduced(host, domid)
        guest.sendall(request(Type.WRITE, b"data/x\0%d" % domid) + request(Type.READ, b"/local/domain/5/data/x\0"))
        write, read = host.heard(guest, 2)
        assert write.payload == b"OK\0"
        assert read.payload == (b"5" if domid == 5 else b"EACCES\0")
    toolstack.sendall(request(Type.READ, b"/local/domain/6/data/x\0"))
    assert host.heard(toolstack, 1)[0].payload == b"6"


def test_a_new_connection_begins_with_nothing(host: Host) -> None:
    listener = host.monitor(5)
    host.ports.introduce(5)
    first = host.accepted(listener)
    first.sendall(request(Type.WATCH, b"data/x\0token\0") + request(Type.TRANSACTION_START, b"\0"))
    assert host.heard(first, 3)[-1].payload == b"1\0"
    half = request(Type.WRITE, b"data/x\0" + bytes(100))
    first.sendall(half[:50])
    host.server.turn(0.05)
    first.close()

    second = host.accepted(listener)
    second.sendall(request(Type.WATCH, b"data/x\0token\0") + request(Type.READ, b"data/x\0", transaction=1))
    watch, event, read = host.heard(second, 3)
    assert (watch.type, event.type) == (Type.WATCH, Type.WATCH_EVENT)
    assert (read.type, read.payload) == (Type.ERROR, b"ENOENT\0"), "there is no such transaction"
    assert len(host.server.store.watches) == 1


def test_a_domain_that_is_introduced_again_gets_another_connection(host: Host) -> None:
    listener = host.monitor(5)
    host.ports.introduce(5)
    first = host.accepted(listener)
    host.ports.introduce(5)
    assert first.recv(1) == b""
    second = host.accepted(listener)
    second.sendall(request(Type.WATCH, b"data/x\0token\0"))
    assert [message.type for message in host.heard(second, 2)] == [Type.WATCH, Type.WATCH_EVENT]


def test_nobody_comes_back_to_a_domain_that_was_released(host: Host) -> None:
    listener = host.monitor(5)
    host.ports.introduce(5)
    guest = host.accepted(listener)
    host.ports.release(5)
    host.ports.release(5)
    assert guest.recv(1) == b""
    for _ in range(3):
        host.server.turn(2 * SHORTEST_PAUSE)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_a_monitor_may_come_late(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    host.ports.introduce(5)
    host.server.turn(2 * SHORTEST_PAUSE)
    host.server.turn(4 * SHORTEST_PAUSE)
    assert [record.message for record in caplog.records] == [
        f"domain 5: nobody listens on {host.folder}/5.sock: No such file or directory"
    ]
    host.accepted(host.monitor(5))


class Timetable:
    """In the server's place: it notes when it is to call, and what it serves."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.calls: list[Callable[[], None]] = []
        self.ended: list[Callable[[], None]] = []

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        self.pauses.append(seconds)
        self.calls.append(call)

    def connect(self, transport: Transport, domid: int, ended: Callable[[], None]) -> Connection:
        transport.close()
        self.ended.append(ended)
        return None  # type: ignore[return-value]


def test_what_was_arranged_for_an_earlier_introduction_comes_to_nothing(tmp_path: Path) -> None:
    table = Timetable()
    ports = GuestPorts(tmp_path, table)  # type: ignore[arg-type]
    ports.introduce(5)
    ports.introduce(5)
    earlier, _ = table.calls
    earlier()
    assert len(table.calls) == 2


def test_it_tries_less_and_less_often_until_a_connection_lasts(tmp_path: Path) -> None:
    table, now = Timetable(), 0.0
    ports = GuestPorts(tmp_path, table, clock=lambda: now)  # type: ignore[arg-type]
    ports.introduce(5)
    for _ in range(9):
        table.calls.pop()()
    doubling = [min(SHORTEST_PAUSE * 2**turn, LONGEST_PAUSE) for turn in range(10)]
    assert table.pauses == doubling
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "5.sock"))
        listener.listen()
        # One that ends at once counts as a failure.
        table.calls.pop()()
        table.ended.pop()()
        assert table.pauses[-1] == LONGEST_PAUSE
        table.calls.pop()()
        now += 2 * LONGEST_PAUSE
        table.ended.pop()()
        assert table.pauses[-1] == SHORTEST_PAUSE
        table.calls.pop()()
    # Released meanwhile: what was arranged comes to nothing.
    ports.release(5)
    table.ended.pop()()
    table.calls.pop()()
    assert (table.calls, table.ended) == ([], [])
