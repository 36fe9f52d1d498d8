"""`jitsu ps`: for people, for programs, and for ten thousand services."""

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.command_line import ROWS, Jitsu, trimmed
from tests.unit.golden import expect_golden


def test_people_get_a_table(jitsu: Jitsu, daemon: str) -> None:
    code, out, err = jitsu("ps", "-c", daemon)

    assert (code, err) == (0, "")
    expect_golden("cli/ps.txt", trimmed(out))


def test_programs_get_everything(jitsu: Jitsu, daemon: str) -> None:
    code, out, _ = jitsu("ps", "-c", daemon, "-o", "json")

    assert code == 0
    assert json.loads(out) == ROWS


@pytest.mark.parametrize(
    "last", ["not ready within 15 s ([limits] boot)", "the guest said [/bold] and [link=x]", "[red]", "\\[x]"]
)
def test_a_reason_is_shown_as_it_is(jitsu: Jitsu, daemon: str, monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setitem(ROWS[0], "last", last)

    code, out, _ = jitsu("ps", "-c", daemon)
    assert code == 0
    assert last in out


@pytest.mark.parametrize(
    ("up", "shown"), [(0.4, "0 s"), (119.4, "119 s"), (120.0, "2 min"), (7199.0, "120 min"), (9000.0, "2.5 h")]
)
def test_a_duration_is_shown_as_roughly_as_anybody_wants_it(
    jitsu: Jitsu,
    daemon: str,
    monkeypatch: pytest.MonkeyPatch,
    up: float,
    shown: str,
) -> None:
    monkeypatch.setitem(ROWS[0], "up", up)

    assert f" {shown} " in jitsu("ps", "-c", daemon)[1]


def test_more_of_each_is_shown_to_who_asks(jitsu: Jitsu, daemon: str) -> None:
    expect_golden("cli/ps-verbose.txt", jitsu("ps", "-v", "-c", daemon)[1])


@pytest.fixture
def crashed(daemon: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A daemon one of whose services crashed, and had printed more than anybody wants to read."""
    again = {"state": "crash-looping", "crashes": 5, "retry": 15.7, "last": "the guest reset itself"}
    for key, value in again.items():
        monkeypatch.setitem(ROWS[1], key, value)
    log = Path(daemon).parent / "console" / "world.log"
    log.parent.mkdir()
    log.write_text("".join(f"2026-11-23T10:00:00.000Z line {number}\n" for number in range(1, 101)))
    return daemon


def test_a_guest_that_crashed_has_its_last_lines_shown_to_who_asks(jitsu: Jitsu, crashed: str) -> None:
    expect_golden("cli/ps-crashed.txt", trimmed(jitsu("ps", "-v", "-c", crashed)[1]))


def test_programs_get_the_last_lines_too(jitsu: Jitsu, crashed: str) -> None:
    rows = json.loads(jitsu("ps", "-v", "-o", "json", "-c", crashed)[1])

    expected = [f"2026-11-23T10:00:00.000Z line {number}" for number in range(61, 101)]
    assert [row["console"] for row in rows] == [[], expected]
    assert "console" not in jitsu("ps", "-o", "json", "-c", crashed)[1]


def test_the_quiet_listing_is_names_and_nothing_else(jitsu: Jitsu, daemon: str) -> None:
    assert jitsu("ps", "-q", "-c", daemon) == (0, "hello\nworld\n", "")
    assert json.loads(jitsu("ps", "--quiet", "-o", "json", "-c", daemon)[1]) == ["hello", "world"]


def test_without_services_there_is_a_head_and_nothing_below(
    jitsu: Jitsu, daemon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.unit.conftest.ROWS", [])

    assert jitsu("ps", "-c", daemon)[1] == "SERVICE  STATE  ADDRESS  DOMID  UP  CONNECTIONS  SUMMONS  LAST END\n"
    assert jitsu("ps", "-q", "-c", daemon)[1] == ""


def test_states_have_colours_on_a_terminal_and_none_with_no_color(
    jitsu: Jitsu, daemon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.utils.should_strip_ansi", lambda stream=None, color=None: color is False)

    assert "\x1b[32mserving\x1b[0m" in jitsu("ps", "-c", daemon)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in jitsu("ps", "-c", daemon)[1]


def test_ten_thousand_services_take_not_much_longer_than_ten(daemon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def spent() -> float:
        # On a processor, by commands that have ended: of that nobody else on the machine takes any.
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    def seconds(rows: list[dict[str, Any]]) -> float:
        monkeypatch.setattr("tests.unit.conftest.ROWS", rows)
        before = spent()
        run = subprocess.run(
            [sys.executable, "-m", "jitsu.cli.main", "ps", "-c", daemon], capture_output=True, text=True, check=True
        )
        assert len(run.stdout.splitlines()) == len(rows) + 1
        return spent() - before

    many = [{**ROWS[number % 2], "service": f"service-{number}"} for number in range(10_000)]
    rounds = [(seconds(many[:10]), seconds(many)) for _ in range(5)]
    assert min(slow for _, slow in rounds) < 3 * min(fast for fast, _ in rounds)
