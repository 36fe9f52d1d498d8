"""`jitsu xenstored --xen` in the place of Xen's own, on a board that was booted without one."""

import time
from collections.abc import Callable

from boards.emulator import EmulatedBoard

BOARD = "qemu-xen-x86"
STATE = "/run/xenstored/db"

KERNEL = "/dev/xen/xenbus"
"""Where a program of domain 0 speaks to the store through its kernel's ring, and not over a connection of its own."""

PATIENCE = 240.0

_SOCKET, _LOG, _PID = "/run/xenstored/socket", "/run/store.log", "/run/store.pid"


def await_truth(question: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not question():
        assert time.monotonic() < give_up, f"never: {what}"
        time.sleep(0.1)


class OurStore:
    """The board's store; jitsu is installed there. With `state` it outlives its process."""

    def __init__(self, board: EmulatedBoard, *, state: bool = False) -> None:
        self.board = board
        self._options = f"--state {STATE}" if state else ""
        self._lives = 0

    def start(self) -> None:
        """Start the daemon, and wait until it listens."""
        daemon = f"setsid jitsu xenstored --xen --socket {_SOCKET} {self._options} >>{_LOG} 2>&1"
        self.board.check("sh", "-c", f"{daemon} & echo $! >{_PID}")
        self._lives += 1
        await_truth(lambda: self.said().count("a XenStore on") == self._lives, "a store that listens")

    def begin(self, *, keeper: str = _SOCKET) -> None:
        """What a boot does: the daemon, domain 0 in the store, and xenconsoled, which finds the store at `keeper`."""
        self.start()
        self.board.check("/usr/lib/xen-4.17/bin/xen-init-dom0")
        self.board.check(
            *("env", f"XENSTORED_PATH={keeper}", "xenconsoled", "--log=all", "--pid-file=/run/xen/xenconsoled.pid")
        )

    def kill(self) -> None:
        """With -9. When this returns it is gone."""
        pid = self.board.check("cat", _PID).strip()
        self.board.check("kill", "-9", pid)
        await_truth(lambda: self.board.run("test", "-d", f"/proc/{pid}").rc != 0, "the daemon's end")

    def said(self) -> str:
        return self.board.check("cat", _LOG)

    def resources(self) -> dict[str, str]:
        """What is there of domains: in Xen, in the store, of event channels, and open files of the store's process."""
        check = self.board.check
        return {
            "domains": "\n".join(line.split()[0] for line in check("xl", "list").splitlines()),
            "nodes": check("xenstore-ls", "-f", "-p", "/"),
            "channels": check("/usr/lib/xen-4.17/bin/lsevtchn"),
            "files": check("sh", "-c", f"readlink /proc/$(cat {_PID})/fd/* | sort"),
            "maps": check("sh", "-c", f"grep -c gntdev /proc/$(cat {_PID})/maps || true"),
        }
