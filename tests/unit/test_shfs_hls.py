"""An HLS presentation on a volume: whatever a player follows, from the name or the digest of the playlist, it gets."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from shfs.digests import HashFunction
from shfs.formatting import mkfs
from tests.unit.shfs_command import done, shfs
from tests.unit.shfs_decoder import Slot, Volume

CHUNK = 4096

MASTER = """#EXTM3U
#EXT-X-VERSION:9
# made by hand: "quoted", URI="not/a/tag.ts"
#EXT-X-INDEPENDENT-SEGMENTS

#EXT-X-SESSION-KEY:METHOD=AES-128,URI="keys/one.key"
#EXT-X-SESSION-DATA:DATA-ID="com.example.title",VALUE="A, B = C",LANGUAGE="en"
#EXT-X-SESSION-DATA:DATA-ID="com.example.lyrics",URI="lyrics.json"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English, main",DEFAULT=YES,URI="audio/en.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="a"
video/low%20rate.m3u8?session=7
#EXT-X-STREAM-INF:BANDWIDTH=2560000,AUDIO="a"
./video/../video/high.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=86000,URI="video/iframes.m3u8",CODECS="avc1.4d401e"
#EXT-X-SOMETHING-NEW:URI="left/alone.bin",X=Y
"""

LOW = """#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-KEY:METHOD=AES-128, URI="../keys/one.key", IV=0x00000000000000000000000000000001
#EXTINF:4.0,title, with a comma
low0.ts
#EXTINF:4,
/video/low1.ts
#EXT-X-KEY:METHOD=NONE
#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://license/1",KEYFORMAT="com.apple.streamingkeydelivery"
#EXTINF:4,
https://elsewhere.example/low2.ts
#EXTINF:4,
http://elsewhere.example/low3.ts
#EXT-X-ENDLIST
"""

HIGH = """#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-MAP:URI="high.mp4",BYTERANGE="100@0"
#EXT-X-PART:DURATION=1.0,URI="high.mp4",BYTERANGE="50@100",INDEPENDENT=YES
#EXTINF:4,
#EXT-X-BYTERANGE:200@100
high.mp4
#EXTINF:4,
#EXT-X-BYTERANGE:200
high.mp4
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="next.mp4"
#EXT-X-RENDITION-REPORT:URI="low%20rate.m3u8",LAST-MSN=1
#EXT-X-ENDLIST
"""

FRAMES = """#EXTM3U
#EXT-X-I-FRAMES-ONLY
#EXTINF:4,
#EXT-X-BYTERANGE:20@100
high.mp4
#EXT-X-ENDLIST"""

AUDIO = (
    '#EXTM3U\r\n\r\n#EXT-X-MAP:URI="init.mp4"\r\n#EXTINF:4,\r\nen0.m4s\r\n#EXTINF:4,\r\nen1.m4s\r\n#EXT-X-ENDLIST\r\n'
)

FILES = {
    "master.m3u8": MASTER.encode(),
    "video/low rate.m3u8": LOW.encode(),
    "video/high.m3u8": HIGH.encode(),
    "video/iframes.m3u8": FRAMES.encode(),
    "audio/en.m3u8": AUDIO.encode(),
    "keys/one.key": bytes(range(16)),
    "lyrics.json": b"{}",
    "video/low0.ts": b"\x47low0" * 1000,
    "video/low1.ts": b"L" * 2 * CHUNK,
    "video/high.mp4": b"high" * 3000,
    "video/next.mp4": b"next",
    "audio/init.mp4": b"init",
    "audio/en0.m4s": b"en0",
    "audio/en1.m4s": b"en1",
}

URI = re.compile(r'URI="([^"]*)"|^([^#\s].*?)\r?$', re.MULTILINE)
KNOWN = re.compile(
    r"#EXT-X-(KEY|MAP|MEDIA|PART|PRELOAD-HINT|RENDITION-REPORT|SESSION-DATA|SESSION-KEY|I-FRAME-STREAM-INF):|[^#]"
)


