"""Metrics: what is counted, in a form that Prometheus' own parser takes, over a server that strangers cannot harm."""

import asyncio
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from jitsu import __version__
from jitsu.daemon import metrics
from jitsu.daemon.metrics import LONGEST_HEAD, MOST_CONNECTIONS, Metrics, MetricsServer
from jitsu.errors import HostError, ResourceBusy
from jitsu.events import Kind
from tests.unit.box import LIMITS, Box, boxed, eventually


def samples(exposition: bytes) -> dict[str, float]:
    """Every sample under its name and labels, as in `jitsu_vms{state=serving}`."""
    found = {}
    for family in text_string_to_metric_families(exposition.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def measured(box: Box) -> Metrics:
    directory = SimpleNamespace(stats={("udp", "NOERROR"): 3, ("udp", "dropped"): 1, ("tcp", "NXDOMAIN"): 2})
    return Metrics(box.summoner, box.doorman, directory, box.summoner.sentinel, lambda: LIMITS)  # type: ignore[arg-type]


async def test_the_parts_are_counted() -> None:
    async with boxed() as box:
        counted = measured(box)
        answers = box.ask("hello")
        await eventually(lambda: answers == [True] and box.state() == "serving")
        box.knock(name="world")
        await eventually(lambda: box.state("world") == "serving")
        await box.summoner.stop("world")
        found = samples(counted.exposition())
        assert found[f"jitsu_build_info{{version={__version__}}}"] == 1
        assert found["jitsu_vms{state=serving}"] == 1
        assert found["jitsu_vms{state=asleep}"] == 2
        assert found["jitsu_dns_queries_total{rcode=NOERROR,transport=udp}"] == 3
        assert found["jitsu_dns_queries_total{rcode=NXDOMAIN,transport=tcp}"] == 2
        assert found["jitsu_summons_total{cause=dns}"] == found["jitsu_summons_total{cause=syn}"] == 1
        assert found["jitsu_events_total{event=ready}"] == 2
        assert found["jitsu_events_total{event=dismissed}"] == 1
        assert found["jitsu_events_total{event=crashed}"] == 0
        assert found["jitsu_memory_granted_bytes"] == (16 + 40) << 20
        assert found["jitsu_memory_limit_bytes"] == 512 << 20
        assert (found["jitsu_guests_granted"], found["jitsu_guests_limit"]) == (1, 8)
        for stage in ("tap", "spawn", "boot", "gate", "total"):
            assert found[f"jitsu_boot_seconds_count{{stage={stage}}}"] == 2
            assert found[f"jitsu_boot_seconds_bucket{{le=+Inf,stage={stage}}}"] == 2
        assert found["jitsu_boot_seconds_count{stage=deliver}"] == 1
        assert 0 < found["jitsu_boot_seconds_sum{stage=total}"] < 10
        box.doorman.refuse("knocks")
        assert samples(counted.exposition())["jitsu_syns_refused_total{limit=knocks}"] == 1
        assert found["process_resident_memory_bytes"] > 1 << 20


async def test_every_state_and_every_event_is_there_from_the_beginning() -> None:
    async with boxed() as box:
        found = samples(measured(box).exposition())
        assert {name for name in found if name.startswith("jitsu_vms")} == {
            f"jitsu_vms{{state={phase}}}" for phase in box.summoner.register.census()
        }
        assert sum(value for name, value in found.items() if name.startswith("jitsu_vms")) == 3
        assert all(found[f"jitsu_events_total{{event={kind.value}}}"] == 0 for kind in Kind)


async def test_no_label_has_a_service_in_it() -> None:
    async with boxed() as box:
        counted = measured(box)
        await box.serve()
        assert b"hello" not in counted.exposition()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """The port of a server whose exposition is short."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    server = MetricsServer(("127.0.0.1", number), lambda: b"x 1\n")
    await server.start()
    yield number
    await server.stop()


async def exchange(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    writer.write_eof()
    try:
        answer = await reader.read()
    except ConnectionError:
        # What was not read before the end makes it a reset.
        answer = b""
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1", b"200 OK", b"x 1\n"),
        (b"GET /metrics?name[]=x HTTP/1.0", b"200 OK", b"x 1\n"),
        (b"HEAD /metrics HTTP/1.1", b"200 OK", b""),
        (b"GET / HTTP/1.1", b"404 Not Found", b"There is only /metrics.\n"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed", b"GET it.\n"),
        (b"nonsense", b"405 Method Not Allowed", b"GET it.\n"),
    ],
)
async def test_what_is_asked_is_answered(port: int, request_line: bytes, status: bytes, body: bytes) -> None:
    head, _, content = (await exchange(port, request_line + b"\r\nHost: x\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status)
    assert content == body
    if status == b"200 OK":
        assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in head
        assert b"Content-Length: 4\r\n" in head


@pytest.mark.parametrize("request_bytes", [b"", b"GET /metrics", b"x" * (2 * LONGEST_HEAD), b"\x16\x03\x01\xff"])
async def test_what_is_no_request_gets_no_answer_and_harms_nobody(port: int, request_bytes: bytes) -> None:
    assert await exchange(port, request_bytes) == b""
    assert (await exchange(port, b"GET /metrics HTTP/1.1\r\n\r\n")).endswith(b"x 1\n")


async def test_who_says_nothing_is_let_go(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "PATIENCE", 0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()


async def test_more_than_a_few_at_a_time_are_turned_away(port: int) -> None:
    waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    # The others were there before it, and still are: nobody's patience had come to its end.
    for there, one in waiting:
        one.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert (await there.read()).endswith(b"x 1\n")
        one.close()


async def test_a_port_that_is_taken_and_an_address_of_others_are_said_to_be(port: int) -> None:
    with pytest.raises(ResourceBusy, match=rf"\[metrics\] listen, 127\.0\.0\.1 port {port}: is taken"):
        await MetricsServer(("127.0.0.1", port), bytes).start()
    with pytest.raises(HostError) as raised:
        await MetricsServer(("192.0.2.1", port), bytes).start()
    assert raised.value.message.lower().endswith("cannot assign requested address")
