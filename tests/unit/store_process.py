"""A `jitsu xenstored` as a process of its own, for tests of who keeps something in it."""

import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Self

from jitsu.xenstore.client import StoreClient, Transaction
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


async def nodes(path: Path, *roots: str) -> dict[str, str]:
    """Every node below these, with its value, as they are in one moment."""
    found: dict[str, str] = {}

    async def walk(moment: Transaction, node: str) -> None:
        if await moment.exists(node):
            found[node] = (await moment.read(node)).decode()
            for name in await moment.list(node):
                await walk(moment, f"{node}/{name}")

    async with await StoreClient.connect(path) as client, await client.begin() as moment:
        for root in roots:
            await walk(moment, root)
    return found


async def until_nodes(path: Path, expected: dict[str, str], *roots: str) -> None:
    """Wait until these and no others are there, for ten seconds at most."""
    give_up = time.monotonic() + 10
    while (found := await nodes(path, *roots)) != expected:
        assert time.monotonic() < give_up, found


def below(root: str, values: dict[str, str]) -> dict[str, str]:
    """Nodes with values, and those above them up to `root`, which have none."""
    found = {root: ""}
    for name, value in values.items():
        parts = name.split("/")
        for depth in range(1, len(parts)):
            found.setdefault("/".join([root, *parts[:depth]]), "")
        found[f"{root}/{name}"] = value
    return found
