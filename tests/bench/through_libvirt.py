"""A cold start through libvirt beside one through the direct driver: the same guest, client and host, interleaved."""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from jitsu import artifacts
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.network.namespace import inside, new_network
from tests.vm.libvirt_host import LibvirtHost

PAIRS = 20


def measure(pairs: int = PAIRS) -> None:
    """Medians of cold DNS to first HTTP byte, and of the launch alone."""
    kernel = artifacts.build("hello", print) / "hello.elf"
    with ExitStack() as stack:
        host = LibvirtHost(*(Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)))
        stack.enter_context(host)
        through = {"daemon": {"driver": "libvirt"}, "libvirt": {"uri": host.uri}}
        sides = {"direct": _Side(stack, kernel, {}), "libvirt": _Side(stack, kernel, through)}
        for _ in range(pairs):
            for side in sides.values():
                side.turn()
        version = host.virsh("version").stdout.splitlines()[1].rpartition(" ")[2]
    print(f"{pairs} interleaved pairs, libvirt {version}, medians (least)")
    for name, side in sides.items():
        print(f"  {name:8} cold, first byte {_shown(side.colds)}   launch {_shown(side.spawns)}")
    direct, libvirt = (median(side.colds) for side in sides.values())
    print(f"  libvirt / direct  {libvirt / direct:.2f} for the first byte; {libvirt - direct:.0f} ms more")


class _Side:
    """One driver's daemon, on a stage in a network namespace of its own."""

    def __init__(self, stack: ExitStack, kernel: Path, sections: dict[str, dict[str, str | int | float]]) -> None:
        board = new_network()
        stack.callback(os.close, board)
        stack.enter_context(inside(board))
        self._stage = stack.enter_context(Stage([Cast("www", kernel)], sections=sections))
        counter = stack.enter_context(SynCounter(self._stage.client))
        self._client = Client(self._stage.client, counter)
        self.colds: list[float] = []
        self.spawns: list[float] = []

    def turn(self) -> None:
        """One summon by name, and a dismissal."""
        visit = self._client.by_name(f"www.{ZONE}")
        assert visit.status == 200
        self.colds.append(visit.http_ms)
        spans = self._stage.ask("trace", service="www", last=1)[0]["spans"]
        self.spawns.append(next(span["ms"] for span in spans if span["name"] == "spawn"))
        self._stage.ask("stop", service="www")


def _shown(milliseconds: list[float]) -> str:
    return f"{median(milliseconds):7.1f} ms ({min(milliseconds):.1f})"
