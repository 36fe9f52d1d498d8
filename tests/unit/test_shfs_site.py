"""`shfs site`: a web site as mkwebfs would put it into a volume, of exactly the size that it needs."""

import hashlib
import os
import random
from pathlib import Path

import pytest

from tests.unit.shfs_command import done, failed
from tests.unit.shfs_decoder import MANUAL
from tests.unit.shfs_decoder import Volume as Referee

PAGES = {
    "index.html": b"<p>home",
    "logo.png": b"\x89PNG" * 3000,
    "film.mp4": b"ftyp" * 5000,
    "shop/index.htm": b"<p>shop",
    "shop/cart.html": b"<p>cart",
    "shop/new/index.html": b"<p>new" * 1000,
    "empty.css": b"",
    "docs/README": b"read me",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in PAGES.items():
        file = tmp_path / "www" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return tmp_path / "www"


def test_a_site_is_found_by_path_and_by_the_digest_of_the_path(folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "www.img"

    ran = done("site", folder, image, "--name", "www")

    volume = Referee.read([image])
    assert volume.findings() == []
    assert (volume.configuration.function, volume.configuration.digest_length) == (MANUAL, 20)
    assert (volume.label.chunk, volume.configuration.buckets, volume.configuration.entries) == (4096, 1024, 16)
    assert volume.label.name == b"www"
    expected = PAGES | {
        "shop": PAGES["shop/index.htm"],
        "shop/": PAGES["shop/index.htm"],
        "shop/new": PAGES["shop/new/index.html"],
        "shop/new/": PAGES["shop/new/index.html"],
    }
    assert {slot.name.decode(): volume.content(slot) for slot in volume.live} == expected
    assert all(slot.digest == hashlib.sha1(slot.name, usedforsecurity=False).digest() for slot in volume.live)
    assert volume.default is not None
    assert volume.default.name == b"index.html"
    types = {slot.name.decode(): slot.mime.decode() for slot in volume.live}
    assert types["film.mp4"] == "video/mp4"
    assert types["shop/"] == types["shop"] == "text/html"
    assert "12 objects of 8 files" in ran.out


@pytest.mark.parametrize("stripe", [4096, 32768])
def test_the_image_has_exactly_the_size_that_it_needs(folder: Path, tmp_path: Path, stripe: int) -> None:
    image = tmp_path / "www.img"

    done("site", folder, image, "--stripe", stripe)

    volume = Referee.read([image])
    used = volume.first_data_chunk + sum(len(volume.chunks_of(slot)) for slot in volume.live)
    assert volume.label.chunks == used, "no chunk is free"
    assert image.stat().st_size == (used + 1) * stripe
    assert done("info", image, "-o", "json").json["free"] == 0


def test_names_that_are_too_long_are_all_told_and_nothing_is_made(folder: Path, tmp_path: Path) -> None:
    for letter in "ab":
        (folder / (letter * 65)).write_bytes(b"long")
    (folder / ("c" * 64)).write_bytes(b"fits")
    before = sorted(tmp_path.rglob("*"))

    told = failed(8, "site", folder, tmp_path / "www.img")

    assert "2 names have more than 64 bytes" in told
    assert "a" * 65 in told
    assert "b" * 65 in told
    assert sorted(tmp_path.rglob("*")) == before
    done("site", folder, tmp_path / "www.img", "--exclude", "a*", "--exclude", "b*")


def test_nothing_is_left_of_a_site_that_fails(folder: Path, tmp_path: Path) -> None:
    image = tmp_path / "www.img"
    image.write_bytes(b"old")
    before = sorted(tmp_path.rglob("*"))

    assert "is there already" in failed(7, "site", folder, image)
    assert "there are no files in" in failed(8, "site", tmp_path / "www" / "docs", image, "--exclude", "*", "--force")
    assert "is no folder" in failed(8, "site", image, tmp_path / "other.img")
    assert "a stripe of 5000" in failed(8, "site", folder, image, "--force", "--stripe", "5000")
    assert "has 17 bytes" in failed(8, "site", folder, image, "--force", "--name", "a" * 17)
    assert "cannot be written" in failed(4, "site", folder, tmp_path / "nowhere" / "www.img")
    assert "is there already" in failed(7, "site", folder, folder, "--force")
    assert sorted(tmp_path.rglob("*")) == before
    assert image.read_bytes() == b"old"

    done("site", folder, image, "--force")
    assert Referee.read([image]).findings() == []
    assert sorted(tmp_path.rglob("*")) == before


def test_the_table_grows_with_the_site(folder: Path, tmp_path: Path, seeded: random.Random, full: bool) -> None:
    count = 10_000 if full else 500
    for number in range(count):
        (folder / f"{number}.txt").write_bytes(b"%d" % number)
    few = 16 if not full else 64

    told = failed(6, "site", folder, tmp_path / "www.img", "--buckets", few)
    enough = told.partition("--buckets ")[2].split()[0]
    done("site", folder, tmp_path / "www.img", "--buckets", enough)

    volume = Referee.read([tmp_path / "www.img"])
    assert volume.findings() == []
    assert len(volume.live) == count + 12
    done("site", folder, tmp_path / "more.img")
    assert len(Referee.read([tmp_path / "more.img"]).live) == count + 12


def test_a_site_without_a_start_page_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "index.html").unlink()

    ran = done("site", folder, tmp_path / "www.img", "-o", "json")

    assert "has no index.html" in ran.err
    assert Referee.read([tmp_path / "www.img"]).default is None
    assert ran.json["objects"] == 11
    assert ran.json["size"] == os.path.getsize(tmp_path / "www.img")


def test_a_site_of_one_empty_file(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").touch()

    done("site", tmp_path / "www", tmp_path / "www.img")

    volume = Referee.read([tmp_path / "www.img"])
    assert volume.findings() == []
    assert [slot.size for slot in volume.live] == [0]
