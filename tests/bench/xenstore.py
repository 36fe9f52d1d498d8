"""`make bench-xenstore`: ours beside Debian's two XenStore daemons, all in one run (SPECIFICATION.md).

Shapes of load are what `xenstore_load.c` says. BUILDS in the environment is how many domains each client builds and
takes down, 50 as a rule; 5 makes a quick run. Everything measured goes to plots/xenstore.json, figure 3.38 of the
thesis that jitsu comes from, drawn anew, to plots/xenstore.png.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.bench import xenstore_picture, xenstore_report, xenstore_state
from tests.bench.plots import FOLDER
from tests.bench.xenstore_load import SHAPES, load
from tests.bench.xenstore_measured import OCAML, OURS, OURS_COMPILED, OURS_KEPT, C, Measured, Memory, Plain, Run
from tests.peers.xenstore_daemons import COMPILED, Daemon, c_xenstored, compiled_xenstored, jitsu_xenstored, oxenstored

CLIENTS = (1, 2, 4, 8, 16, 32)
CROWDS = (50, 100, 150, 200)
"""Clients of the picture, with one sequence each."""
DEADLINE = 120.0
"""Seconds for one run of a shape. What is not done then is reported as that."""

ROUNDS = 3
SECONDS = 1.5
"""Of each round of plain requests, for each daemon."""
DOMAINS = 1000
"""That are kept, for the memory that they take."""

Start = Callable[[], AbstractContextManager[Daemon]]


@contextmanager
def _kept() -> Iterator[Daemon]:
    """Ours, with a file for what was answered: on this machine's disk, for that is what keeping costs."""
    with (
        TemporaryDirectory(prefix="xenstore-state-", dir="/var/tmp") as folder,
        jitsu_xenstored("--state", f"{folder}/state") as daemon,
    ):
        yield daemon


DAEMONS: Mapping[str, Start] = {
    OURS: jitsu_xenstored,
    **({OURS_COMPILED: compiled_xenstored} if COMPILED.exists() else {}),
    OURS_KEPT: _kept,
    OCAML: oxenstored,
    C: c_xenstored,
}


def measure() -> None:
    """Everything: a table as soon as it is measured, the file and the picture at the end."""
    builds = int(os.environ.get("BUILDS", "50"))
    console = xenstore_report.console()
    shapes: list[Run] = []
    for shape in SHAPES:
        runs = list(_shape(shape, builds))
        console.print(xenstore_report.shapes(shape, runs, builds))
        shapes += runs
    crowds = list(_crowds())
    console.print(xenstore_report.at_once(crowds))
    plain = _plain(DAEMONS, ("read", "write"))
    console.print(xenstore_report.plain(plain))
    memory = list(_memory())
    console.print(xenstore_report.memory(memory))
    costs = xenstore_state.costs()
    console.print(xenstore_state.table(costs))
    console.print(xenstore_report.aims(shapes, builds))
    FOLDER.mkdir(exist_ok=True)
    measured = Measured(builds, shapes, crowds, plain, memory, costs)
    (FOLDER / "xenstore.json").write_text(json.dumps(asdict(measured), indent=1))
    xenstore_picture.draw(crowds, FOLDER / "xenstore.png")


def processor_seconds(pid: int) -> float:
    """User and system time of all threads of a process, from proc(5)'s stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _run(name: str, start: Start, work: str, clients: int, count: int) -> Run:
    """At a daemon of its own: an unfinished run leaves half of its domains behind."""
    with start() as daemon:
        before = processor_seconds(daemon.pid)
        done = load(daemon.socket, work, clients=clients, count=count, seconds=DEADLINE)
        return Run(name, done, processor_seconds(daemon.pid) - before)


def _shape(shape: str, builds: int) -> Iterator[Run]:
    """The daemons one after the other for each number of clients: a noisy moment hurts all."""
    for clients in CLIENTS:
        for name, start in DAEMONS.items():
            yield _run(name, start, shape, clients, builds)


def _crowds() -> Iterator[Run]:
    for shape in SHAPES:
        for clients in CROWDS:
            for name, start in DAEMONS.items():
                yield _run(name, start, shape, clients, 1)


def _plain(daemons: Mapping[str, Start], works: Iterable[str]) -> list[Plain]:
    """Interleaved rounds, of all daemons at a time: one that nobody asks takes no processor."""
    taken: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        running = {name: stack.enter_context(start()) for name, start in daemons.items()}
        for _ in range(ROUNDS):
            for work in works:
                for clients in (1, 8):
                    for name, daemon in running.items():
                        before = processor_seconds(daemon.pid)
                        done = load(daemon.socket, work, clients=clients, count=0, seconds=SECONDS)
                        cpu = processor_seconds(daemon.pid) - before
                        figures = (done.requests / done.seconds, cpu * 1e6 / done.requests)
                        taken.setdefault((name, work, clients), []).append(figures)
    return [Plain(*what, *map(median, zip(*figures, strict=True))) for what, figures in taken.items()]


def _memory() -> Iterator[Memory]:
    for name, start in DAEMONS.items():
        with start() as daemon:
            yield _resident(name, daemon, 0)
            kept = load(daemon.socket, "keep", clients=1, count=DOMAINS, seconds=DEADLINE)
            yield _resident(name, daemon, kept.builds.done)


def _resident(name: str, daemon: Daemon, domains: int) -> Memory:
    lines = Path(f"/proc/{daemon.pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {key: int(rest.split()[0]) for key, _, rest in (line.partition(":") for line in lines)}
    return Memory(name, domains, kib["Rss"], kib["Pss"])
