"""A flood of SYNs in other people's names at sleeping services, and a real client in the midst of it."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import CLIENT_LINK, ZONE, Stage
from jitsu.network.namespace import inside
from tests.crowd import BIG_NETWORK, crowd
from tests.vm.witness import belongings, nothing_is_left, row

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(300)]

SERVICES, VISITED = 2000, 20
"""The flood is at all services but the first twenty, which the real client visits."""
RATE = 20_000
MOST_STRANGERS = 8
"""Eight tenths of 512 MiB have room for so many guests of 8 MiB and their monitors."""


def test_a_flood_boots_little_and_keeps_nobody_out(hello: Path, full: bool) -> None:
    seconds = 30 if full else 5
    sections = {**BIG_NETWORK, "limits": {"memory": "512 MiB", "guests": 64}}
    with Stage(crowd(hello, SERVICES), sections=sections) as stage, SynCounter(stage.client) as counter:
        before, memory = belongings(stage), _resident(stage)
        client = Client(stage.client, counter)
        awake, answers, visits = [], [], []
        with _flood(stage, seconds) as flood:
            while flood.poll() is None:
                name = f"s{len(visits) % VISITED}"
                if len(visits) % 2:
                    # Nobody was asked: the SYN alone must wake it, although thousands of others come with it.
                    visit = client.by_address(str(stage.config.services[name].address))
                else:
                    visit = client.by_name(f"{name}.{ZONE}")
                    answers.append(visit.dns_ms or 0)
                assert visit.status == 200
                visits.append(visit)
                [trace] = stage.ask("trace", service=name)
                assert "deliver" in [span["name"] for span in trace["spans"]], "the client's SYN was not held"
                rows = stage.ask("ps")
                awake.append(sum(row["state"] != "asleep" for row in rows))
                assert sum(row["held"] for row in rows) <= 4096
                stage.ask("stop", service=name)
            sent = json.loads(flood.communicate()[0])
        grown = _resident(stage) - memory
        rows = stage.ask("ps")
        summons = sum(row["summons"] for row in rows[VISITED:])
        print(
            f"{sent['sent']} SYNs in {sent['seconds']:.1f} s: {summons} summons, {max(awake)} awake at once, "
            f"{grown / 1024:.0f} KiB more; {len(visits)} visits, slowest {max(each.http_ms for each in visits):.0f}, "
            f"answers within {max(answers):.0f} ms"
        )
        assert sent["sent"] > RATE * seconds / 2
        assert len(visits) >= 2
        assert max(awake) <= MOST_STRANGERS + 1
        assert "SYNs for sleepers are not listened to: " in stage.complaints()
        assert 0 < summons <= MOST_STRANGERS * (2 + seconds // 10), "each stays for ten seconds"
        assert grown < 16 << 20
        assert len(stage.log.read_bytes()) < 1000 * (len(visits) + summons + seconds), "the log is flooded too"
        for service in [row["service"] for row in rows if row["state"] != "asleep"]:
            stage.ask("stop", service=service)
        nothing_is_left(stage, before)


def test_a_guest_that_nobody_reached_is_dismissed_soon(hello: Path) -> None:
    with Stage(crowd(hello, 2), sections=BIG_NETWORK) as stage:
        # One SYN in a stranger's name. Its guest's SYN-ACK goes where nobody is.
        with _flood(stage, 0.001, first=1) as flood:
            flood.wait()
        tick = threading.Event()
        for _ in range(200):
            if row(stage, "s1")["state"] == "asleep" and row(stage, "s1")["summons"]:
                break
            tick.wait(0.1)
        found = row(stage, "s1")
        assert (found["state"], found["summons"]) == ("asleep", 1)
        assert re.fullmatch(r"nobody reached it in 1\d(\.\d)? s", found["last"])


@contextmanager
def _flood(stage: Stage, seconds: float, first: int = VISITED) -> Iterator["subprocess.Popen[str]"]:
    """The sender, in the client's namespace; it ends by itself."""
    command = [sys.executable, "-m", "tests.flood", CLIENT_LINK, str(RATE), str(seconds), "1"]
    with inside(stage.client):
        flood = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert flood.stdin is not None
    targets = list(stage.config.services.values())[first:]
    flood.stdin.writelines(f"{target.mac} {target.address}\n" for target in targets)
    flood.stdin.close()
    flood.stdin = None
    with flood:
        yield flood


def _resident(stage: Stage) -> int:
    """Bytes of the daemon in memory."""
    assert stage.daemon is not None
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{stage.daemon.pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
