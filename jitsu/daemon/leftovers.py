"""What a daemon that is dead left on this host, and nobody will take up: its guests, files and bridges.

All of it is found by name. Whoever looks holds the lock of the instance, so that no daemon of it runs, or begins to,
meanwhile. A daemon that starts again takes over what is good of it; this is for those that do not come back.
"""

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jitsu.config import DaemonConfig
from jitsu.daemon.sockets import CONTROL, XENSTORED
from jitsu.domains.console_files import users_in
from jitsu.domains.qemu_adoption import pidfd_of, survivors
from jitsu.domains.qemu_arguments import Identity
from jitsu.domains.qemu_process import files_in
from jitsu.errors import DomainError, HostError
from jitsu.network.bridge import bridges_of_ours, remove_link
from jitsu.network.host import sentinel_name

PATIENCE = 2.0
"""Seconds that a guest's monitor has to end by itself before it is killed."""

_UNIX_SOCKETS = Path("/proc/net/unix")


@dataclass(frozen=True, slots=True)
class Leftover:
    """`kind` is `guest`, `file` or `bridge`. `remove` may raise JitsuError; what is gone already is no error."""

    kind: str
    name: str
    detail: str
    remove: Callable[[], None]


def leftovers(daemon: DaemonConfig) -> list[Leftover]:
    """What is left of an instance whose lock the caller holds, guests first, and the bridges of other dead ones."""
    domains = daemon.runtime / "domains"
    users = users_in(domains) if domains.is_dir() else {}
    found = [_guest(pid, who, users) for pid, who in sorted(survivors(daemon.instance, users).items())]
    return [*found, *_files(daemon.runtime), *_bridges(daemon.instance)]


def _guest(pid: int, who: Identity, users: Mapping[int, int]) -> Leftover:
    detail = f"domain {who.domid}, process {pid}"
    return Leftover("guest", who.service, detail, partial(_end, pid, who, users))


def _end(pid: int, who: Identity, users: Mapping[int, int]) -> None:
    pidfd = pidfd_of(pid, who, users)
    if pidfd is None:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(pidfd, number)
            if select.select([pidfd], [], [], PATIENCE)[0]:
                return
    except ProcessLookupError:
        return
    finally:
        os.close(pidfd)
    raise DomainError(f"process {pid} of {who.service} does not end", hint="it hangs in the kernel; see: dmesg")


def _files(runtime: Path) -> Iterator[Leftover]:
    control, store = runtime / CONTROL, runtime / XENSTORED
    listening = _UNIX_SOCKETS.read_text().split()
    # systemd may listen on it for a daemon that is to come.
    if control.exists() and str(control) not in listening:
        yield Leftover("file", str(control), "nobody listens on it", partial(_unlink, control))
    # One that lives ends by itself when nobody comes.
    if str(store) not in listening:
        for path in sorted(runtime.glob(f"{store.stem}.*")):
            yield Leftover("file", str(path), "of a XenStore that nobody keeps", partial(_unlink, path))
    domains = runtime / "domains"
    consoles = ((int(path.name.partition(".")[0]), path) for path in domains.glob("[0-9]*.console.*"))
    for domid, path in sorted((*files_in(domains), *consoles)) if domains.is_dir() else ():
        yield Leftover("file", str(path), f"of domain {domid}", partial(_unlink, path))


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise HostError(f"{path} cannot be removed: {error.strerror}", hint="run as root") from error


def _bridges(own: str) -> Iterator[Leftover]:
    interfaces = {name for _, name in socket.if_nameindex()}
    for name, instance in bridges_of_ours():
        # A daemon that lives holds its sentinel's tap; one that comes back wants its guests to find the bridge.
        alive = instance != own and (sentinel_name(instance) in interfaces or survivors(instance))
        if not alive:
            yield Leftover("bridge", name, f"of instance {instance}", partial(remove_link, name))
