"""The control socket: what is answered, what is refused, and what a client says when nobody answers."""

import asyncio
import json
import os
import socket
import stat
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jitsu.daemon import control
from jitsu.daemon.client import ask
from jitsu.daemon.control import LONGEST_REQUEST, ControlServer, Request
from jitsu.daemon.sockets import CONTROL
from jitsu.errors import DaemonError, DomainError, HostError, ResourceBusy

ROWS = [{"service": "hello", "state": "serving"}]


async def ps(request: Request) -> Any:
    return ROWS


async def start(request: Request) -> None:
    if request["service"] != "hello":
        raise DomainError(f"there is no service {request['service']}", hint="the services are: hello")


async def trace(request: Request) -> Any:
    return int(request["last"])


async def busy(request: Request) -> None:
    raise ResourceBusy("the port is taken")


HANDLERS = {"ps": ps, "start": start, "trace": trace, "busy": busy}


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        yield Path(folder)


@pytest.fixture
async def server(runtime: Path) -> AsyncIterator[ControlServer]:
    server = ControlServer(runtime / CONTROL, HANDLERS)
    await server.start()
    yield server
    await server.stop()


async def asked(runtime: Path, do: str, **fields: Any) -> Any:
    """Ask from another thread: the client is no coroutine."""
    return await asyncio.to_thread(ask, runtime, do, **fields)


async def exchange(runtime: Path, *lines: bytes) -> list[Any]:
    """Send lines over one connection; what was answered until the daemon closed it."""
    reader, writer = await asyncio.open_unix_connection(runtime / CONTROL)
    writer.write(b"".join(lines))
    writer.write_eof()
    answers = [json.loads(line) async for line in reader]
    writer.close()
    await writer.wait_closed()
    return answers


