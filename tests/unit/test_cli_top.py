"""`jitsu top`: one look, at the width of an old terminal."""

import json
import os

import pytest

from jitsu.domains.process_usage import usage_of
from tests.unit.command_line import TOPS, Jitsu, trimmed
from tests.unit.golden import expect_golden


@pytest.mark.usefixtures("in_utc")
def test_one_look_reads_well_at_eighty_columns(jitsu: Jitsu, daemon: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = jitsu("top", "-c", daemon, "--once")
    assert (code, err) == (0, "")
    assert max(len(line) for line in out.splitlines()) <= 80
    expect_golden("cli/top.txt", trimmed(out))


def test_programs_get_everything_at_once(jitsu: Jitsu, daemon: str) -> None:
    assert json.loads(jitsu("top", "-c", daemon, "-o", "json")[1]) == TOPS[0]


def test_what_a_process_takes_grows_and_is_nothing_when_it_is_gone() -> None:
    before = usage_of(os.getpid())
    assert before is not None
    assert before.resident > 1 << 20
    while (now := usage_of(os.getpid())) is not None and now.cpu == before.cpu:
        pass
    assert now is not None
    assert now.cpu > before.cpu
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert usage_of(child) is None
