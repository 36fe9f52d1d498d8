"""What `make bench-xen` measures, in dom0 and for its tables, pictures and file."""

from dataclasses import dataclass

JITSU, POOL, STOCK, MINIMAL_SCRIPT = "jitsu", "jitsu, from a pool", "xl, stock script", "xl, minimal script"
PROCESS = "a process for each domain"

PLAIN, STEADY = "time", "instructions"
"""Clocks: the emulator's, or one that counts instructions."""


@dataclass(frozen=True, slots=True)
class Sample:
    """So many domains of `memory` MiB at once, in one way: milliseconds until all were built, and until all had ended.

    `task` is the part of the measurement that it belongs to.
    """

    board: str
    clock: str
    task: str
    way: str
    memory: int
    at_once: int
    build: float
    end: float
