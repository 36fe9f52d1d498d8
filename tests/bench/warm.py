"""A guest that rested against a bare QMP `cont`, and a restored one against the cold floor (SPECIFICATION.md)."""

from collections import defaultdict
from statistics import median

from jitsu import artifacts
from jitsu.demo.floor import BESIDE, bare_guest, floor_ms
from jitsu.demo.play import theatre
from jitsu.demo.stage import ZONE

PAIRS = 30
MOST_RESUMED, MOST_RESTORED = 1.5, 0.6
FLOORS = {"paused": "cont", "paused by SYN": "cont", "snapshot": "floor"}


def measure(pairs: int = PAIRS) -> None:
    """Interleaved, so that a noisy moment hurts all alike; medians.

    The bare guest rests as long as the other, and its clock runs from the `cont` on, with the client's SYN on its way.
    The client's runs from its first packet on: a DNS question or, as for the bare guest, a SYN.
    """
    kernel = artifacts.build("hello", print) / "hello.elf"
    taken: dict[str, list[float]] = defaultdict(list)
    spans: dict[str, list[float]] = defaultdict(list)
    with theatre(kernel) as (stage, client), bare_guest(stage, "wiki", BESIDE) as bare:
        attic = str(stage.config.services["attic"].address)
        for _ in range(pairs):
            bare.rest()
            taken["floor"].append(floor_ms(stage, "wiki"))
            for name, scene, kept in (
                ("attic", "paused", "paused"),
                ("depot", "snapshot", "blank"),
                ("attic", "paused by SYN", "paused"),
            ):
                stage.await_spare(name, kept)
                visit = client.by_address(attic) if scene == "paused by SYN" else client.by_name(f"{name}.{ZONE}")
                assert visit.status == 200
                taken[scene].append(visit.http_ms)
                trace = stage.ask("trace", service=name, last=1)[0]
                assert not trace["notes"], trace["notes"]
                for span in trace["spans"]:
                    spans[f"{scene}: {span['name']}"].append(span["ms"])
            taken["cont"].append(bare.resumed_ms())
        accelerator = stage.ask("status")["accelerator"]
    print(f"{pairs} interleaved rounds on {accelerator}, medians (least)")
    for name, figures in taken.items():
        print(f"  {name:14} {median(figures):7.2f} ms ({min(figures):.2f})")
    for name, floor in FLOORS.items():
        ratio = median(taken[name]) / median(taken[floor])
        each = median(one / other for one, other in zip(taken[name], taken[floor], strict=True))
        most = MOST_RESTORED if name == "snapshot" else MOST_RESUMED
        print(f"  {name} / {floor}: ratio of medians {ratio:.3f} (aim: {most}); of the pairs, median {each:.3f}")
    for name, figures in spans.items():
        print(f"  span {name:24} {median(figures):7.2f} ms")
