"""hello as a domain of a board's Xen, made by xl, and what a machine beside the board asks of it."""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from boards.definition import Board
from boards.emulator import EmulatedBoard
from boards.lan import Lan
from jitsu import artifacts

NAME, ADDRESS = "hello", "10.78.0.10"
# The same each time: who spoke to an earlier guest has nothing to unlearn.
MAC = "00:16:3e:78:00:0a"
LOG = f"/var/log/xen/console/guest-{NAME}.log"

# In the place of Xen's own hotplug script for disks, which wants more than a dom0 as small as this has.
_PLUG = b"""#!/bin/sh
[ "$1" = add ] || exit 0
device=$(xenstore-read "$XENBUS_PATH/params")
xenstore-write "$XENBUS_PATH/physical-device" "$(stat -c %t:%T "$device")" "$XENBUS_PATH/hotplug-status" connected
"""
PATIENCE = 120.0


def kernel(architecture: str) -> Path:
    """The image for that architecture, by Debian's name."""
    if architecture == "amd64":
        return artifacts.build("hello", print) / "hello.elf"
    return artifacts.build(f"hello-arm@{architecture}", print) / "hello.bin"


def arguments(board: Board) -> str:
    return f"name={NAME} ip={ADDRESS}/{board.wire.address.network.prefixlen} gw={board.wire.gateway}"


def await_truth(question: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not question():
        assert time.monotonic() < give_up, f"never: {what}"
        time.sleep(0.1)


class Guest:
    """A domain that xl has made, running or paused."""

    def __init__(self, board: EmulatedBoard) -> None:
        self.board = board
        self.domid = int(board.check("xl", "domid", NAME))
        self._home = f"/local/domain/{self.domid}/data/jitsu"

    def node(self, name: str) -> str:
        """The value of a node of the contract; empty if it is not there."""
        return self.board.run("xenstore-read", f"{self._home}/{name}").out.strip()

    def write(self, name: str, value: str) -> None:
        self.board.check("xenstore-write", f"{self._home}/{name}", value)

    def await_ready(self) -> None:
        await_truth(lambda: self.node("ready") != "", "a node that says ready")

    def console(self) -> str:
        """Everything it has printed."""
        return self.board.run("cat", LOG).out

    def state(self) -> str:
        """As `xl list` has it, such as `-b----`; empty if the domain is no more."""
        listed = self.board.run("xl", "list", str(self.domid)).out.splitlines()
        return listed[1].split()[4] if len(listed) > 1 else ""


@contextmanager
def created(
    board: EmulatedBoard, *words: str, cmdline: str | None = None, vif: bool = True, disk: str = ""
) -> Iterator[Guest]:
    """The guest, made by `xl create` with these words; destroyed at the end if it is there.

    `disk` is a block device of dom0's, which it may read.
    """
    lines = [
        f'name = "{NAME}"',
        'kernel = "/tmp/kernel"',
        "memory = 32",
        'on_crash = "preserve"',
        f'cmdline = "{arguments(board.board) if cmdline is None else cmdline}"',
    ]
    if vif:
        lines.append(f'vif = ["mac={MAC},bridge=xenbr0"]')
    if disk:
        board.put(_PLUG, "/tmp/plug", 0o755)
        lines.append(f'disk = ["format=raw, vdev=xvda, access=r, script=/tmp/plug, target={disk}"]')
    if board.board.architecture == "amd64":
        lines.append('type = "pvh"')
    board.put(kernel(board.board.architecture), "/tmp/kernel")
    board.put("\n".join(lines).encode(), "/tmp/guest.cfg")
    board.check("xl", "create", "-q", *words, "/tmp/guest.cfg", timeout=300)
    try:
        yield Guest(board)
    finally:
        board.run("xl", "destroy", NAME, timeout=300)


def ask(lan: Lan, method: str, path: str, body: bytes | None = None, timeout: float = PATIENCE) -> tuple[int, bytes]:
    """Status and body of one answer, heard by a machine at the other end of the wire. Raises OSError without one."""
    with lan.inside():
        connection = http.client.HTTPConnection(ADDRESS, timeout=timeout)
        connection.connect()
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def crash(lan: Lan) -> None:
    """Have the guest end as a crash does: there is no answer, and nobody left to say so."""
    try:
        ask(lan, "GET", "/crash", timeout=1)
    except OSError:
        return
    raise AssertionError("the guest has answered")
