"""A libvirtd of the tests' own: its folders, users and configuration are those of a mount namespace, not the host's."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

QEMU_CONF = """
stdio_handler = "file"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
security_driver = "none"
"""

# What libvirtd writes to, or reads its ways from, becomes the namespace's own. It asks for a user of its package's that
# need not be there where only the daemon is installed.
_MOUNTS = """
set -e
mount -t tmpfs none /run
for place in /etc/libvirt /var/lib/libvirt; do mkdir -p "$place"; mount -t tmpfs none "$place"; done
mount -t tmpfs none /var/log
mount -t tmpfs none /var/cache
mkdir /var/log/libvirt /var/cache/libvirt
mount --bind "$1/cache" /var/cache/libvirt
cp "$1/qemu.conf" /etc/libvirt/qemu.conf
(cat /etc/passwd; echo libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin) >/run/passwd
(cat /etc/group; echo libvirt-qemu:x:64055:) >/run/group
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
shift
exec "$@"
"""

PATIENCE = 60.0
"""Seconds in which the daemon must answer; when it knows nothing of this host's QEMUs it looks at each of them."""


class LibvirtHost:
    """A libvirtd that can be killed and started again. `uri` is where it answers."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.uri = f"qemu+unix:///system?socket={folder}/libvirt-sock"
        (folder / "cache").symlink_to(cache)
        (folder / "qemu.conf").write_text(QEMU_CONF)
        settings = f'unix_sock_dir = "{folder}"\nauth_unix_rw = "none"\nauth_unix_ro = "none"\n'
        (folder / "libvirtd.conf").write_text(f'{settings}log_outputs = "3:file:{folder}/libvirtd.log"\n')
        daemon = ["/usr/sbin/libvirtd", "-f", f"{folder}/libvirtd.conf", "-p", f"{folder}/libvirtd.pid"]
        keeper = [sys.executable, "-m", "tests.vm.libvirt_keeper", *daemon]
        with (folder / "keeper.log").open("wb") as log:
            self._keeper = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNTS, "sh", str(folder), *keeper],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parents[2],
                text=True,
            )

    def start(self) -> None:
        """Start the daemon, and wait until it answers."""
        self._tell("start")
        give_up = time.monotonic() + PATIENCE
        while (answer := self.virsh("version")).returncode != 0:
            assert time.monotonic() < give_up, f"{answer.stderr}; {(self.folder / 'libvirtd.log').read_text()}"
            time.sleep(0.05)

    @contextmanager
    def away(self) -> Iterator[None]:
        """The daemon is killed, as by a crash, and started again afterwards."""
        self._tell("kill")
        try:
            yield
        finally:
            self.start()

    def virsh(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Ask as an administrator would."""
        return subprocess.run(
            ["virsh", "-q", "-c", self.uri, *command], capture_output=True, text=True, timeout=PATIENCE, check=False
        )

    def names(self) -> list[str]:
        """The domains that run, or are left defined."""
        listed = self.virsh("list", "--all", "--name")
        assert listed.returncode == 0, listed.stderr
        return listed.stdout.split()

    def _tell(self, what: str) -> None:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        self._keeper.stdin.write(f"{what}\n")
        self._keeper.stdin.flush()
        answer = self._keeper.stdout.readline()
        assert answer == "done\n", (self.folder / "keeper.log").read_text()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(PATIENCE)
        assert self._keeper.stdout is not None
        self._keeper.stdout.close()
