"""Volumes of every kind behind the cache: each object of it comes whole, from all members, and nothing else comes."""

import io
import itertools
import random
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from shfs.formatting import mkfs
from shfs.geometry import StripeMode
from shfs.volume import Volume
from tests.cache.cache_linux import Refused, get, program, refusal, running
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_golden import GOLDEN, Record, images, unpack


@pytest.mark.parametrize("record", GOLDEN.values(), ids=GOLDEN)
def test_a_volume_of_the_original_tools(record: Record, tmp_path: Path) -> None:
    """All of its objects and links, by digest and by name, and what was removed is gone."""
    volume = decoder.Volume(images(record))
    names: dict[bytes, decoder.Slot] = {}
    with running(list(reversed(unpack(record, tmp_path)))) as cache:
        connection = cache.connect()
        for slot in volume.live:
            answer = get(connection, f"/?{slot.digest.hex()}")
            if lies_outside(volume, slot):
                assert answer.status == 404, slot
                continue
            names.setdefault(slot.name, slot)
            if slot.is_link:
                assert (answer.status, answer.fields["location"]) == (307, address(slot)), slot
            else:
                assert (answer.status, answer.body) == (200, volume.content(slot)), slot
                assert answer.fields["content-type"] == (slot.mime.decode() or "application/octet-stream")
        for name, slot in names.items():
            if name and not name.startswith(b"/") and not slot.is_link:
                assert get(connection, f"/{quote(name)}").body == volume.content(slot), name
        living = {slot.digest for slot in volume.live}
        for slot in volume.removed:
            if slot.digest not in living:
                assert get(connection, f"/?{slot.digest.hex()}").status == 404
        default = get(connection, "/")
        if volume.default is None:
            assert default.status == 404
        elif not volume.default.is_link:
            assert default.body == volume.content(volume.default)
        connection.close()


def lies_outside(volume: decoder.Volume, slot: decoder.Slot) -> bool:
    return not slot.is_link and slot.size > 0 and volume.chunks_of(slot).stop > volume.label.chunks


def address(slot: decoder.Slot) -> str:
    """The URL of a link's target, as it is sent."""
    port = "" if slot.port == 80 else f":{slot.port}"
    path = quote(slot.path.encode("utf-8", "surrogateescape"), safe=_OF_A_PATH)
    return f"http://{slot.host}{port}/{path}"


_OF_A_PATH = "!#$%&'()*+,/:;=?@[]~"


