"""What a process takes, as the kernel counts it (proc(5))."""

import os
from pathlib import Path

from jitsu.domains.driver import Usage

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def usage_of(pid: int) -> Usage | None:
    """What process `pid` took; None if it is gone."""
    directory = Path("/proc") / str(pid)
    try:
        # The name, in parentheses, may have blanks and parentheses in it.
        fields = (directory / "stat").read_text().rpartition(")")[2].split()
        resident = int((directory / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, resident * _PAGE)
