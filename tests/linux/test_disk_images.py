"""Disks that only root can show: block devices, and files that others may not use."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.config import Disk
from jitsu.domains.disk_images import examine
from jitsu.domains.guest_users import as_user
from jitsu.errors import DomainError

STRANGER = 54321


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A block device of five sectors."""
    backing = tmp_path / "backing"
    backing.write_bytes(bytes(5 * 512))
    done = subprocess.run(["losetup", "--find", "--show", backing], check=True, capture_output=True, text=True)
    yield Path(done.stdout.strip())
    subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


def test_a_block_device_is_one_by_its_number(device: Path, tmp_path: Path) -> None:
    again = tmp_path / "node"
    os.mknod(again, 0o600 | 0o060000, device.stat().st_rdev)
    found, other = examine("www", Disk(device)), examine("www", Disk(again))
    assert (found.size, found.device) == (5 * 512, True)
    assert found.identity == other.identity == (0, device.stat().st_rdev)


@pytest.mark.parametrize(("mode", "writable", "right"), [(0o600, False, "read"), (0o644, True, "read and write")])
def test_a_file_that_one_may_not_use_is_said_to_be(tmp_path: Path, mode: int, writable: bool, right: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(512))
    path.chmod(mode)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with as_user(STRANGER), pytest.raises(DomainError) as caught:
        examine("www", Disk(path, writable))
    assert caught.value.message == f"service www: disk {path}: permission denied"
    assert caught.value.hint == f"give the user that runs jitsu the right to {right} it"
