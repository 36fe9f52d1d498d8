"""Services that come, change and go with real guests: what changes under a running one, and what is left of one."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jitsu.demo.client import Client
from jitsu.demo.stage import ZONE, Stage
from jitsu.errors import JitsuError
from jitsu.network.namespace import inside
from tests.vm.witness import belongings, monitors, nothing_is_left, row

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(300)]


def jitsu(stage: Stage, *words: str) -> str:
    command = [sys.executable, "-m", "jitsu.cli.main", *words, "-c", str(stage.path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_an_added_service_is_summoned_edited_and_removed(stage: Stage, client: Client, hello: Path) -> None:
    before = belongings(stage)
    added = jitsu(stage, "service", "add", "late", f"kernel={hello}", "address=10.77.0.50", "memory=8 MiB")
    assert added == "late: added\n"
    assert client.by_name(f"late.{ZONE}").status == 200
    first = row(stage, "late")["pid"]

    # Policy, under the running guest.
    assert jitsu(stage, "service", "edit", "late", "names=late", "names=later", "idle=300") == "late: edited\n"
    assert client.by_name(f"later.{ZONE}").status == 200
    assert row(stage, "late")["pid"] == first

    # The guest itself, at its next start; or now.
    said = jitsu(stage, "service", "edit", "late", "address=10.77.0.51", "memory=12 MiB")
    assert said == "late: edited; the guest that runs stays as it is until it ends\n"
    assert client.by_name(f"late.{ZONE}").status == 200
    assert (row(stage, "late")["pid"], row(stage, "late")["address"]) == (first, "10.77.0.50")
    assert jitsu(stage, "service", "edit", "late", "cmdline=now", "--now") == "late: edited\n"
    assert client.by_name(f"late.{ZONE}").status == 200
    assert (row(stage, "late")["address"], row(stage, "late")["memory"]) == ("10.77.0.51", 12 << 20)
    assert client.by_address("10.77.0.51").status == 200

    # It goes with everything it had, though somebody is connected to it.
    second = row(stage, "late")["pid"]
    assert second != first
    with inside(stage.client):
        visitor = socket.create_connection(("10.77.0.51", 80), timeout=10)
    with visitor:
        assert jitsu(stage, "service", "rm", "late") == "late: removed\n"
        assert str(second) not in monitors(stage)
    with pytest.raises(JitsuError):
        client.by_name(f"late.{ZONE}")
    assert [each["service"] for each in stage.ask("ps")] == ["www", "shop"]
    nothing_is_left(stage, before)
    assert not list((stage.config.daemon.state / "console").glob("late.*"))


def test_an_added_service_outlives_the_daemon_and_its_guest_is_adopted_as_anybodys(
    stage: Stage, client: Client, hello: Path
) -> None:
    jitsu(stage, "service", "add", "late", f"kernel={hello}", "address=10.77.0.50", "memory=8 MiB")
    assert client.by_name(f"late.{ZONE}").status == 200
    alive = monitors(stage)
    stage.kill_daemon()
    stage.start_daemon()
    assert monitors(stage) == alive
    assert row(stage, "late")["state"] == "serving"
    assert jitsu(stage, "service", "rm", "late") == "late: removed\n"
    assert monitors(stage) == []


def test_a_reload_changes_policy_under_a_guest_and_ends_the_one_that_is_gone(stage: Stage, client: Client) -> None:
    for name in ("www", "shop"):
        assert client.by_name(f"{name}.{ZONE}").status == 200
    www = row(stage, "www")["pid"]
    kept, _, gone = stage.path.read_text().partition("[service.shop]")
    stage.path.write_text(f'{kept}names = ["www", "web"]\nidle = 300\n')
    assert gone
    assert jitsu(stage, "reload") == "reloaded: 0 added, 1 changed, 1 removed; 1 services now\n"
    assert monitors(stage) == [str(www)]
    assert client.by_name(f"web.{ZONE}").status == 200
    assert row(stage, "www")["pid"] == www
