"""Consoles of Xen's domains, kept by a consoled in dom0: logs, who looks and types, deaths of daemons, last words."""

import time
from collections.abc import Callable, Iterator

import pytest

from boards.emulator import EmulatedBoard
from jitsu.domains.console_keeper import GAP
from tests.hil.conftest import ARMV7_BY_DAY, unchanged
from tests.hil.dom0 import LINE, Dom0
from tests.hil.talking_guests import echoing_guest

pytestmark = pytest.mark.timeout(1800)

RUN = "/run/jitsu-hil"
PATIENCE = 120.0
TERMINAL = "python3 -c 'import pty, sys; pty.spawn(sys.argv[1:])'"
"""xenconsole takes what is typed at a terminal only."""
CONFIGURATION = f"""
[daemon]
runtime = "{RUN}"
state = "{RUN}"
[service.talker]
kernel = "/tmp/talker"
address = "10.77.0.10"
"""


@pytest.fixture
def armv7_dom0(armv7: EmulatedBoard) -> Iterator[Dom0]:
    """The smallest board, with a guest that says what it hears."""
    dom0 = Dom0(armv7)
    armv7.put(CONFIGURATION.encode(), "/tmp/jitsu.toml")
    armv7.put(echoing_guest(), "/tmp/echo")
    yield from unchanged(dom0)


def said(dom0: Dom0) -> list[str]:
    """The lines of `jitsu logs`, without their times."""
    ended = dom0.board.run("jitsu", "logs", "-c", "/tmp/jitsu.toml", "talker")
    return [line.partition(" ")[2] for line in ended.out.splitlines()]


def until(question: Callable[[], object], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not question():
        assert time.monotonic() < give_up, f"never: {what}"
        time.sleep(0.2)


def typed(dom0: Dom0, command: str, keys: str, shown: str) -> None:
    """Have a program look at the console, and type to it, until it has shown that and the guest has said the keys."""
    script = f"""
    heard() {{ grep -q '{shown}' /tmp/shown && grep -q ' {keys}$' {RUN}/console/talker.log; }}
    {{ printf '{keys}\\r\\n'; until heard; do usleep 100000; done; }} | {command} >/tmp/shown &
    until heard; do usleep 100000; done
    trap '' TERM; kill 0
    """
    dom0.board.check("sh", "-c", ">/tmp/shown")
    dom0.board.check("sh", "-c", script, timeout=PATIENCE)


def consoled(dom0: Dom0) -> list[str]:
    """The processes of consoled."""
    found = dom0.board.run("sh", "-c", "grep -l '[j]itsu.daemon.consoled' /proc/[0-9]*/cmdline").out
    return [path.split("/")[2] for path in found.split()]


def test_a_guest_is_heard_typed_to_and_its_last_words_are_kept(armv7_dom0: Dom0) -> None:
    dom0 = armv7_dom0
    # The daemon that begins it is gone at the end of this; consoled is not.
    dom0.do(["launch", 1], ["shared", 1], kernel="/tmp/echo", consoled=True)
    typed(dom0, "jitsu console -c /tmp/jitsu.toml talker", "one", shown="one")
    # What was said before anybody looked with xl is there too.
    typed(dom0, f"{TERMINAL} xl console talker-1", "two", shown="one")
    assert said(dom0) == ["--- domain 1 started ---", "one", "two"]

    (process,) = consoled(dom0)
    dom0.board.check("kill", "-9", process)
    until(lambda: not consoled(dom0), "consoled is gone")
    dom0.board.check("sh", "-c", f"printf 'three\\r\\n' >$(cut -d' ' -f1 {RUN}/domains/*.tty)")
    adopted, _, _, event = dom0.do(
        ["adopt"],
        ["shell", f"until [ -e {RUN}/domains/*.shared ]; do usleep 100000; done"],
        ["shell", f"{{ seq 1 80; printf 'farewell\\004'; }} >$(cut -d' ' -f1 {RUN}/domains/*.tty)"],
        ["event", 1],
        kernel="/tmp/echo",
        consoled=True,
    )
    assert adopted["said"] == [[1, "talker", "f1", False]]
    assert event["said"] == ["crashed", "crashed"]
    lines = said(dom0)
    words = ["three", *map(str, range(1, 81)), "farewell"]
    gap, end = lines[-len(words) - 2], lines[-1]
    assert lines[-len(words) - 2 :] == [gap, *words, end], lines
    assert GAP in gap
    assert end.endswith(" ended: crashed ---")
    assert dom0.board.run("sh", "-c", f"ls {RUN}/domains").out == ""
    until(lambda: not consoled(dom0), "no consoled is left")


@pytest.mark.parametrize("shared_dom0", ARMV7_BY_DAY, indirect=True, scope="module")
def test_what_is_printed_is_in_the_log_and_xl_shows_it(dom0: Dom0) -> None:
    dom0.board.put(CONFIGURATION.encode(), "/tmp/jitsu.toml")
    *_, shown, _ = dom0.do(
        ["launch", 1],
        ["shared", 1],
        ["shell", "timeout 20 xl console talker-1 </dev/null"],
        ["destroy", 1],
        consoled=True,
    )
    assert LINE in shown["said"]
    line, end = said(dom0)[-2:]
    assert line == LINE
    assert end.endswith(" ended: it was dismissed ---")


def test_what_a_domain_takes_and_its_end_by_another_hand_are_told(armv7_dom0: Dom0) -> None:
    _, _, early, _, late, _, _, gone = armv7_dom0.do(
        ["launch", 1],
        ["shared", 1],
        ["usage", 1],
        ["shell", "sleep 1"],
        ["usage", 1],
        ["shell", "xl destroy talker-1"],
        ["event", 1],
        ["usage", 1],
        kernel="/tmp/echo",
        consoled=True,
    )
    # It runs all the time, and has some pages more than its memory.
    assert 0 < early["said"][0] < late["said"][0]
    assert 16 << 20 <= late["said"][1] < 18 << 20
    assert gone["said"] == []
    assert said(armv7_dom0)[-1].endswith(" ended: destroyed, and not by jitsu ---")
