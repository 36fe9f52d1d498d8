"""`shfs add` with folders and lists: what is taken, what it is called, and that all of it is there or nothing."""

import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shfs import InputError, Volume, mkfs
from shfs.addition import Addition
from shfs.media_types import media_type
from shfs.naming import plain_path
from tests.unit.shfs_command import done, failed, names, shfs
from tests.unit.shfs_decoder import Volume as Referee

MIB = 1 << 20
METADATA = 34 * 4096
"""Bytes of label, configuration and table of the volume below."""

MEASURED = """
import resource, sys
from shfs.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    print(end.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An empty volume of 8 MiB, with room for names."""
    path = tmp_path / "cache.img"
    done("mkfs", path, "--size", "8M", "--stripe", 4096, "--buckets", 64)
    return path


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    write(folder, "index.html", b"<p>hello")
    write(folder, "css/main.css", b"p {}")
    write(folder, "img/logo.png", b"\x89PNG")
    write(folder, ".git/config", b"[core]")
    write(folder, "drafts/a.html", b"draft")
    return folder


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_folder_becomes_objects_with_path_and_type(image: Path, site: Path) -> None:
    ran = done("add", image, site)

    assert names(image) == {
        "index.html": b"<p>hello",
        "css/main.css": b"p {}",
        "img/logo.png": b"\x89PNG",
        "drafts/a.html": b"draft",
    }
    types = {row["name"]: row["mime"] for row in Referee.read([image]).listing()}
    assert types["css/main.css"] == "text/css"
    assert types["img/logo.png"] == "image/png"
    assert [line.split("  ")[1] for line in ran.out.splitlines()] == [
        "css/main.css",
        "drafts/a.html",
        "img/logo.png",
        "index.html",
    ]
    assert "4 added, 0 there already" in ran.err


def test_what_is_there_is_counted_in_folders_and_an_error_for_files(image: Path, site: Path) -> None:
    done("add", image, site)
    write(site, "new.txt", b"new")

    again = done("add", image, site, "-o", "json").json
    assert [row["name"] for row in again["added"]] == ["new.txt"]
    assert sorted(row["file"] for row in again["there"]) == sorted(
        f"{site}/{name}" for name in ("index.html", "css/main.css", "img/logo.png", "drafts/a.html")
    )

    before = image.read_bytes()
    write(site, "newer.txt", b"newer")
    told = failed(7, "add", image, site / "newer.txt", site / "index.html")
    assert f"{site}/index.html is on the volume already" in told
    assert image.read_bytes()[:METADATA] == before[:METADATA]


def test_a_second_name_for_the_same_content_is_told(image: Path, tmp_path: Path) -> None:
    write(tmp_path / "two", "a.html", b"same")
    write(tmp_path / "two", "b.html", b"same")

    ran = done("add", image, tmp_path / "two", "--default", "b.html")

    assert names(image) == {"a.html": b"same"}
    assert "b.html has the content of 'a.html'" in ran.err
    assert Referee.read([image]).listing()[0]["default"]


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        (["--hidden"], {".git/config", "index.html", "css/main.css", "img/logo.png", "drafts/a.html"}),
        (["--exclude", "drafts"], {"index.html", "css/main.css", "img/logo.png"}),
        (["--exclude", "*.png", "--exclude", "drafts/*"], {"index.html", "css/main.css"}),
        (["--include", "*.html"], {"index.html", "drafts/a.html"}),
        (["--include", "*.html", "--exclude", "drafts"], {"index.html"}),
        (["--include", "css/*"], {"css/main.css"}),
    ],
)
def test_patterns_say_what_is_taken(image: Path, site: Path, options: list[str], taken: set[str]) -> None:
    done("add", image, site, *options)

    assert set(names(image)) == taken


@pytest.mark.parametrize(
    ("options", "called"),
    [
        ([], {"main.css", "logo.png", "a/b.txt"}),
        (["--names", "base"], {"main.css", "logo.png", "b.txt"}),
        (["--prefix", "shop/"], {"shop/main.css", "shop/logo.png", "shop/a/b.txt"}),
        (["--names", "path"], {"site/css/main.css", "up/logo.png", "a/b.txt"}),
    ],
)
def test_names_by_rule(image: Path, tmp_path: Path, options: list[str], called: set[str]) -> None:
    write(tmp_path, "site/css/main.css", b"1")
    write(tmp_path, "up/logo.png", b"2")
    write(tmp_path, "folder/a/b.txt", b"3")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path / "site")
        done("add", image, "../site/./css//main.css", tmp_path / "folder", "../up/logo.png", *options)
        if "path" in options:
            called = {"site/css/main.css", "up/logo.png", "a/b.txt"}

    assert set(names(image)) == called


