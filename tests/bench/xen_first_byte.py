"""Cold and warm from a DNS question to a first byte, as a waterfall for each board, beside what needs no jitsu."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from tests.bench.xen_samples import BOOTED, COLD, CREATED, RUNNING, SHELL, WARM, Visit
from tests.bench.xen_tables import by_way, stages, typical

LABEL = "(emulated: a millisecond is 500,000 instructions; compare, and take none for a machine's)"
ROWS = (CREATED, SHELL, COLD, BOOTED, WARM, RUNNING)
COLOURS = {CREATED: "tab:red", SHELL: "tab:gray", BOOTED: "tab:gray"}
_JITSU = "tab:blue"
_BOLD = {"va": "center", "fontsize": 8, "fontweight": "bold"}
_CUT = 1.15
"""Times the longest of the others: further than that the bar of xl is not drawn."""


def draw(visits: Sequence[Visit], path: Path) -> None:
    """One panel for each board whose first round is complete. A way's bar is the median; below jitsu's, the stages of
    the visit in the middle."""
    from matplotlib.figure import Figure

    ways: dict[str, set[str]] = {}
    for visit in visits:
        ways.setdefault(visit.board, set()).add(visit.way)
    boards = [board for board, seen in ways.items() if seen.issuperset(ROWS)]
    if not boards:
        return
    figure = Figure(figsize=(11, 5.5 * len(boards)), dpi=110, layout="constrained")
    for board, axes in zip(boards, figure.subplots(len(boards), 1, squeeze=False)[:, 0], strict=True):
        of_board = [visit for visit in visits if visit.board == board]
        firsts = {way: median(taken) for way, taken in by_way(of_board).items()}
        limit = _CUT * max(first for way, first in firsts.items() if way != CREATED)
        labels: list[str] = []
        for way in ROWS:
            row = len(labels)
            axes.barh(row, min(firsts[way], limit), color=COLOURS.get(way, _JITSU))
            if firsts[way] > limit:
                cut = f"{firsts[way]:.1f} ms: its bar is cut"
                axes.text(limit * 0.995, row, cut, ha="right", color="white", **_BOLD)
            else:
                axes.text(firsts[way], row, f" {firsts[way]:.1f} ms", **_BOLD)
            labels.append(way)
            for name, start, length in stages(typical(of_board, way)) if way in (COLD, WARM) else ():
                axes.barh(len(labels), length, left=start, height=0.6, color=_JITSU, alpha=0.4)
                axes.text(start + length, len(labels), f" {length:.1f}", va="center", fontsize=8)
                labels.append(f"{name}  ")
        axes.set_yticks(range(len(labels)), labels, fontsize=8)
        for text in axes.get_yticklabels():
            if text.get_text() in ROWS:
                text.set_fontweight("bold")
        axes.invert_yaxis()
        axes.set_xlim(0, limit)
        axes.grid(axis="x", alpha=0.3)
        axes.set_title(board, fontsize=10)
    figure.supxlabel("milliseconds from a client's first packet to the first byte of the page", fontsize=10)
    figure.suptitle(f"From a packet to a page: medians; pale: stages of the visit in the middle\n{LABEL}", fontsize=10)
    figure.savefig(path)
    print(f"{path}: drawn")
