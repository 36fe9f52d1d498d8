"""`make bench-xen`: domains of Xen by jitsu beside xl, in one dom0 in one run, on emulated boards (SPECIFICATION.md).

Times under emulation are no times of a machine: what counts is how one way compares with another. Each board runs
twice. `time` is the emulator's own, in which dear things are dear in another way than on a processor: it translates
code, and forgets translations when a process starts. With `instructions` the board's clock counts instructions, 500
million a second, and however busy this machine is, the figures are the same.

BOARDS in the environment names boards, else armv7 and x86; ROUNDS is how many rounds there are, 7 as a rule.
Everything measured goes to plots/xen.json, figures 3.38 and 3.39 of the thesis that jitsu comes from, drawn anew, to
plots/xen-parallel.png and plots/xen-switches.png.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from boards.definition import Board, read
from boards.emulator import EmulatedBoard
from boards.snapshots import restored
from jitsu import artifacts
from tests.bench import xen_picture
from tests.bench.plots import FOLDER
from tests.bench.xen_samples import JITSU, MINIMAL_SCRIPT, PLAIN, STEADY, STOCK, Sample
from tests.hil.talking_guests import talking_guest

BOARDS = ("qemu-virt-armv7", "qemu-xen-x86")
ROUNDS = int(os.environ.get("ROUNDS", "7"))
PATIENCE = 3600.0
"""Seconds for one task."""

SMALLEST = {"armhf": 4, "arm64": 4, "amd64": 32}
"""MiB of the smallest domain that xl makes."""
SIZES = {"armhf": (4, 64, 256), "arm64": (4, 64, 256), "amd64": (32, 64, 256)}
CROWDS = (1, 2, 4, 8, 16, 32)
ROOM = {"amd64": 3072 << 20}
"""Bytes of memory of a board whose own are too few for the largest crowd of the smallest domains."""

AIMS = {"armhf": 0.1, "arm64": 0.1, "amd64": 0.05}
"""Times xl with the stock script."""

WIDTH = 150
"""Characters, wherever this is printed: rich would cut figures to fit 80."""

LIBRARIES = "/usr/local/lib/python3.11/dist-packages"
PARTS = ("xen_dom0", "xen_once", "xen_samples", "xen_ways")


def measure() -> None:
    console = Console(highlight=False, width=WIDTH)
    everything: list[Sample] = []
    for name in os.environ.get("BOARDS", " ".join(BOARDS)).split():
        board = read(name)
        everything += _board(console, board, STEADY)
        everything += _board(console, board, PLAIN)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "xen.json").write_text(json.dumps([asdict(sample) for sample in everything], indent=1))
    xen_picture.draw(everything, FOLDER)


def _board(console: Console, board: Board, clock: str) -> list[Sample]:
    """All tasks on one board; with its own clock only what is held against xl."""
    smallest = SMALLEST[board.architecture]
    samples: list[Sample] = []

    def task(title: str, *words: object) -> list[Sample]:
        printed = dom0.check("python3", "-m", "tests.bench.xen_dom0", *map(str, words), timeout=PATIENCE)
        found = [Sample(board.name, clock, str(words[0]), **json.loads(line)) for line in printed.splitlines()]
        console.print(_table(f"{board.name}, {clock}: {title}", found, board))
        samples.extend(found)
        return found

    with _dom0(board, counted=clock == STEADY) as dom0:
        task(f"one domain of {smallest} MiB with console and interface", "beside", smallest, ROUNDS)
        if clock == STEADY:
            task("without one optimisation each", "switches", min(ROUNDS, 3), *SIZES[board.architecture])
            task(f"many at once, {smallest} MiB each", "crowd", smallest, 1, *CROWDS)
    return samples


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
        dom0.check("mkdir", "-p", "/opt/jitsu/tests/bench")
        for folder in ("tests", "tests/bench"):
            dom0.put(b"", f"/opt/jitsu/{folder}/__init__.py")
        for part in PARTS:
            dom0.put(Path(__file__).with_name(f"{part}.py"), f"/opt/jitsu/tests/bench/{part}.py")
        yield dom0


def _table(title: str, samples: Sequence[Sample], board: Board) -> Table:
    """Medians with spreads of each way, memory size and crowd, and how they compare with xl's."""
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", header_style="", box=box.SIMPLE)
    columns = ("way", "MiB", "at once", "n", "build ms", "range", "x xl stock", "x xl minimal", "end ms", "x xl stock ")
    for column in columns:
        table.add_column(column, justify="left" if column == "way" else "right", no_wrap=True)
    task, aim = samples[0].task, AIMS[board.architecture]
    for key in dict.fromkeys((sample.memory, sample.at_once, sample.way) for sample in samples):
        memory, at_once, way = key
        alike = [sample for sample in samples if (sample.memory, sample.at_once) == (memory, at_once)]
        builds = [sample.build for sample in alike if sample.way == way]
        ends = [sample.end for sample in alike if sample.way == way]
        ratio = _ratio(builds, [sample.build for sample in alike if sample.way == STOCK])
        missed = "missed: " if task == "beside" and way == JITSU and float(ratio) > aim else ""
        table.add_row(
            way,
            str(memory),
            str(at_once),
            str(len(builds)),
            f"{median(builds):.1f}",
            f"{min(builds):.1f} to {max(builds):.1f}",
            missed + ratio,
            _ratio(builds, [sample.build for sample in alike if sample.way == MINIMAL_SCRIPT]),
            f"{median(ends):.1f}",
            _ratio(ends, [sample.end for sample in alike if sample.way == STOCK]),
        )
    return table


def _ratio(these: Sequence[float], those: Sequence[float]) -> str:
    return f"{median(these) / median(those):.3f}" if those else ""