def test_objects_without_names(image: Path, site: Path) -> None:
    done("add", image, site, "--names", "none")

    assert [slot.name for slot in Referee.read([image]).live] == [b""] * 4


def test_a_name_that_is_too_long_names_the_file_and_the_ways_out(image: Path, tmp_path: Path) -> None:
    long = write(tmp_path / "deep", f"{'d' * 40}/{'f' * 40}.html", b"deep")
    write(tmp_path / "deep", "a.html", b"short")
    before = image.read_bytes()

    told = failed(8, "add", image, tmp_path / "deep")
    assert str(long) in told
    assert "would have 86 bytes" in told
    assert "--names base" in told
    assert "--long-names" in told
    assert image.read_bytes() == before

    skipped = done("add", image, tmp_path / "deep", "--long-names", "skip")
    assert set(names(image)) == {"a.html"}
    assert f"{long} is left out" in skipped.err
    done("add", image, tmp_path / "deep", "--long-names", "none")
    assert names(image) == {"a.html": b"short", "": b"deep"}


def test_names_are_counted_in_bytes(image: Path, tmp_path: Path) -> None:
    write(tmp_path / "umlauts", "ü" * 32, b"fits")
    done("add", image, tmp_path / "umlauts")
    write(tmp_path / "umlauts", "ü" * 33, b"does not")

    assert "would have 66 bytes" in failed(8, "add", image, tmp_path / "umlauts")
    assert names(image) == {"ü" * 32: b"fits"}


def test_odd_names_are_kept_to_the_byte_and_shown_on_one_line(image: Path, tmp_path: Path) -> None:
    odd = [b"caf\xe9", b"two\nlines", b"\x1b[31mred", "日本語".encode(), b"blank at end ", b"-v", b"?x=1&y"]
    folder = tmp_path / "odd"
    folder.mkdir()
    for number, name in enumerate(odd):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(b"%d" % number)

    added = done("add", image, folder)

    assert {slot.name for slot in Referee.read([image]).live} == set(odd)
    listed = done("ls", image)
    for ran in (added, listed):
        assert "\x1b" not in ran.out + ran.err
        assert "two\\nlines" in ran.out
        assert "caf\\xe9" in ran.out
    assert len(listed.out.splitlines()) == 1 + len(odd)
    assert {os.fsencode(row["name"]) for row in done("ls", image, "-o", "json").json} == set(odd)


def test_what_is_no_regular_file_is_left_out_and_told(image: Path, site: Path) -> None:
    os.mkfifo(site / "fifo")
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(site)
        listener.bind("socket")
        ran = done("add", image, ".", "--include", "fifo", "--include", "socket")

    assert names(image) == {}
    assert "fifo is left out: it is no regular file" in ran.err
    assert "socket is left out" in ran.err
    assert "no regular file" in failed(8, "add", image, site / "fifo")


def test_symbolic_links(image: Path, site: Path, tmp_path: Path) -> None:
    write(tmp_path / "outside", "far.txt", b"far")
    (site / "link.html").symlink_to("index.html")
    (site / "far").symlink_to(tmp_path / "outside")
    (site / "css" / "up").symlink_to("..")

    plain = done("add", image, site, "--dry-run")
    assert "link.html is left out: a symbolic link" in plain.err
    followed = done("add", image, site, "--follow", "--exclude", "drafts")

    assert set(names(image)) == {"index.html", "css/main.css", "img/logo.png", "far/far.txt"}
    assert "css/up is left out: it leads back" in followed.err
    assert "link.html has the content of 'index.html'" in followed.err

    (site / "dangling").symlink_to("nowhere")
    assert f"{site}/dangling cannot be read" in failed(8, "add", image, site, "--follow")


def test_lists_of_paths(image: Path, site: Path) -> None:
    paths = [os.fspath(site / name) for name in ("index.html", "css/main.css")]

    assert "2 added" in done("add", image, "-T", "-", stdin="\n".join(paths).encode()).err
    odd = write(site, "two\nlines", b"2")
    data = b"\0".join(map(os.fsencode, [*paths, odd, site / "img"])) + b"\0"
    assert "2 added, 2 there already" in done("add", image, "-T", "-", "-0", stdin=data).err
    assert set(names(image)) == {"index.html", "main.css", "two\nlines", "logo.png"}
    listed = write(site, "list", b"nowhere\n")
    assert "nowhere cannot be read" in failed(8, "add", image, "--files-from", listed)
    assert "the list /nowhere cannot be read" in failed(8, "add", image, "-T", "/nowhere")


