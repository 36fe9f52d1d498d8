"""`shfs serve`: what is served of which object, while the volume changes and when it is damaged."""

import html.parser
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shfs import Volume, mkfs
from shfs.digests import HashFunction
from shfs.entry import SLOT_SIZE
from shfs.http.message import Request
from shfs.http.site import Site
from shfs.links import LinkKind
from shfs.live import LiveVolume
from tests.unit import shfs_decoder
from tests.unit.shfs_golden import GOLDEN, unpack
from tests.unit.shfs_server import Server, answers, received, serving

CREATED = 1_700_000_000
BIG = os.urandom((5 << 20) + 17)
FILES = {
    "index.html": (b"<h1>Hello</h1>\n", "text/html", ""),
    "big": (BIG, "", ""),
    "empty": (b"", "text/css", ""),
    "chunk": (b"c" * 16384, "text/plain", ""),
    "packed": (b"\x1f\x8b", "text/javascript", "gzip"),
    "odd": (b"odd", "text/plain\r\nX: y", "a\tb\x01"),
    "a b?&<i>ü": (b"strange", "text/plain;charset=utf-8", ""),
    "folder/page": (b"page", "text/plain", ""),
    "../up": (b"up", "", ""),
    "/slash": (b"slash", "", ""),
    "": (b"nameless", "", ""),
}
LINKS = {
    "there": ("http://example.org/there?x=y", LinkKind.REDIRECT),
    "port": ("http://192.0.2.7:8000/", LinkKind.REDIRECT),
    "long": (f"http://{'h' * 32}:65535/{'p' * 70}", LinkKind.REDIRECT),
    "raw": ("http://example.org/stream", LinkKind.RAW),
    "auto": ("http://example.org/ü%20<", LinkKind.AUTO),
}


def blank(path: Path, size: int = 24 << 20) -> str:
    with path.open("wb") as file:
        file.truncate(size)
    return str(path)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    mkfs([blank(folder / "v.img")], name="shown <b>")
    with Volume.open([str(folder / "v.img")], write=True) as volume, volume.batch(now=CREATED) as batch:
        for name, (content, mime, encoding) in FILES.items():
            (folder / "file").write_bytes(content)
            batch.add(folder / "file", name=name, mime=mime, encoding=encoding)
        for name, (url, kind) in LINKS.items():
            batch.link(url, kind, name=name)
    return folder / "v.img"


@pytest.fixture(scope="module")
def server(image: Path) -> Iterator[Server]:
    with serving(image, "--quiet") as running:
        yield running


def tag_of(image: Path, name: str) -> str:
    with Volume.open([str(image)]) as volume:
        item = volume.named(name)
        assert item is not None
        return f'"{item.digest.hex()}"'


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/index.html", "index.html"),
        ("/big", "big"),
        ("/empty", "empty"),
        ("/chunk", "chunk"),
        ("/a%20b%3f%26%3ci%3e%C3%BC", "a b?&<i>ü"),
        ("/a%20b%3F&%3Ci%3E%c3%bc?query", "a b?&<i>ü"),
        ("//folder/page", "folder/page"),
        ("/../up", "../up"),
        ("/%2Fslash", "/slash"),
        ("http://elsewhere/folder%2Fpage", "folder/page"),
    ],
)
def test_objects_by_name(server: Server, target: str, name: str) -> None:
    answer = server.get(target)

    assert (answer.status, answer.body) == (200, FILES[name][0])
    assert answer.headers["content-type"] == (FILES[name][1] or "application/octet-stream")
    assert answer.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"


@pytest.mark.parametrize("name", FILES)
def test_objects_by_digest_in_either_case(server: Server, image: Path, name: str) -> None:
    digest = tag_of(image, name).strip('"')

    for target in (f"/?{digest}", f"/?{digest.upper()}", f"http://x?{digest}"):
        assert server.get(target).body == FILES[name][0]


