"""Who may ask what on the control socket: SO_PEERCRED (unix(7)) says who is there, the configuration what they may.

Root and the daemon's own user may do everything. Whoever else the rights of the socket's file let in, that is the
members of its group, may look; and those that [daemon] operators names may change things too.
"""

import os
import pwd
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache

from jitsu.errors import DaemonError

LOOKS = frozenset({"events", "ps", "service-ls", "status", "top", "trace"})
"""Requests that change nothing. All others are for those who may."""

EVERYBODY = "*"

_CREDENTIALS = struct.Struct("3i")
"""struct ucred: process, user and group."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is at the other end of a connection, as they were when they made it."""

    pid: int
    uid: int

    def __str__(self) -> str:
        return _name_of(self.uid)


def caller_of(connection: socket.socket) -> Caller:
    """Whoever connected."""
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Caller(pid, uid)


class Gatekeeper:
    """`operators` are names of users, or EVERYBODY whom the socket's file lets in."""

    def __init__(self, operators: tuple[str, ...] = (EVERYBODY,), group: str = "") -> None:
        self._operators = operators
        self._group = group

    def check(self, caller: Caller, do: str) -> None:
        """Raises DaemonError if the caller may not ask for that."""
        if do in LOOKS or caller.uid in (0, os.geteuid()) or EVERYBODY in self._operators:
            return
        if str(caller) not in self._operators:
            members = f"members of group {self._group}" if self._group else "you"
            raise DaemonError(
                f"{do} is not for {caller}: {members} may only look",
                hint="ask root, or be named in [daemon] operators",
            )


@lru_cache(maxsize=256)
def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
