"""Traces: spans on one clock, which the tests hold in their hands."""

import json
import time

import pytest

from jitsu.trace import Trace, Traces


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def passes(self, milliseconds: float) -> None:
        self.now += milliseconds / 1000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def trace(clock: Clock) -> Trace:
    return Trace("hello", "dns", origin=clock.now, wall=1_700_000_000.12345, domid=7)


def test_a_span_is_as_long_as_its_block(trace: Trace, clock: Clock) -> None:
    clock.passes(2)
    with trace.span("tap"):
        clock.passes(3)

    assert trace.record()["spans"] == [{"name": "tap", "start_ms": 2.0, "ms": 3.0}]


def test_a_span_ends_when_its_block_fails(trace: Trace, clock: Clock) -> None:
    @trace.span("tap")
    def make() -> None:
        clock.passes(3)
        raise OSError("no tap")

    with pytest.raises(OSError, match="no tap"):
        make()
    clock.passes(5)

    assert trace.record()["spans"] == [{"name": "tap", "start_ms": 0.0, "ms": 3.0}]


def test_spans_may_overlap(trace: Trace, clock: Clock) -> None:
    trace.begin("boot")
    clock.passes(1)
    with trace.span("port"):
        clock.passes(1)
    clock.passes(8)
    trace.end("boot")

    assert trace.record()["spans"] == [
        {"name": "boot", "start_ms": 0.0, "ms": 10.0},
        {"name": "port", "start_ms": 1.0, "ms": 1.0},
    ]


def test_of_two_open_spans_of_a_name_the_younger_ends_first(trace: Trace, clock: Clock) -> None:
    trace.begin("tap")
    clock.passes(1)
    trace.begin("tap")
    clock.passes(1)
    trace.end("tap")
    clock.passes(1)
    trace.end("tap")

    assert [span["ms"] for span in trace.record()["spans"]] == [3.0, 1.0]


def test_to_end_what_is_not_open_changes_nothing(trace: Trace, clock: Clock) -> None:
    with trace.span("tap"):
        clock.passes(1)
    clock.passes(1)
    before = trace.record()
    trace.end("tap")
    trace.end("never begun")

    assert trace.record() == before


def test_a_span_may_have_begun_before_anybody_looked(trace: Trace, clock: Clock) -> None:
    clock.passes(4)
    trace.begin("decide", at=trace.origin)
    trace.end("decide")

    assert trace.record()["spans"] == [{"name": "decide", "start_ms": 0.0, "ms": 4.0}]


def test_to_finish_closes_what_is_open_and_leaves_what_is_closed(trace: Trace, clock: Clock) -> None:
    with trace.span("tap"):
        clock.passes(1)
    trace.begin("boot")
    clock.passes(9)
    trace.finish("serving")
    clock.passes(100)

    record = trace.record()
    assert record["outcome"] == "serving"
    assert record["total_ms"] == 10.0
    assert [span["ms"] for span in record["spans"]] == [1.0, 9.0]


def test_a_summon_under_way_is_running_and_its_open_spans_end_at_the_last_thing_known(
    trace: Trace, clock: Clock
) -> None:
    trace.begin("boot")
    with trace.span("port"):
        clock.passes(6)

    record = trace.record()
    assert record["outcome"] == "running"
    assert record["total_ms"] == 6.0
    assert record["spans"][0] == {"name": "boot", "start_ms": 0.0, "ms": 6.0}


def test_a_trace_without_spans_took_no_time(trace: Trace, clock: Clock) -> None:
    clock.passes(50)

    assert trace.record()["total_ms"] == 0.0


def test_a_record_is_plain_data_and_no_longer_the_traces(trace: Trace) -> None:
    trace.note("the client repeated its SYN")
    record = trace.record()
    trace.note("and again")

    assert json.loads(json.dumps(record)) == {
        "service": "hello",
        "cause": "dns",
        "outcome": "running",
        "domid": 7,
        "started": 1_700_000_000.123,
        "total_ms": 0.0,
        "notes": ["the client repeated its SYN"],
        "spans": [],
    }


def test_only_so_many_notes_are_kept_however_many_there_are(trace: Trace) -> None:
    for number in range(1000):
        trace.note(f"SYN {number} was repeated")

    notes = trace.record()["notes"]
    assert 0 < len(notes) <= 100
    assert notes[0] == "SYN 0 was repeated"


def test_the_last_traces_come_oldest_first() -> None:
    traces = Traces()
    for number in range(5):
        traces.add(Trace("hello", "dns", domid=number))

    assert [trace.domid for trace in traces.last(3)] == [2, 3, 4]
    assert [trace.domid for trace in traces.last(99)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("count", [0, -1])
def test_none_are_none(count: int) -> None:
    traces = Traces()
    traces.add(Trace("hello", "dns"))

    assert traces.last(count) == []


def test_the_last_traces_of_one_service_are_found_among_those_of_others() -> None:
    traces = Traces()
    for number in range(6):
        traces.add(Trace("hello" if number % 2 else "other", "syn", domid=number))

    assert [trace.domid for trace in traces.last(2, "hello")] == [3, 5]
    assert traces.last(2, "nobody") == []


def test_only_so_many_are_kept() -> None:
    traces = Traces(keep=2)
    for number in range(5):
        traces.add(Trace("hello", "dns", domid=number))

    assert [trace.domid for trace in traces.last(5)] == [3, 4]
