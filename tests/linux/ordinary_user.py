"""A command run as an ordinary user would run it, on a machine on which /dev/net/tun is open to all, or is not.

All of it happens in a mount namespace of the command's own. Folders that only root may enter, such as /root with a
Python and a checkout in it, are open to everybody there; what is needed is shown below them, and nothing else.
"""

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

from jitsu.artifacts import cache_folder

USER = 54321
"""A user that nobody is."""

ROOT = Path(__file__).resolve().parents[2]


def run_as_ordinary_user(
    command: list[str], scratch: Path, *, tun: bool = True, namespaces: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run it and wait. `scratch` is an empty folder that everybody may enter. Without `tun` the device is root's, and
    without `namespaces` no user namespace can be made: none can be in a chroot (user_namespaces(7))."""
    home = scratch / "home"
    home.mkdir(mode=0o700)
    os.chown(home, USER, USER)
    lines = ["set -e", *_shown(scratch, [ROOT, Path(sys.prefix), Path(sys.base_prefix), cache_folder(), home])]
    mode = "666" if tun else "600"
    lines += [
        f"mount -t tmpfs -o mode=755,dev none {scratch}/dev",
        f"mknod -m {mode} {scratch}/dev/tun c 10 200",
        f"mount --bind {scratch}/dev/tun /dev/net/tun",
        f"mkdir {scratch}/root; mount --rbind / {scratch}/root; set -- chroot {scratch}/root" if not namespaces else "",
        f'exec "$@" setpriv --reuid={USER} --regid={USER} --clear-groups --inh-caps=-all {shlex.join(command)}',
    ]
    (scratch / "dev").mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "JITSU_CACHE": str(cache_folder())}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def _shown(scratch: Path, paths: list[Path]) -> list[str]:
    """Shell lines after which everybody can enter these folders."""
    lines: list[str] = []
    closed = {ancestor for path in paths for ancestor in path.parents if not ancestor.stat().st_mode & stat.S_IXOTH}
    for number, top in enumerate(path for path in sorted(closed) if not closed & set(path.parents)):
        kept = scratch / f"kept{number}"
        lines += [f"mkdir {kept}", f"mount --bind {top} {kept}", f"mount -t tmpfs -o mode=755 none {top}"]
        for path in paths:
            if top in path.parents:
                lines += [f"mkdir -p {path}", f"mount --bind {kept / path.relative_to(top)} {path}"]
    return lines
