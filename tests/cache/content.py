"""What is served: objects of all sizes that matter, names that have to be encoded, hosts of their own; once as an SHFS
volume, and once as a folder."""

import hashlib
import io
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shfs.digests import HashFunction
from shfs.formatting import mkfs
from shfs.volume import Volume

CHUNK = 16384
DIGEST_LENGTH = 64
"""SHA-512: the original cuts such a digest."""

MODIFIED = 1_700_000_000
"""Tue, 14 Nov 2023 22:13:20 GMT"""

FUTURE = 4_000_000_000
"""Wed, 02 Oct 2096 07:06:40 GMT: the clock of who wrote it was wrong."""

HOSTS = ("one.example", "two.example")


@dataclass(frozen=True, slots=True)
class Item:
    """An object. The name of what a virtual host has begins with that host; with nothing behind the slash it is what
    the host has for an empty request."""

    name: str
    content: bytes
    mime: str
    modified: int = MODIFIED

    @property
    def digest(self) -> str:
        """In lower-case hexadecimal digits."""
        return hashlib.sha512(self.content).hexdigest()


def _some(name: str, size: int) -> bytes:
    return random.Random(name).randbytes(size)


def _text(name: str) -> Item:
    return Item(name, f"This is {name}.\n".encode(), "text/plain")


_SIZES = {
    "one.bin": 1,
    "chunk-1.bin": CHUNK - 1,
    "chunk.bin": CHUNK,
    "chunk+1.bin": CHUNK + 1,
    "chunks.bin": 5 * CHUNK,
    "chunks+7.bin": 9 * CHUNK + 7,
    "huge.bin": 16 << 20,
}

DEFAULT = "index.html"
LONGEST_NAME = "a-name-that-fills-its-field-of-sixty-four-bytes-to-the-last.html"
LONGEST_TYPE = "application/vnd.thirty-two-bytes"

ITEMS = {
    item.name: item
    for item in (
        Item(DEFAULT, b"<!DOCTYPE html><title>The default object</title>\n", "text/html"),
        Item("empty.txt", b"", "text/plain"),
        Item("hello.txt", b"hello world", "text/plain"),
        Item("alphabet.txt", b"abcdefghijklmnopqrstuvwxyz", "text/plain"),
        *(Item(name, _some(name, size), "application/octet-stream") for name, size in _SIZES.items()),
        Item("page.html", b"<p>A page.</p>\n", "text/html"),
        Item("style.css", b"p { margin: 0 }\n", "text/css"),
        Item("picture.png", b"\x89PNG\r\n\x1a\n" + _some("picture", 3000), "image/png"),
        Item("stream.m3u8", b"#EXTM3U\n", "application/vnd.apple.mpegurl"),
        Item("typed.long", b"its type fills the field\n", LONGEST_TYPE),
        Item("future.txt", b"written tomorrow\n", "text/plain", FUTURE),
        Item(LONGEST_NAME, b"<p>A long name.</p>\n", "text/html"),
        _text("with space.txt"),
        _text("plus+plus.txt"),
        _text("100%.txt"),
        _text("what?.txt"),
        _text("hash#tag.txt"),
        _text("grüße.txt"),
        _text("semi;colon,comma.txt"),
        _text("folder/file.txt"),
        _text("folder/deep/er/file.txt"),
        _text("%41.txt"),
        *(_text(f"{host}/hosted.txt") for host in HOSTS),
        _text(f"{HOSTS[0]}/"),
        _text(f"{HOSTS[0]}/hello.txt"),
    )
}

LINKS = {
    "short.link": "http://origin.example:8080/there",
    "long.link": "http://origin.of-thirty-one-bytes.test:18080/" + "long/" * 13 + "ok?x",
}
"""Redirections. The second is longer than a line of the original's headers."""

GHOST = Item("ghost.txt", b"", "text/plain")
"""The name of an object that was the default one and is removed."""


def write_volume(image: Path) -> None:
    """A volume with all of it. There is an object in it that was removed as the original removes: only its digest is
    gone, and its entry, behind that of the true default object, still says that it is the default one."""
    with image.open("wb") as file:
        file.truncate(24 << 20)
    mkfs(
        [str(image)],
        stripe=CHUNK,
        buckets=64,
        entries=64,
        function=HashFunction.SHA,
        digest_length=DIGEST_LENGTH,
    )
    with Volume.open([str(image)], write=True) as volume:
        for modified in (MODIFIED, FUTURE):
            with volume.batch(now=modified) as batch:
                for item in ITEMS.values():
                    if item.modified == modified:
                        batch.add(io.BytesIO(item.content), name=item.name, mime=item.mime, size=len(item.content))
        with volume.batch(now=MODIFIED) as batch:
            for name, url in LINKS.items():
                batch.link(url, name=name)
            default = volume.get(DEFAULT)
            batch.set_default(default.digest)
        _haunt(volume, default.slot)


def _haunt(volume: Volume, behind: int) -> None:
    """Leave a removed default object in a slot further behind."""
    for attempt in range(1000):
        with volume.batch(now=MODIFIED) as batch:
            content = b"removed %d" % attempt
            ghost = batch.add(io.BytesIO(content), name=GHOST.name, mime=GHOST.mime, size=len(content))
            slot = bytearray(volume.table.slot(ghost.slot))
            if ghost.slot <= behind:
                batch.remove(ghost.digest)
                continue
            slot[:DIGEST_LENGTH] = bytes(DIGEST_LENGTH)
            slot[_FLAGS_AT] |= _DEFAULT_FLAG
            batch.put_slot(ghost.slot, bytes(slot))
            return
    raise AssertionError("no slot behind that of the default object")


_FLAGS_AT, _DEFAULT_FLAG = 180, 0x08
"""Where flags stand in an entry of SHFS 2.01, and the one of a default object."""


def write_folder(folder: Path) -> None:
    """The same as files; `path_of` says where."""
    for item in ITEMS.values():
        path = folder / path_of(item.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.content)
        os.utime(path, (item.modified, item.modified))


def path_of(name: str) -> str:
    """The file of an object: a name may end with a slash, which no file's does."""
    return f"{name}%default.txt" if name.endswith("/") else name


def types() -> Sequence[tuple[str, str]]:
    """MIME types by the extension of the name."""
    return sorted({(item.mime, item.name.rpartition(".")[2]) for item in ITEMS.values() if item.name[-1] != "/"})
