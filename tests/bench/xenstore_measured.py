"""What `make bench-xenstore` measures, for its tables, its picture and its file."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.xenstore_load import Load
from tests.bench.xenstore_state import Cost

OURS, OURS_COMPILED, OURS_KEPT, OCAML, C = "jitsu", "jitsu compiled", "jitsu --state", "oxenstored", "C xenstored"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a shape."""

    daemon: str
    load: Load
    cpu: float
    """Seconds of processor that the daemon took."""

    @property
    def pace(self) -> float:
        """Seconds for each sequence of a build and a teardown that was done."""
        return self.load.seconds / max(1, self.load.teardowns.done)

    @property
    def cpu_us(self) -> float:
        """Microseconds of the daemon's processor time for each request."""
        return self.cpu * 1e6 / max(1, self.load.requests)


@dataclass(frozen=True, slots=True)
class Plain:
    """Plain requests of one kind, `work`, by so many clients: medians of the rounds."""

    daemon: str
    work: str
    clients: int
    per_second: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident and proportional KiB of a daemon that holds so many domains."""

    daemon: str
    domains: int
    rss: int
    pss: int


@dataclass(frozen=True, slots=True)
class Measured:
    """All of it; `builds` is how many domains each client built in a run of `shapes`."""

    builds: int
    shapes: Sequence[Run]
    crowds: Sequence[Run]
    """One sequence for each client."""
    plain: Sequence[Plain]
    memory: Sequence[Memory]
    costs: Sequence[Cost]
