"""A user of its own for each guest: which are free, and how a process is started as one of them.

Linux keeps a user for each thread, and a program is started with that of the thread that starts it; only the C library
makes all threads change together (nptl(7)). So one thread becomes the guest's user, starts QEMU, and is itself again:
some 60 us, no further process. It keeps its capabilities, or it could not come back (prctl(2), PR_SET_KEEPCAPS); the
program that it starts gets none, for it is another user's. Only the ambient ones of a daemon that is not root would be
handed on: they are given up before.
"""

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jitsu.errors import HostError, ResourceBusy

_CALLS = {"x86_64": (116, 119, 117), "aarch64": (159, 149, 147)}
"""setgroups, setresgid and setresuid in the table of each architecture (asm/unistd_64.h, asm-generic/unistd.h)."""

_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 8, 47, 4
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_CAP_SETGID, _CAP_SETUID = 1 << 6, 1 << 7
"""From linux/prctl.h and linux/capability.h."""


class GuestUsers:
    """The users of `uids`, each of them for one guest at a time; its group has the same number.

    None at all for an empty range: then guests run as the daemon does.
    """

    def __init__(self, uids: range) -> None:
        self.uids = uids
        self._taken: dict[int, int] = {}

    def take(self, domid: int) -> int | None:
        """A user for the domain; None when guests have none. Raises `ResourceBusy` when all are taken."""
        if not self.uids:
            return None
        taken = set(self._taken.values())
        for step in range(len(self.uids)):
            uid = self.uids[(domid + step) % len(self.uids)]
            if uid not in taken:
                self._taken[domid] = uid
                return uid
        raise ResourceBusy(
            f"domain {domid}: all users of {self.uids[0]}-{self.uids[-1]} have a guest", hint="widen [limits] uids"
        )

    def keep(self, domid: int, uid: int) -> None:
        """The domain has this user already: it was adopted."""
        self._taken[domid] = uid

    def release(self, domid: int) -> None:
        """The domain is gone."""
        self._taken.pop(domid, None)


@contextmanager
def as_user(uid: int | None, groups: tuple[int, ...] = ()) -> Iterator[None]:
    """This thread is user and group `uid`, and in `groups`, until the end; what it starts stays so.

    With None nothing changes. Raises `HostError` when it is not allowed. Nothing else must be done while it lasts.
    """
    if uid is None:
        yield
        return
    calls = _Calls()
    user, group, groups_before = os.geteuid(), os.getegid(), tuple(os.getgroups())
    capabilities = calls.capabilities()
    try:
        try:
            calls.control(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
            calls.control(_PR_SET_KEEPCAPS, 1)
            calls.set_groups(groups)
            calls.set_group(uid)
            calls.set_user(uid)
            # Kept, and without effect but for those to come back by.
            calls.set_capabilities(_only(capabilities, _CAP_SETGID | _CAP_SETUID))
        except OSError as error:
            raise HostError(
                f"guests cannot be started as user {uid}: {(error.strerror or str(error)).lower()}",
                hint="[limits] uids needs root with CAP_SETUID and CAP_SETGID; see docs/systemd.md",
            ) from None
        yield
    finally:
        calls.set_user(user)
        calls.set_group(group)
        if groups != groups_before:
            calls.set_groups(groups_before)
        calls.set_capabilities(capabilities)
        calls.control(_PR_SET_KEEPCAPS, 0)


def _only(capabilities: "ctypes.Array[ctypes.c_uint32]", effective: int) -> "ctypes.Array[ctypes.c_uint32]":
    """The same, of which only these (of the first 32) are in effect."""
    _, permitted, inheritable, _, more_permitted, more_inheritable = capabilities
    return (ctypes.c_uint32 * 6)(permitted & effective, permitted, inheritable, 0, more_permitted, more_inheritable)


class _Calls:
    """System calls that change this thread alone. Each raises `OSError`."""

    def __init__(self) -> None:
        machine = platform.machine()
        if machine not in _CALLS:
            raise HostError(f"guests cannot have users of their own on {machine}", hint="leave out [limits] uids")
        self._setgroups, self._setresgid, self._setresuid = _CALLS[machine]
        self._library = ctypes.CDLL(None, use_errno=True)
        self._about_us = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)

    def control(self, what: int, value: int) -> None:
        """prctl(2)."""
        self._check(self._library.prctl(what, value, 0, 0, 0))

    def capabilities(self) -> "ctypes.Array[ctypes.c_uint32]":
        """The effective, permitted and inheritable set, in two times 32 bits of each."""
        found = (ctypes.c_uint32 * 6)()
        self._check(self._library.capget(self._about_us, found))
        return found

    def set_capabilities(self, wanted: "ctypes.Array[ctypes.c_uint32]") -> None:
        self._check(self._library.capset(self._about_us, wanted))

    def set_groups(self, groups: tuple[int, ...]) -> None:
        self._call(self._setgroups, len(groups), (ctypes.c_uint32 * len(groups))(*groups))

    def set_group(self, gid: int) -> None:
        self._call(self._setresgid, *(ctypes.c_long(gid),) * 3)

    def set_user(self, uid: int) -> None:
        self._call(self._setresuid, *(ctypes.c_long(uid),) * 3)

    def _call(self, number: int, *arguments: Any) -> None:
        self._check(self._library.syscall(ctypes.c_long(number), *arguments))

    @staticmethod
    def _check(result: int) -> None:
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