def test_nothing_is_added_if_one_cannot_be_unless_it_keeps_going(image: Path, site: Path) -> None:
    (site / "broken").symlink_to("nowhere")
    write(site, "long" * 17, b"long")
    before = image.read_bytes()

    failed(8, "add", image, site, "--follow")
    assert image.read_bytes() == before

    ran = shfs("add", image, site, "--follow", "--keep-going")
    assert ran.code == 1
    assert set(names(image)) == {"index.html", "css/main.css", "img/logo.png", "drafts/a.html"}
    assert f"failed: {site}/broken cannot be read" in ran.err
    assert "error: 2 of the files were not added" in ran.err
    told = shfs("add", image, site, "--follow", "--keep-going", "-o", "json")
    assert {row["file"] for row in told.json["failed"]} == {f"{site}/broken", f"{site}/{'long' * 17}"}


def test_what_does_not_fit_is_told_before_and_after(image: Path, site: Path) -> None:
    write(site, "large.bin", bytes(9 * MIB))
    before = image.read_bytes()

    for options in ([], ["--dry-run"]):
        assert f"no room for {site}/large.bin" in failed(6, "add", image, site, *options)
        assert image.read_bytes()[:METADATA] == before[:METADATA]
    assert shfs("add", image, site, "--keep-going").code == 1
    assert len(names(image)) == 4


def test_a_dry_run_says_what_would_be_and_writes_nothing(image: Path, site: Path) -> None:
    write(site, "large.bin", random.Random(7).randbytes(MIB + 1))
    before = image.read_bytes()
    image.chmod(0o444)

    dry = done("add", image, site, "--dry-run", "-o", "json")

    assert image.read_bytes() == before
    assert "5 would be added, 0 there already; they take 261 chunks (1.0 MiB)" in dry.err
    image.chmod(0o644)
    real = done("add", image, site, "-o", "json")
    assert [row["digest"] for row in dry.json["added"]] == [row["digest"] for row in real.json["added"]]
    assert [row["chunk"] for row in dry.json["added"]] == [row["chunk"] for row in real.json["added"]]


def test_a_thousand_files_in_one_batch(tmp_path: Path, seeded: random.Random) -> None:
    image = tmp_path / "cache.img"
    done("mkfs", image, "--size", "64M", "--stripe", 4096)
    contents = {
        f"{number % 17}/{number}.bin": seeded.randbytes(seeded.choice([0, 1, 4095, 4096, 4097, 70_000]))
        for number in range(1000)
    }
    for name, data in contents.items():
        write(tmp_path / "many", name, data)

    ran = done("add", image, tmp_path / "many")

    found = names(image)
    assert {found[name] == contents[name] for name in found} == {True}
    assert set(found.values()) == set(contents.values())
    assert f"{len(found)} added, {1000 - len(found)} there already" in ran.err


def test_best_fit_for_one_batch(image: Path, tmp_path: Path) -> None:
    for name, chunks in (("a", 3), ("b", 1), ("c", 1), ("d", 1)):
        done("add", image, write(tmp_path, name, name.encode() * 4096 * chunks))
    done("rm", image, "a", "c")
    done("trim", image)

    done("add", image, write(tmp_path, "e", b"e"), "--fit", "best")

    places = {row["name"]: row["chunk"] for row in done("ls", image, "-o", "json").json}
    assert places["e"] == places["b"] + 1, "it is where c was, and not where a was"


def test_digests_of_a_provider(tmp_path: Path, site: Path) -> None:
    image = tmp_path / "manual.img"
    done("mkfs", image, "--size", "8M", "--hash", "manual", "--buckets", 64)

    assert "needs a digest" in failed(8, "add", image, site)
    done("add", image, site, "--provider", "blake2b")
    assert len(names(image)) == 4
    other = tmp_path / "sha.img"
    done("mkfs", other, "--size", "8M", "--buckets", 64)
    assert "makes its digests itself" in failed(8, "add", other, site, "--provider", "blake2b")


def test_names_that_several_objects_have_are_told(image: Path, tmp_path: Path) -> None:
    write(tmp_path, "a/index.html", b"a")
    write(tmp_path, "b/index.html", b"b")

    ran = done("add", image, tmp_path / "a", tmp_path / "b")

    assert "several objects are named index.html" in ran.err


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("live.m3u8", "application/vnd.apple.mpegurl"),
        ("seg1.ts", "video/mp2t"),
        ("seg1.m4s", "video/iso.segment"),
        ("live.mpd", "application/dash+xml"),
        ("a.webp", "image/webp"),
        ("a.woff2", "font/woff2"),
        ("a.vtt", "text/vtt"),
        ("a.mp4", "video/mp4"),
        ("A.HTML", "text/html"),
        ("main.js", "text/javascript"),
        ("old.tar.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
        ("README", ""),
        (".htaccess", ""),
        ("v1.0/README", ""),
    ],
)
def test_types_by_extension(name: str, expected: str) -> None:
    assert media_type(name) == expected


