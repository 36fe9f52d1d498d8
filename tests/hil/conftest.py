"""Boards to run tests on. The first use of one builds its image, boots it and keeps it; that takes minutes."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from boards.definition import names, read
from boards.emulator import EmulatedBoard
from boards.snapshots import restored
from tests.hil.dom0 import Dom0

EMULATED = [name for name in names() if read(name).emulated]
ARMV7, ARM64, X86 = "qemu-virt-armv7", "qemu-virt-arm64", "qemu-xen-x86"
ARMV7_BY_DAY = [ARMV7, *(pytest.param(name, marks=pytest.mark.soak) for name in (ARM64, X86))]
"""Values of `shared_dom0` where the smallest board is enough."""
_SECONDS: Counter[str] = Counter()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """What each board takes, with the making of its image and its snapshots where they were not kept."""
    board = next((name for name in EMULATED if name in report.nodeid), "what one of them is enough for")
    _SECONDS[board] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _SECONDS:
        terminalreporter.section("minutes of each board")
    for board, seconds in sorted(_SECONDS.items()):
        terminalreporter.write_line(f"{board}: {seconds // 60:.0f} min {seconds % 60:.0f} s")


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and taps")


@pytest.fixture(params=EMULATED)
def board(request: pytest.FixtureRequest, root: None) -> Iterator[EmulatedBoard]:
    """Each emulated board in turn, with Xen's own xenstored, restored for this test alone."""
    with restored(read(request.param), "xenstored") as running:
        yield running


@pytest.fixture
def armv7(root: None) -> Iterator[EmulatedBoard]:
    """The smallest board, for what does not depend on the board."""
    with restored(read(ARMV7), "xenstored") as running:
        yield running


@pytest.fixture(scope="module", params=[ARMV7, X86, pytest.param(ARM64, marks=pytest.mark.soak)])
def shared_dom0(request: pytest.FixtureRequest, root: None) -> Iterator[Dom0]:
    """A board of each architecture with the native driver, for all tests of a file: installing takes most of the time.
    To the driver one ARM is like the other, so one is enough by day."""
    with restored(read(request.param), "xenstored") as running:
        yield Dom0(running)


@pytest.fixture
def dom0(shared_dom0: Dom0) -> Iterator[Dom0]:
    """A board with the native driver, and afterwards as much as before."""
    yield from unchanged(shared_dom0)


def unchanged(dom0: Dom0) -> Iterator[Dom0]:
    """Hand it out, with nothing written of earlier guests."""
    dom0.board.check("sh", "-c", "rm -f /var/log/xen/console/guest-*")
    before = dom0.remains()
    yield dom0
    assert dom0.remains() == before