@pytest.mark.parametrize(
    "target", ["/slash", "/nothing", "/INDEX.HTML", "/?" + "00" * 32, "/?00", "/%00", "/index.html/"]
)
def test_what_is_not_there(server: Server, target: str) -> None:
    answer = server.get(target)

    assert answer.status == 404
    assert b"Element not found" in answer.body


def test_the_encoding_of_an_entry_is_told(server: Server) -> None:
    answer = server.get("/packed")

    assert (answer.headers["content-encoding"], answer.headers["content-type"]) == ("gzip", "text/javascript")
    assert "content-encoding" not in server.get("/big").headers


def test_what_cannot_stand_in_a_header_is_not_told(server: Server) -> None:
    answer = server.get("/odd")

    assert (answer.status, answer.body) == (200, b"odd")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "content-encoding" not in answer.headers
    assert "x" not in answer.headers


@pytest.mark.parametrize("target", ["/index.html", "/big", "/empty", "/", "/nothing", "/there"])
def test_head_has_the_fields_of_get_and_no_body(server: Server, target: str) -> None:
    got, head = server.get(target), server.get(target, method="HEAD")

    assert head.body == b""
    assert (head.status, {**head.headers, "date": ""}) == (got.status, {**got.headers, "date": ""})


@pytest.mark.parametrize("name", LINKS)
def test_links_send_the_client_to_their_target(server: Server, name: str) -> None:
    answer = server.get(f"/{name}")

    wanted = LINKS[name][0].replace("ü", "%C3%BC").replace("<", "%3C")
    assert (answer.status, answer.headers["location"]) == (307, wanted)
    assert answer.headers["shfs-link"] == LINKS[name][1].name.lower()
    assert (b"clone" in answer.body) == (name in ("raw", "auto"))


def test_conditions_are_for_objects_only(server: Server) -> None:
    assert server.get("/there", "If-None-Match: *").status == 307
    assert server.get("/nothing", "If-Match: *").status == 404


