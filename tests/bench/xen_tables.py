"""What `make bench-xen` prints: medians with spreads, and how they compare."""

from collections.abc import Iterator, Sequence
from statistics import median

from rich import box
from rich.table import Table
from rich.text import Text

from tests.bench.xen_samples import COLD, CREATED, FLOORS, JITSU, MINIMAL_SCRIPT, STOCK, WARM, Sample, Visit

AIMS = {"armhf": 0.1, "amd64": 0.05}
"""Times xl with the stock script."""

_BAR = 60
"""Characters of a waterfall."""


def builds_table(title: str, samples: Sequence[Sample], architecture: str) -> Table:
    """Each way, memory size and crowd of one task, and how it compares with xl."""
    columns = ("MiB", "at once", "n", "build ms", "range", "x xl stock", "x xl minimal", "end ms", "x xl stock ")
    table = _table(title, columns)
    task, aim = samples[0].task, AIMS[architecture]
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


def visits_table(title: str, visits: Sequence[Visit]) -> Table:
    """Each way to a first byte, and how it compares with the guest's own part and with xl."""
    table = _table(title, ("n", "DNS answer ms", "first byte ms", "range", "x its floor", "x xl create"))
    firsts = by_way(visits)
    for way, taken in firsts.items():
        answers = [visit.answer for visit in visits if visit.way == way and visit.answer]
        table.add_row(
            way,
            str(len(taken)),
            f"{median(answers):.1f}" if answers else "",
            f"{median(taken):.1f}",
            f"{min(taken):.1f} to {max(taken):.1f}",
            _ratio(taken, firsts[FLOORS[way]]) if way in FLOORS else "",
            _ratio(taken, firsts[CREATED]),
        )
    return table


def by_way(visits: Sequence[Visit]) -> dict[str, list[float]]:
    """Milliseconds to the first byte."""
    return {
        way: [visit.first for visit in visits if visit.way == way]
        for way in dict.fromkeys(visit.way for visit in visits)
    }


def typical(visits: Sequence[Visit], way: str) -> Visit:
    """The visit in the middle."""
    alike = sorted((visit for visit in visits if visit.way == way), key=lambda visit: visit.first)
    return alike[len(alike) // 2]


def stages(visit: Visit) -> list[tuple[str, float, float]]:
    """What a waterfall shows of a visit, as [name, start, length]: the daemon's spans and the client's two waits."""
    served = max(start + length for _, start, length in visit.spans)
    return [*visit.spans, ("DNS answer", 0.0, visit.answer), ("to the first byte", served, visit.first - served)]


def waterfalls(visits: Sequence[Visit]) -> Iterator[Table]:
    """Where the milliseconds went of the visit in the middle, cold and warm."""
    for way in (COLD, WARM):
        visit = typical(visits, way)
        table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left", title_style="bold")
        table.title = f"\n{visit.board}: {way}, first byte after {visit.first:.1f} ms"
        for column in ("", "from", "ms", " "):
            table.add_column(column, justify="right" if column in ("from", "ms") else "left", no_wrap=True)
        for name, start, length in stages(visit):
            begin = min(_BAR - 1, max(0, round(start / visit.first * _BAR)))
            bar = "━" * max(1, min(round(length / visit.first * _BAR), _BAR - begin))
            table.add_row(name, f"{start:.1f}", f"{length:.1f}", Text(" " * begin + bar))
        yield table


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", header_style="", box=box.SIMPLE)
    table.add_column("way", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _ratio(these: Sequence[float], those: Sequence[float]) -> str:
    return f"{median(these) / median(those):.3f}" if those else ""
