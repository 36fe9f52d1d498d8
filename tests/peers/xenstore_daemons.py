"""XenStore daemons to talk to: ours, and Debian's C xenstored and oxenstored, which run here without Xen.

Each is a context manager that gives a `Daemon` when it listens, and ends it. Every call starts a new one, on a socket
of its own, with an empty store.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from jitsu import artifacts

PATIENCE = 30.0
"""Seconds that a daemon has to listen, and to end."""

OURS = (sys.executable, "-m", "jitsu.cli.main")
STUB = Path(__file__).with_name("no_xen.c")


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that listens on `socket`; `pid` is its one process."""

    name: str
    socket: Path
    pid: int


class DaemonError(Exception):
    """A daemon did not start, or ended by itself; the text holds what it said."""


COMPILED = Path(__file__).parents[2] / ".venv-compiled/bin"
"""Where `make compiled` installs."""


@contextmanager
def jitsu_xenstored(*options: str, program: Sequence[str] = OURS) -> Iterator[Daemon]:
    """Ours. `options` are further ones of the command line."""
    with _folder() as folder:
        path = folder / "socket"
        command = [*program, "xenstored", "--socket", str(path), *options]
        with _running("jitsu xenstored", command, folder / "log", path) as daemon:
            yield daemon


def compiled_xenstored() -> AbstractContextManager[Daemon]:
    """Ours, compiled, as `make compiled` left it."""
    return jitsu_xenstored(program=[str(COMPILED / "jitsu")])


@contextmanager
def c_xenstored() -> Iterator[Daemon]:
    """Debian's C xenstored, with its default quotas."""
    with _folder() as folder:
        program = str(debian() / "usr/lib/xen-4.17/bin/xenstored")
        command = ["env", f"XENSTORED_RUNDIR={folder}", *_without_xen(folder), program, "-N", "-F", str(folder / "pid")]
        with _running("C xenstored", command, folder / "log", folder / "socket") as daemon:
            yield daemon


@contextmanager
def oxenstored() -> Iterator[Daemon]:
    """Debian's oxenstored, with the configuration that Debian ships. It needs root, or user namespaces.

    The path of its socket is built in, so it gets a /run of its own, in a mount namespace.
    """
    with _folder() as folder:
        (folder / "xenstored").mkdir()
        settings = (debian() / "etc/xen/oxenstored.conf").read_text()
        logs = "xenstored-log-file = /run/log\naccess-log-file = /run/accesses\n"
        (folder / "settings").write_text(settings + logs)
        program = str(debian() / "usr/lib/xen-4.17/bin/oxenstored")
        options = ["--no-fork", "--no-domain-init", "--config-file", "/run/settings"]
        command = [
            *("unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])),
            *("sh", "-c", 'mount --bind "$0" /run && exec "$@"', str(folder)),
            *("env", *_without_xen(Path("/run"), folder), program, *options),
        ]
        with _running("oxenstored", command, folder / "log", folder / "xenstored/socket") as daemon:
            yield daemon


DAEMONS: dict[str, Callable[[], AbstractContextManager[Daemon]]] = {
    "jitsu": jitsu_xenstored,
    "debian-c": c_xenstored,
    "debian-ocaml": oxenstored,
}


def debian() -> Path:
    """The folder in which Debian's XenStore packages are unpacked."""
    return artifacts.build("xenstore-peers", print)


def with_debian_libraries() -> dict[str, str]:
    """The environment in which programs of `debian()` run."""
    return os.environ | {"LD_LIBRARY_PATH": str(debian() / "usr/lib/xen-libraries")}


def compiled(source: Path, program: Path, *options: str) -> Path:
    """A C file, compiled with the headers and libraries of `debian()`."""
    root = debian()
    strict = ["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-I", str(root / "usr/include")]
    files = ["-o", str(program), str(source), "-L", str(root / "usr/lib/xen-libraries")]
    subprocess.run(["gcc", *strict, *files, *options], check=True)
    return program


@contextmanager
def _folder() -> Iterator[Path]:
    """Directly below /tmp: a socket's path has 108 bytes at most."""
    with TemporaryDirectory(prefix="xenstore-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _without_xen(seen: Path, folder: Path | None = None) -> Sequence[str]:
    """What `env` has to set for a daemon that sees the stub's folder as `seen`."""
    compiled(STUB, (folder or seen) / "no_xen.so", "-shared", "-fPIC")
    libraries = debian() / "usr/lib/xen-libraries"
    return [f"LD_LIBRARY_PATH={libraries}", f"LD_PRELOAD={seen / 'no_xen.so'}"]


@contextmanager
def _running(name: str, command: Sequence[str], log: Path, path: Path) -> Iterator[Daemon]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _listens(path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise DaemonError(f"{name} does not listen on {path}; it said:\n{log.read_text(errors='replace')}")
            time.sleep(0.01)
        yield Daemon(name, path, process.pid)
        # A test may kill it; whatever else ends it is its own.
        if process.poll() not in (None, -signal.SIGKILL):
            raise DaemonError(f"{name} ended by itself: {process.returncode}; {log.read_text(errors='replace')}")
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
