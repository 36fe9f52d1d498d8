"""A program is started: a monitor, or a daemon beside ours. Nobody waits for it; a pidfd says when it has ended."""

import os
import signal
from typing import Any

from jitsu.domains.confinement import Confinement
from jitsu.domains.guest_users import as_user
from jitsu.errors import HostError


def spawn(
    arguments: list[str], inherited: list[int], stderr: str, confinement: Confinement | None = None
) -> tuple[int, int]:
    """Start a program in a session of its own, wait for its exec only, and return its process id and a pidfd.

    It gets `inherited` under the numbers they have here, /dev/null as input, the new file `stderr` for what it
    says, and an environment of nothing but PATH. Raises `HostError`.
    """
    try:
        # By us: the program's user may not enter the folder.
        said = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(f"{stderr}: {error.strerror}", hint="is the disk full?") from None
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, said, 1),
        (os.POSIX_SPAWN_DUP2, said, 2),
        # A descriptor duplicated onto itself only loses its close-on-exec flag.
        *((os.POSIX_SPAWN_DUP2, fd, fd) for fd in inherited),
    ]
    user, groups = (None, ()) if confinement is None else (confinement.user, confinement.groups)
    try:
        with as_user(user, groups):
            pid = os.posix_spawn(
                arguments[0],
                arguments,
                {"PATH": os.environ.get("PATH", os.defpath)},
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
            )
            if confinement is not None:
                confinement.limit(pid)
    except OSError as error:
        raise HostError(f"{arguments[0]}: cannot be started: {error.strerror}") from None
    finally:
        os.close(said)
    try:
        return pid, os.pidfd_open(pid)
    except OSError as error:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise HostError(f"{arguments[0]}: cannot be watched: {error.strerror}") from None
