"""Which domain has which disk."""

from pathlib import Path

import pytest

from jitsu.config import Disk
from jitsu.domains.disk_images import DiskImage
from jitsu.errors import DomainError
from jitsu.summon.disk_claims import DiskClaims


def image(inode: int, *, writable: bool = False, name: str = "a") -> DiskImage:
    return DiskImage(Disk(Path("/srv") / name, writable), 512, False, (1, inode))


def test_many_read_one_and_a_writer_waits_for_all_of_them() -> None:
    claims = DiskClaims()
    claims.claim(1, "www", [image(7), image(8)])
    claims.claim(2, "www", [image(7)])
    with pytest.raises(DomainError, match=r"service api: disk /srv/a is in use by domain 1, and cannot be written"):
        claims.claim(3, "api", [image(7, writable=True)])
    claims.release(1)
    with pytest.raises(DomainError, match="in use by domain 2"):
        claims.claim(3, "api", [image(7, writable=True)])
    claims.release(2)
    claims.claim(3, "api", [image(7, writable=True)])


def test_a_writer_has_it_alone_and_who_is_refused_has_none_of_the_others() -> None:
    claims = DiskClaims()
    claims.claim(1, "www", [image(7, writable=True)])
    with pytest.raises(DomainError, match="in use by domain 1, which writes it") as caught:
        claims.claim(2, "api", [image(9, writable=True), image(7)])
    assert "jitsu ps" in caught.value.hint
    claims.claim(3, "api", [image(9, writable=True)])
    claims.release(1)
    claims.release(1)
    claims.claim(4, "api", [image(7)])


def test_one_disk_by_two_names_is_one() -> None:
    claims = DiskClaims()
    claims.claim(1, "www", [image(7), image(7, name="b")])
    with pytest.raises(DomainError, match="disk /srv/b is another one of its disks as well"):
        claims.claim(2, "api", [image(8), image(8, name="b", writable=True)])
