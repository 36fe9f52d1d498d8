"""`jitsu xenstored --xen` in the place of Xen's own, from the beginning, on a board that was booted without one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from boards.definition import read
from boards.emulator import EmulatedBoard
from boards.snapshots import image, restored
from tests.hil.idle_guests import idle_guest
from tests.hil.our_store import BOARD, OurStore, await_truth
from tests.hil.talking_guests import talking_guest

pytestmark = pytest.mark.timeout(1800)

DESTROY = """
import ctypes, sys
xen = ctypes.CDLL("libxenctrl.so.4.17")
xen.xc_interface_open.restype = ctypes.c_void_p
handle = ctypes.c_void_p(xen.xc_interface_open(None, None, 0))
while (result := xen.xc_domain_destroy(handle, int(sys.argv[1]))) != 0: pass
"""
"""A domain's end of which no toolstack tells the store."""


@pytest.fixture
def store(root: None) -> Iterator[OurStore]:
    """With our store, xenconsoled, and what a boot does else."""
    with restored(read(BOARD), "none") as board:
        board.install_jitsu()
        store = OurStore(board)
        store.begin()
        yield store
        assert "Traceback" not in store.said()


@pytest.fixture
def board(store: OurStore) -> EmulatedBoard:
    return store.board


@contextmanager
def watching(board: EmulatedBoard, name: str) -> Iterator[Callable[[], int]]:
    """How many events a watch on `name` has had since it was set."""
    log = f"/run/watch-{name}"
    board.check("sh", "-c", f"setsid xenstore-watch {name} >{log} 2>&1 & echo $! >{log}.pid")
    await_truth(lambda: board.check("cat", log) != "", "a watch's first event")
    yield lambda: board.check("cat", log).count(name) - 1
    board.check("sh", "-c", f"kill $(cat {log}.pid)")


def create(board: EmulatedBoard, name: str, kernel: bytes, *lines: str) -> int:
    """Build and start a domain, with xl: its domid."""
    board.put(kernel, f"/tmp/{name}")
    config = [f'name = "{name}"', f'kernel = "/tmp/{name}"', 'on_crash = "preserve"', 'vif = ["bridge=xenbr0"]', *lines]
    board.put("\n".join(config).encode(), f"/tmp/{name}.cfg")
    board.check("xl", "create", "-q", f"/tmp/{name}.cfg", timeout=600)
    return int(board.check("xl", "domid", name))


LINE = "GUEST ALIVE"

PVH = ('type = "pvh"', "memory = 32")


def test_domains_come_and_go_and_leave_nothing(store: OurStore, board: EmulatedBoard) -> None:
    before = store.resources()

    with watching(board, "@introduceDomain") as introduced:
        domid = create(board, "talker", talking_guest("amd64", LINE), *PVH)
        assert introduced() == 1
    backend = f"/local/domain/0/backend/vif/{domid}/0"
    listed = board.check("xl", "list")
    tty = board.check("xenstore-read", f"/local/domain/{domid}/console/tty")
    console = board.run("timeout", "5", "xl", "console", "talker")
    state = board.check("xenstore-read", f"{backend}/state"), board.check("xenstore-read", f"{backend}/hotplug-status")
    with watching(board, "@releaseDomain") as released:
        board.check("xl", "destroy", "talker", timeout=600)
        assert released() == 1

    assert "talker" in listed
    assert LINE in console.out
    assert tty.startswith("/dev/pts/")
    # The kernel of domain 0 was told of a device, looked at it, and answered: netback is there and waits.
    assert state == ("2\n", "connected\n")
    await_truth(lambda: store.resources() == before, "all is as it was before")


@pytest.mark.soak
def test_the_end_of_a_domain_is_seen_when_nobody_tells(store: OurStore, board: EmulatedBoard) -> None:
    before = store.resources()
    domid = create(board, "idle", idle_guest("amd64"), *PVH)
    with watching(board, "@releaseDomain") as released:
        board.check("python3", "-c", DESTROY, str(domid))
        await_truth(lambda: released() == 1, "an event of a domain's end")

        # What was the domain's own is gone, and the number may be another's.
        assert board.run("xenstore-exists", f"/local/domain/{domid}/data").rc == 1
        assert f"r{domid}" not in board.check("xenstore-ls", "-f", "-p", "/")
    after = store.resources()

    for name in ("domains", "files", "maps"):
        assert after[name] == before[name]


@pytest.mark.soak
def test_a_kernel_speaks_to_the_store_and_its_crash_is_seen(store: OurStore, board: EmulatedBoard) -> None:
    before = store.resources()
    kernel = (image(board.board) / "kernel").read_bytes()

    with watching(board, "@releaseDomain") as released:
        domid = create(board, "linux", kernel, 'type = "pv"', "memory = 128", 'extra = "console=hvc0 panic=1"')
        control = f"/local/domain/{domid}/control"
        # The toolstack leaves these empty for the guest to fill.
        await_truth(
            lambda: board.run("xenstore-read", f"{control}/feature-poweroff").out == "1\n", "a word of the guest's"
        )
        # It finds no root.
        await_truth(lambda: released() == 1, "an event of a crash")
        log = board.check("cat", "/var/log/xen/console/guest-linux.log")
        state = board.check("xl", "list", "linux").splitlines()[1].split()[4]
        console = board.run("timeout", "5", "xl", "console", "linux")
        board.check("xl", "destroy", "linux", timeout=600)
        assert released() == 2

    assert "Unable to mount root fs" in log
    assert "Unable to mount root fs" in console.out
    assert "c" in state
    await_truth(lambda: store.resources() == before, "all is as it was before")


@pytest.mark.soak
def test_only_domains_that_there_are_can_own_nodes(board: EmulatedBoard) -> None:
    board.check("xenstore-write", "/mine", "")

    refused = board.run("xenstore-chmod", "/mine", "n77")

    assert refused.rc != 0
    assert "n77" not in board.check("xenstore-ls", "-f", "-p", "/")


@pytest.mark.soak
def test_xen_has_one_store(root: None) -> None:
    with restored(read(BOARD), "xenstored") as board:
        board.install_jitsu()
        refused = board.run("jitsu", "xenstored", "--xen", "--socket", "/run/other")
        listed = board.check("xl", "list")

    assert refused.rc == 4
    assert "domain 0 cannot be served" in refused.err
    assert "Domain-0" in listed