class Scene:
    """A folder with a presentation, and a volume."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.volume = folder / "volume"
        self.top = folder / "hls" / "master.m3u8"

    def make(self, **options: Any) -> None:
        with self.volume.open("wb") as file:
            file.truncate(400 * CHUNK)
        mkfs([str(self.volume)], stripe=CHUNK, **{"buckets": 64, **options})

    def write(self, **files: bytes | str) -> None:
        """Files of the presentation."""
        for name, content in files.items():
            path = self.folder / "hls" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def add(self, *options: str) -> Any:
        return done("add-hls", self.volume, self.top, *options, "-o", "json").json

    def refused(self, *options: str) -> tuple[int, str, str]:
        """Exit code, message and hint; the volume is as it was."""
        before = self.volume.read_bytes()
        ran = shfs("add-hls", self.volume, self.top, *options, "-o", "json")
        told = json.loads(ran.err.splitlines()[-1])
        assert ran.code == told["exit_code"] != 0
        assert self.volume.read_bytes() == before
        return ran.code, told["message"], told["hint"]

    def referee(self) -> Volume:
        found = Volume.read([self.volume])
        assert found.findings() == []
        return found

    def names(self) -> set[str]:
        return {slot.name.decode() for slot in self.referee().live}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.make()
    scene.write(**FILES)
    return scene


def lookup(volume: Volume, url: str) -> Slot:
    """What the original's server finds for an URL: by digest if it is all that there is, else by name."""
    rest = url.partition("//")[2].partition("/")[2]
    if rest.startswith("?"):
        (slot,) = [slot for slot in volume.live if slot.digest.hex() == rest[1:]]
    else:
        slot = next(slot for slot in volume.live if slot.name.decode() == rest)
    return slot


def uris(playlist: str) -> Iterator[str]:
    """The URIs of a playlist, those of tags nobody knows left out."""
    for line in playlist.split("\n"):
        if KNOWN.match(line):
            yield from (quoted or plain for quoted, plain in URI.findall(line))


def follow(volume: Volume, url: str, original: Path, root: Path) -> Iterator[Path]:
    """Follow all that a playlist names on a volume, and all that its original names on the disk, side by side. Yields
    each file, whose contents are the same but for playlists."""
    stored = volume.content(lookup(volume, url)).decode()
    meant = original.read_bytes().decode()
    yield original
    for here, there in zip(uris(stored), uris(meant), strict=True):
        if urlsplit(there).scheme:
            assert here == there
            continue
        path = unquote(urlsplit(there).path)
        target = Path(os.path.normpath(root / path[1:] if path.startswith("/") else original.parent / path))
        found = urljoin(url, here)
        if target.suffix == ".m3u8":
            assert lookup(volume, found).mime == b"application/vnd.apple.mpegurl"
            yield from follow(volume, found, target, root)
        else:
            assert volume.content(lookup(volume, found)) == target.read_bytes()
            yield target


def test_all_that_is_named_is_found_from_a_name_and_from_a_digest(scene: Scene) -> None:
    told = scene.add()

    volume = scene.referee()
    digest = hashlib.sha256(volume.content(lookup(volume, "http://cache/master.m3u8"))).hexdigest()
    assert told["playlist"] == {"digest": digest, "name": "master.m3u8"}
    for url in ("http://cache/master.m3u8", f"http://cache/?{digest}"):
        found = set(follow(volume, url, scene.top, scene.top.parent))
        assert {str(path.relative_to(scene.top.parent)) for path in found} == set(FILES)
    assert len(volume.live) == len(FILES)
    types = {slot.name.decode(): slot.mime.decode() for slot in volume.live}
    assert types["video/low0.ts"] == "video/mp2t"
    assert types["video/high.mp4"] == "video/mp4"
    assert types["keys/one.key"] == "application/octet-stream"


def test_it_is_found_below_a_prefix_with_slashes_too(scene: Scene) -> None:
    told = scene.add("--prefix", "tv/show/", "--default")

    volume = scene.referee()
    assert told["playlist"]["name"] == "tv/show/master.m3u8"
    assert volume.default is not None
    assert volume.default.digest.hex() == told["playlist"]["digest"]
    found = set(follow(volume, "http://cache/tv/show/master.m3u8", scene.top, scene.top.parent))
    assert len(found) == len(FILES)


def test_nothing_but_uris_is_changed(scene: Scene) -> None:
    scene.add()

    volume = scene.referee()
    contents = {slot.name.decode(): volume.content(slot) for slot in volume.live}
    for name, original in FILES.items():
        if not name.endswith(".m3u8"):
            continue
        stored = contents[name].decode()
        assert len(list(uris(stored))) == len(list(uris(original.decode()))) > 0
        back = iter([uri for uri in uris(original.decode()) if not urlsplit(uri).scheme])
        assert re.sub(r"/\?[0-9a-f]{64}", lambda _, back=back: next(back), stored).encode() == original
        assert list(back) == []


def test_the_second_time_there_is_nothing_to_do(scene: Scene) -> None:
    scene.add()
    before = scene.volume.read_bytes()

    told = scene.add()

    assert (told["steps"], told["done"], told["unchanged"]) == ([], False, len(FILES))
    assert scene.volume.read_bytes() == before


def test_a_dry_run_says_it_and_does_nothing(scene: Scene) -> None:
    before = scene.volume.read_bytes()

    told = scene.add("-n")

    assert scene.volume.read_bytes() == before
    assert scene.add() == told | {"done": True}


