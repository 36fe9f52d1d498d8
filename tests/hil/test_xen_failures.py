"""What goes wrong on real Xen, and what a guest does on purpose: a clear error in good time, and nothing left."""

from pathlib import Path

import pytest

from jitsu.domains.xen_keys import BACKENDS, HOMES
from tests.hil import stock_guests
from tests.hil.conftest import ARMV7_BY_DAY
from tests.hil.dom0 import Dom0
from tests.hil.hello_guest import await_truth
from tests.hil.idle_guests import idle_guest

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.parametrize("shared_dom0", ARMV7_BY_DAY, indirect=True, scope="module"),
]


def test_a_kernel_of_the_wrong_format_is_named(dom0: Dom0) -> None:
    architecture = dom0.board.board.architecture
    dom0.board.put(idle_guest("armhf" if architecture == "amd64" else "amd64"), "/tmp/foreign")
    ((foreign,), (machine,)) = (
        dom0.do(["fail", ["launch", 1]], kernel="/tmp/foreign"),
        dom0.do(["fail", ["launch", 1]], machine="q35"),
    )
    assert "which Xen does not start here" in foreign["said"][1]
    assert "this is " in foreign["said"][2]
    assert "there is no machine q35 on Xen" in machine["said"][1]


def test_a_frontend_that_never_connects_is_no_reason_to_stay(dom0: Dom0) -> None:
    _, state, ended = dom0.do(["launch", 1], ["shell", f"xenstore-read {BACKENDS}/1/0/state"], ["destroy", 1])
    assert state["said"].strip() == "2", "it waits for the guest"
    assert ended["said"] == "it was ended"


def test_netback_says_why_it_refuses(dom0: Dom0) -> None:
    (failed,) = dom0.do(["fail", ["launch", 1]], spoiled={"/handle": "none"})
    kind, message, hint = failed["said"]
    assert kind == "DomainError"
    assert message.startswith("service talker: vif1.0: dom0's kernel refuses to make it: ")
    assert ": 34 " in message, "ERANGE; what it tried then depends on which of its two lines was read"
    assert "dmesg" in hint
    assert failed["ms"] < 25_000, "nobody waited for what will not come"


def test_without_netback_that_is_said(dom0: Dom0) -> None:
    dom0.board.check("modprobe", "-r", "xen-netback")
    (failed,) = dom0.do(["fail", ["launch", 1]])
    dom0.board.check("modprobe", "xen-netback")
    assert "vif1.0: dom0's kernel made no such interface within 30 s" in failed["said"][1]
    assert "modprobe xen-netback" in failed["said"][2]


def test_the_next_domain_of_a_number_is_as_good_as_the_first(dom0: Dom0) -> None:
    steps = dom0.do(["launch", 1], ["console", 1], ["destroy", 1], ["launch", 1], ["console", 1], ["destroy", 1])
    assert steps[1]["said"].startswith("/dev/pts/")
    assert steps[4]["said"].startswith("/dev/pts/")


def test_a_number_that_somebody_else_has_is_left_alone(dom0: Dom0) -> None:
    board = dom0.board
    lines = ['name = "theirs"', 'kernel = "/tmp/talker"', "memory = 32"]
    if board.board.architecture == "amd64":
        lines.append('type = "pvh"')
    board.put("\n".join(lines).encode(), "/tmp/theirs.cfg")
    board.check("xl", "create", "-q", "-p", "/tmp/theirs.cfg", timeout=300)
    number = int(board.check("xl", "domid", "theirs"))
    before = dom0.remains()
    (failed,) = dom0.do(["fail", ["launch", number]])
    after = dom0.remains()
    board.check("xl", "destroy", "theirs", timeout=300)
    board.check("xenstore-rm", "/vm")  # xl leaves that
    assert f"there is a domain {number} already" in failed["said"][1]
    assert failed["said"][2]
    assert after == before


def test_a_guest_that_scribbles_harms_nobody_else(dom0: Dom0) -> None:
    """Its own driver's daemon is killed meanwhile, and the next one has to make sense of what it finds."""
    scribbler, other = 2, 1
    board = dom0.board
    stock_guests.bring(board, init=Path(__file__).parent / "scribble.sh")
    dom0.do(["launch", other])

    def belongings() -> list[str]:
        places = f"{HOMES}/{other} {BACKENDS}/{other} /libxl/{other}"
        return board.check("sh", "-c", f"for place in {places}; do xenstore-ls -fp $place; done").splitlines()

    before = belongings()
    machine = "pv" if board.board.architecture == "amd64" else ""
    cmdline = f"console=hvc0 other={other}"
    spec = stock_guests.SPEC | {"service": "bad", "cmdline": cmdline, "machine": machine}
    dom0.do(["launch", scribbler], **spec)
    await_truth(lambda: "scribble: done" in dom0.console_of(f"bad-{scribbler}"), "a guest that has scribbled")
    said = dict(
        line.removeprefix("scribble: ").rsplit(": ", 1)
        for line in dom0.console_of(f"bad-{scribbler}").splitlines()
        if line.startswith("scribble: ") and line.count(": ") == 2
    )
    after = belongings()
    dom0.do(["adopt"], ["die"], dies=True)
    adopted, *_, listed, _ = dom0.do(
        ["adopt"],
        ["pause", scribbler],
        ["resume", scribbler],
        ["destroy", scribbler],
        ["shell", "xl list"],
        ["destroy", other],
    )

    foreign = {what: answer for what, answer in said.items() if answer.strip() == "EACCES"}
    assert len(foreign) == 18, list(foreign)
    # All of its own is its own, but where its backend is it can only read: that is written before the folder is its.
    assert [what for what in foreign if " device/vif/0" in what or " data" in what] == ["write device/vif/0/backend"]
    assert int(said["nodes made"]) > 900, "what its store allows a guest"
    assert after == before
    assert sorted(adopted["said"]) == [[other, "talker", "f1", False], [scribbler, "bad", "f1", False]]
    assert "bad" not in listed["said"]
    assert "talker" in listed["said"]
