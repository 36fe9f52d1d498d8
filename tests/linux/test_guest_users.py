"""Programs that are started as users of their own: nothing of root's is left to them, and nothing of them to root."""

import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jitsu.domains.confinement import OPEN_FILES, Confinement
from jitsu.domains.guest_users import as_user
from jitsu.domains.spawn import spawn
from jitsu.errors import HostError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: other users")

USER, KVM_GROUP = 200_123, 200_999
SHOWN = ("Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb")

PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from jitsu.domains.confinement import Confinement
from jitsu.domains.spawn import spawn
pid, _ = spawn(["/bin/cat", "/proc/self/status"], [], Path(sys.argv[2]), Confinement(1 << 20, 200123, ()))
os.waitpid(pid, 0)
"""


def status_of(said: str) -> dict[str, list[str]]:
    fields = dict(line.split(":\t", 1) for line in said.splitlines() if ":\t" in line)
    return {name: fields[name].split() for name in SHOWN}


def test_what_is_started_is_the_user_and_nothing_else(tmp_path: Path) -> None:
    said = tmp_path / "said"
    pid, pidfd = spawn(["/bin/cat", "/proc/self/status"], [], said, Confinement(1 << 20, USER, (KVM_GROUP,)))
    os.close(pidfd)
    assert os.waitpid(pid, 0)[1] == 0
    none = ["0000000000000000"]
    assert status_of(said.read_text()) == {
        "Uid": [str(USER)] * 4,
        "Gid": [str(USER)] * 4,
        "Groups": [str(KVM_GROUP)],
        **dict.fromkeys(("CapInh", "CapPrm", "CapEff", "CapAmb"), none),
    }


def test_ambient_capabilities_of_the_daemons_are_not_handed_on(tmp_path: Path) -> None:
    # Of a daemon that is not root: of root's, the kernel itself would take them away.
    caps = "+net_admin,+setuid,+setgid,+dac_override"
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    daemon = [*nobody, f"--inh-caps={caps}", f"--ambient-caps={caps}", sys.executable, "-c", PROGRAM]
    subprocess.run([*daemon, str(Path(__file__).parents[2]), str(tmp_path / "said")], check=True)
    status = status_of((tmp_path / "said").read_text())
    assert status["Uid"] == [str(USER)] * 4
    assert (status["CapEff"], status["CapPrm"], status["CapAmb"]) == (["0000000000000000"],) * 3


def test_this_process_is_root_again_and_its_other_threads_were_all_the_time(tmp_path: Path) -> None:
    def status() -> dict[str, list[str]]:
        return status_of(Path("/proc/thread-self/status").read_text())

    before, during = status(), {}
    go, gone = threading.Event(), threading.Event()

    def look() -> None:
        go.wait(10)
        during.update(status())
        gone.set()

    other = threading.Thread(target=look)
    other.start()
    with as_user(USER):
        go.set()
        gone.wait(10)
        assert os.geteuid() == USER
        with pytest.raises(PermissionError):
            (tmp_path / "mine").touch()
    other.join()
    assert during == status() == before


def test_an_error_inside_leaves_root_as_it_was() -> None:
    with pytest.raises(ZeroDivisionError), as_user(USER):
        raise ZeroDivisionError
    assert (os.getresuid(), os.getresgid()) == ((0, 0, 0), (0, 0, 0))
    with pytest.raises(HostError, match="cannot be started"):
        spawn(["/nonexistent"], [], Path(os.devnull), Confinement(1 << 20, USER))
    assert os.getresuid() == (0, 0, 0)


def test_the_limits_of_what_is_started(tmp_path: Path) -> None:
    said = tmp_path / "said"
    pid, pidfd = spawn(["/bin/sleep", "60"], [], said, Confinement(12345, USER))
    kinds = (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE)
    with as_user(USER):
        limits = [resource.prlimit(pid, which) for which in kinds]
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    os.close(pidfd)
    assert limits == [(0, 0), (OPEN_FILES, OPEN_FILES), (12345, 12345)]


def test_it_works_every_time(tmp_path: Path) -> None:
    """A limit is refused while the new process is not yet the user that its program will be."""
    for _ in range(50):
        pid, pidfd = spawn(["/bin/true"], [], tmp_path / "said", Confinement(12345, USER))
        os.waitpid(pid, 0)
        os.close(pidfd)


def test_without_the_capability_it_is_said(tmp_path: Path) -> None:
    daemon = ["setpriv", "--bounding-set=-setuid", sys.executable, "-c", PROGRAM]
    done = subprocess.run(
        [*daemon, str(Path(__file__).parents[2]), str(tmp_path / "said")], capture_output=True, text=True, check=False
    )
    assert "HostError: guests cannot be started as user 200123: operation not permitted" in done.stderr
