"""What the original tools did wrong with volumes and their room, each shown right in ours.

On volumes that the original made where there are some; what it did wrong with entries is in
test_shfs_defects_of_entries.py, and what a user is told of a mistake in test_shfs_errors.py.
"""

import fcntl
import re
from io import BytesIO
from pathlib import Path

import pytest

from shfs.errors import VolumeError, VolumeFull
from shfs.formatting import mkfs
from shfs.volume import Volume
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_command import done, failed, shfs
from tests.unit.shfs_golden import GOLDEN
from tests.unit.shfs_small_volume import CHUNK, added, golden, made, source

# The end of the volume.


def test_with_a_link_on_it_a_volume_ends_where_it_ends(tmp_path: Path) -> None:
    image = made(tmp_path)
    done("link", image, "http://h.example/x")
    room = done("info", image, "-o", "json").json["free"]
    size = image.stat().st_size

    message = failed(6, "add", image, source(tmp_path, "larger", bytes(room * CHUNK + 1)))
    added(image, source(tmp_path, "exact", b"x" * room * CHUNK))

    assert "there is no room for" in message
    assert image.stat().st_size == size
    assert decoder.Volume.read([image]).findings() == []


def test_a_file_that_the_original_wrote_past_the_end_is_refused_and_can_be_removed(tmp_path: Path) -> None:
    (image,) = golden("f-pastend", tmp_path)
    size = image.stat().st_size
    digest = GOLDEN["f-pastend"]["final"]["entries"][0]["hash"]
    small = source(tmp_path, "small", b"small")

    assert "says it has chunks" in failed(3, "cat", image, "--digest", digest)
    assert "says it has chunks" in failed(3, "add", image, small)
    done("rm", image, "--digest", digest)
    assert "`shfs trim` frees" in failed(6, "add", image, small)
    done("trim", image)
    added(image, small)

    after = decoder.Volume.read([image])
    assert image.stat().st_size == size
    assert [slot.name for slot in after.live if not slot.is_link] == [b"small"]
    assert all(after.chunks_of(slot).stop <= after.label.chunks for slot in after.live if not slot.is_link)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK, 3 * CHUNK, 4 * CHUNK - 1])
def test_members_without_room_for_label_and_table_are_refused(size: int, tmp_path: Path) -> None:
    image = source(tmp_path, "vol", b"\xa5" * size)

    message = failed(6, "mkfs", image, "-s", CHUNK, "-b", 4, "-e", 4)

    assert f"is too small: it has {size} bytes, and label and table need {4 * CHUNK}" in message
    assert image.read_bytes() == b"\xa5" * size


def test_members_with_just_that_room_make_a_volume_that_is_full(tmp_path: Path) -> None:
    image = made(tmp_path, chunks=3)

    assert done("info", image, "-o", "json").json["free"] == 0
    failed(6, "add", image, source(tmp_path, "empty", b""))


def test_the_last_chunk_of_independent_members_lies_on_them(tmp_path: Path) -> None:
    """The original asks for a stripe less of them than the volume has."""
    paths = [str(source(tmp_path, name, bytes(8 * CHUNK))) for name in ("m0", "m1")]
    label = mkfs(paths, stripe=CHUNK, buckets=1)
    assert label.geometry.chunks == 14
    Path(paths[1]).write_bytes(Path(paths[1]).read_bytes()[: 7 * CHUNK])

    with pytest.raises(VolumeError, match="m1 has 28672 bytes, and volume unnamed needs 32768 of it"):
        Volume.open(paths)


# Removed objects.


@pytest.mark.parametrize("name", ["d-removed", "d-link-removed"])
def test_the_flag_of_an_object_that_the_original_removed_is_not_looked_at(name: str, tmp_path: Path) -> None:
    (image,) = golden(name, tmp_path)
    assert [slot.flagged_default for slot in decoder.Volume.read([image]).removed].count(True) == 1

    with Volume.open([str(image)]) as volume:
        assert volume.default is None
    assert "has no default object" in failed(7, "cat", image)


