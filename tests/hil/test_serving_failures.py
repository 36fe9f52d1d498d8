"""What goes wrong around `jitsu serve` in dom0, and what a guest does on purpose: whoever asks is told, in good time
and in clear words, nothing is left, and the next one is answered."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from boards.definition import read
from boards.emulator import Outcome
from boards.snapshots import restored
from jitsu.domains.xen_keys import BACKENDS, HOMES
from jitsu.errors import DomainError
from tests.hil.hello_guest import kernel
from tests.hil.idle_guests import idle_guest
from tests.hil.serving_board import BOARD, ServingBoard, prepared, service
from tests.hil.test_xenstored_xen import DESTROY

pytestmark = pytest.mark.timeout(3600)

WWW, MUTE, ALIEN, LONG, LONGER = (f"10.78.0.{number}" for number in range(20, 25))
IDLE, CHANGED = "/opt/idle", "/opt/changed"
BOOT = 20
"""Seconds that a guest has to be ready."""


@pytest.fixture(scope="module")
def serving() -> Iterator[ServingBoard]:
    """One board for all of this file: nothing here depends on which. Each test leaves it as it was."""
    with restored(read("qemu-virt-armv7"), "xenstored") as board:
        serving = prepared(
            board,
            service("www", WWW),
            service("mute", MUTE, kernel=IDLE),
            service("alien", ALIEN, kernel=CHANGED),
            service("long", LONG, idle=600.0),
            service("longer", LONGER, idle=600.0),
            boot=BOOT,
        )
        board.put(idle_guest("armhf"), IDLE)
        board.put(kernel("armhf"), CHANGED)
        board.put(Path(__file__).parent / "xen_program.py", "/tmp/xen_program.py")
        serving.start()
        yield serving


@pytest.fixture
def before(serving: ServingBoard) -> dict[str, Any]:
    """What is there while everybody sleeps."""
    return serving.belongings()


def all_is_well(serving: ServingBoard, before: dict[str, Any]) -> None:
    """Nothing is left, and a service is answered as ever."""
    serving.nothing_is_left(before)
    assert serving.resolve("www") == ("NOERROR", WWW)
    assert serving.get(WWW)[0] == 200
    serving.asleep("www")
    serving.nothing_is_left(before)


def start(serving: ServingBoard, name: str) -> Outcome:
    return serving.board.run("jitsu", "start", name)


def says(outcome: Outcome, what: str) -> bool:
    """Is that a domain's failure, with a message about `what` and a hint: two lines?"""
    lines = outcome.err.splitlines()
    assert len(lines) == 2, outcome
    return outcome.rc == DomainError.exit_code and what in lines[0] and lines[1].strip().startswith("hint: ")


def number_of(serving: ServingBoard, name: str) -> int:
    domid: int = serving.ask("trace", service=name, last=1)[0]["domid"]
    return domid


def foreign(serving: ServingBoard, *numbers: int) -> None:
    """Another toolstack makes domains of these numbers, without a node."""
    spec = {"kernel": IDLE, "memory": 4}
    order = {"instance": "other", "spec": spec, "steps": [["half", number] for number in numbers]}
    serving.board.check("python3", "/tmp/xen_program.py", input=json.dumps(order))


def test_a_kernel_that_became_one_of_another_machine(serving: ServingBoard, before: dict[str, Any]) -> None:
    good = serving.board.get(CHANGED)
    serving.board.put(idle_guest("amd64"), CHANGED)
    assert serving.resolve("alien") == ("SERVFAIL", "")
    assert says(start(serving, "alien"), "which Xen does not start here")
    serving.board.put(good, CHANGED)
    assert serving.get(ALIEN)[0] == 200
    serving.asleep("alien")
    all_is_well(serving, before)


def test_a_guest_that_never_drives_its_interface_is_given_up(serving: ServingBoard, before: dict[str, Any]) -> None:
    with pytest.raises(ConnectionError):
        serving.get(MUTE)
    assert serving.asleep("mute")["last"] == f"not ready within {BOOT} s ([limits] boot)"
    all_is_well(serving, before)


RINGS = {"tx-ring-ref": "99999", "rx-ring-ref": "99998", "event-channel": "77", "request-rx-copy": "1", "state": "4"}


