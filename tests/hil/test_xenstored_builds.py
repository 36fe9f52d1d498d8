"""Domains built in parallel by our driver over `jitsu xenstored --xen`: none of its transactions is refused."""

import json
from pathlib import Path

import pytest

from boards.definition import read
from boards.snapshots import restored
from tests.hil.dom0 import MAC, Dom0
from tests.hil.our_store import BOARD, OurStore, await_truth

pytestmark = [pytest.mark.timeout(1800), pytest.mark.soak]

NUMBERS = range(20, 36)


def test_no_build_of_many_at_once_has_to_begin_again(root: None) -> None:
    steps = [
        ["together", [["launch", number] for number in NUMBERS]],
        ["shell", "xl list; xenstore-ls -f /local/domain/0/backend/vif"],
        ["together", [["destroy", number] for number in NUMBERS]],
    ]
    order = {"spec": {"kernel": "/tmp/talker", "memory": 4, "mac": MAC}, "steps": steps}
    with restored(read(BOARD), "none") as board:
        board.install_jitsu()
        store = OurStore(board)
        store.begin()
        dom0 = Dom0(board)
        dom0.do()  # the places in which nodes are made are there from the first driver on
        board.put(Path(__file__).parent / "counted_program.py", "/tmp/counted_program.py")
        before = store.resources()
        counted = ("python3", "/tmp/counted_program.py", "/tmp/xen_program.py")
        said = board.check(*counted, input=json.dumps(order), timeout=300)
        await_truth(lambda: store.resources() == before, "all is as it was before")
        complaints = store.said()

    built, listed, _, counts = (json.loads(line) for line in said.splitlines())
    assert len(built["said"]) == len(NUMBERS)
    assert all(f"talker-{number} " in listed["said"] for number in NUMBERS)
    # netback has looked at each, and waits for its other end.
    assert listed["said"].count('/0/state = "2"') == len(NUMBERS)
    assert counts == {"refusals": 0}
    assert "Traceback" not in complaints
