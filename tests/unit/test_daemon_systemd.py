"""What a service manager hands over and is told, without one: the variables, the sockets and the datagrams."""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jitsu.daemon import systemd
from jitsu.daemon.control import ControlServer
from jitsu.daemon.systemd import Systemd
from jitsu.errors import ConfigError, HostError

OURS = str(os.getpid())

HandOver = Callable[..., Systemd]


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(address)
        self._sock.setblocking(False)

    def heard(self) -> list[str]:
        """The messages that came since the last call."""
        messages = []
        while True:
            try:
                messages.append(self._sock.recv(4096).decode())
            except BlockingIOError:
                return messages

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def address() -> str:
    return f"@jitsu-test-{os.getpid()}-{time.monotonic_ns()}"


@pytest.fixture
def manager(address: str) -> Iterator[Manager]:
    with closing(Manager("\0" + address[1:])) as manager:
        yield manager


@pytest.fixture
def hand_over() -> Iterator[HandOver]:
    """Calls Systemd with copies of sockets (or plain descriptors) on neighbouring numbers, as systemd would."""
    first = 700
    taken: list[int] = []

    def hand_over(*files: socket.socket | int, **variables: str) -> Systemd:
        for descriptor, file in enumerate(files, first):
            os.dup2(file if isinstance(file, int) else file.fileno(), descriptor, inheritable=True)
            taken.append(descriptor)
        environment = {"LISTEN_FDS": str(len(files)), "LISTEN_PID": OURS, **variables}
        handed = Systemd(environment, first_descriptor=first)
        assert environment == {}
        return handed

    yield hand_over
    for descriptor in taken:
        try:
            os.close(descriptor)
        except OSError:
            continue


def bound(family: int, kind: int, address: object = ("127.0.0.1", 0), *, listening: bool = True) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.bind(address)  # type: ignore[arg-type]
    if listening and kind == socket.SOCK_STREAM:
        sock.listen()
    return sock


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    with bound(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        yield sock


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    with bound(socket.AF_INET, socket.SOCK_STREAM) as sock:
        yield sock


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[socket.socket]:
    with bound(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "c.sock")) as sock:
        yield sock


def close(handed: Systemd) -> None:
    for sock in [*handed.dns, *filter(None, [handed.control])]:
        sock.close()


class TestWithoutAManager:
    async def test_nothing_is_taken_and_nothing_is_told(self) -> None:
        environment = {"PATH": "/usr/bin"}
        alone = Systemd(environment)

        alone.notify("READY=1")
        async with asyncio.timeout(1):
            await alone.stay_alive()
            await alone.report(lambda: "fine")
        assert (alone.dns, alone.control, alone.watchdog) == ([], None, 0.0)
        assert environment == {"PATH": "/usr/bin"}

    def test_the_variables_of_another_process_are_removed_and_not_heeded(self, address: str) -> None:
        environment = {"NOTIFY_SOCKET": address, "LISTEN_PID": "1", "LISTEN_FDS": "9", "LISTEN_FDNAMES": "a"}
        environment |= {"WATCHDOG_PID": "1", "WATCHDOG_USEC": "1000"}

        handed = Systemd(environment)
        assert (handed.dns, handed.control, handed.watchdog) == ([], None, 0.0)
        assert environment == {}

    def test_sockets_without_a_process_id_are_nobodys(self) -> None:
        assert Systemd({"LISTEN_FDS": "9"}).dns == []

    @pytest.mark.parametrize("number", ["many", "-1", "", "²"])
    def test_a_number_that_is_none(self, number: str) -> None:
        with pytest.raises(HostError) as caught:
            Systemd({"LISTEN_FDS": number, "LISTEN_PID": OURS})
        assert caught.value.message == f"the environment says LISTEN_FDS={number}, which is no number"
        assert "env -u LISTEN_FDS" in caught.value.hint


