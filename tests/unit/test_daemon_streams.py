"""Streams on the control socket, and what is told of who asks: slow readers are dropped, and nobody waits for them."""

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jitsu.daemon import control
from jitsu.daemon.client import ask, follow
from jitsu.daemon.control import ControlServer, Request
from jitsu.daemon.gatekeeper import Caller, Gatekeeper
from jitsu.daemon.requests import MOST_UNREAD
from jitsu.daemon.requests import follow as following
from jitsu.daemon.sockets import CONTROL
from jitsu.errors import DaemonError, HostError
from jitsu.events import Events, Kind
from tests.unit.box import eventually


class Strict(Gatekeeper):
    """Takes everybody for somebody who may only look."""

    def check(self, caller: Caller, do: str) -> None:
        super().check(Caller(caller.pid, 65534), do)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def runtime(events: Events) -> AsyncIterator[Path]:
    """The folder of a server that streams events, counts and may break off."""

    async def stream(request: Request) -> Any:
        return following(events, float(request.get("since", 0)))

    async def count(request: Request) -> Any:
        return numbers(request["to"])

    async def numbers(to: int) -> AsyncGenerator[int, None]:
        for number in range(to):
            yield number
        raise DaemonError("no more", hint="that is all")

    async def who(request: Request) -> Any:
        return request["by"]

    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        handlers = {"events": stream, "trace": count, "ps": who, "stop": who}
        server = ControlServer(Path(folder) / CONTROL, handlers, gatekeeper=Strict(operators=()), events=events)
        await server.start()
        yield Path(folder)
        await server.stop()


def listeners(events: Events) -> int:
    return len(events._listeners)


async def test_a_stream_gives_each_result_and_then_why_there_are_no_more(runtime: Path) -> None:
    def read() -> list[int]:
        stream = follow(runtime, "trace", to=5)
        got = [next(stream) for _ in range(5)]
        with pytest.raises(DaemonError, match="no more"):
            next(stream)
        return got

    assert await asyncio.to_thread(read) == [0, 1, 2, 3, 4]


async def test_events_are_those_that_are_kept_and_those_that_come(runtime: Path, events: Events) -> None:
    events.add(Kind.ADDED, "one")
    stream = follow(runtime, "events")
    assert (await asyncio.to_thread(next, stream))["service"] == "one"
    await eventually(lambda: listeners(events) == 1)
    events.add(Kind.ADDED, "two")
    assert (await asyncio.to_thread(next, stream))["service"] == "two"
    stream.close()
    # Whoever hangs up is not listened for any longer.
    await eventually(lambda: listeners(events) == 0)


async def test_who_reads_too_slowly_is_dropped_with_a_note_and_holds_up_nobody(runtime: Path, events: Events) -> None:
    reader, writer = await asyncio.open_unix_connection(runtime / CONTROL, limit=1 << 16)
    writer.write(b'{"do": "events"}\n')
    await eventually(lambda: listeners(events) == 1)
    # More than all buffers between here and there hold, and than may wait behind them.
    many = MOST_UNREAD * 40
    for number in range(many):
        events.add(Kind.ADDED, f"s{number}", detail="x" * 400)
        if number % 50 == 0:
            await asyncio.sleep(0)
    lines = [json.loads(line) async for line in reader]
    writer.close()
    numbers = [line["result"]["number"] for line in lines[:-1]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) < many
    assert "left out: they came faster than they were read" in lines[-1]["error"]["message"]
    await eventually(lambda: listeners(events) == 0)


async def test_who_never_reads_is_let_go_after_a_while(
    runtime: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, writer = await asyncio.open_unix_connection(runtime / CONTROL, limit=1 << 10)
    writer.write(b'{"do": "events"}\n')
    await eventually(lambda: listeners(events) == 1)
    monkeypatch.setattr(control, "LONGEST_SILENCE", 0.05)
    for number in range(MOST_UNREAD):
        events.add(Kind.ADDED, f"s{number}", detail="x" * 4000)
        await asyncio.sleep(0)
    await eventually(lambda: listeners(events) == 0)
    writer.close()


async def test_a_stream_that_is_open_does_not_hold_up_the_end(events: Events) -> None:
    async def stream(request: Request) -> Any:
        return following(events, 0)

    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        server = ControlServer(Path(folder) / CONTROL, {"events": stream})
        await server.start()
        reader, writer = await asyncio.open_unix_connection(Path(folder) / CONTROL)
        writer.write(b'{"do": "events"}\n')
        await eventually(lambda: listeners(events) == 1)
        await server.stop()
        assert await reader.read() == b""
        assert listeners(events) == 0
        writer.close()


async def test_the_server_says_who_asks_whatever_they_say_themselves(runtime: Path) -> None:
    assert await asyncio.to_thread(ask, runtime, "ps", by="somebody else") == str(Caller(0, os.geteuid()))


async def test_who_may_only_look_is_refused_and_that_is_told(
    runtime: Path, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DaemonError, match="stop is not for nobody") as raised:
        await asyncio.to_thread(ask, runtime, "stop", service="www")
    assert raised.value.exit_code == 7
    [event] = events.since(0)
    assert (event.kind, event.service, event.detail) == (Kind.DENIED, "www", "stop")
    assert "may not stop www" in caplog.text


async def test_who_changes_something_is_told(tmp_path: Path, events: Events) -> None:
    async def stop(request: Request) -> None:
        return None

    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        server = ControlServer(Path(folder) / CONTROL, {"stop": stop}, events=events)
        await server.start()
        await asyncio.to_thread(ask, Path(folder), "stop", service="www")
        await asyncio.to_thread(ask, Path(folder), "stop", service="not\na name")
        await server.stop()
    assert [(event.kind, event.service, event.detail) for event in events.since(0)] == [
        (Kind.ORDERED, "www", "stop"),
        (Kind.ORDERED, "", "stop"),
    ]


async def test_a_group_that_does_not_exist_is_said_to_be_missing() -> None:
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        server = ControlServer(Path(folder) / CONTROL, {}, group="nosuchgroup")
        with pytest.raises(HostError) as raised:
            await server.start()
        assert raised.value.message == "there is no group nosuchgroup, named as [daemon] group"
        await server.stop()
