"""`jitsu gc`: everything of a daemon that does not come back, and nothing of one that lives."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jitsu.demo.client import Client
from jitsu.demo.stage import ZONE, Stage, interface_names
from jitsu.domains.driver import GUEST_PORTS
from jitsu.network.host import sentinel_name
from tests.vm.witness import monitors

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(120)]


def gc(stage: Stage, *options: str) -> Any:
    command = [sys.executable, "-m", "jitsu.cli.main", "gc", "-c", str(stage.path), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    return json.loads(done) if "json" in options else done


def test_what_a_killed_daemon_left_is_found_and_removed(stage: Stage, client: Client) -> None:
    for name in ("www", "shop"):
        assert client.by_name(f"{name}.{ZONE}").status == 200
    alive = monitors(stage)
    instance = stage.config.daemon.instance
    assert gc(stage, "--remove") == f"nothing of {instance} is left over: a daemon runs, and owns it all\n"
    assert monitors(stage) == alive

    store = stage.ask("status")["xenstored"]
    stage.kill_daemon()
    assert not any("xenstore" in each["name"] for each in gc(stage, "-o", "json")), "that one lives"
    os.kill(store, signal.SIGKILL)
    # Bridges of another daemon, one of which lives: its sentinel's tap is there.
    for name, alias in (("dead0", "jitsu:dead"), ("alive0", "jitsu:alive"), ("other0", "")):
        subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
        subprocess.run(["ip", "link", "set", name, "alias", alias], check=True)
    port = stage.config.daemon.runtime / "domains" / GUEST_PORTS / "1.sock"
    port.parent.mkdir(exist_ok=True)
    port.touch()
    found = gc(stage, "-o", "json")
    assert {(each["kind"], each["name"]) for each in found if each["kind"] != "file"} == {
        ("guest", "www"),
        ("guest", "shop"),
        ("bridge", "jitsu0"),
        ("bridge", "dead0"),
        ("bridge", "alive0"),
    }
    files = {Path(each["name"]).name for each in found if each["kind"] == "file"}
    assert {"control.sock", "xenstore.sock", "xenstore.db"} <= files
    assert monitors(stage) == alive
    subprocess.run(["ip", "tuntap", "add", sentinel_name("alive"), "mode", "tap"], check=True)
    assert gc(stage, "--remove").endswith("\nremoved all of it\n")
    assert monitors(stage) == []
    assert "jitsu0" not in interface_names()
    assert {"alive0", "other0"} <= set(interface_names())
    assert gc(stage) == f"nothing of {instance} is left over\n"
    assert not list(Path(stage.config.daemon.runtime).rglob("*.qmp"))
    assert not port.exists()
    assert not list(Path(stage.config.daemon.runtime).glob("xenstore.*"))
    stage.start_daemon()
    assert client.by_name(f"www.{ZONE}").status == 200
