"""hello as a domain of real Xen: each architecture, the same service, and the contract of guests by the XenStore."""

import json
import os

import pytest

from boards.definition import read
from boards.emulator import EmulatedBoard
from boards.snapshots import restored
from tests.hil.hello_guest import ADDRESS, NAME, arguments, ask, await_truth, crash, created

# An image is built and a board booted the first time.
pytestmark = pytest.mark.timeout(1800)

SEED = "0123456789abcdef" * 4
CLOCK = 1_795_000_000_000_000_000
LINES = 2000

# What dom0 itself says to a guest.
POSTED = """
import sys, urllib.request
body = bytes(range(256)) * 200
print(urllib.request.urlopen(f"http://{sys.argv[1]}/echo", body, timeout=60).read() == body)
"""


def test_it_serves_those_beside_the_board_and_says_so_in_the_store(board: EmulatedBoard) -> None:
    body = os.urandom(60_000)
    with created(board) as guest:
        guest.await_ready()
        page = ask(board.lan, "GET", "/")
        echoed = ask(board.lan, "POST", "/echo", body)
        before = json.loads(ask(board.lan, "GET", "/status")[1])
        # dom0 leaves it to the guest to do without checksums.
        from_dom0 = board.check("python3", "-c", POSTED, ADDRESS)
        slow = ask(board.lan, "GET", "/slow?ms=1500")
        after = json.loads(ask(board.lan, "GET", "/status")[1])
        said = guest.node("ready")

    assert page[0] == 200
    assert NAME.encode() in page[1]
    assert echoed == (200, body)
    assert from_dom0.strip() == "True"
    assert slow[0] == 200
    # By its own clock, which goes as fast as the wait that it measures.
    assert 1_500_000 <= after["uptime_us"] - before["uptime_us"] < 60_000_000
    assert said == f"{NAME} {after['boot_us']['ready']}"


def test_it_is_told_everything_by_the_store_alone(board: EmulatedBoard) -> None:
    with created(board, "-p", cmdline="") as guest:
        for key, _, value in (word.partition("=") for word in arguments(board.board).split()):
            guest.write(f"config/{key}", value)
        board.check("xl", "unpause", NAME)
        guest.await_ready()
        assert ask(board.lan, "GET", "/")[0] == 200

        guest.write("control/wake", f"{SEED} {CLOCK}")
        await_truth(lambda: guest.node("ready").endswith(f" {CLOCK}"), "a guest that heard the wake")
        assert json.loads(ask(board.lan, "GET", "/status")[1])["unix_us"] >= CLOCK // 1000

        guest.write("control/stop", "")
        await_truth(lambda: guest.state() == "", "a domain that has ended")
        assert "stopping, as asked" in guest.console()


@pytest.mark.soak
def test_oxenstored_understands_it_too() -> None:
    # On 32 bits: there the numbers of requests come back with a bit less.
    with restored(read("qemu-virt-armv7"), "oxenstored") as board, created(board) as guest:
        guest.await_ready()
        assert ask(board.lan, "GET", "/")[0] == 200
        guest.write("control/stop", "")
        await_truth(lambda: guest.state() == "", "a domain that has ended")


def test_nothing_that_it_prints_is_lost_and_a_crash_is_a_crash(board: EmulatedBoard) -> None:
    with created(board) as guest:
        guest.await_ready()
        assert ask(board.lan, "POST", f"/print?lines={LINES}")[0] == 200
        await_truth(lambda: f"line {LINES}\n" in guest.console(), "the last line")
        printed = [line for line in guest.console().splitlines() if "line" in line]
        crash(board.lan)
        await_truth(lambda: "c" in guest.state(), "a domain that has crashed")

    assert printed == [f"{NAME}: line {number}" for number in range(1, LINES + 1)]


def test_without_a_network_device_it_says_so_and_ends(board: EmulatedBoard) -> None:
    with created(board, vif=False) as guest:
        await_truth(lambda: "c" in guest.state(), "a domain that has crashed")
        assert "panic: no network device" in guest.console()
