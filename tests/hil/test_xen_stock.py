"""Debian's own kernel as a domain by the native driver: PV and PVH, unpacked and as Debian has it."""

import shlex
from collections.abc import Iterator

import pytest

from boards.definition import read
from boards.snapshots import restored
from tests.hil import stock_guests
from tests.hil.conftest import unchanged
from tests.hil.dom0 import Dom0
from tests.hil.hello_guest import ADDRESS, PATIENCE, ask, await_truth

pytestmark = pytest.mark.timeout(1800)

FETCH = f"""
import time, urllib.request
give_up = time.monotonic() + {PATIENCE}
while True:
    try:
        print(urllib.request.urlopen("http://{ADDRESS}/", timeout=5).read())
        break
    except OSError:
        if time.monotonic() > give_up:
            raise
"""
"""What dom0 asks until there is an answer."""


@pytest.fixture(scope="module")
def x86() -> Iterator[Dom0]:
    """One board for all of this file: bringing the kernel there takes most of the time."""
    with restored(read("qemu-xen-x86"), "xenstored") as board:
        stock_guests.bring(board)
        yield Dom0(board)


@pytest.fixture
def dom0(x86: Dom0) -> Iterator[Dom0]:
    yield from unchanged(x86)


@pytest.mark.parametrize("machine", ["pv", pytest.param("pvh", marks=pytest.mark.soak)])
def test_it_serves_those_beside_the_board_and_shuts_down_when_asked(dom0: Dom0, machine: str) -> None:
    page: list[bytes] = []

    def answers() -> bool:
        try:
            page[:] = [ask(dom0.board.lan, "GET", "/", timeout=5)[1]]
        except OSError:
            return False
        return True

    dom0.do(["launch", 1], **stock_guests.SPEC, machine=machine)
    await_truth(answers, f"an answer\n{dom0.console_of('stock-1')}")
    kind = dom0.board.check("xenstore-read", "/libxl/1/type").strip()
    listed = dom0.board.check("xl", "list")
    attached = dom0.board.run("sh", "-c", "timeout 2 xl console stock-1 </dev/null").out
    adopted, ended = dom0.do(["adopt"], ["destroy", 1, 120.0])

    assert b"Hello from stock, a stock Linux domain of Xen" in page[0]
    assert kind == machine
    assert "stock-1" in listed
    assert f"stock answers at {ADDRESS}/24" in attached
    assert adopted["said"] == [[1, "stock", "f1", False]]
    assert ended["said"] == "it shut down when asked"
    assert "stock-linux-xen: power off" in dom0.console_of("stock-1")


@pytest.mark.soak
def test_debians_packed_kernel_serves_too_and_xl_ends_it(dom0: Dom0) -> None:
    stock_guests.bring(dom0.board, packed=True)
    _, page, _, event = dom0.do(
        ["launch", 1],
        ["shell", f"python3 -c {shlex.quote(FETCH)}"],
        ["shell", "xl destroy stock-1"],
        ["event", 1],
        **stock_guests.SPEC | {"kernel": stock_guests.PACKED, "machine": "pv"},
    )
    assert "Hello from stock" in page["said"]
    assert event["said"] == ["crashed", "destroyed, and not by jitsu"]


def test_a_packed_kernel_with_nothing_in_it_is_refused(dom0: Dom0) -> None:
    """That shows when Xen's library looks into it."""
    hollow = bytearray(b"\xfe" * 8192)
    # Documentation/x86/boot.rst: setup_sects, boot_flag, header, version 2.12, payload_offset and payload_length.
    hollow[0x1F1:0x1F2], hollow[0x1FE:0x208] = b"\x04", b"\x55\xaa\0\0HdrS\x0c\x02"
    hollow[0x248:0x250] = bytes(8)
    dom0.board.put(bytes(hollow), "/tmp/hollow")
    (failed,) = dom0.do(["fail", ["launch", 1]], kernel="/tmp/hollow")
    assert failed["said"][0] == "DomainError"
    assert "unknown compression format" in failed["said"][1]