def test_a_type_that_is_too_long_is_told(image: Path, tmp_path: Path) -> None:
    write(tmp_path / "office", "letter.docx", b"letter")

    ran = done("add", image, tmp_path / "office")
    assert Referee.read([image]).listing()[0]["mime"] == "application/octet-stream"
    assert "letter.docx is stored as application/octet-stream" in ran.err

    write(tmp_path / "office", "other.docx", b"other")
    done("add", image, tmp_path / "office", "--mime", "application/msword")
    assert {row["mime"] for row in Referee.read([image]).listing()} == {
        "application/octet-stream",
        "application/msword",
    }


@pytest.mark.parametrize(
    ("path", "plain"),
    [("/etc/x", "etc/x"), ("./a//b/", "a/b"), ("../../a", "a"), ("a/../b", "b"), ("..", ""), ("a b/ü", "a b/ü")],
)
def test_paths_without_what_says_nothing(path: str, plain: str) -> None:
    assert plain_path(path) == plain


# Files that change, and files that nobody may read.


@pytest.fixture
def large(tmp_path: Path) -> Path:
    return write(tmp_path, "large.bin", random.Random(3).randbytes(3 * MIB))


def test_a_file_that_shrinks_while_it_is_read_is_an_error(image: Path, large: Path) -> None:
    with Volume.open([os.fspath(image)], write=True) as volume:
        with (
            pytest.raises(InputError, match=r"large\.bin became shorter"),
            volume.batch(progress=lambda count: os.truncate(large, MIB + 5)) as batch,
        ):
            list(batch.add_all([Addition(large)], threads=1))
        assert list(volume.objects()) == []
    assert names(image) == {}


def test_a_file_that_grows_is_what_it_was_when_it_was_opened(image: Path, large: Path) -> None:
    was = large.read_bytes()

    def grow(count: int) -> None:
        with large.open("ab") as file:
            file.write(b"more")

    with Volume.open([os.fspath(image)], write=True) as volume, volume.batch(progress=grow) as batch:
        list(batch.add_all([Addition(large)], threads=1))

    assert names(image) == {"large.bin": was}


@contextmanager
def nobody() -> Iterator[None]:
    """Not root, in this process, for as long as it lasts."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_named(site: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        image = folder / "cache.img"
        image.touch()
        os.truncate(image, 8 * MIB)
        mkfs([os.fspath(image)], stripe=4096, buckets=64)
        image.chmod(0o666)
        write(folder / "in", "open.txt", b"open")
        write(folder / "in", "secret.txt", b"secret").chmod(0)
        write(folder / "in", "vault/inner.txt", b"inner").parent.chmod(0)

        with nobody():
            assert f"{folder}/in/vault cannot be read: Permission denied" in failed(8, "add", image, folder / "in")
            told = failed(8, "add", image, folder / "in", "--exclude", "vault")
            assert f"{folder}/in/secret.txt cannot be read: Permission denied" in told
            assert shfs("add", image, folder / "in", "--keep-going", "-o", "json").code == 1
        (folder / "in/vault").chmod(0o755)

        assert names(image) == {"open.txt": b"open"}


def test_memory_is_flat_in_the_size_of_a_file(tmp_path: Path, full: bool) -> None:
    """What a file of 512 MiB takes beside a small one, all of it sparse; 64 MiB in the quick run."""
    size = (512 if full else 64) * MIB
    sparse = tmp_path / "sparse.bin"
    sparse.touch()
    os.truncate(sparse, size)
    small = write(tmp_path, "small.bin", b"small")
    image = tmp_path / "cache.img"
    done("mkfs", image, "--size", size + 16 * MIB)

    peaks = [_peak("add", image, file) for file in (small, sparse)]

    assert peaks[1] - peaks[0] < 24 * MIB
    item = next(row for row in done("ls", image, "-o", "json").json if row["name"] == "sparse.bin")
    assert item["size"] == size


def _peak(*arguments: object) -> int:
    """Run shfs in a process of its own. Its maximum resident size in bytes."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    code, peak = ran.stdout.splitlines()[-1].split()
    assert code == "0", ran.stderr
    return int(peak) * 1024
