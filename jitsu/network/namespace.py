"""Network and user namespaces, entered by the calling thread.

Python 3.12 has these calls in `os`; on 3.11 they are made through the C library.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jitsu.errors import HostError

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000


def unshare_network() -> None:
    """Move the calling thread into a network namespace of its own, empty but for a loopback that is down.

    An ordinary user gets a user namespace first, in which they are root; that needs a process of a single thread.
    Raises HostError where the kernel forbids it.
    """
    user, group = os.getuid(), os.getgid()
    if os.geteuid() == 0:
        _call("unshare", _CLONE_NEWNET)
        return
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNET)
    process = Path("/proc/self")
    (process / "setgroups").write_text("deny")
    (process / "uid_map").write_text(f"0 {user} 1")
    (process / "gid_map").write_text(f"0 {group} 1")


def new_network() -> int:
    """Make another network namespace and return a descriptor of it; the thread stays where it is."""
    with _staying():
        _call("unshare", _CLONE_NEWNET)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def enter(namespace: int) -> None:
    """Move the calling thread into the network namespace behind this descriptor."""
    _call("setns", namespace, _CLONE_NEWNET)


@contextmanager
def inside(namespace: int) -> Iterator[None]:
    """Run the block in another network namespace. Sockets made in it stay there afterwards."""
    with _staying():
        enter(namespace)
        yield


@contextmanager
def _staying() -> Iterator[None]:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield
    finally:
        enter(home)
        os.close(home)


def _call(name: str, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise HostError(
            f"{name}: no network namespace could be made: {os.strerror(code)}",
            hint="run as root, or allow it with: sysctl kernel.unprivileged_userns_clone=1",
        )
