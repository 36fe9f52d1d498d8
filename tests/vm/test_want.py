"""The daemon goes short of something for a while: disk, descriptors, the tun device, its own folder, the right time."""

import mmap
import re
import resource
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import SERVE, ZONE, Cast, Stage
from jitsu.errors import JitsuError
from tests.vm.witness import belongings, monitors, nothing_is_left, row

pytestmark = pytest.mark.usefixtures("private_network")

DAY = 86400
OWN_MOUNTS = ("unshare", "--mount", "--propagation", "private")


def test_descriptors_run_out(stage: Stage, client: Client) -> None:
    before = belongings(stage)
    assert client.by_name(f"shop.{ZONE}").status == 200
    pid = _pid(stage)
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    refused = 0
    for spare in range(40):
        # One more each time, so that every descriptor of a launch is once the one that is missing.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_limit_for(pid, spare), usual[1]))
        try:
            served = client.by_name(f"www.{ZONE}").status == 200
        except (JitsuError, OSError):
            served = False
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        if served:
            break
        refused += 1
        assert "Too many open files" in row(stage, "www")["last"]
        assert client.by_name(f"www.{ZONE}").status == 200, "the next summon works"
        stage.ask("stop", service="www")
    print(f"a launch wants {refused} descriptors more than there are")
    assert refused > 0
    _nothing_is_left(stage, before)


def test_the_tun_device_is_not_there_for_a_while(hello: Path) -> None:
    with _staged(hello, *OWN_MOUNTS, *SERVE) as (stage, client):
        before = belongings(stage)
        _in_mounts_of(stage, "mount", "--bind", "/dev/null", "/dev/net/tun")
        with pytest.raises(JitsuError, match="rcode 2"):
            client.by_name(f"www.{ZONE}")
        with pytest.raises(ConnectionRefusedError):
            client.by_address(str(stage.config.services["www"].address))
        assert re.fullmatch(r"tap \w+ cannot be made: Inappropriate ioctl for device", row(stage, "www")["last"])
        _in_mounts_of(stage, "umount", "/dev/net/tun")
        assert client.by_name(f"www.{ZONE}").status == 200
        _nothing_is_left(stage, before)


@pytest.mark.parametrize("from_the_beginning", [True, False])
def test_the_disk_is_full(hello: Path, tmp_path: Path, from_the_beginning: bool) -> None:
    # Again and again: the kernel counts the last pages for each processor.
    fill = 'for n in 1 2 3 4; do dd if=/dev/zero of="$0/filler" oflag=append conv=notrunc bs=4k 2>&1; done; :'
    begin = f'mount -t tmpfs -o size=256k none "$0"; {fill if from_the_beginning else ":"}; exec "$@"'
    state = tmp_path / "state"
    state.mkdir()
    with _staged(hello, *OWN_MOUNTS, "sh", "-c", begin, str(state), *SERVE, state=state) as (stage, client):
        before = belongings(stage)
        if not from_the_beginning:
            assert client.by_name(f"www.{ZONE}").status == 200
            _in_mounts_of(stage, "sh", "-c", fill, str(state))
            stage.ask("stop", service="www")
        assert client.by_name(f"www.{ZONE}").status == 200, "what cannot be logged is served all the same"
        assert client.by_address(str(stage.config.services["shop"].address)).status == 200
        _until(lambda: f"the disk of {state} is full" in stage.complaints(), "nobody says that the disk is full")
        _in_mounts_of(stage, "rm", str(state / "filler"))
        _until(lambda: "there is room again" in stage.complaints(), "nobody sees that there is room again")
        stage.ask("stop", service="www")
        assert client.by_name(f"www.{ZONE}").status == 200
        started = f"domain {row(stage, 'www')['domid']} started"
        kept = str(state / "console" / "www.log")
        _until(lambda: started in _in_mounts_of(stage, "cat", kept), "nothing is logged where there is room")
        _nothing_is_left(stage, before)


