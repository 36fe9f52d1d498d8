"""Boards to run tests on. The first use of one builds its image, boots it and keeps it; that takes minutes."""

import os
from collections.abc import Iterator

import pytest

from boards.definition import names, read
from boards.emulator import EmulatedBoard
from boards.snapshots import restored
from tests.hil.dom0 import Dom0

EMULATED = [name for name in names() if read(name).emulated]


@pytest.fixture(autouse=True)
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
    with restored(read("qemu-virt-armv7"), "xenstored") as running:
        yield running


@pytest.fixture
def dom0(board: EmulatedBoard) -> Iterator[Dom0]:
    """Each board with the native driver, and afterwards as much as before."""
    yield from unchanged(Dom0(board))


def unchanged(dom0: Dom0) -> Iterator[Dom0]:
    """Hand it out; the places in which nodes are made are there from the first driver on."""
    dom0.do()
    before = dom0.remains()
    yield dom0
    assert dom0.remains() == before
