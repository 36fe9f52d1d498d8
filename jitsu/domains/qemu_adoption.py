"""QEMU processes that outlived the daemon that started them, found by the identity in their command line."""

import os
import re
from pathlib import Path

from jitsu.domains.qemu_arguments import Identity

_PROC = Path("/proc")


def identity_of(pid: int) -> Identity | None:
    """Whose domain process `pid` runs; None unless it is a QEMU of this user that carries an identity."""
    directory = _PROC / str(pid)
    try:
        program = os.path.basename(os.readlink(directory / "exe"))
        arguments = (directory / "cmdline").read_bytes().split(b"\0")
        status = (directory / "status").read_bytes()
    except OSError:
        # It ended meanwhile, or is another user's.
        return None
    uids = re.search(rb"^Uid:\s+(\d+)\s+(\d+)", status, re.MULTILINE)
    if not program.startswith("qemu-system-") or uids is None or int(uids[2]) != os.geteuid():
        return None
    try:
        name = arguments[arguments.index(b"-name") + 1].decode("ascii")
    except (ValueError, IndexError):
        return None
    kind, _, text = name.partition("=")
    return Identity.decode(text) if kind == "guest" else None


def tenant_of(identity: Identity, record: Path) -> Identity | None:
    """Whose domain a process runs that was found with `identity`: its own words, or for what began as a blank monitor
    those of its `record`. None: it is a blank monitor still."""
    if identity.service:
        return identity
    try:
        tenant = Identity.decode(record.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError):
        return None
    known = tenant is not None and (tenant.instance, tenant.domid) == (identity.instance, identity.domid)
    return tenant if known else None


def survivors(instance: str) -> dict[int, Identity]:
    """Process id and identity of every QEMU of `instance` and this user that runs on the host."""
    found = {}
    for entry in os.listdir(_PROC):
        if entry.isdecimal():
            identity = identity_of(int(entry))
            if identity is not None and identity.instance == instance:
                found[int(entry)] = identity
    return found


def pidfd_of(pid: int, identity: Identity) -> int | None:
    """A pidfd of process `pid`, provided that it is still the one with `identity`; None when it is not.

    A process id can be given to another process at any time; the identity is read again once the pidfd pins it.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if identity_of(pid) != identity:
        os.close(pidfd)
        return None
    return pidfd
