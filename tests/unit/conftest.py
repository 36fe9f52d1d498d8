"""The command line for tests: run in this process, before a daemon that only answers."""

import asyncio
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jitsu.cli.main import main
from jitsu.daemon.control import ControlServer, Request
from jitsu.daemon.sockets import CONTROL
from jitsu.errors import DomainError
from tests.unit.command_line import EVENTS, ROWS, SERVICES, TOPS, TRACE, Jitsu, Printed, each


@pytest.fixture
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the terminal on which the tests happen to run."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "JITSU_CONFIG", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are those of Greenwich."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def jitsu(plain_terminal: None, capsys: pytest.CaptureFixture[str]) -> Jitsu:
    """Runs a command in this process."""

    def run(*arguments: str) -> Printed:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    return run


@pytest.fixture
def config() -> Iterator[str]:
    """A configuration whose runtime folder has a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        path = Path(folder) / "jitsu.toml"
        path.write_text(
            f'[daemon]\nruntime = "{folder}"\nstate = "{folder}"\n'
            '[service.hello]\nkernel = "hello.elf"\naddress = "10.77.0.10"\n'
        )
        yield str(path)


@pytest.fixture
def asked() -> list[Request]:
    """What the daemon was asked."""
    return []


@pytest.fixture
def daemon(config: str, asked: list[Request]) -> Iterator[str]:
    """A control server in a thread of its own, in place of a whole daemon; gives the configuration that leads to it."""

    async def ps(request: Request) -> Any:
        return ROWS

    async def trace(request: Request) -> Any:
        return [TRACE] * request["last"] if request["service"] != "world" else []

    async def change(request: Request) -> None:
        asked.append({key: value for key, value in request.items() if key != "by"})
        if request["service"] == "nobody":
            raise DomainError("there is no service nobody", hint="the services are: hello, world")

    async def services(request: Request) -> Any:
        return SERVICES

    async def manage(request: Request) -> Any:
        asked.append({key: value for key, value in request.items() if key != "by"})
        return {"at_once": request.get("now", False), "added": 1, "changed": 2, "removed": 3, "services": 9}

    async def events(request: Request) -> Any:
        asked.append({key: value for key, value in request.items() if key != "by"})
        return each(EVENTS) if request["follow"] else EVENTS

    looks = itertools.cycle(TOPS)

    async def top(request: Request) -> Any:
        return next(looks)

    handlers = {
        "top": top,
        "ps": ps,
        "trace": trace,
        "start": change,
        "stop": change,
        "events": events,
        "reload": manage,
        "service-ls": services,
        **dict.fromkeys(("service-add", "service-edit", "service-rm"), manage),
    }
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = ControlServer(Path(config).parent / CONTROL, handlers)
    asyncio.run_coroutine_threadsafe(server.start(), loop).result()
    yield config
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
