"""`make plots`: summon latency by mode, by number of registered services, and by summons at once, as pictures."""

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from jitsu import artifacts
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.floor import floor_ms
from jitsu.demo.stage import ZONE, Cast, Stage
from tests.bench.sleepers import crowded, summon_ms

FOLDER = Path("plots")
ROUNDS = 20
COUNTS = (10, 100, 1000, 10_000)
AT_ONCE = (1, 2, 4, 8, 16)

Latencies = Mapping[str, Sequence[float]]
"""Milliseconds from the client's question to the first byte of the page, by what is compared."""


def draw() -> None:
    """Measure, and write one PNG for each question."""
    kernel = artifacts.build("hello", print) / "hello.elf"
    FOLDER.mkdir(exist_ok=True)
    accelerator, modes = _by_mode(kernel)
    what = f"DNS question to first HTTP byte, hello on QEMU ({accelerator})"
    _picture("mode", f"A summon by mode: {what}", "mode of the service", modes, log=True)
    _picture("services", f"A cold summon by size of the board: {what}", "registered services", _by_count(kernel))
    _picture("parallel", f"Cold summons at once: {what}", "summons at the same instant", _by_parallel(kernel))


def _by_mode(kernel: Path) -> tuple[str, Latencies]:
    """Interleaved: the bare QEMU, and a service of each mode that is summoned by a question."""
    taken: dict[str, list[float]] = defaultdict(list)
    spares = {"snapshot": "blank", "paused": "paused"}
    cast = [Cast(mode, kernel, {"mode": mode, "idle": 0.3}) for mode in ("cold", *spares, "running")]
    with Stage(cast) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        for _ in range(ROUNDS):
            taken["bare QEMU\n(floor)"].append(floor_ms(stage, "cold"))
            for mode in ("cold", *spares, "running"):
                if mode in spares:
                    stage.await_spare(mode, spares[mode])
                visit = client.by_name(f"{mode}.{ZONE}")
                assert visit.status == 200
                taken[mode].append(visit.http_ms)
            stage.ask("stop", service="cold")
        return stage.ask("status")["accelerator"], taken


def _by_count(kernel: Path) -> Latencies:
    """Interleaved: one board of each size at the same time."""
    taken: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as stack:
        boards = {count: stack.enter_context(crowded(kernel, count)) for count in COUNTS}
        for turn in range(ROUNDS):
            for count, (stage, client) in boards.items():
                taken[f"{count:,}"].append(summon_ms(stage, client, turn * 7 % count))
    return taken


def _by_parallel(kernel: Path) -> Latencies:
    """So many clients, each with a service of its own, ask at the same instant."""
    taken: dict[str, list[float]] = defaultdict(list)
    with crowded(kernel, max(AT_ONCE)) as (stage, client):
        for _ in range(ROUNDS // 4):
            for number in AT_ONCE:
                taken[str(number)] += _at_once([_visitor(client, service) for service in range(number)])
                for service in range(number):
                    stage.ask("stop", service=f"s{service}")
    return taken


def _visitor(client: Client, service: int) -> Callable[[], float]:
    return lambda: client.by_name(f"s{service}.{ZONE}").http_ms


def _at_once(visits: Sequence[Callable[[], float]]) -> list[float]:
    """All of them at the same instant; what each took."""
    gun = threading.Barrier(len(visits))
    taken: list[float] = []

    def run(visit: Callable[[], float]) -> None:
        gun.wait()
        taken.append(visit())

    threads = [threading.Thread(target=run, args=(visit,)) for visit in visits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(visits), "a visit failed"
    return taken


def _picture(name: str, title: str, across: str, latencies: Latencies, *, log: bool = False) -> None:
    """Every measurement as a dot, half of them in the box, the median as a line and a number."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    places = range(1, len(latencies) + 1)
    axes.boxplot(list(latencies.values()), positions=list(places), widths=0.5, showfliers=False, whis=(5, 95))
    for place, figures in zip(places, latencies.values(), strict=True):
        spread = [place + 0.16 * (number / max(1, len(figures) - 1) - 0.5) for number in range(len(figures))]
        axes.plot(spread, figures, ".", color="tab:blue", alpha=0.4, markersize=5)
        middle = median(figures)
        axes.annotate(f"{middle:.1f} ms", (place + 0.28, middle), va="center", fontsize=9)
    axes.set_xticks(list(places), [f"{label}\n(n = {len(latencies[label])})" for label in latencies])
    axes.set_xlim(0.4, len(latencies) + 0.9)
    axes.set_xlabel(across)
    axes.set_ylabel("milliseconds" + (" (logarithmic)" if log else ""))
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(title, fontsize=10)
    figure.text(0.995, 0.005, "box: half of all; whiskers: 5 % to 95 %; line: median", ha="right", fontsize=7)
    path = FOLDER / f"{name}.png"
    figure.savefig(path)
    print(f"{path}: " + ", ".join(f"{' '.join(k.split())} {median(v):.1f} ms" for k, v in latencies.items()))
