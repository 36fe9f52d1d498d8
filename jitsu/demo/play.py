"""The demonstration: five services, a client, six scenes, and the floor to compare with.

Scenes: cold by DNS, cold by a bare SYN, warm, a guest that crashes and comes back at the next packet, one that is
restored from a saved state, and one that rested and goes on.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TypedDict

from jitsu.demo.client import Client, SynCounter, Visit, crash
from jitsu.demo.floor import floor_ms
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.errors import JitsuError
from jitsu.trace import SpanRecord, TraceRecord

SERVICES: Mapping[str, Mapping[str, str | int | float]] = {
    "www": {},
    "shop": {},
    "wiki": {},
    "depot": {"mode": "snapshot", "idle": 0.3},
    "attic": {"mode": "paused", "idle": 0.3},
}
"""Further keys of each service's section."""
FLOORS = 3


class Scene(TypedDict):
    """What the client measured, in milliseconds from its first packet, and the daemon's spans of the summon."""

    dns_ms: float | None
    http_ms: float
    syn_sent: int
    spans: list[SpanRecord]


class Figures(TypedDict):
    """All of `jitsu demo --json`."""

    accelerator: str
    floor_ms: float
    cold: Scene
    syn: Scene
    warm: Scene
    crash: Scene
    snapshot: Scene
    paused: Scene


Tell = Callable[[str, Visit | None, TraceRecord | None], None]
"""Told of each scene as it is over: what happened, what the client saw, the trace of the summon if there was one."""


@contextmanager
def theatre(kernel: Path, **sections: dict[str, str | int | float]) -> Iterator[tuple[Stage, Client]]:
    """A stage with the services and a client on it, and all spares there."""
    with (
        Stage([Cast(name, kernel, keys) for name, keys in SERVICES.items()], sections=sections) as stage,
        SynCounter(stage.client) as counter,
    ):
        stage.await_spare("depot", "blank")
        stage.await_spare("attic", "paused")
        yield stage, Client(stage.client, counter)


def play(kernel: Path, tell: Tell) -> Figures:
    """Play all scenes with `kernel` as everybody's guest. Raises JitsuError if one does not go as it must."""
    with theatre(kernel) as (stage, client):
        accelerator = stage.ask("status")["accelerator"]
        shop = str(stage.config.services["shop"].address)

        cold = _visited(client.by_name(f"www.{ZONE}"))
        cold_trace = _last_trace(stage, "www")
        tell(f"cold, by DNS: www.{ZONE} was asked for, born, and its page served", cold, cold_trace)

        syn = _visited(client.by_address(shop))
        syn_trace = _last_trace(stage, "shop")
        tell(f"cold, by a bare SYN: somebody connected to {shop}, and nobody had asked", syn, syn_trace)

        warm = _visited(client.by_name(f"www.{ZONE}"))
        tell("warm: the guest of the first scene again", warm, None)

        crash(client, shop)
        back = _visited(client.by_address(shop))
        back_trace = _last_trace(stage, "shop")
        tell("crash and return: the guest was made to crash, and the next packet brought it back", back, back_trace)

        restored = _visited(client.by_name(f"depot.{ZONE}"))
        restored_trace = _last_trace(stage, "depot")
        tell("snapshot: a guest restored from a saved state, into a monitor that waited", restored, restored_trace)

        rested = _visited(client.by_name(f"attic.{ZONE}"))
        rested_trace = _last_trace(stage, "attic")
        tell("paused: a guest that had booted, rested, and goes on", rested, rested_trace)

        floor = median(floor_ms(stage, "wiki") for _ in range(FLOORS))
        tell(f"floor: the same QEMU, spawned bare, answered after {floor:.1f} ms (median of {FLOORS})", None, None)
        return {
            "accelerator": accelerator,
            "floor_ms": round(floor, 3),
            "cold": _scene(cold, cold_trace),
            "syn": _scene(syn, syn_trace),
            "warm": _scene(warm, None),
            "crash": _scene(back, back_trace),
            "snapshot": _scene(restored, restored_trace),
            "paused": _scene(rested, rested_trace),
        }


def _visited(visit: Visit) -> Visit:
    if visit.status != 200:
        raise JitsuError(f"the guest answered {visit.status} where 200 was expected", hint="see: jitsu doctor")
    return visit


def _last_trace(stage: Stage, service: str) -> TraceRecord:
    found: list[TraceRecord] = stage.ask("trace", service=service, last=1)
    return found[0]


def _scene(visit: Visit, trace: TraceRecord | None) -> Scene:
    return {
        "dns_ms": None if visit.dns_ms is None else round(visit.dns_ms, 3),
        "http_ms": round(visit.http_ms, 3),
        "syn_sent": visit.syn_sent,
        "spans": trace["spans"] if trace is not None else [],
    }
