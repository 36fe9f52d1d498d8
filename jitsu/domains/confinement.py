"""What a guest's monitor may not do to the host even if its guest has taken it over, beside QEMU's own sandbox."""

import resource
from contextlib import suppress
from dataclasses import dataclass

OPEN_FILES = 256
"""Descriptors that a monitor may have; it needs some 30."""

SPARE_FILE_SIZE = 64 << 20
"""Bytes that a file may have beyond the guest's memory: a saved state has both the memory and the devices."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """How a monitor is started: as which user (None: as the daemon), with which further groups, and how large a file
    it writes may become, in bytes."""

    file_size: int
    user: int | None = None
    groups: tuple[int, ...] = ()

    def limit(self, pid: int) -> None:
        """Set the limits of a process that was just started: no core file, few descriptors, no endless file."""
        for which, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, OPEN_FILES),
            (resource.RLIMIT_FSIZE, self.file_size),
        ):
            _, ours = resource.getrlimit(which)
            bound = most if ours == resource.RLIM_INFINITY else min(most, ours)
            with suppress(ProcessLookupError):
                resource.prlimit(pid, which, (bound, bound))