def test_a_removed_default_object_is_no_default_object(tmp_path: Path) -> None:
    image = made(tmp_path)
    digest = added(image, source(tmp_path, "x", b"x"))
    done("default", image, "x")

    done("rm", image, "x")

    (slot,) = decoder.Volume.read([image]).removed
    assert not slot.flagged_default
    assert slot.name == b"x"
    assert digest not in done("ls", image).out
    assert "has no default object" in failed(7, "default", image)


def test_a_new_default_object_is_the_only_one(tmp_path: Path) -> None:
    image = made(tmp_path)
    for name in "abc":
        added(image, source(tmp_path, name, name.encode()))
    data = bytearray(image.read_bytes())
    referee = decoder.Volume([data])
    for slot in referee.live:
        data[referee.place_of_slot(slot.number)[1] + 180] |= decoder.DEFAULT
    image.write_bytes(data)

    done("default", image, "b")

    assert [slot.name for slot in decoder.Volume.read([image]).live if slot.flagged_default] == [b"b"]


def test_what_is_removed_is_not_written_over_in_the_same_run_nor_before_a_trim(tmp_path: Path) -> None:
    image = made(tmp_path)
    old = added(image, source(tmp_path, "old", b"old" * 3000))
    with Volume.open([str(image)]) as reader:
        item = reader.get("old")

        with Volume.open([str(image)], write=True) as volume, volume.batch() as batch:
            batch.remove(bytes.fromhex(old))
            batch.add(BytesIO(b"new"), name="new", size=3)
        added(image, source(tmp_path, "later", b"later"))

        # It has not remounted: it reads what it knows.
        assert b"".join(map(bytes, reader.read(item))) == b"old" * 3000
    chunks = [
        chunk for slot in decoder.Volume.read([image]).live for chunk in decoder.Volume.read([image]).chunks_of(slot)
    ]
    assert not {3, 4, 5} & set(chunks)


def test_trim_clears_the_whole_slot(tmp_path: Path) -> None:
    image = made(tmp_path)
    added(image, source(tmp_path, "x", b"x"))
    done("rm", image, "x")
    assert decoder.Volume.read([image]).removed

    done("trim", image)

    assert decoder.Volume.read([image]).removed == []


def test_a_slot_is_written_whole_when_it_is_used_again(tmp_path: Path) -> None:
    """The original leaves of a link's host what a file has no field for."""
    image = made(tmp_path, "-b", 1)
    done("link", image, f"http://{'h' * 32}:8080/{'p' * 70}", "-n", "n" * 64)
    done("rm", image, "n" * 64)

    added(image, source(tmp_path, "f", b"f"), "--reuse-removed")

    (slot,) = decoder.Volume.read([image]).slots
    assert slot.number == 0
    assert (slot.gap, slot.tail, slot.after_digest, slot.raw[182:245]) == (bytes(36), bytes(11), bytes(32), bytes(63))


def test_what_is_put_back_is_not_given_to_the_next_file(tmp_path: Path) -> None:
    """Not one of the original: it was ours, while chunks of removed objects were free for the same batch."""
    image = made(tmp_path)
    digest = bytes.fromhex(added(image, source(tmp_path, "old", b"old")))
    done("rm", image, "old")

    with Volume.open([str(image)], write=True) as volume, volume.batch(reuse_removed=True) as batch:
        (item,) = volume.removed()
        batch.put_back(item.slot, digest)
        batch.add(BytesIO(b"new"), name="new", size=3)

    assert done("cat", image, "old").out == "old"
    assert decoder.Volume.read([image]).findings() == []


# Room.


