"""The runtime folder: one daemon at a time, and nothing of it is left."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jitsu.daemon.lock import runtime_folder
from jitsu.errors import HostError, ResourceBusy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jitsu"


def test_the_folder_is_there_and_names_its_owner(folder: Path) -> None:
    with runtime_folder(folder) as made:
        assert made == folder
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"


def test_in_the_end_nothing_is_left(folder: Path) -> None:
    with runtime_folder(folder):
        pass

    assert not folder.exists()


def test_it_is_gone_after_a_failure_too(folder: Path) -> None:
    def fail() -> None:
        with runtime_folder(folder):
            raise OSError("no bridge")

    with pytest.raises(OSError, match="no bridge"):
        fail()
    assert not folder.exists()


def test_a_folder_that_was_there_before_stays(folder: Path) -> None:
    folder.mkdir()
    with runtime_folder(folder):
        pass

    assert list(folder.iterdir()) == []


def test_a_folder_in_which_something_else_lives_stays(folder: Path) -> None:
    with runtime_folder(folder):
        (folder / "domains").mkdir()

    assert [path.name for path in folder.iterdir()] == ["domains"]


def test_a_second_daemon_is_refused_and_told_who_has_it(folder: Path) -> None:
    with (
        runtime_folder(folder),
        pytest.raises(ResourceBusy, match=rf"another jitsu serve \(process {os.getpid()}\) runs with {folder}"),
        runtime_folder(folder),
    ):
        pytest.fail("two daemons have one folder")


def test_the_refusal_of_a_second_takes_nothing_from_the_first(folder: Path) -> None:
    with runtime_folder(folder):
        for _ in range(2):
            with pytest.raises(ResourceBusy), runtime_folder(folder):
                pytest.fail("two daemons have one folder")
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"


def test_another_process_is_refused_too(folder: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from jitsu.daemon.lock import runtime_folder\n"
        "with runtime_folder(pathlib.Path(sys.argv[1])): print('it is mine')\n"
    )
    with runtime_folder(folder):
        run = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=False)

    assert f"another jitsu serve (process {os.getpid()})" in run.stderr
    assert run.stdout == ""


def test_a_lock_that_a_dead_daemon_left_is_taken_over(folder: Path) -> None:
    folder.mkdir()
    (folder / "lock").write_text("999999999 and some more that must go\n")

    with runtime_folder(folder):
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"


def test_after_the_first_has_ended_the_next_may_come(folder: Path) -> None:
    for _ in range(3):
        with runtime_folder(folder):
            assert (folder / "lock").exists()


def test_a_lock_that_was_removed_while_it_was_waited_for_is_not_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir()
    flock = fcntl.flock
    removed: list[Path] = []

    def ends_just_now(fd: int, operation: int) -> None:
        """The daemon that held the lock removes its file between our open and our lock."""
        flock(fd, operation)
        if not removed:
            removed.append(folder / "lock")
            (folder / "lock").unlink()

    monkeypatch.setattr(fcntl, "flock", ends_just_now)
    with runtime_folder(folder):
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"
    assert len(removed) == 1


def test_a_programs_children_do_not_hold_the_lock(folder: Path) -> None:
    with runtime_folder(folder):
        # It outlives the daemon, as monitors of domains do.
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with runtime_folder(folder):
            assert (folder / "lock").exists()
    finally:
        child.kill()
        child.wait()


def test_a_folder_that_cannot_be_made_is_an_error_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(HostError, match=r"runtime folder .* cannot be used: Not a directory") as raised,
        runtime_folder(tmp_path / "file" / "jitsu"),
    ):
        pytest.fail("there is no such folder")
    assert raised.value.hint == "run as root, or name another: [daemon] runtime"
