"""Cold DNS to first HTTP byte, against the floor: the same QEMU argument list spawned bare (SPECIFICATION.md)."""

from collections import defaultdict
from statistics import median

from jitsu import artifacts
from jitsu.demo.floor import floor_ms
from jitsu.demo.play import theatre
from jitsu.demo.stage import ZONE

PAIRS = 30


def measure(pairs: int = PAIRS) -> None:
    """Interleaved pairs, so that a noisy moment hurts both sides alike; medians, and the daemon's own spans."""
    kernel = artifacts.build("hello", print) / "hello.elf"
    floors, colds, answers = [], [], []
    spans: dict[str, list[float]] = defaultdict(list)
    with theatre(kernel) as (stage, client):
        for _ in range(pairs):
            floors.append(floor_ms(stage, "wiki"))
            visit = client.by_name(f"www.{ZONE}")
            assert visit.status == 200
            colds.append(visit.http_ms)
            answers.append(visit.dns_ms or 0.0)
            for span in stage.ask("trace", service="www", last=1)[0]["spans"]:
                spans[span["name"]].append(span["ms"])
            stage.ask("stop", service="www")
        accelerator = stage.ask("status")["accelerator"]
    ratio = median(cold / floor for cold, floor in zip(colds, floors, strict=True))
    print(f"{pairs} interleaved pairs on {accelerator}, medians (least)")
    print(f"  floor             {median(floors):7.1f} ms ({min(floors):.1f})")
    print(f"  cold, first byte  {median(colds):7.1f} ms ({min(colds):.1f})")
    print(f"  cold, DNS answer  {median(answers):7.1f} ms ({min(answers):.1f})")
    print(f"  ratio of medians  {median(colds) / median(floors):7.3f} (aim: 1.15); of the pairs, median {ratio:.3f}")
    for name, taken in spans.items():
        print(f"  span {name:12} {median(taken):7.2f} ms")
