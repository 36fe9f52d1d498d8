"""`make compiled`: the XenStore that mypyc made of the same sources, held against the same tables."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from jitsu.xenstore.wire import Type
from tests.bench.xenstore_load import load
from tests.peers.xenstore_daemons import (
    COMPILED,
    Daemon,
    compiled_xenstored,
    debian,
    jitsu_xenstored,
    with_debian_libraries,
)
from tests.peers.xenstore_litmus import TABLE, Litmus
from tests.peers.xenstore_stage import Stage, wanted
from tests.xenstore_peer import Peer

ROOT = Path(__file__).parents[2]
# The first of these builds: some 40 seconds of processor time, and packages that have to be fetched.
pytestmark = pytest.mark.timeout(900)


LOADED = """
import sys, jitsu.xenstore.daemon, jitsu.xenstore.xen_rings
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("jitsu.xenstore")))
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    subprocess.run(["make", "compiled"], cwd=ROOT, check=True)
    with compiled_xenstored() as daemon:
        yield daemon


def test_the_daemon_runs_what_was_compiled_and_says_so(daemon: Daemon):
    assert "/jitsu_xenstore__mypyc." in Path(f"/proc/{daemon.pid}/maps").read_text()
    with Peer(daemon.socket) as peer:
        assert b"code compiled" in peer.ask(Type.CONTROL, b"memreport").payload.splitlines()


def test_all_that_the_daemon_loads_of_the_store_is_compiled_but_what_no_request_waits_for(daemon: Daemon):
    ended = subprocess.run(
        [COMPILED / "python", "-c", LOADED], cwd=COMPILED, capture_output=True, text=True, check=True, timeout=100
    )
    interpreted = {Path(file).name for file in ended.stdout.split() if not file.endswith(".so")}
    assert ended.stdout.count(".so") > len(interpreted)
    around = {"__init__.py", "daemon.py", "guest_port.py", "journal.py", "ring_records.py", "xen_devices.py"}
    assert interpreted == around


def test_an_installation_that_is_not_compiled_says_so():
    with jitsu_xenstored() as daemon, Peer(daemon.socket) as peer:
        assert b"code interpreted" in peer.ask(Type.CONTROL, b"memreport").payload.splitlines()


def test_nothing_is_compiled_beside_the_sources(daemon: Daemon):
    assert list((ROOT / "jitsu").rglob("*.so")) == []
    assert list(ROOT.glob("*.so")) == []


@pytest.mark.parametrize("litmus", TABLE, ids=lambda litmus: litmus.name)
def test_litmus(daemon: Daemon, litmus: Litmus):
    with ExitStack() as stack:
        stage = Stage(daemon, stack)
        played = [stage.play(line) for line in litmus.script]
    assert "\n".join(played) == "\n".join(wanted(line, 0) for line in litmus.script), litmus.meaning


def test_xens_own_test_program_finds_no_fault(daemon: Daemon):
    program = debian() / "usr/lib/xen-4.17/bin/test-xenstore"
    environment = with_debian_libraries() | {"XENSTORED_PATH": str(daemon.socket)}
    subprocess.run([program, "-i", "100"], env=environment, check=True, timeout=100, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("shape", ["none", "libxl"])
def test_builds_by_32_clients_need_no_retry(daemon: Daemon, shape: str):
    done = load(daemon.socket, shape, clients=32, count=4, seconds=100)

    assert done.finished
    assert done.builds.retries == 0
