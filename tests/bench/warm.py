"""A guest that rested against a bare QMP `cont`, and a restored one against the cold floor (SPECIFICATION.md)."""

from collections import defaultdict
from statistics import median

from jitsu import artifacts
from jitsu.demo.floor import BESIDE, bare_guest, floor_ms
from jitsu.demo.play import theatre
from jitsu.demo.stage import ZONE

PAIRS = 30
MOST_RESUMED, MOST_RESTORED = 1.5, 0.6


def measure(pairs: int = PAIRS) -> None:
    """Interleaved, so that a noisy moment hurts all alike; medians. The client's clock runs from its DNS question on;
    the bare guest's from the `cont` on, with the client's SYN on its way."""
    kernel = artifacts.build("hello", print) / "hello.elf"
    taken: dict[str, list[float]] = defaultdict(list)
    spans: dict[str, list[float]] = defaultdict(list)
    with theatre(kernel) as (stage, client), bare_guest(stage, "wiki", BESIDE) as bare:
        for _ in range(pairs):
            taken["floor"].append(floor_ms(stage, "wiki"))
            taken["cont"].append(bare.resumed_ms())
            for name, mode, kept in (("attic", "paused", "paused"), ("depot", "snapshot", "blank")):
                stage.await_spare(name, kept)
                visit = client.by_name(f"{name}.{ZONE}")
                assert visit.status == 200
                taken[mode].append(visit.http_ms)
                trace = stage.ask("trace", service=name, last=1)[0]
                assert not trace["notes"], trace["notes"]
                for span in trace["spans"]:
                    spans[f"{mode}: {span['name']}"].append(span["ms"])
        accelerator = stage.ask("status")["accelerator"]
    print(f"{pairs} interleaved rounds on {accelerator}, medians (least)")
    for name, figures in taken.items():
        print(f"  {name:9} {median(figures):7.2f} ms ({min(figures):.2f})")
    for name, floor, most in (("paused", "cont", MOST_RESUMED), ("snapshot", "floor", MOST_RESTORED)):
        ratio = median(taken[name]) / median(taken[floor])
        each = median(one / other for one, other in zip(taken[name], taken[floor], strict=True))
        print(f"  {name} / {floor}: ratio of medians {ratio:.3f} (aim: {most}); of the pairs, median {each:.3f}")
    for name, figures in spans.items():
        print(f"  span {name:20} {median(figures):7.2f} ms")
