"""What `jitsu xenstored --state` costs under each policy (`--sync`), against no state file in the same run.

Writes, each a request that waits for its answer, and transactions that build or take down a domain (shape `none` of
`xenstore_load.c`). The daemons take turns in every round; the ratio of a round is that to the daemon without a file in
the same round, and medians of the rounds are shown. The files are in /var/tmp, for it is on a disk.
"""

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.xenstore_load import load
from tests.peers.xenstore_daemons import Daemon, jitsu_xenstored

ROUNDS = 9
SECONDS = 1.0
"""Of a round of writes, for each daemon."""
BUILDS = {1: 48, 32: 3}
"""And as many teardowns, by each of so many clients in a round of transactions."""
WITHOUT = "no file"
POLICIES = ("off", "normal", "full")


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one write or transaction by one of so many clients: microseconds from start to end divided by their number,
    and of the daemon's processor, each with its ratio to the daemon without a file."""

    policy: str
    what: str
    clients: int
    wall: float
    cpu: float
    wall_ratio: float
    cpu_ratio: float


def measure() -> None:
    """This alone; `make bench-xenstore` has it with everything else."""
    Console(highlight=False, width=130).print(table(costs()))


def costs() -> list[Cost]:
    """Of each policy, one after the other for each kind of work."""
    rounds: dict[tuple[str, int], list[dict[str, tuple[float, float]]]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jitsu-bench-", dir="/var/tmp")))
        daemons = {WITHOUT: stack.enter_context(jitsu_xenstored())}
        for policy in POLICIES:
            options = ("--state", str(folder / policy), "--sync", policy)
            daemons[policy] = stack.enter_context(jitsu_xenstored(*options))
        for number in range(ROUNDS):
            for what in ("write", "transaction"):
                for clients in BUILDS:
                    # Each is first in its turn.
                    order = [*daemons][number % len(daemons) :] + [*daemons][: number % len(daemons)]
                    taken = {policy: _taken(daemons[policy], what, clients) for policy in order}
                    rounds.setdefault((what, clients), []).append(taken)
    return [_cost(policy, *what, all_of_it) for what, all_of_it in rounds.items() for policy in daemons]


def _taken(daemon: Daemon, what: str, clients: int) -> tuple[float, float]:
    """Microseconds of the clock and of the daemon's processor for each."""
    before = _processor(daemon)
    if what == "write":
        done = load(daemon.socket, "write", clients=clients, count=0, seconds=SECONDS)
        number = max(1, done.requests)
    else:
        done = load(daemon.socket, "none", clients=clients, count=BUILDS[clients], seconds=60)
        number = max(1, done.builds.done + done.teardowns.done)
    return done.seconds * 1e6 / number, (_processor(daemon) - before) / number


def _processor(daemon: Daemon) -> float:
    """Microseconds of its one thread, from the scheduler: the ticks of proc(5)'s stat are too coarse for this."""
    return int(Path(f"/proc/{daemon.pid}/schedstat").read_text().split()[0]) / 1000


def _cost(policy: str, what: str, clients: int, rounds: list[dict[str, tuple[float, float]]]) -> Cost:
    wall, cpu = (median(taken[policy][i] for taken in rounds) for i in range(2))
    ratios = (median(taken[policy][i] / taken[WITHOUT][i] for taken in rounds) for i in range(2))
    return Cost(policy, what, clients, wall, cpu, *ratios)


def table(figures: list[Cost]) -> Table:
    """What keeping costs."""
    shown = Table(
        title=f"\n--state: microseconds, and times those without a file; medians of {ROUNDS} rounds",
        title_justify="left",
        title_style="bold",
        header_style="",
        box=box.SIMPLE,
    )
    for column in ("for each", "clients", "--sync"):
        shown.add_column(column)
    for column in ("us", "x no file", "us CPU", "x no file"):
        shown.add_column(column, justify="right")
    for cost in figures:
        figures = (f"{cost.wall:.1f}", f"{cost.wall_ratio:.2f}", f"{cost.cpu:.1f}", f"{cost.cpu_ratio:.2f}")
        last = cost.policy == POLICIES[-1]
        shown.add_row(cost.what, str(cost.clients), cost.policy, *figures, end_section=last)
    return shown
