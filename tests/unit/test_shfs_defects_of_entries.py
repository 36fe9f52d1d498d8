"""What the original tools did wrong with digests, texts, links and dates, each shown right in ours."""

import hashlib
import itertools
from io import BytesIO
from pathlib import Path

import pytest

from shfs.digests import HashFunction
from shfs.errors import ObjectError
from shfs.volume import Volume
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_command import done, failed
from tests.unit.shfs_golden import GOLDEN
from tests.unit.shfs_small_volume import CHUNK, added, golden, made, source

# Bytes and texts.


@pytest.mark.parametrize("url", ["http://h.example/x", "http://10.1.2.3/x", "http://127.0.0.1:8080/"])
def test_behind_the_host_of_a_link_are_zeros(url: str, tmp_path: Path) -> None:
    image = made(tmp_path)
    done("link", image, url)

    (slot,) = decoder.Volume.read([image]).live
    used = 4 if slot.host_type == 1 else len(slot.host)
    assert slot.raw[65 + used : 98] == bytes(33 - used)


def test_what_the_original_left_behind_a_host_is_not_shown(tmp_path: Path) -> None:
    (image,) = golden("p7-links", tmp_path)
    referee = decoder.Volume.read([image])
    assert any(slot.raw[65:97].partition(b"\0")[2].strip(b"\0") for slot in referee.live if slot.is_link)

    rows = done("ls", image, "-o", "json").json

    assert [row["target"] for row in rows] == [row["target"] for row in referee.listing()]
    assert next(row["target"] for row in rows if row["target"]) == "http://origin.example.com/a/b.mp3"


def test_fields_that_are_full_have_no_end_and_are_read_to_theirs(tmp_path: Path) -> None:
    image = made(tmp_path)
    name, mime, host, path = "n" * 64, "m" * 32, "h" * 32, "p" * 70
    added(image, source(tmp_path, "x", b"content"), "-n", name, "-m", mime)
    done("link", image, f"http://{host}/{path}", "-n", "l" * 64)

    rows = {row["name"]: row for row in done("ls", image, "-o", "json").json}
    assert set(rows) == {name, "l" * 64}
    assert (rows[name]["mime"], rows["l" * 64]["target"]) == (mime, f"http://{host}/{path}")
    assert f" {mime}  {name}\n" in done("ls", image).out
    assert f"{'l' * 64} -> http://{host}/{path}\n" in done("ls", image).out
    assert done("cat", image, name).out == "content"


@pytest.mark.parametrize("which", ["n-names", "n-fullname"])
def test_fields_that_the_original_filled_are_listed_whole(which: str, tmp_path: Path) -> None:
    (image,) = golden(which, tmp_path)
    final = GOLDEN[which]["final"]

    rows = done("ls", image, "-o", "json").json

    assert done("info", image, "-o", "json").json["name"] == final["info"]["name"]
    assert [(row["name"], row["mime"]) for row in rows] == [(e["name"], e.get("mime", "")) for e in final["entries"]]


def test_nothing_is_cut(tmp_path: Path) -> None:
    """The original cuts the names of volumes and objects, MIME types and queries, and says nothing."""
    image = made(tmp_path, "--name", "s" * 16)
    before = image.read_bytes()
    file = source(tmp_path, "x", b"x")

    for words in (
        ("mkfs", "-f", image, "-n", "s" * 17),
        ("add", image, file, "-n", "n" * 65),
        ("add", image, file, "-m", "m" * 33),
        ("link", image, f"http://h/?{'q' * 71}"),
        ("link", image, f"http://h/{'p' * 71}"),
    ):
        failed(8, *words)
    assert image.read_bytes() == before
    done("link", image, f"http://h/?{'q' * 70}")
    assert done("info", image, "-o", "json").json["name"] == "s" * 16


# Digests.


def test_digests_of_64_bytes_are_of_use_everywhere(tmp_path: Path) -> None:
    image = made(tmp_path, "--hash-len", 64)
    digest = added(image, source(tmp_path, "x", b"content"))
    assert digest == hashlib.sha512(b"content").hexdigest()

    assert done("cat", image, "--digest", digest).out == "content"
    assert done("cat", image, f"?{digest.upper()}").out == "content"
    assert done("ls", image, "-o", "json").json[0]["digest"] == digest
    assert digest in done("ls", image).out
    assert done("stat", image, "--digest", digest, "-o", "json").json[0]["name"] == "x"
    done("default", image, "--digest", digest)
    assert done("cat", image).out == "content"
    done("rm", image, "--digest", digest)
    assert done("ls", image, "-o", "json").json == []


@pytest.mark.parametrize("chunks", [1, 2, 3])
def test_a_file_that_fills_its_last_chunk_has_the_digest_of_all_of_it(chunks: int, tmp_path: Path) -> None:
    content = b"x" * chunks * CHUNK
    file = source(tmp_path, "x", content)
    image, compatible = made(tmp_path), made(tmp_path, name="compatible")

    assert added(image, file) == hashlib.sha256(content).hexdigest()
    assert added(compatible, file, "--compat-digest") == hashlib.sha256(content[:-CHUNK]).hexdigest()
    assert done("cat", compatible, "x").out.encode() == content


