"""The main job on real Xen, from a machine beside the board: a packet, a domain, an answer, and nothing left."""

from collections.abc import Iterator
from typing import Any

import pytest

from boards.definition import read
from boards.snapshots import restored
from jitsu.trace import TraceRecord
from tests.hil.conftest import EMULATED
from tests.hil.serving_board import ServingBoard, prepared, service

pytestmark = pytest.mark.timeout(3600)

WWW, SHOP, HUGE, STAY = (f"10.78.0.{number}" for number in range(20, 24))
SUMMONS = {"qemu-virt-armv7": 5, "qemu-virt-arm64": 1, "qemu-xen-x86": 5}


@pytest.fixture(scope="module", params=EMULATED)
def serving(request: pytest.FixtureRequest) -> Iterator[ServingBoard]:
    """A board that serves, the same for every test here: each leaves it as it was."""
    with restored(read(request.param), "xenstored") as board:
        serving = prepared(
            board,
            service("www", WWW),
            service("shop", SHOP),
            service("huge", HUGE, memory="2000 MiB"),
            # So long that however slow the machine is, nobody dismisses it but the test.
            service("stay", STAY, idle=3600.0),
        )
        serving.start()
        yield serving


@pytest.fixture
def before(serving: ServingBoard) -> dict[str, Any]:
    """What is there while everybody sleeps."""
    return serving.belongings()


def test_questions_and_syns_are_answered_and_delivered_once(
    serving: ServingBoard, before: dict[str, Any], full: bool
) -> None:
    """Half of the summons by a DNS question, half by a bare SYN; each has its domain from our driver."""
    count = 50 if full else SUMMONS[serving.board.board.name]
    with serving.witnessed() as seen:
        for turn in range(1, count + 1):
            assert serving.resolve("www") == ("NOERROR", WWW)
            assert serving.get(WWW)[0] == 200
            assert serving.asleep("www")["summons"] == turn
            status, page = serving.get(SHOP)
            assert (status, b"shop" in page) == (200, True)
            assert serving.asleep("shop")["summons"] == turn
    assert seen["lost"] == 0
    assert len(seen["syns"]) == 2 * count
    for name, address in (("www", WWW), ("shop", SHOP)):
        syns = sorted((syn for syn in seen["syns"] if syn["service"] == address), key=lambda syn: syn["arrived"][0])
        traces = serving.ask("trace", service=name, last=count)
        assert [_told_once(syn, trace) for syn, trace in zip(syns, traces, strict=True)] == [True] * count, (
            syns,
            traces,
        )
    serving.nothing_is_left(before)


def _told_once(syn: dict[str, Any], trace: TraceRecord) -> bool:
    """Was the SYN put into the guest's port once, however often its client sent it before the gate was open? What is
    sent after that the bridge delivers by itself, each time; of a slow client that may be the first one already."""
    (gate,) = (span for span in trace["spans"] if span["name"] == "gate")
    opening = trace["started"] + gate["start_ms"] / 1000
    opened = opening + gate["ms"] / 1000
    # The trace's times are in milliseconds; the gate may open at any moment of the call.
    surely_held = any(at < opening - 0.002 for at in syn["arrived"])
    maybe_held = any(at < opened + 0.002 for at in syn["arrived"])
    least = sum(at > opened + 0.002 for at in syn["arrived"])
    most = sum(at > opening - 0.002 for at in syn["arrived"])
    return max(1, surely_held + least) <= len(syn["delivered"]) <= maybe_held + most


def test_what_xen_has_no_memory_for_is_answered_servfail(serving: ServingBoard, before: dict[str, Any]) -> None:
    assert serving.resolve("huge") == ("SERVFAIL", "")
    assert "memory" in serving.asleep("huge")["last"].lower()
    serving.nothing_is_left(before)


def test_a_guest_that_crashes_is_removed_and_comes_back(serving: ServingBoard, before: dict[str, Any]) -> None:
    assert serving.get(WWW)[0] == 200
    serving.crash(WWW)
    assert serving.get(WWW)[0] == 200
    crashed, back = serving.ask("trace", service="www", last=2)
    assert (crashed["outcome"], back["outcome"], back["cause"]) == ("serving", "serving", "syn")
    assert crashed["domid"] != back["domid"]
    assert [event["detail"] for event in serving.ask("events") if event["event"] == "crashed"] == ["crashed"]
    assert f"--- domain {crashed['domid']} ended: crashed ---" in serving.board.check("jitsu", "logs", "www")
    serving.asleep("www")
    serving.nothing_is_left(before)


def test_guests_outlive_a_daemon_that_is_killed(serving: ServingBoard, before: dict[str, Any]) -> None:
    assert serving.get(STAY)[0] == 200
    (summoned,) = serving.ask("trace", service="stay")
    serving.kill()
    # Its gate is open, daemon or not.
    assert serving.get(STAY)[0] == 200
    serving.start()
    assert serving.get(STAY)[0] == 200
    (adopted,) = serving.ask("trace", service="stay")
    assert (adopted["cause"], adopted["domid"]) == ("adoption", summoned["domid"])
    serving.ask("stop", service="stay")
    serving.nothing_is_left(before)


def test_a_daemon_that_stops_takes_everything_along(serving: ServingBoard) -> None:
    assert serving.get(STAY)[0] == 200
    serving.stop()
    listed = serving.board.check("xl", "list").splitlines()[1:]
    assert [line.split()[0] for line in listed] == ["Domain-0"]
    assert "jitsu" not in serving.board.check("ls", "/sys/class/net")
    serving.start()
