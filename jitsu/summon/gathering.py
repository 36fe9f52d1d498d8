"""One launch that waits for the services it depends on. Pure."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from jitsu.summon.machine import Phase, State


class Depending(Protocol):
    """A service as far as it depends on others."""

    @property
    def state(self) -> State: ...

    @property
    def depends(self) -> Sequence[str]: ...


class Gathering:
    """`names` are all wanted at once; the launch may go on when each of them serves."""

    def __init__(self, names: Iterable[str]) -> None:
        self._missing = set(names)

    def serves(self, name: str) -> bool:
        """One of them serves. Was it the last?"""
        self._missing.discard(name)
        return not self._missing


def needed(services: Iterable[Depending]) -> set[str]:
    """Whom those of `services` that run, or are about to, depend on."""
    resting = (Phase.ASLEEP, Phase.CRASH_LOOPING)
    return {name for each in services if each.state.phase not in resting for name in each.depends}
