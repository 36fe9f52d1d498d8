"""One daemon of a kind an instance: a locked file in the runtime folder that names its owner."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jitsu.errors import HostError, ResourceBusy


@contextmanager
def runtime_folder(folder: Path, *, kind: str = "serve") -> Iterator[Path]:
    """Make the runtime folder and hold the lock of a `kind` of daemon in it, `lock` for `jitsu serve` and else
    `KIND.lock`; both are gone at the end, unless something else lives there.

    Raises ResourceBusy while another daemon holds it, HostError where it cannot be made.
    """
    made = not folder.exists()
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = folder / ("lock" if kind == "serve" else f"{kind}.lock")
        lock = take_lock(path, kind)
    except OSError as error:
        raise HostError(
            f"runtime folder {folder} cannot be used: {error.strerror}",
            hint="run as root, or name another: [daemon] runtime",
        ) from error
    try:
        yield folder
    finally:
        path.unlink(missing_ok=True)
        os.close(lock)
        if made and folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def take_lock(path: Path, kind: str = "serve") -> int:
    """Lock the file and write our process id into it; the descriptor holds the lock. Raises ResourceBusy or OSError."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(fd, 32).decode(errors="replace").strip()
            os.close(fd)
            raise ResourceBusy(
                f"another jitsu {kind} (process {owner}) runs with {path.parent}",
                hint="stop it first, or give this one its own [daemon] instance and runtime",
            ) from None
        # A daemon that just ended has removed the file that we locked: the next one would lock a new one beside us.
        if path.exists() and os.fstat(fd).st_ino == path.stat().st_ino:
            os.truncate(fd, 0)
            os.write(fd, f"{os.getpid()}\n".encode())
            return fd
        os.close(fd)
