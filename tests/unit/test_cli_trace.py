"""`jitsu trace`: a picture of one summon, a table of many."""

import json
import time
from collections.abc import Iterator

import pytest
from click import unstyle
from rich.console import Console

from jitsu.cli.summary import summary
from jitsu.cli.waterfall import waterfall
from jitsu.trace import SpanRecord, TraceRecord
from tests.unit.command_line import TRACE, Jitsu, trimmed
from tests.unit.golden import expect_golden


def test_people_get_a_waterfall_without_colour(jitsu: Jitsu, daemon: str) -> None:
    code, out, _ = jitsu("trace", "hello", "-c", daemon)

    assert code == 0
    assert "\x1b" not in out
    expect_golden("cli/trace.txt", trimmed(out))


def test_on_a_terminal_it_has_colours() -> None:
    terminal = Console(force_terminal=True, width=100, color_system="standard")
    with terminal.capture() as printed:
        terminal.print(waterfall(TRACE))

    assert "\x1b[36m━" in printed.get()


def test_an_outcome_is_shown_as_it_is() -> None:
    plain = Console(width=100)
    with plain.capture() as printed:
        plain.print(waterfall({**TRACE, "outcome": "not ready within 15 s ([limits] boot) [/x]"}))

    assert "not ready within 15 s ([limits] boot) [/x]" in printed.get()


def test_a_trace_of_nothing_can_be_drawn() -> None:
    plain = Console(width=100)
    with plain.capture() as printed:
        plain.print(waterfall({**TRACE, "spans": [], "notes": [], "total_ms": 0.0, "outcome": "running"}))

    assert "by syn: running, 0.0 ms" in printed.get()


def test_programs_get_all_figures(jitsu: Jitsu, daemon: str) -> None:
    _, out, _ = jitsu("trace", "-c", daemon, "--last", "2", "-o", "json")

    assert json.loads(out) == [TRACE, TRACE]


def test_that_there_is_none_is_said(jitsu: Jitsu, daemon: str) -> None:
    assert jitsu("trace", "world", "-c", daemon) == (0, "nobody was summoned yet\n", "")


@pytest.fixture
def greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock on the wall shows UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_of_many_people_get_a_table(jitsu: Jitsu, daemon: str, greenwich: None) -> None:
    failed: TraceRecord = {**TRACE, "outcome": "not ready [x]", "spans": TRACE["spans"][:4]}
    twice = [SpanRecord(name="thaw", start_ms=0, ms=1), SpanRecord(name="thaw", start_ms=1, ms=2)]
    odd: TraceRecord = {**TRACE, "spans": twice}

    expect_golden("cli/traces.txt", unstyle(summary([TRACE, failed, odd])) + "\n")
    assert jitsu("trace", "--last", "2", "-c", daemon)[1] == unstyle(summary([TRACE, TRACE])) + "\n"


def test_the_picture_of_many_can_be_forced(jitsu: Jitsu, daemon: str) -> None:
    out = jitsu("trace", "--last", "2", "--waterfall", "-c", daemon)[1]

    assert out.count("hello, domain 3, by syn: serving, 24.0 ms") == 2
