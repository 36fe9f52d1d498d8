"""`make bench-xen`: domains of Xen by jitsu beside xl, in one dom0 in one run, on emulated boards (SPECIFICATION.md).

Times under emulation are no times of a machine: what counts is how one way compares with another. With the clock
`instructions` the board's time is how many instructions it has done, 500 million a second, and however busy this
machine is, the figures are the same. `time` is the emulator's own, in which dear things are dear in another way than on
a processor: it translates code, and forgets translations when a process starts.

BOARDS in the environment names boards, else all three; ROUNDS is how many rounds there are, 7 as a rule. Every task is
printed, and is in plots/xen-BOARD.json, as soon as it is done. A board that was measured is measured anew only if it is
named; the pictures are of all that have such a file.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from rich.console import Console

from boards.definition import Board, read
from boards.emulator import EmulatedBoard
from boards.snapshots import restored
from jitsu import artifacts
from jitsu.errors import JitsuError
from tests.bench import xen_first_byte, xen_picture
from tests.bench.plots import FOLDER
from tests.bench.xen_samples import PLAIN, STEADY, Sample, Visit
from tests.bench.xen_tables import builds_table, visits_table, waterfalls
from tests.bench.xen_visits import put_parts, visits
from tests.hil.talking_guests import talking_guest

BOARDS = ("qemu-virt-armv7", "qemu-xen-x86", "qemu-virt-arm64")
BUILDING = ("armhf", "amd64")
"""Where domains are built beside xl. Xen's part in it is the same on arm64 as on armv7: there are visits only."""

ROUNDS = int(os.environ.get("ROUNDS", "7"))
PATIENCE = 1200.0
"""Seconds for one task."""

SMALLEST = {"armhf": 4, "amd64": 32}
"""MiB of the smallest domain that xl makes."""
SIZES = {"armhf": (4, 64, 256), "amd64": (32, 64, 256)}
CROWDS = (1, 2, 4, 8, 16, 32)
ROOM = {"amd64": 3072 << 20}
"""Bytes of memory of a board whose own are too few for the largest crowd of the smallest domains."""

WIDTH = 150
"""Characters, wherever this is printed: rich would cut figures to fit 80."""

LIBRARIES = "/usr/local/lib/python3.11/dist-packages"
PARTS = ("xen_dom0", "xen_once", "xen_samples", "xen_ways")


@dataclass
class Results:
    """Of one board, kept in a file."""

    builds: list[Sample] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> "Results":
        kept = json.loads(path.read_text())
        return cls([Sample(**each) for each in kept["builds"]], [Visit(**each) for each in kept["visits"]])

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1))


def measure() -> None:
    console = Console(highlight=False, width=WIDTH)
    FOLDER.mkdir(exist_ok=True)
    began, failed = time.monotonic(), []
    for name in os.environ.get("BOARDS", " ".join(BOARDS)).split():
        try:
            _Measured(console, read(name)).all()
        except (JitsuError, ValueError, TimeoutError) as error:
            console.print(f"\n{name}: {error}", markup=False)
            failed.append(name)
    results = [Results.load(path) for path in sorted(FOLDER.glob("xen-*.json"))]
    builds, seen = [each for one in results for each in one.builds], [each for one in results for each in one.visits]
    if builds:
        xen_picture.draw(builds, FOLDER)
    if seen:
        xen_first_byte.draw(seen, FOLDER / "xen-first-byte.png")
    console.print(f"{(time.monotonic() - began) / 60:.0f} minutes")
    if failed:
        raise SystemExit(f"not measured to the end: {', '.join(failed)}")


class _Measured:
    """One board."""

    def __init__(self, console: Console, board: Board) -> None:
        self._console, self._board = console, board
        self._results = Results()
        self._path = FOLDER / f"xen-{board.name}.json"

    def all(self) -> None:
        """All tasks; with the emulator's own clock only what is held against xl."""
        if self._board.architecture in BUILDING:
            self._builds(STEADY)
        self._visits()
        if self._board.architecture in BUILDING:
            self._builds(PLAIN)

    def _builds(self, clock: str) -> None:
        smallest, sizes = SMALLEST[self._board.architecture], SIZES[self._board.architecture]
        with _dom0(self._board, counted=clock == STEADY) as dom0:

            def task(title: str, *words: object) -> None:
                began = time.monotonic()
                printed = dom0.check("python3", "-m", "tests.bench.xen_dom0", *map(str, words), timeout=PATIENCE)
                found = [
                    Sample(self._board.name, clock, str(words[0]), **json.loads(line)) for line in printed.splitlines()
                ]
                table = builds_table(f"{self._board.name}, {clock}: {title}", found, self._board.architecture)
                self._results.builds += found
                self._done(table, began)

            task(f"one domain of {smallest} MiB with console and interface", "beside", smallest, ROUNDS)
            if clock == STEADY:
                for memory in sizes:
                    task(f"without one optimisation each, {memory} MiB", "switches", min(ROUNDS, 3), memory)
                for crowd in CROWDS:
                    task(f"{crowd} at once, {smallest} MiB each", "crowd", smallest, 1, crowd)

    def _visits(self) -> None:
        began = time.monotonic()
        with restored(_counted(self._board), "xenstored", print) as dom0:
            for visit in visits(dom0, ROUNDS):
                self._results.visits.append(visit)
                self._results.save(self._path)
        table = visits_table(f"{self._board.name}, {STEADY}: from a client's first packet", self._results.visits)
        self._done(table, began)
        for each in waterfalls(self._results.visits):
            self._console.print(each)

    def _done(self, table: object, began: float) -> None:
        self._results.save(self._path)
        self._console.print(table)
        self._console.print(f"{time.monotonic() - began:.0f} s")


def _counted(board: Board) -> Board:
    return replace(board, machine=replace(board.machine, counted=True))


@contextmanager
def _dom0(board: Board, *, counted: bool) -> Iterator[EmulatedBoard]:
    """The board with jitsu of this checkout, the bindings and what measures."""
    memory = ROOM.get(board.architecture, board.machine.memory)
    board = replace(board, machine=replace(board.machine, counted=counted, memory=memory))
    with restored(board, "xenstored", print) as dom0:
        dom0.install_jitsu()
        module = artifacts.build(f"xen-bindings@{board.architecture}") / "jitsu_xen.abi3.so"
        dom0.put(module, f"{LIBRARIES}/{module.name}")
        dom0.put(talking_guest(board.architecture, "GUEST ALIVE"), "/tmp/guest")
        put_parts(dom0, PARTS)
        yield dom0
