"""What a process has open."""

import os
from contextlib import suppress
from pathlib import Path


def open_files(pid: int) -> list[str]:
    """What each descriptor of a process leads to, as in socket:[4711]; one that it closes meanwhile is passed over."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(entry))
    return found
