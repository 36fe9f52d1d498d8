"""What can be a guest's disk, and what is said of what cannot."""

import os
from pathlib import Path

import pytest

from jitsu.config import Disk
from jitsu.domains.disk_images import examine
from jitsu.errors import DomainError


def image(folder: Path, content: bytes) -> Path:
    path = folder / "disk.img"
    path.write_bytes(content)
    return path


def test_a_raw_file_is_one_by_whatever_name(tmp_path: Path) -> None:
    path = image(tmp_path, bytes(3 * 512))
    (tmp_path / "alias").symlink_to(path)
    found, other = examine("www", Disk(path)), examine("www", Disk(tmp_path / "alias", writable=True))
    assert (found.size, found.device) == (1536, False)
    assert found.identity == other.identity
    assert found.is_same(examine("www", Disk(path)))
    assert not found.is_same(other)


def test_one_that_was_written_is_the_same_and_has_changed_and_one_that_was_replaced_is_another(tmp_path: Path) -> None:
    path = image(tmp_path, bytes(512))
    before = examine("www", Disk(path))
    os.utime(path, ns=(0, 0))
    after = examine("www", Disk(path))
    assert before.is_same(after)
    assert before != after
    (tmp_path / "new").write_bytes(bytes(512))
    (tmp_path / "new").rename(path)
    assert not before.is_same(examine("www", Disk(path)))


@pytest.mark.parametrize(
    ("content", "problem", "hint"),
    [
        (b"", "is empty", "truncate"),
        (bytes(513), "has 513 bytes, which is no multiple of 512", "truncate -s %512"),
        (b"QFI\xfb" + bytes(508), "is a qcow2 image, and disks are raw", "qemu-img convert -O raw"),
        (b"KDMV" + bytes(508), "is a vmdk image, and disks are raw", "qemu-img convert -O raw"),
        (b"vhdxfile" + bytes(504), "is a vhdx image, and disks are raw", "qemu-img convert -O raw"),
    ],
)
def test_what_is_in_it_can_stand_against_it(tmp_path: Path, content: bytes, problem: str, hint: str) -> None:
    path = image(tmp_path, content)
    with pytest.raises(DomainError) as caught:
        examine("www", Disk(path))
    assert caught.value.message == f"service www: disk {path}: {problem}"
    assert hint in caught.value.hint


def test_what_is_no_file_or_not_there_is_said_to_be(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, problem in (("", "is a directory"), ("fifo", "is neither"), ("absent", "no such file")):
        with pytest.raises(DomainError, match=problem) as caught:
            examine("www", Disk(tmp_path / name))
        assert caught.value.hint
    with pytest.raises(DomainError, match="not a directory"):
        examine("www", Disk(image(tmp_path, bytes(512)) / "x"))
