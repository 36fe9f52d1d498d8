"""QEMU processes that outlived the daemon that started them, found by the identity in their command line.

They run as this user, or as the one that was made for their domain, which the group of its console tells.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from jitsu.domains.qemu_arguments import Identity

_PROC = Path("/proc")
_NOBODY: Mapping[int, int] = {}


def user_of(pid: int) -> int | None:
    """The effective user of a process; None when it is gone."""
    try:
        status = (_PROC / str(pid) / "status").read_bytes()
    except OSError:
        return None
    uids = re.search(rb"^Uid:\s+(\d+)\s+(\d+)", status, re.MULTILINE)
    return None if uids is None else int(uids[2])


def identity_of(pid: int, users: Mapping[int, int] = _NOBODY) -> Identity | None:
    """Whose domain process `pid` runs; None unless it is a QEMU of this user that carries an identity, or of the user
    that `users` has for that domid."""
    directory = _PROC / str(pid)
    user = user_of(pid)
    try:
        arguments = (directory / "cmdline").read_bytes().split(b"\0")
        # What a process of another user executes is for those to see who may trace it; its own word will do then.
        program = os.readlink(directory / "exe") if user == os.geteuid() else os.fsdecode(arguments[0])
    except OSError:
        # It ended meanwhile.
        return None
    if not os.path.basename(program).startswith("qemu-system-"):
        return None
    try:
        name = arguments[arguments.index(b"-name") + 1].decode("ascii")
    except (ValueError, IndexError):
        return None
    kind, _, text = name.partition("=")
    identity = Identity.decode(text) if kind == "guest" else None
    if identity is None or user not in (os.geteuid(), users.get(identity.domid)):
        return None
    return identity


def tenant_of(identity: Identity, record: str) -> Identity | None:
    """Whose domain a process runs that was found with `identity`: its own words, or for what began as a blank monitor
    those of its `record`. None: it is a blank monitor still."""
    if identity.service:
        return identity
    try:
        with open(record, encoding="ascii") as file:
            tenant = Identity.decode(file.read())
    except (OSError, UnicodeDecodeError):
        return None
    known = tenant is not None and (tenant.instance, tenant.domid) == (identity.instance, identity.domid)
    return tenant if known else None


def survivors(instance: str, users: Mapping[int, int] = _NOBODY) -> dict[int, Identity]:
    """Process id and identity of every QEMU of `instance` and this user or `users` that runs on the host."""
    found = {}
    for entry in os.listdir(_PROC):
        if entry.isdecimal():
            identity = identity_of(int(entry), users)
            if identity is not None and identity.instance == instance:
                found[int(entry)] = identity
    return found


def pidfd_of(pid: int, identity: Identity, users: Mapping[int, int] = _NOBODY) -> int | None:
    """A pidfd of process `pid`, provided that it is still the one with `identity`; None when it is not.

    A process id can be given to another process at any time; the identity is read again once the pidfd pins it.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if identity_of(pid, users) != identity:
        os.close(pidfd)
        return None
    return pidfd