def test_best_fit_finds_the_smallest_gap(tmp_path: Path) -> None:
    """The original finds none at all on such a volume."""
    image = made(tmp_path, "--allocator", "best", chunks=20)
    for name, chunks in (("a", 3), ("b", 1), ("c", 2), ("d", 1), ("e", 9)):
        added(image, source(tmp_path, name, name.encode() * chunks * CHUNK))
    done("rm", image, "a", "c")
    done("trim", image)

    for name in "123":
        added(image, source(tmp_path, name, name.encode()))

    places = {slot.name: slot.first_chunk for slot in decoder.Volume.read([image]).live}
    assert [places[name] for name in (b"1", b"2", b"3")] == [19, 7, 8]


def test_a_removed_object_keeps_no_room_for_ever(tmp_path: Path) -> None:
    image = made(tmp_path, chunks=4)
    for turn in range(5):
        added(image, source(tmp_path, f"f{turn}", b"%d" % turn))
        with pytest.raises(VolumeFull), Volume.open([str(image)], write=True) as volume, volume.batch() as batch:
            batch.add(BytesIO(b"more"), name="more", size=4)
        done("rm", image, f"f{turn}")
        done("trim", image)


# Several at once.


def test_a_run_does_all_or_nothing(tmp_path: Path) -> None:
    """A failing action of the original does not stop the others, and what they did is written."""
    image = made(tmp_path)
    table = decoder.Volume.read([image]).table
    files = [source(tmp_path, name, b"same") for name in ("first", "second")]

    failed(7, "add", image, *files)
    failed(7, "rm", image, "first", "nobody")

    assert decoder.Volume.read([image]).table == table


def test_two_writers_do_not_lose_each_others_changes(tmp_path: Path) -> None:
    image = made(tmp_path)
    files = [source(tmp_path, name, name.encode()) for name in "ab"]

    with Volume.open([str(image)], write=True) as volume:
        assert "is being changed by another process" in failed(5, "add", image, files[1])
        with image.open("rb") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        with volume.batch() as batch:
            batch.add(files[0])
    added(image, files[1])

    assert {row["name"] for row in done("ls", image, "-o", "json").json} == {"a", "b"}


# Making a volume.


@pytest.mark.parametrize(
    ("buckets", "entries", "stripe", "fills"), [(2048, 8, 16384, True), (4, 4, 4096, True), (3, 3, 4096, False)]
)
def test_a_table_at_which_the_original_dies_is_told(
    buckets: int, entries: int, stripe: int, fills: bool, tmp_path: Path
) -> None:
    image = source(tmp_path, "vol", bytes(5 << 20))

    told = done("mkfs", image, "-s", stripe, "-b", buckets, "-e", entries).err

    assert told.startswith("note: the table does not fill its last chunk") != fills


@pytest.mark.parametrize("words", [("-b", "12abc"), ("-b", "4294967297"), ("-s", "abc"), ("-Z",), ("--hash", "SHA1")])
def test_what_is_no_number_and_no_option_is_no_success(words: tuple[str, ...], tmp_path: Path) -> None:
    image = source(tmp_path, "vol", bytes(1 << 20))

    assert shfs("mkfs", image, *words).code in (2, 6, 8)
    assert image.read_bytes() == bytes(1 << 20)


def test_a_volume_with_objects_is_not_lost_for_want_of_an_answer(tmp_path: Path) -> None:
    """The original takes the end of its input for a mistake of its own, and a `no` for success."""
    image = made(tmp_path)
    added(image, source(tmp_path, "x", b"x"))
    before = image.read_bytes()

    assert "holds volume unnamed with 1 objects" in failed(7, "mkfs", image, "-s", CHUNK, "-b", 1)
    assert image.read_bytes() == before


def test_a_volume_of_version_1_02_is_not_taken_for_one_of_2_01(tmp_path: Path) -> None:
    """Its version bytes are the same, in the other order: its label has a number of 4 bytes for the stripe at 56."""
    image = made(tmp_path)
    data = bytearray(image.read_bytes())
    data[1024 + 56 : 1024 + 77] = (CHUNK).to_bytes(4, "little") + data[1024 + 61 : 1024 + 77] + b"\1"
    image.write_bytes(data)

    assert re.search(r"a stripe has \d+ bytes, and not 4096", failed(3, "ls", image))
