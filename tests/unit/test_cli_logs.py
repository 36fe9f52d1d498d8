"""`jitsu logs`: what was printed, and what is being printed, across rotations."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jitsu.domains.console import LARGEST_FILE, ConsoleLog
from tests.unit.command_line import Jitsu

TWO = """
[service.world-wide]
kernel = "world.elf"
address = "10.77.0.11"
"""

Follow = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def logs(config: str) -> Path:
    """Where the consoles are; there are two services."""
    with open(config, "a", encoding="utf-8") as file:
        file.write(TWO)
    folder = Path(config).parent / "console"
    folder.mkdir()
    return folder


@pytest.fixture
def follow(config: str) -> Iterator[Follow]:
    """Starts `jitsu logs -f` as a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "jitsu.cli.main", "logs", "-f", "-c", config, *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        with process:
            process.kill()


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def at(seconds: int, text: str) -> str:
    return f"2026-11-23T10:00:{seconds:02}.000Z {text}\n"


def test_the_newest_lines_are_shown(jitsu: Jitsu, config: str, logs: Path) -> None:
    (logs / "hello.log").write_text("".join(at(number, f"line {number}") for number in range(9)))

    assert jitsu("logs", "hello", "-c", config, "--tail", "2") == (0, at(7, "line 7") + at(8, "line 8"), "")
    assert jitsu("logs", "hello", "-c", config, "--tail", "0")[1] == ""
    assert jitsu("logs", "world-wide", "-c", config) == (0, "", "")


def test_programs_get_time_and_line_apart(jitsu: Jitsu, config: str, logs: Path) -> None:
    (logs / "hello.log").write_text(at(8, "line  8 "))

    assert json.loads(jitsu("logs", "hello", "-c", config, "-o", "json")[1]) == [
        {"service": "hello", "time": "2026-11-23T10:00:08.000Z", "line": "line  8 "}
    ]


def test_several_services_are_merged_by_time_and_named(jitsu: Jitsu, config: str, logs: Path) -> None:
    (logs / "hello.log.1").write_text(at(1, "one"))
    (logs / "hello.log").write_text(at(4, "four"))
    (logs / "world-wide.log").write_text(at(2, "two") + at(3, "three"))

    hello, world = "hello      |", "world-wide |"
    assert jitsu("logs", "hello", "world-wide", "-c", config)[1] == (
        f"{hello} {at(1, 'one')}{world} {at(2, 'two')}{world} {at(3, 'three')}{hello} {at(4, 'four')}"
    )
    assert "one" not in jitsu("logs", "hello", "world-wide", "-c", config, "--tail", "1")[1]


def test_only_what_is_newer_is_shown_and_then_all_of_it(
    jitsu: Jitsu, config: str, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    ages = [*range(300, 150, -1), 59, 30]
    stamps = [(now - timedelta(seconds=age)).isoformat(timespec="milliseconds")[:23] + "Z" for age in ages]
    (logs / "hello.log").write_text("".join(f"{stamp} {age} s ago\n" for stamp, age in zip(stamps, ages, strict=True)))

    def shown(since: str) -> list[str]:
        return jitsu("logs", "hello", "-c", config, "--since", since)[1].splitlines()

    assert [line.split()[1] for line in shown("1m")] == ["59", "30"]
    assert len(shown("1h")) == 152
    assert [line.split()[1] for line in shown(stamps[-2])] == ["59", "30"]
    assert shown((now + timedelta(days=1)).isoformat()) == []


@pytest.mark.parametrize("since", ["yesterday", "10", "10y", "2026-13-01", "-5m", "999999d", "0001-01-01T00:00+14:00"])
def test_a_time_that_is_none_is_wrong_usage(jitsu: Jitsu, config: str, since: str) -> None:
    code, _, err = jitsu("logs", "hello", "-c", config, f"--since={since}")

    assert code == 2
    assert "is no time; write 90s, 10m" in err


def test_a_service_that_is_not_there_is_said_not_to_be(jitsu: Jitsu, config: str) -> None:
    code, _, err = jitsu("logs", "nobody", "-c", config)

    assert code == 3
    assert "hint: the services are: hello" in err


def test_following_survives_rotations_and_ends_quietly(logs: Path, follow: Follow) -> None:
    log = ConsoleLog(logs, "hello")
    log.feed(b"before\nfirst\n")
    process = follow("hello", "--tail", "1")
    assert line_of(process).endswith(" first")

    padding = b"x" * 900
    count = 5 * LARGEST_FILE // 2 // len(padding)
    for number in range(count):
        log.feed(b"%d %s\n" % (number, padding))
        # In pieces of which only the newest is ever in danger to be rotated away before it is read.
        if number % 100 == 99 or number == count - 1:
            for expected in range(number // 100 * 100, number + 1):
                assert line_of(process).split()[1] == str(expected)
    log.close()
    assert (logs / "hello.log.1").exists()

    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130


def test_programs_that_follow_get_one_object_a_line(logs: Path, follow: Follow) -> None:
    process = follow("hello", "world-wide", "-o", "json")
    hello, world = ConsoleLog(logs, "hello"), ConsoleLog(logs, "world-wide")
    hello.feed(b"one\n")
    said = json.loads(line_of(process))
    assert (said["service"], said["line"]) == ("hello", "one")
    world.feed(b"two\n")
    said = json.loads(line_of(process))
    assert (said["service"], said["line"]) == ("world-wide", "two")
    hello.close()
    world.close()


def test_who_has_seen_enough_may_leave(logs: Path, follow: Follow) -> None:
    log = ConsoleLog(logs, "hello")
    log.feed(b"one\n")
    process = follow("hello")
    assert line_of(process).endswith(" one")
    assert process.stdout is not None
    process.stdout.close()
    log.feed(b"two\n")
    log.close()

    assert process.wait(timeout=20) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
