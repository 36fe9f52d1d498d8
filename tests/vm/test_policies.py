"""Who runs before whom, and when: services that depend on others, and services with hours, with real guests."""

import os
import signal
import socket
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.domains.probe_guest import pvh_elf
from jitsu.network.namespace import inside
from tests.vm.witness import belongings, nothing_is_left, row, until, until_asleep

pytestmark = pytest.mark.usefixtures("private_network")


def test_those_it_depends_on_serve_first_and_stay_while_it_runs(hello: Path) -> None:
    cast = [
        Cast("www", hello, {"depends": ["db", "cache"], "idle": 1}),
        Cast("db", hello, {"idle": 0.2}),
        Cast("cache", hello, {"idle": 0.2}),
    ]
    with Stage(cast) as stage, SynCounter(stage.client) as counter:
        before = belongings(stage)
        client = Client(stage.client, counter)
        assert client.by_name(f"www.{ZONE}").status == 200
        traces = {name: stage.ask("trace", service=name, last=1)[0] for name in ("www", "db", "cache")}
        (waited,) = [span["ms"] for span in traces["www"]["spans"] if span["name"] == "depends"]
        assert waited > max(traces["db"]["total_ms"], traces["cache"]["total_ms"]) - 0.01
        # They are silent for much longer than they would be kept for, and it is not.
        for _ in range(8):
            assert client.by_name(f"www.{ZONE}").status == 200
            assert {row(stage, name)["state"] for name in ("db", "cache")} == {"serving"}
            until(stage, "www", lambda found: found["connections"] == 0)
        assert [row(stage, name)["summons"] for name in ("www", "db", "cache")] == [1, 1, 1]
        for name in ("www", "db", "cache"):
            assert "idle for" in until_asleep(stage, name)["last"]
        nothing_is_left(stage, before)


def test_if_one_cannot_start_the_other_is_refused_and_says_why(hello: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.elf"
    broken.write_bytes(pvh_elf(b"\x0f\x0b"))  # ud2
    with Stage([Cast("www", hello, {"depends": ["db"]}), Cast("db", broken)]) as stage:
        before = belongings(stage)
        with inside(stage.client):
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with connection:
            connection.settimeout(30)
            with pytest.raises(ConnectionRefusedError):
                connection.connect((str(stage.config.services["www"].address), 80))
        with inside(stage.client):
            dig = ["dig", "@10.77.0.1", f"www.{ZONE}", "A"]
            said = subprocess.run(dig, check=True, capture_output=True, text=True, timeout=60).stdout
        assert "status: SERVFAIL" in said
        refused = row(stage, "www")
        assert (refused["state"], refused["domid"]) == ("asleep", None)
        assert refused["last"].startswith("db, on which it depends: the guest ")
        nothing_is_left(stage, before)


def test_within_its_hours_a_guest_runs_and_silence_or_a_kill_do_not_end_that(hello: Path) -> None:
    always, never = ["00:00-24:00"], [_another_day()]
    cast = [
        Cast("www", hello, {"hours": always, "idle": 0.3, "backoff": 0.1}),
        Cast("shop", hello, {"hours": never}),
    ]
    with Stage(cast) as stage:
        until(stage, "www", lambda found: found["state"] == "serving" and (found["up"] or 0) > 1)
        assert stage.ask("trace", service="www", last=1)[0]["cause"] == "hours"
        os.kill(row(stage, "www")["pid"] or 0, signal.SIGKILL)
        until(stage, "www", lambda found: found["state"] == "serving" and found["summons"] == 2)
        stage.ask("stop", service="www")
        assert (row(stage, "www")["state"], row(stage, "www")["retry"]) == ("asleep", None)
        assert row(stage, "shop")["summons"] == 0


def _another_day() -> str:
    """Hours that are neither now nor soon."""
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    return f"{days[(datetime.now().weekday() + 3) % 7]} 08:00-18:00"
