"""`shfs serve` beside nginx, which serves the same files from a folder: the same requests, the same answers.

Where the two differ the table below says how, and why ours is right or both are.
"""

import os
import random
import re
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from shfs import Volume, mkfs
from tests.peers.nginx import NGINX, nginx
from tests.unit.shfs_server import Answer, Server, serving

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (nginx-light)")

CREATED = 1_700_000_000
AT, BEFORE, AFTER = (formatdate(CREATED + shift, usegmt=True) for shift in (0, -1, 1))
MIME = {".html": "text/html", ".txt": "text/plain"}
FILES = {
    "index.html": b"<h1>Hello</h1>\n",
    "ten.txt": b"0123456789",
    "empty.txt": b"",
    "folder/a b.txt": b"in a folder",
    "big.bin": random.Random(1).randbytes((2 << 20) + 7),
}
LAST = len(FILES["big.bin"]) - 1

REQUESTS: dict[str, tuple[str, ...]] = {
    "default": ("GET", "/"),
    "default, query": ("GET", "/?"),
    "text": ("GET", "/ten.txt"),
    "big": ("GET", "/big.bin"),
    "empty": ("GET", "/empty.txt"),
    "head": ("HEAD", "/big.bin"),
    "head, empty": ("HEAD", "/empty.txt"),
    "query": ("GET", "/ten.txt?a=b"),
    "percent": ("GET", "/%74en%2Etxt"),
    "blank": ("GET", "/folder/a%20b.txt"),
    "slashes": ("GET", "//ten.txt"),
    "absolute": ("GET", "http://elsewhere/ten.txt"),
    "nothing": ("GET", "/nothing"),
    "head, nothing": ("HEAD", "/nothing"),
    "nul": ("GET", "/%00"),
    "post": ("POST", "/ten.txt", "Content-Length: 0"),
    "put": ("PUT", "/ten.txt", "Content-Length: 0"),
    "delete": ("DELETE", "/ten.txt"),
    "trace": ("TRACE", "/ten.txt"),
    "options": ("OPTIONS", "/ten.txt"),
    "unknown method": ("FROB", "/ten.txt"),
    "first byte": ("GET", "/ten.txt", "Range: bytes=0-0"),
    "middle": ("GET", "/big.bin", "Range: bytes=1048570-1048590"),
    "last byte": ("GET", "/big.bin", f"Range: bytes={LAST}-"),
    "suffix": ("GET", "/ten.txt", "Range: bytes=-3"),
    "long suffix": ("GET", "/ten.txt", "Range: bytes=-30"),
    "no suffix": ("GET", "/ten.txt", "Range: bytes=-0"),
    "beyond": ("GET", "/ten.txt", "Range: bytes=10-"),
    "clamped": ("GET", "/ten.txt", "Range: bytes=5-50"),
    "two ranges": ("GET", "/ten.txt", "Range: bytes=0-1,8-9"),
    "two ranges, one beyond": ("GET", "/ten.txt", "Range: bytes=0-1,80-90"),
    "overlapping ranges": ("GET", "/ten.txt", "Range: bytes=0-5,3-8"),
    "backward range": ("GET", "/ten.txt", "Range: bytes=5-4"),
    "nonsense range": ("GET", "/ten.txt", "Range: bytes=x"),
    "other unit": ("GET", "/ten.txt", "Range: lines=0-1"),
    "range of nothing": ("GET", "/empty.txt", "Range: bytes=0-"),
    "suffix of nothing": ("GET", "/empty.txt", "Range: bytes=-1"),
    "head, range": ("HEAD", "/ten.txt", "Range: bytes=0-0"),
    "if-range, same": ("GET", "/ten.txt", "Range: bytes=0-0", "If-Range: {tag}"),
    "if-range, other": ("GET", "/ten.txt", "Range: bytes=0-0", 'If-Range: "x"'),
    "if-range, weak": ("GET", "/ten.txt", "Range: bytes=0-0", "If-Range: W/{tag}"),
    "if-range, date": ("GET", "/ten.txt", "Range: bytes=0-0", f"If-Range: {AT}"),
    "if-range, later": ("GET", "/ten.txt", "Range: bytes=0-0", f"If-Range: {AFTER}"),
    "if-none-match": ("GET", "/ten.txt", "If-None-Match: {tag}"),
    "if-none-match, head": ("HEAD", "/ten.txt", "If-None-Match: {tag}"),
    "if-none-match, weak": ("GET", "/ten.txt", "If-None-Match: W/{tag}"),
    "if-none-match, list": ("GET", "/ten.txt", 'If-None-Match: "x", {tag}'),
    "if-none-match, any": ("GET", "/ten.txt", "If-None-Match: *"),
    "if-none-match, other": ("GET", "/ten.txt", 'If-None-Match: "x"'),
    "if-match": ("GET", "/ten.txt", "If-Match: {tag}"),
    "if-match, weak": ("GET", "/ten.txt", "If-Match: W/{tag}"),
    "if-match, other": ("GET", "/ten.txt", 'If-Match: "x"'),
    "if-modified-since, same": ("GET", "/ten.txt", f"If-Modified-Since: {AT}"),
    "if-modified-since, before": ("GET", "/ten.txt", f"If-Modified-Since: {BEFORE}"),
    "if-modified-since, after": ("GET", "/ten.txt", f"If-Modified-Since: {AFTER}"),
    "if-unmodified-since, before": ("GET", "/ten.txt", f"If-Unmodified-Since: {BEFORE}"),
    "if-unmodified-since, same": ("GET", "/ten.txt", f"If-Unmodified-Since: {AT}"),
    "tag before date": ("GET", "/ten.txt", 'If-None-Match: "x"', f"If-Modified-Since: {AFTER}"),
    "match before none-match": ("GET", "/ten.txt", 'If-Match: "x"', "If-None-Match: {tag}"),
    "304 before 416": ("GET", "/ten.txt", "If-None-Match: {tag}", "Range: bytes=10-"),
}