@pytest.mark.parametrize(
    ("field", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=16383-16384", 16383, 16385),
        (f"bytes={len(BIG) - 1}-", len(BIG) - 1, len(BIG)),
        ("bytes=-1", len(BIG) - 1, len(BIG)),
        ("bytes=5-999999999999", 5, len(BIG)),
        (f"bytes={(1 << 20) - 1}-{3 << 20}", (1 << 20) - 1, (3 << 20) + 1),
        ("bytes=0-99,50-150", 0, 151),
    ],
)
def test_a_range(server: Server, field: str, start: int, end: int) -> None:
    answer = server.get("/big", f"Range: {field}")

    assert (answer.status, answer.body) == (206, BIG[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(BIG)}"
    assert answer.headers["content-type"] == "application/octet-stream"


def test_several_ranges(server: Server) -> None:
    wanted = [(5_000_000, 5_000_100), (0, 1), (1_048_570, 1_048_580)]
    field = ",".join(f"{start}-{end - 1}" for start, end in wanted)
    answer = server.get("/big", f"Range: bytes={field}, {len(BIG)}-")

    assert answer.status == 206
    assert "content-range" not in answer.headers
    matched = re.fullmatch(r"multipart/byteranges; boundary=([0-9a-f]{32})", answer.headers["content-type"])
    assert matched
    _, *parts, end = answer.body.split(f"\r\n--{matched[1]}".encode())
    assert end == b"--\r\n"
    for part, (start, stop) in zip(parts, wanted, strict=True):
        head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        fields = message_from_bytes(head + b"\r\n\r\n")
        assert fields["content-range"] == f"bytes {start}-{stop - 1}/{len(BIG)}"
        assert fields["content-type"] == "application/octet-stream"
        assert content == BIG[start:stop]


@pytest.mark.parametrize(("name", "field"), [("big", f"bytes={len(BIG)}-"), ("big", "bytes=-0"), ("empty", "bytes=0-")])
def test_a_range_that_cannot_be_had(server: Server, name: str, field: str) -> None:
    answer = server.get(f"/{name}", f"Range: {field}")

    assert answer.status == 416
    assert answer.headers["content-range"] == f"bytes */{len(FILES[name][0])}"


@pytest.mark.parametrize("field", ["lines=0-1", "bytes=1-0", "bytes=x", "bytes=" + "0-0,2-2," * 20])
def test_a_range_that_is_none_is_ignored(server: Server, field: str) -> None:
    answer = server.get("/index.html", f"Range: {field}")

    assert (answer.status, answer.body) == (200, FILES["index.html"][0])
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_range_is_for_get_only(server: Server) -> None:
    answer = server.get("/big", "Range: bytes=0-0", method="HEAD")

    assert (answer.status, answer.headers["content-length"]) == (200, str(len(BIG)))


def test_if_range(server: Server, image: Path) -> None:
    tag, date = tag_of(image, "big"), formatdate(CREATED, usegmt=True)

    statuses = {
        condition: server.get("/big", "Range: bytes=0-0", f"If-Range: {condition}").status
        for condition in (tag, f"W/{tag}", '"x"', date, formatdate(CREATED + 1, usegmt=True))
    }
    assert list(statuses.values()) == [206, 200, 200, 206, 200]


def test_a_precondition_is_heard_before_a_range(server: Server, image: Path) -> None:
    tag = tag_of(image, "big")

    assert server.get("/big", "Range: bytes=0-0", f"If-None-Match: {tag}").status == 304
    assert server.get("/big", f"Range: bytes={len(BIG)}-", f"If-None-Match: {tag}").status == 304
    assert server.get("/big", "Range: bytes=0-0", f"If-Match: {tag}").status == 206
    assert server.get("/big", "Range: bytes=0-0", 'If-Match: "x"').status == 412


def test_not_modified_has_the_tag_and_no_body(server: Server, image: Path) -> None:
    tag = tag_of(image, "index.html")
    answer = server.get("/index.html", 'If-None-Match: "x"', f"If-None-Match: W/{tag}")

    assert (answer.status, answer.headers["etag"]) == (304, tag)
    assert set(answer.headers) == {"date", "server", "etag", "cache-control", "connection"}


def one_object(folder: Path, content: bytes, **options: object) -> Path:
    """A volume with one object, `x`; digests are given by hand, and are all 1s, where the options say so."""
    by_hand = options.get("function") is HashFunction.MANUAL
    mkfs([blank(folder / "one.img")], **options)  # type: ignore[arg-type]
    (folder / "x").write_bytes(content)
    with Volume.open([str(folder / "one.img")], write=True) as volume, volume.batch(now=CREATED) as batch:
        batch.add(folder / "x", digest=b"\1" * 16 if by_hand else None)
    return folder / "one.img"


def test_a_tag_is_strong_where_a_digest_says_what_the_content_is(server: Server, image: Path) -> None:
    assert server.get("/index.html").headers["etag"] == tag_of(image, "index.html")
    # 16384 bytes are a chunk: the original's digest would not cover them.
    assert re.fullmatch(tag_of(image, "chunk")[:-1] + '-[0-9a-f]+-[0-9a-f]+"', server.get("/chunk").headers["etag"])


def test_a_tag_is_weak_where_digests_are_given_by_hand(tmp_path: Path) -> None:
    path = one_object(tmp_path, b"old", function=HashFunction.MANUAL)
    with serving(path) as server:
        old = server.get("/x").headers["etag"]
        assert re.fullmatch(f'W/"{"01" * 16}-[0-9a-f]+-[0-9a-f]+"', old)
        assert server.get("/x", f"If-None-Match: {old}").status == 304
        assert server.get("/x", "Range: bytes=0-0", f"If-Range: {old}").status == 200
        (tmp_path / "x").write_bytes(b"new")
        with Volume.open([str(path)], write=True) as volume, volume.batch(now=CREATED) as batch:
            batch.remove(b"\1" * 16)
            batch.add(tmp_path / "x", digest=b"\1" * 16)

        answer = server.get("/x", f"If-None-Match: {old}")
    assert (answer.status, answer.body) == (200, b"new")


def test_an_object_of_the_future_is_as_old_as_the_response(tmp_path: Path) -> None:
    path = one_object(tmp_path, b"x")
    with Volume.open([str(path)], write=True) as volume, volume.batch(now=(1 << 64) - 1) as batch:
        (tmp_path / "x").write_bytes(b"y")
        batch.add(tmp_path / "x", name="y")
    with serving(path) as server:
        answer = server.get("/y")

    said, modified = (parsedate_to_datetime(answer.headers[field]) for field in ("date", "last-modified"))
    # A second may end between the two.
    assert timedelta(0) <= said - modified <= timedelta(seconds=1)


class Links(html.parser.HTMLParser):
    """The links of a page, with what they show, and the tags that are there."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.tags: set[str] = set()
        self._target: str | None = None
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._target = dict(attrs).get("href") if tag == "a" else None

    def handle_data(self, data: str) -> None:
        if self._target:
            self.found[self._target] = data
            self._target = None


def test_a_volume_without_default_object_is_listed(server: Server) -> None:
    answer = server.get("/")

    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    page = Links(answer.body)
    assert len(page.found) == len(FILES) + len(LINKS)
    assert page.tags == {"meta", "title", "h1", "p", "table", "tr", "td", "a"}
    shown = {text: target for target, text in page.found.items()}
    for name, (content, _, _) in FILES.items():
        target = shown[name] if name else next(target for text, target in shown.items() if text.startswith("?"))
        # As a browser would: dots in a path are resolved before anybody is asked.
        assert not {".", ".."} & set(urlsplit(target).path.split("/"))
        assert server.get(target).body == content


def test_names_that_two_objects_have_are_listed_under_both(tmp_path: Path) -> None:
    path = one_object(tmp_path, b"one")
    with Volume.open([str(path)], write=True) as volume, volume.batch() as batch:
        (tmp_path / "x").write_bytes(b"two")
        batch.add(tmp_path / "x")
    with serving(path) as server:
        targets = Links(server.get("/").body).found

        assert {server.get(target).body for target in targets} == {b"one", b"two"}
        assert "/x" in targets


def test_what_changes_on_the_volume_is_served_at_once(tmp_path: Path) -> None:
    path = one_object(tmp_path, b"old")
    with serving(path) as server:
        assert server.get("/x").body == b"old"
        for turn in range(20):
            content = f"new {turn}".encode()
            (tmp_path / "x").write_bytes(content)
            with Volume.open([str(path)], write=True) as volume, volume.batch() as batch:
                batch.remove(volume.get("x").digest)
                batch.set_default(batch.add(tmp_path / "x").digest)
            answer = server.get("/")
            assert (answer.status, answer.body) == (200, content)
        # Another volume in its place, and another file.
        one_object(tmp_path, b"made anew")
        assert server.get("/x").body == b"made anew"
        (tmp_path / "other").mkdir()
        one_object(tmp_path / "other", b"replaced").rename(path)
        assert server.get("/x").body == b"replaced"


def test_a_client_gets_to_its_end_what_it_began_to_get(tmp_path: Path) -> None:
    content = os.urandom(16 << 20)
    path = one_object(tmp_path, content)
    with serving(path) as server, server.connect() as client:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        begun = client.recv(1000)
        with Volume.open([str(path)], write=True) as volume, volume.batch() as batch:
            batch.remove(volume.get("x").digest)
            batch.add(image_of(tmp_path, b"y"), name="y")
        assert server.get("/x").status == 404
        assert server.get("/y").body == b"y"

        (answer,) = answers(begun + b"".join(received(client)))
    assert answer.body == content


def image_of(folder: Path, content: bytes) -> Path:
    (folder / "content").write_bytes(content)
    return folder / "content"


def test_what_is_damaged_is_told_and_the_rest_is_served(tmp_path: Path) -> None:
    path = one_object(tmp_path, b"damaged")
    with Volume.open([str(path)], write=True) as volume:
        with volume.batch() as batch:
            batch.add(image_of(tmp_path, b"sound"), name="sound")
        slot = volume.get("x").slot
        place = volume.configuration.table * volume.geometry.chunk_size + slot * SLOT_SIZE + 64
    with path.open("r+b") as file:
        file.seek(place)
        file.write((1 << 62).to_bytes(8, "little"))
    with serving(path) as server:
        found = server.ask(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\nGET /sound HTTP/1.1\r\nHost: x\r\n\r\n")

    assert [answer.status for answer in found] == [500, 200]
    assert b"says it has chunks 4611686018427387904" in found[0].body
    assert found[1].body == b"sound"


def test_a_volume_that_is_no_more_is_told_and_looked_at_again(tmp_path: Path) -> None:
    path = one_object(tmp_path, b"x")
    whole = path.read_bytes()
    with serving(path) as server:
        path.write_bytes(bytes(len(whole)))
        answer = server.get("/x")
        assert (answer.status, b"SHFS" in answer.body) == (500, True)
        path.unlink()
        assert server.get("/x").status == 500
        assert server.get("/x", method="HEAD").status == 500
        path.write_bytes(whole)
        assert server.get("/x").body == b"x"


def test_a_volume_that_is_cut_while_it_is_sent_ends_the_connection(tmp_path: Path) -> None:
    content = bytes(16 << 20)
    path = one_object(tmp_path, content)
    with serving(path) as server, server.connect() as client:
        client.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        begun = client.recv(1000)
        os.truncate(path, 5 << 20)

        data = begun + b"".join(received(client))
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(content)}\r\n".encode() in data
    assert len(data) < len(content)


def resident_peak(pid: int) -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    matched = re.search(r"VmHWM:\s+([0-9]+) kB", status)
    assert matched
    return int(matched[1]) << 10


def test_memory_does_not_grow_with_an_object(tmp_path: Path) -> None:
    size = 128 << 20
    mkfs([blank(tmp_path / "v.img", 150 << 20)])
    blank(tmp_path / "zeros", size)
    with Volume.open([str(tmp_path / "v.img")], write=True) as volume, volume.batch() as batch:
        batch.add(tmp_path / "zeros")
        batch.add(image_of(tmp_path, b"small"), name="small")
    with serving(tmp_path / "v.img") as server:
        server.get("/small")
        before = resident_peak(server.process.pid)
        with server.connect() as client, server.connect() as slow:
            for each in (slow, client):
                each.sendall(b"GET /zeros HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            # The slow one reads nothing meanwhile.
            assert sum(map(len, received(client))) > size
        assert resident_peak(server.process.pid) - before < size / 4


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_volumes_are_served_as_they_are(tmp_path: Path, name: str) -> None:
    paths = unpack(GOLDEN[name], tmp_path)
    referee = shfs_decoder.Volume.read(paths)
    live = LiveVolume([str(path) for path in reversed(paths)])
    site = Site(live)
    for slot in referee.live:
        response = site.answer(Request("GET", f"/?{slot.digest.hex()}"))
        headers = dict(response.headers)
        if slot.is_link:
            assert (response.status, headers["Location"]) == (307, slot.target.replace(":80/", "/"))
        else:
            body = b"".join(map(bytes, response.blocks()))
            if slot.size and referee.chunks_of(slot).stop > referee.label.chunks:
                # The original tool writes past the end of a volume that has a link.
                assert (response.status, name) == (500, "f-pastend")
                continue
            assert (response.status, body) == (200, referee.content(slot))
            assert headers["Content-Length"] == str(slot.size)
            assert headers["Content-Type"] == (slot.mime.decode() or "application/octet-stream")
            assert slot.digest.hex() in headers["ETag"]
        response.close()
    live.close()
