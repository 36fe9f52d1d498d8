"""`shfs serve` and curl: ranges, resumed downloads, kept tags, times."""

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shfs import Volume, mkfs
from tests.unit.shfs_server import Server, serving

CURL = shutil.which("curl")

pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")

BIG = random.Random(1).randbytes((6 << 20) + 5)
CREATED = 1_700_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("volume")
    with (folder / "v.img").open("wb") as image:
        image.truncate(24 << 20)
    mkfs([str(folder / "v.img")])
    (folder / "big").write_bytes(BIG)
    (folder / "page.html").write_bytes(b"<h1>Page</h1>\n")
    with Volume.open([str(folder / "v.img")], write=True) as volume, volume.batch(now=CREATED) as batch:
        batch.add(folder / "big")
        page = batch.add(folder / "page.html", mime="text/html")
        batch.set_default(page.digest)
    with serving(folder / "v.img") as running:
        with Volume.open([str(folder / "v.img")], write=True) as volume, volume.batch(now=CREATED) as batch:
            batch.link(f"{running.url}big", name="there")
        yield running


def curl(*arguments: str | Path) -> bytes:
    ended = subprocess.run(
        [str(CURL), "--silent", "--show-error", "--max-time", "60", *map(str, arguments)],
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_an_object(server: Server) -> None:
    assert curl(f"{server.url}big") == BIG
    assert curl(server.url) == b"<h1>Page</h1>\n"


def test_requests_of_one_connection(server: Server) -> None:
    urls = [server.url, f"{server.url}big", f"{server.url}nothing", server.url]
    printed = curl("--write-out", "[%{num_connects} %{http_code} %{size_download}]", *urls)

    marks = re.findall(rb"\[([01]) ([0-9]{3}) ([0-9]+)\]", printed)
    assert [(mark[0], mark[1]) for mark in marks] == [(b"1", b"200"), (b"0", b"200"), (b"0", b"404"), (b"0", b"200")]
    assert marks[1][2] == str(len(BIG)).encode()


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("0-0", 0, 1), ("1000-2000", 1000, 2001), ("-7", len(BIG) - 7, len(BIG)), ("6000000-", 6_000_000, len(BIG))],
)
def test_a_range(server: Server, asked: str, start: int, end: int) -> None:
    assert curl("--range", asked, f"{server.url}big") == BIG[start:end]


def test_several_ranges(server: Server) -> None:
    printed = curl("--include", "--range", "0-9,100-109", f"{server.url}big")

    assert printed.startswith(b"HTTP/1.1 206 Partial Content\r\n")
    assert printed.count(b"Content-Range: bytes ") == 2
    for start in (0, 100):
        assert b"/%d\r\n\r\n" % len(BIG) + BIG[start : start + 10] + b"\r\n--" in printed


@pytest.mark.parametrize("have", [0, 1, 4_000_000, len(BIG) - 1])
def test_a_download_is_resumed(server: Server, tmp_path: Path, have: int) -> None:
    (tmp_path / "big").write_bytes(BIG[:have])

    curl("--continue-at", "-", "--output", tmp_path / "big", f"{server.url}big")

    assert (tmp_path / "big").read_bytes() == BIG


def test_a_kept_tag_saves_the_second_download(server: Server, tmp_path: Path) -> None:
    def fetch(name: str) -> bytes:
        return curl(
            *("--etag-compare", tmp_path / "tag", "--etag-save", tmp_path / "tag"),
            *("--output", tmp_path / name, "--write-out", "%{http_code}", f"{server.url}page.html"),
        )

    assert fetch("first") == b"200"
    assert (tmp_path / "first").read_bytes() == b"<h1>Page</h1>\n"
    assert fetch("second") == b"304"


@pytest.mark.parametrize(
    ("when", "status"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", b"304"),
        ("Tue, 14 Nov 2023 22:13:19 GMT", b"200"),
        # curl itself wants an older object than that time, not one that is as old.
        ("-Tue, 14 Nov 2023 22:13:21 GMT", b"200"),
        ("-Tue, 14 Nov 2023 22:13:19 GMT", b"412"),
    ],
)
def test_a_time_condition(server: Server, tmp_path: Path, when: str, status: bytes) -> None:
    arguments = ("--time-cond", when, "--output", tmp_path / "page", "--write-out", "%{http_code}")

    assert curl(*arguments, f"{server.url}page.html") == status


def test_the_time_of_an_object_is_kept(server: Server, tmp_path: Path) -> None:
    curl("--remote-time", "--output", tmp_path / "page", f"{server.url}page.html")

    assert (tmp_path / "page").stat().st_mtime == CREATED


def test_a_link_is_followed(server: Server) -> None:
    assert curl("--location", f"{server.url}there") == BIG


def test_head_and_http_1_0(server: Server) -> None:
    head = curl("--head", f"{server.url}big")
    old = curl("--http1.0", "--include", f"{server.url}page.html")

    assert f"Content-Length: {len(BIG)}\r\n".encode() in head
    assert b"\r\nConnection: close\r\n" in old
    assert old.endswith(b"\r\n\r\n<h1>Page</h1>\n")


def test_an_upload_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(BIG)
    for how in (("--upload-file", tmp_path / "big"), ("--data-binary", "x" * 1000), ("--form", "a=b")):
        assert curl("--output", tmp_path / "out", "--write-out", "%{http_code}", *how, f"{server.url}big") == b"405"


def test_many_at_once(server: Server, tmp_path: Path) -> None:
    count = 40
    arguments: list[str | Path] = ["--parallel", "--parallel-max", "20"]
    for number in range(count):
        arguments += ["--output", tmp_path / str(number), f"{server.url}big"]
    curl(*arguments)

    assert all((tmp_path / str(number)).read_bytes() == BIG for number in range(count))