_MAY = "RFC 9110, 14.2 lets a server ignore a range that makes no sense, or refuse it"

DIFFERENCES: dict[str, tuple[int, int, str]] = {
    "backward range": (200, 416, _MAY),
    "nonsense range": (200, 416, _MAY),
    "head, range": (200, 206, "a range has a meaning for GET only (RFC 9110, 14.2)"),
    "overlapping ranges": (206, 200, "both may be: ours are made one, nginx gives up where they add up to the object"),
    "range of nothing": (416, 200, "no byte of it can be had (RFC 9110, 14.1.2); nginx has no ranges of empty files"),
    "if-modified-since, after": (304, 200, "it was not modified since (RFC 9110, 13.1.3); nginx wants the very time"),
    "nul": (404, 400, "it is a name, and there is no such object"),
    "options": (204, 405, "ours says what it can do (RFC 9110, 9.3.7)"),
    "unknown method": (501, 405, "501 is for methods that are not known, 405 for those that are (RFC 9110, 9.1)"),
}
"""Status of ours and of nginx, and why."""


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volume")
    with (folder / "v.img").open("wb") as image:
        image.truncate(16 << 20)
    mkfs([str(folder / "v.img")])
    with Volume.open([str(folder / "v.img")], write=True) as opened, opened.batch(now=CREATED) as batch:
        for name, content in FILES.items():
            (folder / "file").write_bytes(content)
            item = batch.add(folder / "file", name=name, mime=MIME.get(Path(name).suffix, ""))
            if name == "index.html":
                batch.set_default(item.digest)
    return folder / "v.img"


@pytest.fixture(scope="module")
def ours(volume: Path) -> Iterator[Server]:
    with serving(volume, "--quiet") as server:
        yield server


@pytest.fixture(scope="module")
def theirs(volume: Path, ours: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("root")
    with Volume.open([str(volume)]) as opened:
        for item in opened.objects():
            path = root / item.name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"".join(map(bytes, opened.read(item))))
            os.utime(path, (item.created, item.created))
    with nginx(root, tmp_path_factory.mktemp("nginx")) as port:
        yield Server(ours.process, port)


def ask(server: Server, name: str) -> Answer:
    method, target, *lines = REQUESTS[name]
    tag = server.get("/ten.txt").headers["etag"]
    return server.get(target, *[line.format(tag=tag) for line in lines], method=method)


def comparable(answer: Answer) -> dict[str, object]:
    """What two servers can agree upon. A page about an error is each server's own; so is what stands between parts."""
    headers = answer.headers
    body: object = answer.body if answer.status in (200, 206) else None
    kept = {name: headers.get(name) for name in ("content-range", "last-modified", "content-type", "content-length")}
    if boundary := re.search("boundary=(.*)", headers.get("content-type", "")):
        parts = answer.body.split(b"\r\n--" + boundary[1].encode())
        body = [part.partition(b"\r\n\r\n")[2] for part in parts]
        kept |= {"content-type": "multipart/byteranges", "content-length": None}
    if answer.status not in (200, 206):
        kept |= {"content-type": None, "content-length": None, "last-modified": None}
    return {"status": answer.status, "body": body, **kept}


@pytest.mark.parametrize("name", sorted(set(REQUESTS) - set(DIFFERENCES)))
def test_the_same_answer(ours: Server, theirs: Server, name: str) -> None:
    assert comparable(ask(ours, name)) == comparable(ask(theirs, name))


@pytest.mark.parametrize("name", sorted(DIFFERENCES))
def test_what_differs_is_what_the_table_says(ours: Server, theirs: Server, name: str) -> None:
    assert (ask(ours, name).status, ask(theirs, name).status) == DIFFERENCES[name][:2]