def test_what_changed_is_added_and_the_playlist_replaced(scene: Scene) -> None:
    scene.add("--default")
    scene.write(**{"audio/en1.m4s": b"other"})

    told = scene.add()

    assert [(step["action"], step["name"]) for step in told["steps"]] == [
        ("add", "audio/en1.m4s"),
        ("add", "audio/en.m3u8"),
        ("replace", "master.m3u8"),
    ]
    assert told["default"]["digest"] == told["playlist"]["digest"]
    volume = scene.referee()
    assert len(set(follow(volume, "http://cache/master.m3u8", scene.top, scene.top.parent))) == len(FILES)


def test_objects_of_others_are_left_alone(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"of somebody else")
    done("add", scene.volume, tmp_path / "other", "--name", "video/next.mp4", "--mime", "x/y")
    done("add", scene.volume, scene.top.parent / "audio" / "en0.m4s", "--name", "somewhere")

    scene.add()

    volume = scene.referee()
    named = [(slot.name.decode(), volume.content(slot)) for slot in volume.live]
    assert ("video/next.mp4", b"of somebody else") in named
    assert ("video/next.mp4", b"next") in named
    assert ("somewhere", b"en0") in named
    assert "audio/en0.m4s" not in dict(named)


def test_the_same_content_is_one_object(scene: Scene) -> None:
    scene.write(**{"audio/en1.m4s": b"en0"})

    scene.add()

    volume = scene.referee()
    assert len(volume.live) == len(FILES) - 1
    assert len(set(follow(volume, "http://cache/master.m3u8", scene.top, scene.top.parent))) == len(FILES)


def test_names_that_do_not_fit_are_left_out_but_for_the_playlist(scene: Scene) -> None:
    scene.add("--prefix", "p" * 51)
    assert scene.names() >= {"", "p" * 51 + "master.m3u8", "p" * 51 + "video/low0.ts"}
    code, message, _ = scene.refused("--prefix", "p" * 54)
    assert (code, "has 65 bytes" in message) == (8, True)


def test_remote_segments_can_be_links(scene: Scene) -> None:
    scene.add("--link-remote")

    volume = scene.referee()
    (link,) = [slot for slot in volume.live if slot.is_link]
    assert (link.target, link.kind, link.name) == ("http://elsewhere.example/low3.ts", "redirect", b"low3.ts")
    (low,) = [volume.content(slot).decode() for slot in volume.live if slot.name == b"video/low rate.m3u8"]
    digest = hashlib.sha256(b"http://elsewhere.example/low3.ts").hexdigest()
    assert f"\n/?{digest}\n" in low
    assert "\nhttps://elsewhere.example/low2.ts\n" in low
    assert scene.add("--link-remote")["steps"] == []

    scene.write(**{"video/low rate.m3u8": LOW.replace("low3.ts", "x" * 71)})
    code, message, _ = scene.refused("--link-remote")
    assert (code, "low rate.m3u8, line 13" in message) == (8, True)


def test_digests_are_those_under_which_the_volume_has_it(scene: Scene) -> None:
    true, original = (hashlib.sha256(b"L" * size).hexdigest() for size in (2 * CHUNK, CHUNK))
    scene.add()
    assert {slot.digest.hex() for slot in scene.referee().live} >= {true}
    scene.make()

    scene.add("--compat-digest")

    volume = scene.referee()
    assert original in {slot.digest.hex() for slot in volume.live}
    assert len(set(follow(volume, "http://cache/master.m3u8", scene.top, scene.top.parent))) == len(FILES)
    assert scene.add("--compat-digest")["steps"] == []


def test_the_originals_digest_of_two_files_is_no_name_for_both(scene: Scene) -> None:
    scene.write(**{"audio/en0.m4s": b"0" * CHUNK, "audio/en1.m4s": b"1" * CHUNK})

    code, message, hint = scene.refused("--compat-digest")

    assert code == 8
    assert re.search(r"\(en0\.m4s\) and .*\(en1\.m4s\) are different", message)
    assert "--compat-digest" in hint


def test_digests_given_by_hand_come_from_a_provider(scene: Scene) -> None:
    scene.make(function=HashFunction.MANUAL, digest_length=20)
    code, message, _ = scene.refused()
    assert (code, "needs a digest" in message) == (8, True)

    for provider in ("blake2b", "sha1-of-name"):
        scene.make(function=HashFunction.MANUAL, digest_length=20)
        scene.add("--provider", provider)
        volume = scene.referee()
        assert len(set(follow(volume, "http://cache/master.m3u8", scene.top, scene.top.parent))) == len(FILES)


