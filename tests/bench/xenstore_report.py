"""The tables of `make bench-xenstore`, and what was aimed at beside what was measured."""

from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.xenstore_load import SHAPES
from tests.bench.xenstore_measured import OCAML, OURS, OURS_COMPILED, OURS_KEPT, Memory, Plain, Run

RETRIES_OF_TEARDOWNS = 100 / 1600
"""Of those in `libxl` by the most clients."""
WIDTH = 130
"""Characters, wherever this is printed: rich would cut figures to fit 80."""


def console() -> Console:
    return Console(highlight=False, width=WIDTH)


def _table(title: str, *columns: str, left: int) -> Table:
    """The first columns are words, the others figures."""
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", header_style="", box=box.SIMPLE)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left else "right", no_wrap=True)
    return table


def shapes(shape: str, runs: Sequence[Run], builds: int) -> Table:
    """One shape: retries, seconds, processor time of each daemon with each number of clients."""
    titles = ("seconds", "x oxenstored", "EAGAIN builds", "teardowns", "worst", "us CPU/request", "done")
    table = _table(f"{shape}: {builds} builds and teardowns by each client", "daemon", "clients", *titles, left=1)
    for run in runs:
        done, wanted = run.load.teardowns.done, run.load.clients * run.load.count
        table.add_row(
            run.daemon,
            str(run.load.clients),
            f"{run.load.seconds:.2f}",
            f"{run.pace / _like(run, runs).pace:.2f}",
            f"{run.load.builds.retries:,}",
            f"{run.load.teardowns.retries:,}",
            f"{max(run.load.builds.worst, run.load.teardowns.worst):,}",
            f"{run.cpu_us:.1f}",
            f"{done:,}" if run.load.finished else f"only {done:,} of {wanted:,}",
            end_section=run is _last_of(run, runs),
        )
    return table


def _like(run: Run, runs: Iterable[Run]) -> Run:
    """oxenstored's run of the same shape with as many clients."""
    same = (run.load.work, run.load.clients)
    return next(other for other in runs if other.daemon == OCAML and (other.load.work, other.load.clients) == same)


def _last_of(run: Run, runs: Sequence[Run]) -> Run:
    return [other for other in runs if other.load.clients == run.load.clients][-1]


def at_once(crowds: Sequence[Run]) -> Table:
    """The figures of the picture."""
    clients = sorted({run.load.clients for run in crowds})
    title = "Sequences at once, one by each client: seconds"
    table = _table(title, "shape", "daemon", *(f"{number:,}" for number in clients), left=2)
    for shape in SHAPES:
        for daemon in dict.fromkeys(run.daemon for run in crowds):
            runs = [run for run in crowds if (run.load.work, run.daemon) == (shape, daemon)]
            seconds = [f"{run.load.seconds:.2f}" if run.load.finished else "unfinished" for run in runs]
            table.add_row(shape, daemon, *seconds)
        table.add_section()
    return table


def plain(figures: Sequence[Plain]) -> Table:
    """How many a second, and what each costs the daemon."""
    kinds = list(dict.fromkeys((figure.work, figure.clients) for figure in figures))
    titles = (f"{work}, {clients} client{'s' * (clients > 1)}" for work, clients in kinds)
    title = "Plain requests a second (CPU us/request; x oxenstored's requests a second)"
    table = _table(title, "daemon", *titles, left=1)
    theirs = {(figure.work, figure.clients): figure.per_second for figure in figures if figure.daemon == OCAML}
    for daemon in dict.fromkeys(figure.daemon for figure in figures):
        table.add_row(
            daemon,
            *(
                f"{figure.per_second:,.0f} ({figure.cpu_us:.1f}; "
                f"{figure.per_second / theirs[figure.work, figure.clients]:.2f})"
                for figure in figures
                if figure.daemon == daemon
            ),
        )
    return table


def memory(figures: Sequence[Memory]) -> Table:
    """What a daemon takes without domains and with many."""
    counts = sorted({figure.domains for figure in figures})
    titles = (f"{what}, {count:,} domains" for count in counts for what in ("RSS KiB", "PSS KiB"))
    table = _table("Memory", "daemon", *titles, "KiB a domain", left=1)
    for daemon in dict.fromkeys(figure.daemon for figure in figures):
        few, many = sorted((f for f in figures if f.daemon == daemon), key=lambda figure: figure.domains)
        sizes = (f"{size:,}" for figure in (few, many) for size in (figure.rss, figure.pss))
        table.add_row(daemon, *sizes, f"{(many.pss - few.pss) / many.domains:.1f}")
    return table


def aims(all_runs: Sequence[Run], builds: int) -> Table:
    """Each aim with what ours came to, and oxenstored."""
    measured = {run.daemon for run in all_runs}
    daemons = [name for name in (OURS, OURS_COMPILED, OURS_KEPT, OCAML) if name in measured]
    table = _table("Aims", "what", "aim", *daemons, left=1)
    counts = sorted({run.load.clients for run in all_runs})
    most = counts[-1]

    def row(shape: str, what: str, aim: float, figure: Callable[[Sequence[Run]], float], form: str = ",.0f") -> None:
        cells = []
        for daemon in daemons:
            came_to = figure([run for run in all_runs if (run.daemon, run.load.work) == (daemon, shape)])
            missed = "" if came_to <= aim or daemon == OCAML else "missed: "
            cells.append(f"{missed}{came_to:{form}}")
        table.add_row(f"{shape}: {what}", f"{aim:{form}}", *cells)

    def beside(figure: Callable[[Run], float], clients: Sequence[int] = counts) -> Callable[[Sequence[Run]], float]:
        def ratio(runs: Sequence[Run]) -> float:
            those = [run for run in runs if run.load.clients in clients]
            return sum(figure(run) for run in those) / sum(figure(_like(run, all_runs)) for run in those)

        return ratio

    def seconds(run: Run) -> float:
        return run.load.seconds

    def of_teardowns(runs: Sequence[Run]) -> int:
        return sum(run.load.teardowns.retries for run in runs if run.load.clients == most)

    teardowns = most * builds
    row("none", "EAGAIN of all", 0, lambda runs: sum(_retries(run) for run in runs))
    row("libxl", "EAGAIN of builds", 0, lambda runs: sum(run.load.builds.retries for run in runs))
    row("libxl", f"EAGAIN of {teardowns:,} teardowns by {most}", RETRIES_OF_TEARDOWNS * teardowns, of_teardowns)
    row("both", "EAGAIN for each build", 1, lambda runs: max(_per_build(run) for run in runs), ".2f")
    row("both", "EAGAIN of the worst build", 5, lambda runs: max(run.load.builds.worst for run in runs))
    for shape, aim in (("libxl", 0.5), ("both", 0.5), ("none", 1.5)):
        row(shape, "x oxenstored's seconds, all runs", aim, beside(seconds), ".2f")
        for clients in counts:
            row(shape, f"x oxenstored's seconds, {clients} at once", aim, beside(seconds, [clients]), ".2f")
        # What else runs on the machine stretches seconds, and of a queue of clients more than of a crowd.
        row(shape, "x oxenstored's processor time, all runs", aim, beside(lambda run: run.cpu), ".2f")
    return table


def _retries(run: Run) -> int:
    return run.load.builds.retries + run.load.teardowns.retries


def _per_build(run: Run) -> float:
    return run.load.builds.retries / max(1, run.load.builds.done)
