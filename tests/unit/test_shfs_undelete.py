"""`shfs undelete`: what was removed, by ours or by the original's tools, is had back, and nothing else is."""

import json
import struct
from pathlib import Path

import pytest

from shfs import InputError, ObjectError, Volume
from shfs.check import check
from shfs.cli.main import main
from shfs.digests import provider
from shfs.undelete import RemovedObject, Undelete
from tests.unit.shfs_golden import GOLDEN, unpack
from tests.unit.shfs_samples import (
    GONE,
    SAMPLES,
    change,
    content,
    overwrite,
    place_of,
    place_of_content,
    slot_of,
)


@pytest.fixture(params=["one member", "two members and a backup", "CRC"])
def paths(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    return SAMPLES[request.param].make(tmp_path)


@pytest.fixture
def single(tmp_path: Path) -> list[str]:
    return SAMPLES["one member"].make(tmp_path)


@pytest.fixture
def by_hand(tmp_path: Path) -> list[str]:
    return SAMPLES["digests by hand"].make(tmp_path)


def removed(paths: list[str]) -> list[RemovedObject]:
    with Volume.open(paths) as volume:
        return list(Undelete(volume).removed())


def the_removed(paths: list[str]) -> RemovedObject:
    (one,) = removed(paths)
    return one


def put_back(paths: list[str], name: str, digest: bytes | None = None) -> bytes:
    """Have an object back; its digest."""
    with Volume.open(paths, write=True) as volume:
        undelete = Undelete(volume)
        slot = undelete.wanted(name)
        with volume.batch() as batch:
            return batch.put_back(slot, undelete.digest_for(slot, digest)).digest


def listing(paths: list[str]) -> dict[str, tuple[bytes, str | None]]:
    with Volume.open(paths) as volume:
        return {
            item.name: (item.digest, item.target) if item.link else (b"".join(map(bytes, volume.read(item))), None)
            for item in volume.objects()
        }


def test_a_file_is_had_back(paths: list[str]) -> None:
    before = listing(paths)

    put_back(paths, GONE)

    assert listing(paths) == before | {GONE: (content(GONE), None)}
    assert check(paths).findings == []
    with pytest.raises(ObjectError, match="no removed object"):
        put_back(paths, GONE)


def test_links_and_empty_files_are_had_back(single: list[str]) -> None:
    before = listing(single)
    with Volume.open(single, write=True) as volume, volume.batch() as batch:
        for item in list(volume.objects()):
            batch.remove(item.digest)
    assert listing(single) == {}

    for name in before:
        put_back(single, name)

    assert listing(single) == before


def test_the_slot_says_which_where_a_name_does_not(single: list[str], tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other")
    with Volume.open(single, write=True) as volume:
        with volume.batch() as batch:
            item = batch.add(tmp_path / "other", name=GONE)
        with volume.batch() as batch:
            batch.remove(item.digest)

    with pytest.raises(ObjectError, match="2 removed objects were named") as refused:
        put_back(single, GONE)
    assert f"slot:{item.slot}" in refused.value.hint
    put_back(single, f"slot:{item.slot}")

    assert listing(single)[GONE] == (b"other", None)
    for unknown in ("slot:0", "slot:99999", "slot:x", "nothing"):
        with pytest.raises(ObjectError):
            put_back(single, unknown)


def test_a_content_that_was_written_over_is_not_had_back(single: list[str]) -> None:
    change(place_of_content(single, GONE, 9100), lambda byte: 1)
    assert the_removed(single).problem == "its chunks were written over"

    change(place_of_content(single, GONE, 9100), lambda byte: 0)
    overwrite(place_of_content(single, GONE, 4096), bytes(5))
    assert "belongs in another bucket" in the_removed(single).problem
    with pytest.raises(ObjectError, match="cannot be had back"):
        put_back(single, GONE)


def test_chunks_that_another_object_has_are_not_had_back(single: list[str], tmp_path: Path) -> None:
    with Volume.open(single, write=True) as volume, volume.batch(reuse_removed=True) as batch:
        (tmp_path / "new").write_bytes(content(GONE)[:4000])
        batch.add(tmp_path / "new")

    assert the_removed(single).problem == "its chunks were given to another object"


def test_of_removed_objects_that_had_the_same_chunks_the_later_is_had_back(single: list[str], tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new" * 3000)
    with Volume.open(single, write=True) as volume:
        with volume.batch(reuse_removed=True) as batch:
            item = batch.add(tmp_path / "new")
        with volume.batch() as batch:
            batch.remove(item.digest)

    problems = {one.item.name: one.problem for one in removed(single)}

    assert problems == {GONE: f"its chunks were given to what is removed from slot {item.slot}, too", "new": ""}


def test_what_is_there_again_is_not_had_back(single: list[str], tmp_path: Path) -> None:
    with Volume.open(single, write=True) as volume, volume.batch() as batch:
        batch.add(tmp_path / GONE)

    assert the_removed(single).problem == "the volume has an object with its digest"


def test_an_entry_of_which_nothing_can_be_read(single: list[str]) -> None:
    overwrite(place_of(single, slot_of(single, GONE), 64), struct.pack("<Q", 1 << 60))

    assert the_removed(single).problem == "its chunks are none that an object can have"


def test_a_digest_by_hand_must_be_given(by_hand: list[str]) -> None:
    digest = bytes([4] * 20)
    with pytest.raises(InputError, match="is not known"):
        put_back(by_hand, GONE)
    with pytest.raises(InputError, match="is no digest of volume sample"):
        put_back(by_hand, GONE, digest[:19])
    with pytest.raises(InputError, match="is not the digest that the object in slot"):
        put_back(by_hand, GONE, bytes([6] * 20))

    assert put_back(by_hand, GONE, digest) == digest

    assert listing(by_hand)[GONE] == (content(GONE), None)


def test_a_digest_that_is_not_that_of_the_content_is_not_taken(single: list[str]) -> None:
    digest = the_removed(single).digest
    assert digest is not None

    with pytest.raises(InputError, match="and not the one given"):
        put_back(single, GONE, digest[:-1] + b"x")

    assert put_back(single, GONE, digest) == digest


def test_an_own_function_knows_digests_given_by_hand(by_hand: list[str]) -> None:
    with Volume.open(by_hand) as volume:
        (one,) = Undelete(volume, provider=provider("blake2b")).removed()

    # Its digest was not of this function: the bucket shows it.
    assert "belongs in another bucket" in one.problem


@pytest.mark.parametrize("name", [name for name, record in GOLDEN.items() if record["final"]["deleted"]])
def test_what_the_original_tool_removed_is_had_back(name: str, tmp_path: Path) -> None:
    given = [str(path) for path in unpack(GOLDEN[name], tmp_path)]
    before = listing(given)

    back = [one for one in removed(given) if one.can_be_had]
    for one in back:
        put_back(given, f"slot:{one.item.slot}")

    assert check(given).is_sound
    assert {key: listing(given)[key] for key in before} == before
    assert len(removed(given)) == len(GOLDEN[name]["final"]["deleted"]) - len(back)


def test_the_command(single: list[str], by_hand: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def shfs(*arguments: str) -> tuple[int | str | None, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["undelete", *arguments])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    digest = the_removed(by_hand)
    assert digest.digest is None
    code, out, _ = shfs(*by_hand, "--list")
    assert (code, out.splitlines()[1].split()[-3:]) == (0, ["yes,", "with", "--digest"])
    code, out, _ = shfs(*by_hand, "--list", "-o", "json")
    (row,) = json.loads(out)
    assert (row["name"], row["digest"], row["problem"]) == (GONE, None, None)

    assert shfs(*by_hand, GONE)[0] == 8
    assert shfs(*by_hand)[0] == 2
    assert shfs(*by_hand, "--list", GONE)[0] == 2
    assert shfs(*by_hand, "a", "b", "--digest", "00")[0] == 2
    code, out, _ = shfs(*by_hand, f"slot:{row['slot']}", "--digest", "04" * 20, "-o", "json")
    assert (code, json.loads(out)[0]["digest"]) == (0, "04" * 20)
    assert shfs(*by_hand, GONE)[0] == 7