def test_a_playlist_without_an_end_is_told_of(scene: Scene) -> None:
    scene.write(**{"audio/en.m3u8": "#EXTM3U\n#EXTINF:4,\nen0.m4s\n"})

    ran = done("add-hls", scene.volume, scene.top)

    assert ran.err.startswith("note: ")
    assert "en.m3u8 has no EXT-X-ENDLIST" in ran.err
    assert ran.err.count("note: ") == 1
    assert ran.out.splitlines()[-1].endswith("  master.m3u8")


def test_files_outside_of_the_folder_are_taken_if_they_are_in_the_one_that_is_given(scene: Scene) -> None:
    scene.top = scene.top.parent / "video" / "low rate.m3u8"
    code, message, hint = scene.refused()
    assert (code, "keys/one.key does not lie in" in message, "--root" in hint) == (8, True, True)

    scene.add("--root", str(scene.top.parents[1]))

    assert scene.names() == {"video/low rate.m3u8", "video/low0.ts", "video/low1.ts", "keys/one.key"}
    _, message, _ = scene.refused("--root", str(scene.top.parents[1] / "audio"))
    assert "low rate.m3u8 does not lie in" in message


SEGMENT = "#EXTM3U\n#EXTINF:4,\n{}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("playlist", "problem", "hint"),
    [
        (b"\xef\xbb\xbf#EXTM3U\n", "begins with a byte order mark", "RFC 8216"),
        (b"#EXTM3U\n# \xff\n", "is no playlist: it is not UTF-8", "RFC 8216"),
        (b"", "its first line is not #EXTM3U", ""),
        ("#EXTM3U8\n", "its first line is not #EXTM3U", ""),
        (" #EXTM3U\n", "its first line is not #EXTM3U", ""),
        (SEGMENT.format("gone.ts"), "line 3 (gone.ts): ", "has to be there"),
        (SEGMENT.format("video"), "video is no regular file", "has to be there"),
        (SEGMENT.format("../outside.ts"), "does not lie in", "--root"),
        (SEGMENT.format("%2e%2e/outside.ts"), "does not lie in", "--root"),
        (SEGMENT.format("video/../../outside.ts"), "does not lie in", "--root"),
        (SEGMENT.format("/etc/passwd"), "hls/etc/passwd cannot be read", ""),
        (SEGMENT.format("a%00b"), "it names no file", ""),
        (SEGMENT.format("/?" + "00" * 32), "it names no file", "on a volume already"),
        (SEGMENT.format("?" + "00" * 32), "it names no file", "on a volume already"),
        (SEGMENT.format("http://[1/x"), "it is no URI", "mend"),
        (SEGMENT.format("{$base}/x.ts"), "line 3: the URI '{$base}/x.ts' has a variable", "EXT-X-DEFINE"),
        (SEGMENT.format("master.m3u8"), "the playlist names itself", "leave out that line"),
        ('#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=one.key\n', "line 2: the URI of EXT-X-KEY is not in quotes", "URI="),
        ('#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="one.key\n', "line 2: the attributes of EXT-X-KEY", "RFC 8216"),
        ('#EXTM3U\n#EXT-X-MAP:nonsense\n', "line 2: the attributes of EXT-X-MAP", "RFC 8216"),
        ('#EXTM3U\n#EXT-X-MAP:URI=""\n', "it names no file", ""),
        (SEGMENT.format("keys/one.m3u8"), "one.m3u8 cannot be read", ""),
        (SEGMENT.format("lyrics.json\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlyrics.json"), "lyrics.json is no playlist", ""),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_an_error_that_says_where(
    scene: Scene, playlist: bytes | str, problem: str, hint: str
) -> None:
    (scene.folder / "outside.ts").write_bytes(b"secret")
    scene.write(**{"master.m3u8": playlist})

    code, message, cure = scene.refused()

    assert code == 8
    assert problem in message
    assert hint in cure
    assert cure


def test_playlists_that_name_each_other_are_an_error(scene: Scene) -> None:
    scene.write(**{"video/low rate.m3u8": LOW + '#EXT-X-RENDITION-REPORT:URI="high.m3u8"\n'})

    code, message, _ = scene.refused()

    assert (code, "high.m3u8, line 12 (low%20rate.m3u8): the playlist names itself, or one" in message) == (8, True)


def test_playlists_that_lie_too_deep_are_an_error(scene: Scene) -> None:
    for level in range(20):
        scene.write(**{f"{level}.m3u8": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{level + 1}.m3u8\n"})
    scene.top = scene.top.parent / "0.m3u8"

    assert "playlists lie over 16 deep" in scene.refused()[1]


def test_there_is_no_room(scene: Scene) -> None:
    scene.write(**{"video/next.mp4": b"n" * 400 * CHUNK})

    code, message, _ = scene.refused()

    assert (code, "there is no room" in message) == (6, True)
