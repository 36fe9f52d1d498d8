"""Ten thousand registered services that sleep: what they cost the real daemon."""

import json
import math
import os
import re
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jitsu.demo.stage import Stage
from jitsu.domains.probe_guest import pvh_elf
from jitsu.network.namespace import inside, new_network
from tests.crowd import BIG_NETWORK, crowd

pytestmark = pytest.mark.usefixtures("private_network")

FEW, MANY = 10, 10_000
MOST_BYTES = 4096
"""What one sleeper may take of the daemon's memory."""
MOST_TIMES = 3
"""How much longer all of them may take to be listed than ten."""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """Nobody is summoned here."""
    kernel = tmp_path / "guest.elf"
    kernel.write_bytes(pvh_elf(b"\xf4\xeb\xfd"))
    return kernel


def test_ten_thousand_sleepers_take_little_memory_and_no_time_and_are_listed_fast(kernel: Path) -> None:
    with _board(kernel, FEW) as few, _board(kernel, MANY) as many:
        least = _resident(few)
        _until_idle(many)
        each = (_resident(many) - least) / (MANY - FEW)
        ratios = _compared(few, many)
    print(
        f"{each:.0f} bytes a sleeper; `jitsu ps` takes {ratios['table']:.2f} times as long, json {ratios['json']:.2f}"
    )
    assert 0 < each <= MOST_BYTES
    assert max(ratios.values()) <= MOST_TIMES


@contextmanager
def _board(kernel: Path, count: int) -> Iterator[Stage]:
    """With that many services, in a network of its own."""
    namespace = new_network()
    try:
        with inside(namespace), Stage(crowd(kernel, count), sections=BIG_NETWORK) as stage:
            yield stage
    finally:
        os.close(namespace)


def _compared(few: Stage, many: Stage) -> dict[str, float]:
    """How many times as long it takes to list many services as few, by output.

    In processor time of the command and the daemon, which on a machine with nothing else to do is all that a person
    waits for. One board is asked after the other, for how much a processor does in a second depends on who else is at
    work just then.
    """
    spent: dict[tuple[str, int], float] = {}
    for _ in range(12):
        for output in ("table", "json"):
            for stage, count in ((few, FEW), (many, MANY)):
                taken, said = _spent(stage, "ps", "-c", str(stage.path), "-o", output)
                assert len(json.loads(said) if output == "json" else said.splitlines()[1:]) == count
                spent[output, count] = min(taken, spent.get((output, count), math.inf))
    return {output: spent[output, MANY] / spent[output, FEW] for output in ("table", "json")}


def _spent(stage: Stage, *words: str) -> tuple[float, str]:
    """Seconds of processor time that a command takes, with the daemon's, and what it says."""
    before = _of_children() + _busy(stage)
    command = [sys.executable, "-m", "jitsu.cli.main", *words]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return _of_children() + _busy(stage) - before, said


def _of_children() -> float:
    """Seconds that processes which this one has waited for have spent on a processor."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _resident(stage: Stage) -> int:
    """Bytes of the daemon in memory."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", _proc(stage, "status"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _until_idle(stage: Stage) -> None:
    """Wait until the services are announced and a second goes by in which the daemon hardly moves: whatever walks
    through all services while nothing happens would be seen here. Ten seconds at most."""
    tick = threading.Event()
    for _ in range(10):
        before = _busy(stage)
        tick.wait(1)
        moved = _busy(stage) - before
        if moved <= 0.003:
            return
    raise AssertionError(f"the daemon is busy with nothing: {moved * 1000:.1f} ms in a second")


def _busy(stage: Stage) -> float:
    """Seconds that the daemon's loop has spent on a processor (Linux Documentation/scheduler/sched-stats.rst)."""
    return int(_proc(stage, "schedstat").split()[0]) / 1e9


def _proc(stage: Stage, name: str) -> str:
    assert stage.daemon is not None
    return Path(f"/proc/{stage.daemon.pid}/{name}").read_text()
