"""Guests that run as users of their own: summoned, adopted, heard and ended like others, and shut out of the rest."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import Cast, Stage
from jitsu.domains.console_files import users_in
from jitsu.domains.qemu_adoption import user_of
from jitsu.errors import DaemonError
from tests.kept_console import kept_console
from tests.vm.witness import belongings, nothing_is_left

pytestmark = pytest.mark.usefixtures("private_network")

USERS = {"limits": {"uids": "200000-200031"}}
NAMES = ("www", "shop", "wiki")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that all users may pass through, unlike those of pytest's."""
    with tempfile.TemporaryDirectory(prefix="jitsu-users-") as name:
        subprocess.run(["chmod", "a+rx", name], check=True)
        yield Path(name)


@pytest.fixture
def kernel(folder: Path, hello: Path) -> Path:
    return Path(shutil.copy(hello, folder / "hello.elf"))


def summoned(stage: Stage, client: Client) -> dict[str, int]:
    """Ask for every service; the process of each."""
    for name in NAMES:
        assert client.by_name(f"{name}.jitsu.test").status == 200
    return {row["service"]: row["pid"] for row in stage.ask("ps")}


def test_each_guest_is_a_user_of_its_own_from_its_summons_to_its_end(folder: Path, kernel: Path) -> None:
    cast = [Cast(name, kernel) for name in NAMES]
    with Stage(cast, folder=folder, sections=USERS) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        before = belongings(stage)
        pids = summoned(stage, client)
        users = {name: user_of(pid) for name, pid in pids.items()}
        assert len(set(users.values())) == 3
        assert all(user in range(200000, 200032) for user in users.values())
        for pid in pids.values():
            status = Path(f"/proc/{pid}/status").read_text()
            assert "CapEff:\t0000000000000000\n" in status
            assert "Seccomp:\t2\n" in status
        # An adopted guest is the same user, heard and ended as before.
        stage.kill_daemon()
        stage.start_daemon()
        assert {row["service"]: row["pid"] for row in stage.ask("ps")} == pids
        assert [row["state"] for row in stage.ask("ps")] == ["serving"] * 3
        os.kill(pids["wiki"], signal.SIGKILL)
        assert summoned(stage, client)["wiki"] != pids["wiki"]
        assert {name: user_of(row["pid"]) for name, row in by_name(stage).items()} | {"wiki": 0} == users | {"wiki": 0}
        for name in NAMES:
            stage.ask("stop", service=name)
        nothing_is_left(stage, before)
        lines = kept_console(stage.config.daemon.state / "console", "www")
        seen = [word for line in lines for word in ("started", "ready", "dismissed") if word in line]
        assert seen == ["started", "ready", "dismissed"]


def runs(pid: int) -> bool:
    """A zombie, whose new parent has not looked yet, does not."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def by_name(stage: Stage) -> dict[str, dict[str, int]]:
    return {row["service"]: row for row in stage.ask("ps")}


def test_nothing_of_the_others_and_of_the_daemon_is_open_to_a_guests_user(folder: Path, kernel: Path) -> None:
    with Stage([Cast(name, kernel) for name in NAMES], folder=folder, sections=USERS) as stage:
        with SynCounter(stage.client) as counter:
            pids = summoned(stage, Client(stage.client, counter))
        user = user_of(pids["www"])
        run = stage.config.daemon.runtime
        own = {f"{run}/domains/{domid}.console.www.{end}" for domid in (1,) for end in ("in", "out")}
        assert users_in(run / "domains")[1] == user
        program = (
            "import os, socket, stat, sys\n"
            "for path in sys.argv[1:]:\n"
            "    try:\n"
            "        if path.endswith(('.sock', '.qmp', '.ready')):\n"
            "            socket.socket(socket.AF_UNIX).connect(path)\n"
            "        else:\n"
            "            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))\n"
            "        print(path)\n"
            "    except OSError: pass\n"
        )
        everything = [str(path) for path in stage.folder.rglob("*") if not path.is_dir()]
        assert len(everything) > 15
        as_guest = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c"]
        done = subprocess.run([*as_guest, program, *everything], capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == own
        listing = f"import os; print(os.listdir({str(run / 'domains')!r}))"
        done = subprocess.run([*as_guest, listing], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")


def test_guests_whose_users_are_no_longer_given_out_are_adopted_too(folder: Path, kernel: Path) -> None:
    with Stage([Cast("www", kernel)], folder=folder, sections=USERS) as stage, SynCounter(stage.client) as counter:
        assert Client(stage.client, counter).by_name("www.jitsu.test").status == 200
        [row] = stage.ask("ps")
        stage.kill_daemon()
        stage.path.write_text(stage.path.read_text().replace('uids = "200000-200031"', ""))
        stage.start_daemon()
        assert [each["pid"] for each in stage.ask("ps")] == [row["pid"]]
        stage.ask("stop", service="www")
        assert not runs(row["pid"])


def test_a_kernel_that_its_guests_user_cannot_read_is_said_before_anybody_is_summoned(
    folder: Path, kernel: Path
) -> None:
    kernel.chmod(0o600)
    with (
        pytest.raises(DaemonError) as caught,
        Stage([Cast("www", kernel)], folder=folder, sections=USERS),
    ):
        pytest.fail("it began")
    assert caught.value.message == (
        f"jitsu serve did not begin: service www: user 200000, as which it is to run, may not use {kernel}"
    )
