"""The load program (xenstore_load.c): compiled once for each process, and run against any daemon's socket."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
SHAPES = ("none", "libxl", "both")
FLAGS = ("-O2", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-pthread")


@dataclass(frozen=True, slots=True)
class Tally:
    """Transactions: how many were committed, how often one was answered with EAGAIN, and the most that one was."""

    done: int
    retries: int
    worst: int


@dataclass(frozen=True, slots=True)
class Load:
    """What became of one run of the program."""

    work: str
    clients: int
    count: int
    """For each client."""
    seconds: float
    requests: int
    builds: Tally
    teardowns: Tally

    @property
    def finished(self) -> bool:
        """Was everything done in time?"""
        wanted = self.clients * self.count
        return self.builds.done == wanted and (self.work == "keep" or self.teardowns.done == wanted)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Of the compiled program; it goes with the process."""
    return tempfile.TemporaryDirectory(prefix="xenstore-load-")


@cache
def _program() -> Path:
    program = Path(_folder().name, SOURCE.stem)
    subprocess.run(["gcc", *FLAGS, "-o", program, SOURCE], check=True)
    return program


def load(socket: Path, work: str, *, clients: int, count: int, seconds: float) -> Load:
    """Do the work, a shape or keep, read or write, `count` times by each client, for so many seconds at most.

    Raises CalledProcessError when the daemon answers what no client expects, TimeoutExpired when it does not answer.
    """
    command = [str(_program()), str(socket), work, str(clients), str(count), str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=seconds + 60)
    said = json.loads(done.stdout)
    builds, teardowns = Tally(**said["builds"]), Tally(**said["teardowns"])
    return Load(work, clients, count, said["seconds"], said["requests"], builds, teardowns)
