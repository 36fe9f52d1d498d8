"""Whether what is new fits on a volume is said before anything is written, and what would help."""

from pathlib import Path

import pytest

from tests.unit.shfs_apply_scene import CHUNK, Scene, refused
from tests.unit.shfs_command import done


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_that_there_is_no_room_is_said_before_anything_is_written(scene: Scene) -> None:
    scene.make(chunks=60, buckets=16)
    free = done("info", scene.volume, "-o", "json").json["free"]
    scene.file("a", b"a" * (free - 1) * CHUNK)
    scene.says("a")
    scene.apply()
    before = scene.volume.read_bytes()
    scene.file("a", b"b" * 3 * CHUNK)

    code, message, hint = refused("apply", scene.volume, scene.manifest)
    assert (code, "take 3 chunks" in message, "1 are free" in message) == (6, True, True)
    assert f"the {free - 1} chunks" in hint
    assert refused("apply", "-n", scene.volume, scene.manifest) == (code, message, hint)
    assert scene.volume.read_bytes() == before

    done("rm", scene.volume, "a")
    _, _, hint = refused("apply", scene.volume, scene.manifest)
    assert f"`shfs trim` frees {free - 1} chunks" in hint
    assert scene.steps("--reuse-removed") == [("add", "a")]


def test_gaps_are_looked_at_and_not_only_their_sum(scene: Scene) -> None:
    scene.make(chunks=60, buckets=16)
    free = done("info", scene.volume, "-o", "json").json["free"]
    scene.file("a", b"a" * CHUNK * 5)
    scene.file("b", b"b" * CHUNK)
    for name in ("a", "b"):
        done("add", scene.volume, scene.folder / name)
    done("rm", scene.volume, "a")
    done("trim", scene.volume)
    scene.file("c", b"c" * (free - 2) * CHUNK)
    scene.says("b", "c")

    code, message, _ = refused("apply", scene.volume, scene.manifest)

    assert code == 6
    assert message.endswith(f"c takes {free - 2} chunks together, and the largest gap that is left has {free - 6}")


def test_a_bucket_that_is_too_full_is_said_before_anything_is_written(scene: Scene) -> None:
    scene.make(buckets=1, entries=3)
    for name in ("a", "b", "c", "d"):
        scene.file(name, name.encode())
    scene.says("a", "b", "c", "d")
    before = scene.volume.read_bytes()

    code, message, hint = refused("apply", scene.volume, scene.manifest)
    assert (code, "room for 3 of the 4 new objects" in message, "--entries" in hint) == (6, True, True)
    assert scene.volume.read_bytes() == before

    scene.says("a", "b", "c")
    scene.apply()
    scene.says("a", "b", "d")
    code, message, hint = refused("apply", scene.volume, scene.manifest)
    assert (code, "room for 0 of the 1 new objects" in message) == (6, True)
    done("rm", scene.volume, "c")
    code, message, hint = refused("apply", scene.volume, scene.manifest)
    assert (code, "room for 0 of the 1 new objects" in message) == (6, True)
    assert "`shfs trim` frees 1 of its entries" in hint
    assert scene.steps("--reuse-removed") == [("add", "d")]