def test_the_runtime_folder_is_removed(stage: Stage, client: Client) -> None:
    runtime = stage.config.daemon.runtime
    assert client.by_name(f"shop.{ZONE}").status == 200
    shutil.rmtree(runtime)
    _until(lambda: (runtime / "control.sock").exists(), "it is not made again")
    assert f"runtime folder {runtime} was removed; it is made again" in stage.complaints()
    assert client.by_name(f"www.{ZONE}").status == 200, "the next summon works"
    assert client.by_address(str(stage.config.services["shop"].address)).status == 200, "who lived is served"
    assert [row(stage, name)["summons"] for name in ("www", "shop")] == [1, 1]
    for name in ("www", "shop"):
        stage.ask("stop", service=name)
    assert monitors(stage) == []
    assert list(stage.config.daemon.runtime.joinpath("domains").iterdir()) == []


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "back"])
def test_the_wall_clock_jumps_by_a_day(hello: Path, tmp_path: Path, jump: int) -> None:
    library, shift = tmp_path / "shifted_clock.so", tmp_path / "shift"
    source = Path(__file__).with_name("shifted_clock.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    shift.write_bytes(struct.pack("q", 0))
    serve = ("env", f"LD_PRELOAD={library}", f"SHIFT={shift}", *SERVE)
    with _staged(hello, *serve, options={"idle": 2}) as (stage, client), shift.open("r+b") as file:
        before = belongings(stage)
        clock = mmap.mmap(file.fileno(), 8)
        assert client.by_name(f"www.{ZONE}").status == 200
        clock[:] = struct.pack("q", jump)
        assert row(stage, "www")["state"] == "serving", "a day of silence is none"
        up = row(stage, "www")["up"]
        assert up is not None
        assert 0 <= up < 60
        visit = client.by_address(str(stage.config.services["shop"].address))
        assert visit.status == 200, "a guest is summoned after the jump"
        [trace] = stage.ask("trace", service="shop", last=1)
        assert abs(trace["started"] - time.time() - jump) < 60, "the daemon saw the jump"
        assert 0 < trace["total_ms"] < 60_000
        clock[:] = struct.pack("q", -jump)
        # Neither is silence longer now, nor for ever.
        _until(lambda: all(each["state"] == "asleep" for each in stage.ask("ps")), "nobody is dismissed")
        assert all(row(stage, name)["last"].startswith("idle for 2.") for name in ("www", "shop"))
        assert client.by_name(f"www.{ZONE}").status == 200
        _nothing_is_left(stage, before)


@contextmanager
def _staged(
    hello: Path, *serve: str, state: Path | None = None, options: dict[str, str | int | float] | None = None
) -> Iterator[tuple[Stage, Client]]:
    sections = {"daemon": {"state": str(state)}} if state is not None else {}
    cast = [Cast(name, hello, options or {}) for name in ("www", "shop")]
    with Stage(cast, serve=serve, sections=sections) as stage, SynCounter(stage.client) as counter:
        yield stage, Client(stage.client, counter)


def _in_mounts_of(stage: Stage, *command: str) -> str:
    """What a program says that sees the daemon's mounts."""
    entered = ["nsenter", "--mount", "--target", str(_pid(stage)), *command]
    return subprocess.run(entered, check=True, capture_output=True, text=True).stdout


def _nothing_is_left(stage: Stage, before: dict[str, list[str]]) -> None:
    for name in stage.config.services:
        stage.ask("stop", service=name)
    nothing_is_left(stage, before)


def _until(holds: Callable[[], bool], otherwise: str) -> None:
    """Wait until it is so, ten seconds at most."""
    tick = threading.Event()
    for _ in range(200):
        if holds():
            return
        tick.wait(0.05)
    raise AssertionError(otherwise)


def _pid(stage: Stage) -> int:
    assert stage.daemon is not None
    return stage.daemon.pid


def _limit_for(pid: int, spare: int) -> int:
    """The limit below which so many descriptors are not taken."""
    taken = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
    free = [number for number in range(len(taken) + spare + 1) if number not in taken]
    return free[spare]
