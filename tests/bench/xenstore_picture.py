"""Figure 3.38 of the thesis, "Jitsu" against two daemons, drawn anew: sequences at once, and how long all take."""

from collections.abc import Sequence
from pathlib import Path

from tests.bench.xenstore_load import SHAPES
from tests.bench.xenstore_measured import OCAML, OURS, OURS_COMPILED, OURS_KEPT, C, Run

LINES = {
    C: ("tab:red", "s-", 4),
    OCAML: ("tab:orange", "^-", 4),
    OURS: ("tab:blue", "o-", -14),
    OURS_COMPILED: ("tab:green", "o-", -24),
    OURS_KEPT: ("tab:cyan", "o--", 4),
}
"""Colour and style of each, and where its figure stands, in points above its last dot."""
WORDS = {
    "none": "none: nobody lists a common directory",
    "libxl": "libxl: teardowns clean up as libxl does",
    "both": "both: all list both common directories first",
}


def draw(crowds: Sequence[Run], path: Path) -> None:
    """One panel for each shape, one line for each daemon; a run that did not end is no point of its line."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    measured = {run.daemon for run in crowds}
    lines = {daemon: line for daemon, line in LINES.items() if daemon in measured}
    figure = Figure(figsize=(13, 5), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(SHAPES), sharey=True)
    for shape, axes in zip(SHAPES, panels, strict=True):
        for daemon, (colour, style, above) in lines.items():
            runs = [r for r in crowds if (r.load.work, r.daemon) == (shape, daemon) and r.load.finished]
            clients, seconds = [run.load.clients for run in runs], [run.load.seconds for run in runs]
            axes.plot(clients, seconds, style, color=colour, label=daemon, markersize=5)
            if runs:
                end, text = (clients[-1], seconds[-1]), f"{seconds[-1]:.2g} s"
                axes.annotate(text, end, (6, above), textcoords="offset points", color=colour)
        axes.set_title(WORDS[shape], fontsize=10)
        axes.set_xlabel("parallel VM start/stop sequences")
        axes.set_xlim(0, max(run.load.clients for run in crowds) * 1.13)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.grid(which="both", alpha=0.25)
    panels[0].set_ylabel("total seconds (logarithmic)")
    panels[0].legend(loc="upper left")
    figure.suptitle("XenStore requests of parallel VM starts and stops: one build and one teardown by each client")
    figure.savefig(path)
    print(f"{path}: drawn")
