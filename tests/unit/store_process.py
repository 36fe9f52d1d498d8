"""A `jitsu xenstored` as a process of its own, for tests of who keeps something in it."""

import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Self

from tests.xenstore_peer import Peer


class StoreProcess:
    """It listens in `folder` as `xenstore.sock`; domain N is whoever connects to `N.sock`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "xenstore.sock"
        self._command = [sys.executable, "-m", "jitsu.cli.main", "xenstored", "--socket", str(self.path)]
        self._command += ["--domain-sockets", str(folder / "guests"), "--domains", "0-32"]
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(20)

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with self.process.stdout or nullcontext() as said:
            assert said is not None
            assert said.readline()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def guest(self, domid: int) -> Peer:
        """A connection of a domain."""
        return Peer(self.folder / "guests" / f"{domid}.sock")