class TestNotify:
    def test_all_assignments_go_into_one_datagram(self, manager: Manager, address: str) -> None:
        Systemd({"NOTIFY_SOCKET": address}).notify("READY=1", "STATUS=serving 3 services of jitsu.test")

        assert manager.heard() == ["READY=1\nSTATUS=serving 3 services of jitsu.test"]

    def test_a_socket_with_a_path(self, tmp_path: Path) -> None:
        path = str(tmp_path / "notify")
        with closing(Manager(path)) as manager:
            Systemd({"NOTIFY_SOCKET": path}).notify("STOPPING=1")

            assert manager.heard() == ["STOPPING=1"]

    def test_a_manager_that_is_gone_is_no_reason_to_die(self, address: str, caplog: pytest.LogCaptureFixture) -> None:
        Systemd({"NOTIFY_SOCKET": address}).notify("READY=1")

        assert caplog.messages == ["the service manager cannot be told READY=1: Connection refused"]

    def test_a_manager_that_does_not_listen_blocks_nobody(
        self, manager: Manager, address: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        handed = Systemd({"NOTIFY_SOCKET": address})
        for _ in range(2000):
            handed.notify("WATCHDOG=1")

        assert "the service manager cannot be told WATCHDOG=1: Resource temporarily unavailable" in caplog.messages

    async def test_the_status_is_sent_when_it_changes(
        self, manager: Manager, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(systemd, "STATUS_INTERVAL", 0)
        lines = iter(["none", "none", "one", "one", "none"])

        # A coroutine cannot end with StopIteration: the exhausted iterator ends it as RuntimeError.
        with pytest.raises(RuntimeError):
            await Systemd({"NOTIFY_SOCKET": address}).report(lambda: next(lines))
        assert manager.heard() == ["STATUS=one", "STATUS=none"]


class TestWatchdog:
    def test_its_process_id_is_honoured(self, address: str) -> None:
        told = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"}

        assert Systemd({**told}).watchdog == 30.0
        assert Systemd({**told, "WATCHDOG_PID": OURS}).watchdog == 30.0
        assert Systemd({**told, "WATCHDOG_PID": "1"}).watchdog == 0.0
        assert Systemd({"WATCHDOG_USEC": "30000000"}).watchdog == 0.0

    async def test_a_loop_that_is_stuck_gives_no_sign_of_life(self, manager: Manager, address: str) -> None:
        handed = Systemd({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "40000"})
        alive = asyncio.create_task(handed.stay_alive())
        await asyncio.sleep(0.2)
        assert 4 <= len(manager.heard()) <= 11

        time.sleep(0.2)  # noqa: ASYNC251 - this is the stuck loop
        assert manager.heard() == []
        alive.cancel()


class TestSockets:
    def test_dns_and_control_are_told_apart_by_their_kind(
        self, hand_over: HandOver, udp: socket.socket, tcp: socket.socket, unix: socket.socket
    ) -> None:
        handed = hand_over(unix, udp, tcp, LISTEN_FDNAMES="jitsu.socket:jitsu.socket:jitsu.socket")

        assert [sock.getsockname() for sock in handed.dns] == [udp.getsockname(), tcp.getsockname()]
        assert handed.control is not None
        assert handed.control.getsockname() == unix.getsockname()
        assert not any(os.get_inheritable(sock.fileno()) for sock in [*handed.dns, handed.control])
        close(handed)

    def test_the_control_socket_alone(self, hand_over: HandOver, unix: socket.socket) -> None:
        handed = hand_over(unix)

        assert handed.dns == []
        assert handed.control is not None
        close(handed)

    @pytest.mark.parametrize("kind", ["udp", "tcp"])
    def test_half_of_dns_is_refused(self, hand_over: HandOver, kind: str, request: pytest.FixtureRequest) -> None:
        with pytest.raises(ConfigError, match=f"only {kind.upper()} was handed over") as caught:
            hand_over(request.getfixturevalue(kind))
        assert "ListenDatagram= and ListenStream=" in caught.value.hint

    def test_a_second_control_socket_is_refused_and_all_are_closed(
        self, hand_over: HandOver, unix: socket.socket
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            hand_over(unix, unix, LISTEN_FDNAMES="first:second")
        assert caught.value.message == (
            "descriptor 701 (second, AF_UNIX SOCK_STREAM), handed over to jitsu serve,"
            " is none that jitsu serve has a use for"
        )
        for descriptor in (700, 701):
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(descriptor)

    def test_a_kind_that_nobody_needs(self, hand_over: HandOver, tmp_path: Path) -> None:
        with (
            bound(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "d")) as sock,
            pytest.raises(ConfigError, match=r"700 \(unknown, AF_UNIX SOCK_DGRAM\)") as caught,
        ):
            hand_over(sock)
        assert caught.value.hint.startswith("it takes UDP and listening TCP sockets")

    def test_a_connection_is_no_listening_socket(self, hand_over: HandOver) -> None:
        with (
            bound(socket.AF_INET, socket.SOCK_STREAM, listening=False) as sock,
            pytest.raises(ConfigError, match="Accept= must be no"),
        ):
            hand_over(sock)

    def test_a_file_is_no_socket(self, hand_over: HandOver) -> None:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        with pytest.raises(ConfigError) as caught:
            hand_over(descriptor, LISTEN_FDNAMES="fifo")
        os.close(descriptor)
        assert caught.value.message == (
            "descriptor 700 (fifo), handed over to jitsu serve, is no socket: Socket operation on non-socket"
        )

    def test_fewer_descriptors_than_announced(self, hand_over: HandOver) -> None:
        with pytest.raises(ConfigError, match="is no socket: Bad file descriptor"):
            hand_over(LISTEN_FDS="1")


async def test_a_control_socket_that_was_handed_over_outlives_the_server(tmp_path: Path) -> None:
    path = tmp_path / "handed.sock"
    with bound(socket.AF_UNIX, socket.SOCK_STREAM, str(path)) as managers:

        async def ps(request: object) -> str:
            return "nobody"

        server = ControlServer(tmp_path / "own.sock", {"ps": ps}, ready_made=managers.dup())
        await server.start()
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"do": "ps"}\n')
        assert await reader.readline() == b'{"ok": true, "result": "nobody"}\n'
        writer.close()
        await server.stop()

        assert os.listdir(tmp_path) == ["handed.sock"]
