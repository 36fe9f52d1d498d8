"""`shfs add-hls` and ffmpeg: a stream that it made is played by it from a volume, frame for frame as from the disk."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shfs import Volume, mkfs
from tests.unit.shfs_command import done
from tests.unit.shfs_server import Server, serving

FFMPEG = shutil.which("ffmpeg")

pytestmark = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")

PICTURES = ("-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-t", "3")
TONE = ("-f", "lavfi", "-i", "sine=440", "-t", "3")
VIDEO = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25")
HLS = ("-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod")

STREAMS = {
    "encrypted": (*PICTURES, *TONE, *VIDEO, "-c:a", "aac", *HLS, "-hls_key_info_file", "key-info"),
    "variants": (
        *(*PICTURES, *TONE, *VIDEO, "-c:a", "aac", *HLS, "-hls_segment_type", "fmp4"),
        *("-map", "0:v", "-map", "1:a", "-map", "0:v", "-map", "1:a", "-b:v:0", "200k", "-b:v:1", "50k"),
        *("-var_stream_map", "v:0,a:0 v:1,a:1"),
    ),
    "ranges": (*PICTURES, *VIDEO, *HLS, "-hls_flags", "single_file"),
}
"""AES-128 and its key; two variants of fragmented MP4, each with its map; byte ranges of one file."""

# For a stream of pictures alone it makes a master playlist that it does not read itself.
TOPS = {"encrypted": "master.m3u8", "variants": "master.m3u8", "ranges": "index.m3u8"}


def ffmpeg(*arguments: str, folder: Path) -> bytes:
    ended = subprocess.run(
        [str(FFMPEG), "-nostdin", "-v", "error", *arguments], cwd=folder, capture_output=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    return ended.stdout


def frames(source: str, folder: Path) -> list[str]:
    """The digest of each frame of each stream."""
    # It wants to see extensions, which a digest has not.
    known = ffmpeg("-h", "demuxer=hls", folder=folder).decode()
    wishes = {"-extension_picky": "0", "-allowed_extensions": "ALL", "-allowed_segment_extensions": "ALL"}
    options = [word for name, value in wishes.items() if f"{name} " in known for word in (name, value)]
    printed = ffmpeg(*options, "-i", source, "-map", "0", "-f", "framemd5", "-", folder=folder).decode()
    return [line for line in printed.splitlines() if not line.startswith("#")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The streams, each in a folder of its name, and a volume `v.img` that has them."""
    folder = tmp_path_factory.mktemp("hls")
    with (folder / "v.img").open("wb") as image:
        image.truncate(16 << 20)
    mkfs([str(folder / "v.img")])
    for name, arguments in STREAMS.items():
        stream = folder / name
        for inner in ("", *(("0", "1") if name == "variants" else ())):
            (stream / inner).mkdir()
        (stream / "one.key").write_bytes(bytes(range(16)))
        (stream / "key-info").write_text("one.key\none.key\n")
        target = "%v/index.m3u8" if name == "variants" else "index.m3u8"
        ffmpeg(*arguments, "-master_pl_name", "master.m3u8", target, folder=stream)
        done("add-hls", folder / "v.img", stream / TOPS[name], "--prefix", f"{name}/")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder / "v.img") as running:
        yield running


@pytest.mark.parametrize("name", STREAMS)
def test_it_is_played_from_its_name_and_from_its_digest(name: str, folder: Path, server: Server) -> None:
    top = f"{name}/{TOPS[name]}"
    expected = frames(top, folder)
    assert len(expected) >= 75

    with Volume.open([str(folder / "v.img")]) as volume:
        item = volume.named(top)
    assert item is not None
    assert frames(f"{server.url}{top}", folder) == expected
    assert frames(f"{server.url}?{item.digest.hex()}", folder) == expected


def test_the_streams_have_what_they_are_here_for(folder: Path) -> None:
    playlists = {name: "".join(path.read_text() for path in (folder / name).rglob("*.m3u8")) for name in STREAMS}

    assert re.search(r'EXT-X-KEY:METHOD=AES-128,URI="one\.key"', playlists["encrypted"])
    assert playlists["variants"].count("EXT-X-MAP:URI=") == 2
    assert playlists["ranges"].count("EXT-X-BYTERANGE:") == 3
