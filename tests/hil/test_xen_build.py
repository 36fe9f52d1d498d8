"""The native driver on real Xen: domains come, print, rest, are adopted after a kill, and go without a trace."""

import pytest

from tests.hil.dom0 import LINE, Dom0

pytestmark = pytest.mark.timeout(1800)


def test_a_guest_prints_and_xl_knows_it(dom0: Dom0) -> None:
    _, console, listed, attached, _ = dom0.do(
        ["launch", 1],
        ["console", 1],
        ["shell", "xl list"],
        ["shell", "timeout 2 xl console talker-1 </dev/null"],
        ["destroy", 1],
    )
    assert console["said"].startswith("/dev/pts/")
    assert "talker-1" in listed["said"]
    assert LINE in dom0.console_of("talker-1")
    assert LINE in attached["said"]


def test_its_interface_is_in_the_bridge_without_a_script(dom0: Dom0) -> None:
    _, ports, status, _, after = dom0.do(
        ["launch", 1],
        ["shell", "ls /sys/class/net/xenbr0/brif"],
        ["shell", "cat /sys/class/net/vif*.0/operstate; xenstore-ls -f /local/domain/0/backend/vif | grep hotplug"],
        ["destroy", 1],
        ["shell", "ls /sys/class/net/xenbr0/brif"],
    )
    assert "vif" in ports["said"]
    assert 'hotplug-status = "connected"' in status["said"]
    assert "vif" not in after["said"]


def test_a_daemon_that_is_killed_is_followed_by_one_that_adopts(dom0: Dom0) -> None:
    dom0.do(["launch", 1], ["launch", 2], ["prepare", 3], ["pause", 2], ["die"], dies=True)
    adopted, *_, event, _, _, listed = dom0.do(
        ["adopt"],
        ["resume", 3],
        ["resume", 2],
        ["shell", "xl destroy talker-2"],
        ["event", 2],
        ["destroy", 1],
        ["destroy", 3],
        ["shell", "xl list"],
    )
    assert sorted(adopted["said"]) == [
        [1, "talker", "f1", False],
        [2, "talker", "f1", True],
        [3, "talker", "f1", True],
    ]
    assert event["said"] == ["crashed", "destroyed, and not by jitsu"]
    assert "talker" not in listed["said"]


def test_what_was_not_finished_is_ended_by_the_next_daemon(dom0: Dom0) -> None:
    """Killed in the middle: an empty domain without a node has only its uuid to be known by."""
    dom0.do(["half", 1], ["die"], dies=True)
    adopted, _ = dom0.do(["adopt"], ["shell", "xl list"])
    assert adopted["said"] == []


def test_many_at_once(dom0: Dom0) -> None:
    numbers = range(10, 16)
    _, listed, _ = dom0.do(
        ["together", [["launch", number] for number in numbers]],
        ["shell", "xl list"],
        ["together", [["destroy", number] for number in numbers]],
        memory=4,
    )
    assert all(f"talker-{number} " in listed["said"] for number in numbers)


def test_what_cannot_be_built_says_why_and_leaves_nothing(dom0: Dom0) -> None:
    ((text,), (many,), (memory,), (bridge,)) = (
        dom0.do(["fail", ["launch", 1]], kernel="/etc/passwd"),
        dom0.do(["fail", ["launch", 1]], vcpus=1000),
        dom0.do(["fail", ["launch", 1]], memory=3000),
        dom0.do(["fail", ["launch", 1]], bridge="nobridge"),
    )
    assert text["said"][:2] == ["DomainError", "kernel /etc/passwd: is a text file, not a kernel image"]
    assert many["said"][:2] == ["DomainError", "service talker: xc_domain_create: Invalid argument"]
    assert "memory" in memory["said"][1]
    assert "free_memory" in memory["said"][2]
    assert "cannot be plugged into the bridge: there is no bridge nobridge" in bridge["said"][1]