@pytest.mark.usefixtures("server")
class TestRequests:
    async def test_a_request_gets_its_result(self, runtime: Path) -> None:
        assert await asked(runtime, "ps") == ROWS
        assert await asked(runtime, "start", service="hello") is None

    async def test_several_requests_may_follow_each_other_on_one_connection(self, runtime: Path) -> None:
        answers = await exchange(runtime, b'{"do": "ps"}\n', b'{"do": "trace", "last": 3}\n')

        assert answers == [{"ok": True, "result": ROWS}, {"ok": True, "result": 3}]

    @pytest.mark.parametrize("count", [0, 1, 256, 257, 1000])
    async def test_a_listing_arrives_whole_and_in_order_however_long(
        self, runtime: Path, monkeypatch: pytest.MonkeyPatch, count: int
    ) -> None:
        async def listing(request: Request) -> Any:
            return [{"service": f"s{number}"} for number in range(count)]

        monkeypatch.setitem(HANDLERS, "ps", listing)
        assert await asked(runtime, "ps") == await listing({})

    async def test_a_long_listing_is_written_in_pieces_so_that_others_have_their_turn(
        self, runtime: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def listing(request: Request) -> Any:
            return [7] * 1000

        encoded: list[int] = []
        dumps = json.dumps

        def noted(value: Any) -> str:
            encoded.append(len(value))
            return dumps(value)

        monkeypatch.setitem(HANDLERS, "ps", listing)
        monkeypatch.setattr("jitsu.daemon.control.json.dumps", noted)
        assert await exchange(runtime, b'{"do": "ps"}\n') == [{"ok": True, "result": [7] * 1000}]
        assert encoded == [256, 256, 256, 232]

    async def test_a_refusal_of_the_daemon_keeps_its_text_and_its_exit_code(self, runtime: Path) -> None:
        with pytest.raises(DaemonError, match="there is no service nobody") as raised:
            await asked(runtime, "start", service="nobody")

        assert raised.value.hint == "the services are: hello"
        assert raised.value.exit_code == DomainError.exit_code

    async def test_every_kind_of_refusal_has_its_own_exit_code(self, runtime: Path) -> None:
        with pytest.raises(DaemonError, match="the port is taken") as raised:
            await asked(runtime, "busy")

        assert raised.value.exit_code == ResourceBusy.exit_code

    async def test_a_request_that_is_unknown_is_told_what_is_known(self, runtime: Path) -> None:
        with pytest.raises(DaemonError, match="there is no request 'dance'") as raised:
            await asked(runtime, "dance")

        assert raised.value.hint == "there are: busy, ps, start, trace"
        assert raised.value.exit_code == 1

    @pytest.mark.parametrize(
        "line",
        [b"ps\n", b'["ps"]\n', b"{}\n", b"null\n", b'{"do": ["ps"]}\n', b"\xff\xfe\n", b"\n", b"[" * 60000 + b"\n"],
        ids=["no-json", "no-object", "nothing-to-do", "null", "do-is-a-list", "no-utf-8", "empty", "nested-deeply"],
    )
    async def test_what_is_no_request_is_said_to_be_none_and_the_connection_goes_on(
        self, runtime: Path, line: bytes
    ) -> None:
        wrong, right = await exchange(runtime, line, b'{"do": "ps"}\n')

        assert wrong["ok"] is False
        assert wrong["error"]["message"] == "a request is one JSON object a line"
        assert right["ok"] is True

    @pytest.mark.parametrize("fields", [{}, {"last": "many"}, {"last": None}])
    async def test_a_field_that_is_missing_or_wrong_is_a_refusal(self, runtime: Path, fields: dict[str, Any]) -> None:
        with pytest.raises(DaemonError, match="request 'trace' has a wrong or missing field") as raised:
            await asked(runtime, "trace", **fields)

        assert raised.value.exit_code == 1

    async def test_a_line_beyond_all_bounds_ends_its_connection_and_no_other(self, runtime: Path) -> None:
        with pytest.raises(DaemonError, match=r"the daemon behind .* (broke off|hung up without an answer)"):
            await asked(runtime, "ps", padding="x" * (2 * LONGEST_REQUEST))

        assert await asked(runtime, "ps") == ROWS

    async def test_a_client_that_hangs_up_in_the_middle_disturbs_nobody(self, runtime: Path) -> None:
        assert await exchange(runtime, b'{"do": "p') == [
            {
                "ok": False,
                "error": {
                    "error": "JitsuError",
                    "message": "a request is one JSON object a line",
                    "hint": 'as in {"do": "ps"}',
                    "exit_code": 1,
                },
            }
        ]
        assert await asked(runtime, "ps") == ROWS

    async def test_a_connection_that_is_silent_for_too_long_is_closed(
        self, runtime: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "LONGEST_SILENCE", 0.0)
        reader, writer = await asyncio.open_unix_connection(runtime / CONTROL)

        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()

    async def test_the_socket_is_the_owners_and_the_groups(self, runtime: Path) -> None:
        assert stat.S_IMODE((runtime / CONTROL).stat().st_mode) == 0o660


class TestLife:
    async def test_a_long_request_is_not_silence(self, runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, answer = asyncio.Event(), asyncio.Event()

        async def wait(request: Request) -> str:
            begun.set()
            await answer.wait()
            return "at last"

        server = ControlServer(runtime / CONTROL, {"wait": wait})
        await server.start()
        waiting = asyncio.create_task(asked(runtime, "wait"))
        await begun.wait()
        loop = asyncio.get_running_loop()
        with monkeypatch.context() as later:
            now = loop.time() + 10 * control.LONGEST_SILENCE
            later.setattr(loop, "time", lambda: now)
            for _ in range(10):
                await asyncio.sleep(0)
        answer.set()

        assert await waiting == "at last"
        await server.stop()

    async def test_stopping_ends_what_is_under_way_and_removes_the_socket(self, runtime: Path) -> None:
        begun = asyncio.Event()

        async def wait(request: Request) -> None:
            begun.set()
            await asyncio.Event().wait()

        server = ControlServer(runtime / CONTROL, {"wait": wait})
        await server.start()
        waiting = asyncio.create_task(asked(runtime, "wait"))
        await begun.wait()
        await server.stop()

        with pytest.raises(DaemonError, match="hung up without an answer"):
            await waiting
        assert os.listdir(runtime) == []

    async def test_a_socket_that_a_dead_daemon_left_is_replaced(self, runtime: Path) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(runtime / CONTROL))
        server = ControlServer(runtime / CONTROL, HANDLERS)
        await server.start()

        assert await asked(runtime, "ps") == ROWS
        await server.stop()

    @pytest.mark.parametrize("place", ["missing", "file"])
    async def test_a_socket_that_cannot_be_made_is_an_error_of_this_machine(self, runtime: Path, place: str) -> None:
        (runtime / "file").touch()
        server = ControlServer(runtime / place / CONTROL, HANDLERS)

        with pytest.raises(HostError, match=r"control socket .* cannot be made"):
            await server.start()


class TestNobody:
    """What `ask` says when it is not `jitsu serve` that answers, or nobody."""

    @contextmanager
    def stranger(self, runtime: Path, talk: Callable[[socket.socket], None]) -> Iterator[None]:
        """Somebody else on the control socket, for one connection."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(runtime / CONTROL))
            listener.listen()

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(4096)
                    talk(connection)

            thread = threading.Thread(target=serve)
            thread.start()
            yield
            thread.join()

    def test_no_socket_means_that_no_daemon_runs(self, runtime: Path) -> None:
        with pytest.raises(DaemonError, match=f"no jitsu serve listens on {runtime}/control.sock") as raised:
            ask(runtime, "ps")

        assert raised.value.hint == "start it with: jitsu serve -c jitsu.toml"
        assert raised.value.exit_code == 7

    def test_a_socket_to_which_nobody_listens_means_the_same(self, runtime: Path) -> None:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(runtime / CONTROL))

        with pytest.raises(DaemonError, match="no jitsu serve listens on"):
            ask(runtime, "ps")

    def test_a_socket_that_may_not_be_used_is_said_to_be_one(
        self, runtime: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def connect(self: socket.socket, address: str) -> None:
            raise PermissionError(13, os.strerror(13))

        monkeypatch.setattr(socket.socket, "connect", connect)

        with pytest.raises(DaemonError, match="no permission to use") as raised:
            ask(runtime, "ps")
        assert "as a member of its group" in raised.value.hint

    def test_a_daemon_that_dies_before_its_answer_hung_up(self, runtime: Path) -> None:
        with (
            self.stranger(runtime, lambda connection: None),
            pytest.raises(DaemonError, match="hung up without an answer"),
        ):
            ask(runtime, "ps")

    @pytest.mark.parametrize("answer", [b"hello\n", b'{"ok"', b"[1]\n", b"7\n", b"{}\n", b'{"ok": false}\n'])
    def test_an_answer_that_is_none_is_not_taken_for_one(self, runtime: Path, answer: bytes) -> None:
        with (
            self.stranger(runtime, lambda connection: connection.sendall(answer)),
            pytest.raises(DaemonError, match="the daemon behind"),
        ):
            ask(runtime, "ps")
