"""SHFS on disks that are full or cannot be written, in a mount namespace of the test's own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.shfs_decoder import Volume as Referee

SHFS = f"{sys.executable} -m shfs.cli.main"


def run(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Shell lines, with a small filesystem in memory mounted on `disk`; what is in it then is kept in `kept`."""
    lines = [
        "set -e",
        "mkdir disk kept",
        "mount -t tmpfs -o size=192k none disk",
        f'shfs() {{ {SHFS} "$@"; }}',
        "shfs mkfs disk/vol --size 4M -s 4096 -b 8 >/dev/null",
        "head -c 20000 /dev/urandom > first; shfs add disk/vol first >/dev/null",
        "cp --sparse=always disk/vol kept/before",
        script,
    ]
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)],
        cwd=folder,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def same_objects(folder: Path) -> None:
    """The volume holds what it held, and nothing of it was touched."""
    before, after = (Referee.read([folder / "kept" / name]) for name in ("before", "after"))
    assert after.table == before.table
    assert after.labels == before.labels
    assert [after.content(slot) for slot in after.live] == [(folder / "first").read_bytes()]


@pytest.mark.parametrize("size", [500_000, 3_000_000], ids=["a block", "blocks"])
def test_a_disk_that_fills_up_costs_no_object(size: int, tmp_path: Path) -> None:
    done = run(
        f"head -c {size} /dev/urandom > big\n"
        "shfs add disk/vol big || code=$?\n"
        "cp --sparse=always disk/vol kept/after; exit $code",
        tmp_path,
    )

    assert (done.returncode, done.stdout, done.stderr) == (
        4,
        "",
        "error: disk/vol cannot be written: No space left on device\n"
        " hint: make room on the disk that holds it; the volume is as it was\n",
    )
    same_objects(tmp_path)


def test_a_disk_without_room_for_the_journal_costs_no_object(tmp_path: Path) -> None:
    done = run(
        "for name in a b c d e f; do echo $name > $name; done\n"
        "head -c 1000000 /dev/zero > disk/fill || true\n"
        "truncate -s -8192 disk/fill\n"
        "shfs add disk/vol a b || code=$?\n"
        "ls disk; cp --sparse=always disk/vol kept/after; exit $code",
        tmp_path,
    )

    assert done.returncode == 4
    assert done.stdout.split() == ["fill", "vol"]
    assert done.stderr.splitlines()[-1].startswith(" hint: ")
    assert "No space left on device" in done.stderr.splitlines()[-2]
    same_objects(tmp_path)


@pytest.mark.parametrize("command", ["add disk/vol second", "rm disk/vol first", "mkfs -f disk/vol", "trim disk/vol"])
def test_a_disk_that_cannot_be_written(command: str, tmp_path: Path) -> None:
    done = run(
        "echo x > second; mount -o remount,ro disk\n"
        f"shfs {command} || code=$?\n"
        "cp --sparse=always disk/vol kept/after; shfs cat disk/vol first | cmp - first; exit $code",
        tmp_path,
    )

    assert (done.returncode, done.stdout, done.stderr) == (
        4,
        "",
        "error: disk/vol cannot be written: Read-only file system\n"
        " hint: it is on a read-only filesystem: copy it to another, and change it there\n",
    )
    assert (tmp_path / "kept/after").read_bytes() == (tmp_path / "kept/before").read_bytes()


def test_output_to_a_full_disk(tmp_path: Path) -> None:
    done = run(
        "head -c 1000000 /dev/zero > disk/fill || true\n"
        "shfs cat disk/vol first > disk/out || code=$?\n"
        "shfs ls disk/vol -o json > disk/out || true\n"
        "exit $code",
        tmp_path,
    )

    assert done.returncode == 4
    assert done.stderr.splitlines()[-3:-1] == [
        "error: the output cannot be written: No space left on device",
        " hint: make room where it goes",
    ]
    assert json.loads(done.stderr.splitlines()[-1])["exit_code"] == 4
