"""Witnesses of a load: every SYN on the bridge, and everything that could be left behind."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from jitsu.demo.stage import UPLINK, Stage, interface_names
from jitsu.domains.qemu_adoption import survivors
from jitsu.summon.tenant import Row
from tests.open_files import open_files
from tests.syn_witness import SynWitness


def syn_witness() -> SynWitness:
    """One of the stage in this namespace."""
    return SynWitness(UPLINK, _is_guest_port)


def row(stage: Stage, service: str) -> Row:
    """The service as `jitsu ps` shows it."""
    found: list[Row] = stage.ask("ps")
    return next(row for row in found if row["service"] == service)


def until(stage: Stage, service: str, so: Callable[[Row], bool]) -> Row:
    """Wait until it is so of the service, ten seconds at most; its row then."""
    tick = threading.Event()
    for _ in range(500):
        found = row(stage, service)
        if so(found):
            return found
        tick.wait(0.02)
    raise AssertionError(f"{service} is {found}")


def until_asleep(stage: Stage, service: str) -> Row:
    """Wait until the service's domain is gone, ten seconds at most; its row then."""
    tick = threading.Event()
    for _ in range(200):
        if row(stage, service)["state"] == "asleep":
            return row(stage, service)
        tick.wait(0.05)
    raise AssertionError(f"{service} is still {row(stage, service)['state']}")


def belongings(stage: Stage) -> dict[str, list[str]]:
    """Everything that a summon could leave: interfaces, bridge entries, processes, sockets, files, descriptors.

    The state folder and the daemon's log are left aside: they are meant to stay.
    """
    daemon = stage.daemon.pid if stage.daemon is not None else 0
    fdb = subprocess.run(["bridge", "fdb", "show", "br", "jitsu0"], capture_output=True, text=True, check=True).stdout
    unix = Path("/proc/net/unix").read_text().splitlines()
    files = [str(path) for path in stage.folder.rglob("*") if stage.config.daemon.state not in (path, *path.parents)]
    descriptors = [target.split(":")[0] for target in open_files(daemon)]
    return {
        "interfaces": interface_names(),
        "fdb": sorted(line for line in fdb.splitlines() if "static" in line),
        "processes": monitors(stage),
        "sockets": sorted(line.split()[-1] for line in unix if str(stage.folder) in line),
        "files": sorted(files),
        "descriptors": sorted(descriptors),
    }


def nothing_is_left(stage: Stage, before: dict[str, list[str]]) -> None:
    """Assert that the stage has what it had before, as soon as what was just closed is gone; five seconds at most."""
    tick = threading.Event()
    for _ in range(50):
        if belongings(stage) == before:
            return
        tick.wait(0.1)
    assert belongings(stage) == before


def monitors(stage: Stage) -> list[str]:
    """The QEMU processes of this stage's daemon, by process id."""
    return sorted(str(pid) for pid in survivors(stage.config.daemon.instance))


def _is_guest_port(interface: str) -> bool:
    return interface.startswith("j") and "g" in interface[7:] and not interface.startswith("jitsu")