def test_files_that_fill_one_chunk_are_told_apart(tmp_path: Path) -> None:
    """To the original they are all the empty file, and a second one is there already."""
    image = made(tmp_path)

    digests = {added(image, source(tmp_path, name, name.encode() * CHUNK)) for name in "abc"}
    digests.add(added(image, source(tmp_path, "empty", b"")))

    assert len(digests) == 4


def test_a_wrong_digest_is_not_ignored(tmp_path: Path) -> None:
    """The original warns, stores its own, and succeeds."""
    image = made(tmp_path)
    file, right = source(tmp_path, "x", b"x"), hashlib.sha256(b"x").hexdigest()

    assert "and not the one given" in failed(8, "add", image, file, "-d", "00" * 31 + "01")
    assert added(image, file, "-d", right.upper()) == right


def test_a_digest_is_the_same_in_capitals(tmp_path: Path) -> None:
    image = made(tmp_path, "--hash", "manual", "--hash-len", 3)
    added(image, source(tmp_path, "x", b"x"), "-d", "abcdef")

    assert "is on the volume already" in failed(7, "add", image, source(tmp_path, "y", b"y"), "-d", "ABCDEF")
    for wanted in ("?abcdef", "?ABCDEF", "?AbCdEf", "abcdef", "ABCDEF"):
        assert done("cat", image, wanted).out == "x"


def test_the_digest_of_all_zeros_is_not_called_a_full_bucket(tmp_path: Path) -> None:
    image = made(tmp_path, "--hash", "crc")

    message = failed(8, "add", image, source(tmp_path, "empty", b""))

    assert "all zeros, which means `no object`" in message
    assert added(image, source(tmp_path, "chunk", bytes(CHUNK))) != "00000000"


# Links.


def test_urls_that_the_original_takes_and_should_not(tmp_path: Path) -> None:
    image = made(tmp_path)

    for url in ("h://x.example/z", "htt://x.example/z", "http://h#f", "http://h/#"):
        failed(8, "link", image, url)
    assert decoder.Volume.read([image]).live == []


@pytest.mark.parametrize(
    ("url", "host_type", "host", "port", "path", "name"),
    [
        ("HTTP://H.example/z", 0, "h.example", 80, "z", "z"),
        ("http://h.example?q=1", 0, "h.example", 80, "?q=1", "h.example"),
        ("http://h.example/?q=1", 0, "h.example", 80, "?q=1", "h.example"),
        ("http://127.0.0.1/z", 1, "127.0.0.1", 80, "z", "z"),
        ("http://10.0.0.1:65535", 1, "10.0.0.1", 65535, "", "10.0.0.1"),
        ("http://192.168.0.255/", 1, "192.168.0.255", 80, "", "192.168.0.255"),
    ],
)
def test_urls_that_the_original_refuses_or_gets_wrong(
    url: str, host_type: int, host: str, port: int, path: str, name: str, tmp_path: Path
) -> None:
    """A dotted address with a 0 in it is a name to the original, and a query without a path is read from anywhere."""
    image = made(tmp_path)

    assert done("link", image, url).out.split()[1] == name

    (slot,) = decoder.Volume.read([image]).live
    assert (slot.host_type, slot.host, slot.port, slot.path) == (host_type, host, port, path)
    assert slot.digest == hashlib.sha256(url.encode()).digest()


# Dates.


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1798675200, "2026-12-31 00:00:00 UTC"),
        (1609459199, "2020-12-31 23:59:59 UTC"),
        (1609545600, "2021-01-02 00:00:00 UTC"),
        (1230768000, "2009-01-01 00:00:00 UTC"),
        (4102444800, "2100-01-01 00:00:00 UTC"),
    ],
)
def test_dates_around_the_new_year_have_their_own_year(seconds: int, shown: str, tmp_path: Path) -> None:
    """The original prints the year of the week."""
    image = made(tmp_path, "--created", seconds)
    with Volume.open([str(image)], write=True) as volume, volume.batch(now=seconds) as batch:
        batch.add(BytesIO(b"x"), name="x", size=1)

    assert shown in done("info", image).out
    assert shown in done("stat", image, "x").out


# Names.


def test_an_object_is_found_by_name_among_many_and_the_first_of_several_is_taken(tmp_path: Path) -> None:
    image = made(tmp_path, "--hash", HashFunction.MANUAL.name.lower(), "--hash-len", 1, "-b", 1, "-e", 16)
    with Volume.open([str(image)], write=True) as volume, volume.batch() as batch:
        for number, name in zip(itertools.count(1), ("x", "same", "same", "y"), strict=False):
            batch.add(BytesIO(bytes([number])), name=name, size=1, digest=bytes([number]))

    with Volume.open([str(image)]) as volume:
        named = volume.named("same")
        assert named is not None
        assert named.slot == 1
        with pytest.raises(ObjectError, match=r"2 objects .* are named same"):
            volume.get("same", unique=True)