@pytest.mark.parametrize(
    "scribbled",
    [
        {f"device/vif/0/{name}": value for name, value in RINGS.items()},
        {"data/jitsu/ready": "\033[2J" * 99, "data/jitsu/config/x": "y", "device/vif/0/state": "77"},
    ],
    ids=["rings that are none", "a state that is none"],
)
def test_netback_refuses_a_guest_that_runs(
    serving: ServingBoard, before: dict[str, Any], scribbled: dict[str, str]
) -> None:
    """The guest writes what netback cannot make sense of; its nodes are written by dom0, which comes to the same."""
    outcomes: list[str] = []

    def visit() -> None:
        try:
            outcomes.append(str(serving.get(MUTE)))
        except ConnectionError as error:
            outcomes.append(type(error).__name__)

    visitor = threading.Thread(target=visit)
    visitor.start()
    serving.until("mute", lambda row: row["state"] == "booting")
    home = f"{HOMES}/{number_of(serving, 'mute')}"
    pairs = [word for path, value in scribbled.items() for word in (f"{home}/{path}", value)]
    serving.board.check("xenstore-write", *pairs)
    visitor.join()
    assert outcomes == ["ConnectionRefusedError"]
    assert "dom0's kernel refuses to serve its interface vif" in serving.asleep("mute")["last"]
    all_is_well(serving, before)


def test_a_bridge_that_is_taken_away_while_a_guest_serves(serving: ServingBoard, before: dict[str, Any]) -> None:
    assert serving.get(WWW)[0] == 200
    shell = serving.board.check
    shell("ip", "link", "del", "xenbr0")
    assert says(start(serving, "alien"), "cannot join bridge xenbr0, which was taken away")
    shell("ip", "link", "add", "xenbr0", "type", "bridge")
    shell("ip", "link", "set", "eth0", "master", "xenbr0")
    shell("ip", "link", "set", "xenbr0", "up")
    shell("ip", "addr", "add", f"{BOARD}/24", "dev", "xenbr0")
    assert serving.get(WWW)[0] == 200, "who served, or the next one"
    assert "the network is whole again: bridge xenbr0 was taken away" in serving.log()
    serving.asleep("www")
    all_is_well(serving, before)


def test_a_store_that_does_not_answer(serving: ServingBoard, before: dict[str, Any]) -> None:
    """Stopped, for nobody brings back one that was killed: its kernel's watches would be gone."""
    pid = serving.board.check("cat", "/run/xen/xenstored.pid").strip()
    serving.board.check("kill", "-STOP", pid)
    try:
        assert serving.resolve("www") == ("SERVFAIL", "")
        assert says(start(serving, "www"), "the XenStore does not answer within 10 s")
    finally:
        serving.board.check("kill", "-CONT", pid)
    all_is_well(serving, before)


def test_numbers_that_others_have_are_passed_over(serving: ServingBoard, before: dict[str, Any]) -> None:
    """Two are other toolstacks' domains', one is that of an interface which somebody has made."""
    assert serving.get(WWW)[0] == 200
    serving.asleep("www")
    number = number_of(serving, "www")
    foreign(serving, number + 1, number + 2)
    serving.board.check("ip", "link", "add", f"vif{number + 3}.0", "type", "bridge")
    assert serving.get(WWW)[0] == 200
    assert number_of(serving, "www") == number + 4
    serving.asleep("www")
    for other in (number + 1, number + 2):
        serving.board.check("python3", "-c", DESTROY, str(other))
    serving.board.check("ip", "link", "del", f"vif{number + 3}.0")
    all_is_well(serving, before)


def test_what_xl_leaves_of_guests_that_it_destroys_while_no_daemon_runs(
    serving: ServingBoard, before: dict[str, Any]
) -> None:
    """One of the numbers is another toolstack's when the daemon is back."""
    assert serving.get(LONG)[0] == 200
    assert serving.get(LONGER)[0] == 200
    taken, free = number_of(serving, "long"), number_of(serving, "longer")
    serving.kill()
    for name in (f"long-{taken}", f"longer-{free}"):
        serving.board.check("xl", "destroy", name, timeout=300)
    foreign(serving, taken)
    left = serving.board.check("xenstore-ls", "-f", BACKENDS)
    serving.start()
    backends = serving.board.check("xenstore-ls", "-f", BACKENDS)
    assert all(f"{BACKENDS}/{number}/0/frontend" in left for number in (taken, free)), "or nothing is tested here"
    assert backends == ""
    assert not any(name.startswith("vif") for name in serving.board.check("ls", "/sys/class/net").split())
    assert [row["state"] for row in map(serving.row, ("long", "longer"))] == ["asleep", "asleep"]
    assert f"{taken}" in [line.split()[1] for line in serving.board.check("xl", "list").splitlines()]
    serving.board.check("python3", "-c", DESTROY, str(taken))
    all_is_well(serving, before)