@pytest.mark.parametrize("stripe", [4096, 8192, 16384, 32768])
@pytest.mark.parametrize(
    ("members", "mode"),
    [
        (1, StripeMode.INDEPENDENT),
        (2, StripeMode.INDEPENDENT),
        (2, StripeMode.COMBINED),
        (3, StripeMode.COMBINED),
        (5, StripeMode.INDEPENDENT),
        (16, StripeMode.COMBINED),
        (16, StripeMode.INDEPENDENT),
    ],
)
def test_a_geometry(members: int, mode: StripeMode, stripe: int, tmp_path: Path) -> None:
    """Sizes around those of a stripe and a chunk, whole and in ranges over their borders; buffers for four chunks."""
    chance = random.Random(f"{members} {mode} {stripe}")
    chunk = stripe * members if mode is StripeMode.COMBINED else stripe
    sizes = [0, 1, stripe - 1, stripe + 1, chunk - 1, chunk, chunk + 1, 3 * chunk, 5 * chunk + 7]
    paths = format_members(tmp_path, members, mode, stripe, sum(sizes) // chunk + 2 * len(sizes) + 40)
    contents = {f"{size} bytes": chance.randbytes(size) for size in sizes}
    add(paths, contents)
    chance.shuffle(paths)
    with running(paths, "--cache-size", "0") as cache:
        connection = cache.connect()
        for name, content in contents.items():
            assert get(connection, f"/{quote(name)}").body == content, name
            for first, last in borders(len(content), stripe, chunk):
                answer = get(connection, f"/{quote(name)}", range=f"bytes={first}-{last}")
                assert (answer.status, answer.body) == (206, content[first : last + 1]), (name, first, last)
        connection.close()


def borders(size: int, *units: int) -> Iterator[tuple[int, int]]:
    """Ranges that begin and end around multiples."""
    around = sorted(
        {at for unit in units for at in (unit - 1, unit, 2 * unit - 1, 2 * unit, size - 1) if 0 <= at < size}
    )
    yield from itertools.combinations_with_replacement(around, 2)


def format_members(folder: Path, members: int, mode: StripeMode, stripe: int, chunks: int) -> list[Path]:
    """Members of a volume with room for so many chunks."""
    paths = [folder / f"member{number}" for number in range(members)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate((chunks + members + 2) * stripe)
    mkfs(list(map(str, paths)), stripe=stripe, mode=mode, buckets=16, entries=8)
    return paths


def add(paths: list[Path], contents: dict[str, bytes]) -> None:
    with Volume.open(list(map(str, paths)), write=True) as volume, volume.batch() as batch:
        for name, content in contents.items():
            batch.add(io.BytesIO(content), name=name, size=len(content))


@pytest.fixture
def member(tmp_path: Path) -> Path:
    """A volume of one member with one object, which is `hello`."""
    (path,) = format_members(tmp_path, 1, StripeMode.INDEPENDENT, 4096, 64)
    add([path], {"hello": b"hello"})
    return path


def test_members_that_are_no_volume(member: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    pair = format_members(other, 2, StripeMode.COMBINED, 4096, 64)
    short = tmp_path / "short"
    short.write_bytes(member.read_bytes()[:-65536])
    empty = tmp_path / "empty"
    empty.touch()
    for members, words in (
        ([pair[0]], "does not have as many members"),
        ([pair[0], member], "not of one volume"),
        ([pair[0], pair[0]], "there twice"),
        ([short], "too small"),
        ([empty], "cannot be read"),
        ([tmp_path / "none"], "No such file"),
        ([program()], "no SHFS label"),
    ):
        volumes = [argument for path in members for argument in ("--volume", str(path))]
        code, errors = refusal(*volumes, "--listen", "127.0.0.1:0")
        assert (code, len(errors.splitlines())) == (3, 1), errors
        assert words in errors


def test_wrong_usage(member: Path) -> None:
    right = ("--volume", str(member), "--listen", "127.0.0.1:0")
    for wrong in ((), right[:2], right[2:], (*right, "--connections", "none"), (*right, "--what"), (*right, "more")):
        assert refusal(*wrong)[0] == 2, wrong
    code, errors = refusal(*right[:2], "--listen", "nowhere")
    assert code == 1
    assert "nowhere: it is no ADDRESS:PORT" in errors


@pytest.mark.parametrize("batch", range(4))
def test_a_hostile_volume_is_refused_or_served_and_nothing_worse(batch: int, member: Path, full: bool) -> None:
    """Label, configuration and table with bytes that are anything, most of them in fields that are numbers."""
    chance = random.Random(batch)
    sound = member.read_bytes()
    places = (
        *range(1024 + 4, 1024 + 6),
        *range(1024 + 38, 1024 + 80),
        *range(4096, 4096 + 27),
        *(8192 + 256 * slot + byte for slot in range(128) for byte in (0, *range(64, 90), *range(172, 200))),
    )
    for _ in range(150 if full else 15):
        mutant = bytearray(sound)
        for _ in range(chance.randrange(1, 40)):
            mutant[chance.choice(places)] = chance.choice((0, 1, 4, 8, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        member.write_bytes(mutant)
        try:
            with running([member], "--most-objects", "1000") as cache:
                assert cache.get("/hello").status in (200, 307, 404)
        except Refused as refused:
            # Words of its own, and not a sanitizer's.
            words = "".join(refused.args)
            if not re.fullmatch("cache-linux: the volume cannot be mounted: .*\\n", words):
                raise
