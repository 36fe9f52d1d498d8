"""`jitsu xenstored --xen --state` is killed on a living machine, and its successor goes on: kernels notice nothing."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from boards.definition import read
from boards.snapshots import restored
from tests.hil.hello_guest import NAME, ask, created
from tests.hil.idle_guests import idle_guest
from tests.hil.our_store import BOARD, KERNEL, OurStore, await_truth
from tests.hil.test_xenstored_xen import DESTROY, PVH, create

pytestmark = [pytest.mark.timeout(1800), pytest.mark.soak]

KILLS = 20

SEED = "0123456789abcdef" * 4


@pytest.fixture
def store(root: None) -> Iterator[OurStore]:
    """With xenconsoled, which would end with its connection to a daemon, on the kernel's ring."""
    with restored(read(BOARD), "none") as board:
        board.install_jitsu()
        store = OurStore(board, state=True)
        store.begin(keeper=KERNEL)
        yield store
        assert "Traceback" not in store.said()


def test_a_successor_serves_kernels_that_notice_nothing(store: OurStore) -> None:
    board = store.board
    before = store.resources()
    with created(board) as guest:
        guest.await_ready()
        store.kill()
        # In between the guest serves, and what is asked of the kernel's ring waits.
        assert ask(board.lan, "GET", "/")[0] == 200
        waiting = f"env XENSTORED_PATH={KERNEL} xenstore-write /told/meanwhile yes"
        board.check("sh", "-c", f"setsid {waiting} >/dev/null 2>&1 &")
        store.start()
        await_truth(lambda: board.run("xenstore-read", "/told/meanwhile").out == "yes\n", "what was asked meanwhile")

        # The guest's own watch is set still.
        guest.write("control/wake", f"{SEED} 1795000000000000000")
        await_truth(lambda: guest.node("ready").endswith(" 1795000000000000000"), "a guest that heard the wake")
        # So are those of domain 0's kernel, and of xenconsoled.
        domid = create(board, "idle", idle_guest("amd64"), *PVH)
        backend = f"/local/domain/0/backend/vif/{domid}/0"
        assert board.check("xenstore-read", f"{backend}/state") == "2\n"
        assert board.check("xenstore-read", f"{backend}/hotplug-status") == "connected\n"
        assert board.check("xenstore-read", f"/local/domain/{domid}/console/tty").startswith("/dev/pts/")

        # What ends while nobody serves is seen afterwards.
        store.kill()
        board.check("python3", "-c", DESTROY, str(domid))
        store.start()
        await_truth(lambda: board.run("xenstore-exists", f"/local/domain/{domid}/data").rc == 1, "nodes that are gone")
        board.run("xl", "destroy", "idle")
        listed = board.check("xl", "list")
        assert ask(board.lan, "GET", "/")[0] == 200
        board.check("xl", "destroy", NAME)
    board.check("xenstore-rm", "/told")

    assert "idle" not in listed
    after = store.resources()
    for name in ("domains", "files", "maps", "channels"):
        assert after[name] == before[name]


def test_what_is_asked_over_a_ring_is_done_once_while_the_store_is_killed_over_and_over(store: OurStore) -> None:
    board = store.board
    board.put(Path(__file__).parent / "ring_counter.py", "/tmp/ring_counter.py")
    board.check("sh", "-c", "setsid python3 /tmp/ring_counter.py /tmp/enough >/tmp/counted 2>&1 &")
    for _ in range(KILLS):
        await_truth(partial(has_counted, store, counted(store) + 20), "a count that goes on")
        store.kill()
        store.start()
    board.check("touch", "/tmp/enough")
    await_truth(lambda: board.check("cat", "/tmp/counted") != "", "a counter that has ended")
    said = json.loads(board.check("cat", "/tmp/counted"))

    assert said["rounds"] == said["seen"] == counted(store)
    # That it was in the middle of a transaction is likely, and not sure.
    assert said["again"] <= KILLS


def has_counted(store: OurStore, so_far: int) -> bool:
    return counted(store) > so_far


def counted(store: OurStore) -> int:
    return int(store.board.run("xenstore-read", "/count/now").out or "0")


def test_a_store_without_a_file_has_no_successor(root: None) -> None:
    with restored(read(BOARD), "none") as board:
        board.install_jitsu()
        store = OurStore(board)
        store.start()
        board.check("/usr/lib/xen-4.17/bin/xen-init-dom0")
        store.kill()
        refused = board.run("jitsu", "xenstored", "--xen", "--socket", "/run/xenstored/socket")

    assert refused.rc == 4
    assert "another XenStore has served this machine's kernel" in refused.err
