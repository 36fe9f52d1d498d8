"""Saved states as files: which one fits, which one counts, and what is left of the others."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.config import Disk
from jitsu.domains.driver import DomainSpec
from jitsu.domains.snapshots import HEADER_SIZE, Snapshots
from jitsu.errors import DomainError

SPEC = DomainSpec("hello", 7, Path("/boot/hello"), 8 << 20, "name=hello ip=10.77.0.10/24", "52:54:00:00:00:0a")
STATE = bytes(range(256)) * 5000


@pytest.fixture
def snapshots(tmp_path: Path) -> Snapshots:
    return Snapshots(tmp_path / "snapshots", "qemu tcg")


def saved(snapshots: Snapshots, spec: DomainSpec = SPEC) -> Path:
    with snapshots.writing(spec) as fd:
        os.write(fd, STATE)
    return snapshots.path(spec)


def test_a_state_counts_while_the_disk_is_what_it_was(snapshots: Snapshots, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(512))
    spec = replace(SPEC, disks=(Disk(disk),))
    saved(snapshots, spec)
    assert snapshots.usable(spec)
    status = disk.stat()
    os.utime(disk, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert not snapshots.usable(spec)
    os.utime(disk, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert snapshots.usable(spec)
    disk.unlink()
    assert not snapshots.usable(spec)


def test_what_was_written_can_be_read_whoever_the_domain_is(snapshots: Snapshots) -> None:
    assert not snapshots.usable(SPEC)
    saved(snapshots)
    again = replace(SPEC, domid=8)
    assert snapshots.usable(again)
    fd = snapshots.open(again)
    assert os.read(fd, 2 * len(STATE)) == STATE
    os.close(fd)


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "g"}, {"cmdline": "name=hello ip=10.77.0.11/24"}, {"memory": 16 << 20}, {"vcpus": 2}],
    ids=lambda change: next(iter(change)),
)
def test_another_definition_is_another_state_and_takes_the_place_of_the_first(
    snapshots: Snapshots, change: dict[str, object]
) -> None:
    first = saved(snapshots)
    other = replace(SPEC, **change)  # type: ignore[arg-type]
    assert not snapshots.usable(other)
    with pytest.raises(DomainError, match="No such file"):
        snapshots.open(other)
    second = saved(snapshots, other)
    assert [first.exists(), second.exists()] == [False, True]


def test_another_service_keeps_its_own(snapshots: Snapshots) -> None:
    saved(snapshots)
    saved(snapshots, replace(SPEC, service="hello-2"))
    assert snapshots.usable(SPEC)
    snapshots.prune([SPEC])
    assert snapshots.usable(SPEC)
    assert len(list(snapshots.path(SPEC).parent.iterdir())) == 1


def test_another_daemon_looks_before_it_trusts(snapshots: Snapshots) -> None:
    path = saved(snapshots)
    later = Snapshots(path.parent, "qemu tcg")
    assert not later.usable(SPEC)
    assert later.examine(SPEC) == ""
    assert later.usable(SPEC)
    assert Snapshots(path.parent, "qemu kvm").examine(SPEC) == "there is none"


@pytest.mark.parametrize("at", [3, 20, HEADER_SIZE, HEADER_SIZE + 70_000, HEADER_SIZE + len(STATE) - 1])
def test_a_file_with_one_wrong_bit_is_found_out_and_removed(snapshots: Snapshots, at: int) -> None:
    path = saved(snapshots)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert not snapshots.usable(SPEC)
    with pytest.raises(DomainError, match="it changed since it was examined"):
        snapshots.open(SPEC)
    assert snapshots.examine(SPEC) == f"{path} was damaged"
    assert not path.exists()


@pytest.mark.parametrize("length", [0, 10, HEADER_SIZE, HEADER_SIZE + 1])
def test_so_is_one_that_was_cut_short(snapshots: Snapshots, length: int) -> None:
    path = saved(snapshots)
    os.truncate(path, length)
    assert snapshots.examine(SPEC) == f"{path} was damaged"


def test_a_save_that_fails_leaves_the_state_before_it(snapshots: Snapshots) -> None:
    path = saved(snapshots)

    def fail() -> None:
        with snapshots.writing(SPEC) as fd:
            os.write(fd, b"half")
            raise DomainError("the disk is full")

    with pytest.raises(DomainError, match="full"):
        fail()
    assert snapshots.usable(SPEC)
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    snapshots = Snapshots(tmp_path / "file" / "snapshots", "qemu tcg")
    with pytest.raises(DomainError, match="Not a directory"):
        saved(snapshots)
    snapshots.prune([])
    assert snapshots.examine(SPEC).endswith("Not a directory")
