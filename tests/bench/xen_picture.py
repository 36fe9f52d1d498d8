"""Figures 3.38 and 3.39 of the thesis, drawn anew for domains that are built on Xen: many at once, and what each
optimisation brings at three sizes of memory."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.bench.xen_samples import JITSU, MINIMAL_SCRIPT, STOCK, Sample

LABEL = "(emulated: a millisecond is 500,000 instructions; compare, and take none for a machine's)"
COLOURS = {JITSU: "tab:blue", MINIMAL_SCRIPT: "tab:orange", STOCK: "tab:red"}


def draw(samples: Sequence[Sample], folder: Path) -> None:
    """One PNG for each figure for which something was measured, one panel for each board."""
    if switches := [sample for sample in samples if sample.task == "switches"]:
        _switches(switches, folder / "xen-switches.png")
    if crowds := [sample for sample in samples if sample.task == "crowd"]:
        _crowds(crowds, folder / "xen-parallel.png")


def _switches(samples: Sequence[Sample], path: Path) -> None:
    """Build times by memory: jitsu's, without one optimisation each, and xl's."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    boards = list(dict.fromkeys(sample.board for sample in samples))
    figure = Figure(figsize=(10 * len(boards), 6), dpi=120, layout="constrained")
    for board, axes in zip(boards, figure.subplots(1, len(boards), squeeze=False)[0], strict=True):
        of_board = [sample for sample in samples if sample.board == board]
        memories = sorted({sample.memory for sample in of_board})
        ways = list(dict.fromkeys(sample.way for sample in of_board))
        lines = {way: [_built(of_board, way, memory) for memory in memories] for way in ways}
        for way in sorted(ways, key=lambda way: -lines[way][0]):
            main = way in COLOURS
            style = {"color": COLOURS[way], "linewidth": 2} if main else {"linewidth": 1, "linestyle": "--"}
            name = way if main else f"jitsu, but {way}"
            axes.plot(memories, lines[way], "o", label=f"{name}: {lines[way][0]:.1f} ms", markersize=4, **style)
            if main:
                axes.lines[-1].set_linestyle("-")
        axes.set_title(board, fontsize=10)
        axes.set_xscale("log", base=2)
        axes.set_xticks(memories, [str(memory) for memory in memories])
        axes.set_xlabel("MiB of the domain")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(which="both", alpha=0.25)
        # Behind the largest: beside the lines there is no room.
        axes.legend(fontsize=8, title="for the smallest", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.supylabel("milliseconds to build a domain with console and interface (logarithmic)", fontsize=10)
    figure.suptitle(f"What each optimisation brings\n{LABEL}", fontsize=10)
    figure.savefig(path)
    print(f"{path}: drawn")


def _built(samples: Sequence[Sample], way: str, memory: int) -> float:
    return median(sample.build for sample in samples if (sample.way, sample.memory) == (way, memory))


def _crowds(samples: Sequence[Sample], path: Path) -> None:
    """How long it takes until all of so many domains are there, and until all are gone."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    boards = list(dict.fromkeys(sample.board for sample in samples))
    figure = Figure(figsize=(8 * len(boards), 5), dpi=120, layout="constrained")
    for board, axes in zip(boards, figure.subplots(1, len(boards), squeeze=False)[0], strict=True):
        of_board = [sample for sample in samples if sample.board == board]
        crowds = sorted({sample.at_once for sample in of_board})
        for way in dict.fromkeys(sample.way for sample in of_board):
            for what, style in (("build", "o-"), ("end", "s--")):
                seconds = [
                    median(getattr(each, what) for each in of_board if (each.way, each.at_once) == (way, crowd)) / 1000
                    for crowd in crowds
                ]
                axes.plot(crowds, seconds, style, color=COLOURS[way], label=f"{way}: {what}", markersize=4)
                axes.annotate(f"{seconds[-1]:.2g} s", (crowds[-1], seconds[-1]), (6, -3), textcoords="offset points")
        axes.set_title(board, fontsize=10)
        axes.set_xlabel("domains at once")
        axes.set_xscale("log", base=2)
        axes.set_xticks(crowds, [str(crowd) for crowd in crowds])
        axes.set_xlim(right=crowds[-1] * 1.5)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(which="both", alpha=0.25)
        axes.legend(fontsize=8)
    figure.supylabel("total seconds (logarithmic)", fontsize=10)
    figure.suptitle(f"Domains built at once, and ended at once\n{LABEL}", fontsize=10)
    figure.savefig(path)
    print(f"{path}: drawn")
