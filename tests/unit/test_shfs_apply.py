"""`shfs apply`: whatever a volume holds, afterwards it holds what the manifest says; done twice it does nothing."""

import hashlib
import os
import pty
import random
from pathlib import Path
from typing import Any

import pytest

from shfs.cli.main import main
from shfs.digests import HashFunction
from shfs.members import Members
from shfs.volume import Volume
from tests.unit.shfs_apply_scene import CHUNK, Scene, refused
from tests.unit.shfs_command import done
from tests.unit.shfs_decoder import Volume as Referee


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_volume_becomes_what_the_manifest_says(scene: Scene) -> None:
    scene.make()
    old, index = scene.file("old.html", b"old"), scene.file("index.html", b"index " * 2000)
    scene.says("old.html", "index.html", default="index.html")
    assert scene.steps() == [("add", "old.html"), ("add", "index.html")]
    assert scene.holds() == {"old.html": old, "index.html": index}

    new, moved = scene.file("index.html", b"new " * 5000), scene.file("moved.css", b"old")
    link = {"url": "http://origin.example.com/live.ts", "type": "auto", "name": "live"}
    scene.says("index.html", "moved.css", link=[link], default="index.html")
    told = scene.apply()

    assert [(step["action"], step["name"]) for step in told["steps"]] == [
        ("replace", "index.html"),
        ("add", "live"),
        ("change", "moved.css"),
    ]
    assert told["steps"][0]["was"]["size"] == len(index)
    assert told["steps"][2]["was"]["name"] == "old.html"
    assert told["done"]
    assert told["chunks"]["needed"] == 5
    assert scene.holds() == {"index.html": new, "moved.css": moved, "live": b"http://origin.example.com/live.ts"}
    found = scene.referee()
    assert found.default is not None
    assert found.default.name == b"index.html"
    assert {slot.name: slot.mime for slot in found.live if not slot.is_link}[b"moved.css"] == b"text/css"


def test_the_second_time_nothing_is_done_and_nothing_written(scene: Scene) -> None:
    scene.make()
    scene.file("www/index.html", b"x" * CHUNK)
    scene.file("www/empty", b"")
    scene.says(
        tree=[{"path": "www"}], link=[{"url": "http://127.0.0.1:8080/a?b"}], default="index.html", types={".x": "a/b"}
    )
    assert scene.apply()["done"]
    before = (scene.volume.read_bytes(), scene.volume.stat().st_mtime_ns)

    told = scene.apply()

    assert (told["steps"], told["unchanged"], told["done"]) == ([], 3, False)
    assert (scene.volume.read_bytes(), scene.volume.stat().st_mtime_ns) == before
    assert not os.path.exists(f"{scene.volume}.journal")
    assert done("apply", scene.volume, scene.manifest).out == "nothing to do: 3 objects are as they should be\n"


def test_a_dry_run_says_the_same_and_does_nothing(scene: Scene) -> None:
    scene.make()
    scene.file("a", b"a")
    scene.says("a")
    os.chmod(scene.volume, 0o444)
    before = scene.volume.read_bytes()

    told = scene.apply("--dry-run")

    assert scene.volume.read_bytes() == before
    assert not told["done"]
    os.chmod(scene.volume, 0o644)
    assert scene.apply() == told | {"done": True}


def test_what_it_does_is_told_to_people(scene: Scene) -> None:
    scene.make()
    for name in ("a.html", "b.html", "c.html"):
        scene.file(name, name.encode())
    scene.says("a.html", "b.html", "c.html", default="a.html")
    assert done("apply", scene.volume, scene.manifest).out.endswith("\ndone\n")
    scene.file("b.html", b"other")
    scene.says("b.html", object=[{"path": "a.html", "name": "d\n", "mime": "x/y"}, {"path": "b.html"}])

    ran = done("apply", scene.volume, scene.manifest)

    assert ran.err == ""
    assert [line.split() for line in ran.out.splitlines()] == [
        ["replace", "5", "B", "b.html", "text/html"],
        ["change", "6", "B", "d\\n:", "name", "a.html", "->", "d\\n,", "type", "text/html", "->", "x/y"],
        ["remove", "6", "B", "c.html"],
        ["default", "a.html", "->", "none"],
        *[line.split() for line in ("0 to add, 1 to replace, 1 to change, 1 to remove, 0 stay; "
          "1 chunks are needed, and 162 free", "done")],
    ]  # fmt: skip


def test_names_and_contents_that_change_places(scene: Scene) -> None:
    scene.make()
    scene.file("a", b"1")
    scene.file("b", b"2")
    scene.says("a", "b")
    scene.apply()
    scene.file("a", b"2")
    scene.file("b", b"1")

    assert scene.steps() == [("change", "a"), ("change", "b")]
    assert scene.holds() == {"a": b"2", "b": b"1"}


def test_who_knows_no_journal_finds_the_old_or_the_new_while_it_is_written(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Enough of them that some go from an earlier sector than that to which their successor comes, and some from the
    # same one.
    scene.make(buckets=16, entries=8)
    names = [f"n{at}" for at in range(12)]
    for name in names:
        scene.file(name, name.encode())
    scene.says(*names, default="n0")
    scene.apply()
    old = scene.holds()
    new = {name: scene.file(name, b"new " + name.encode()) for name in names}
    seen: list[int] = []
    write = Members.write

    def look(members: Members, *arguments: Any) -> None:
        write(members, *arguments)
        found = Referee.read([scene.volume])
        held = {(slot.name.decode(), found.content(slot)) for slot in found.live}
        for name in names:
            assert (name, old[name]) in held or (name, new[name]) in held
        assert found.default is not None
        assert found.default.name == b"n0"
        seen.append(len(held))

    monkeypatch.setattr(Members, "write", look)
    scene.apply()
    monkeypatch.undo()

    assert max(seen) > len(names)
    assert scene.holds() == new


def test_there_is_a_default_object_while_another_is_made_that(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.make()
    names = [f"n{at}" for at in range(12)]
    for name in names:
        scene.file(name, name.encode())
    scene.says(*names)
    scene.apply()
    first, *_, last = [slot.name.decode() for slot in scene.referee().live]
    scene.says(*names, default=first)
    scene.apply()
    seen: list[str] = []
    write = Members.write

    def look(members: Members, *arguments: Any) -> None:
        write(members, *arguments)
        found = Referee.read([scene.volume]).default
        seen.append("" if found is None else found.name.decode())

    monkeypatch.setattr(Members, "write", look)
    scene.says(*names, default=last)
    scene.apply()

    assert len(seen) == 2
    assert {*seen} <= {first, last}
    assert seen[-1] == last


def test_only_what_is_in_the_way_goes_if_the_rest_is_to_be_kept(scene: Scene) -> None:
    scene.make()
    for name in ("a", "b", "c"):
        scene.file(name, name.encode())
    scene.says("a", "b", "c", default="b")
    scene.apply()
    scene.file("b", b"new")
    scene.says("b")

    assert scene.steps("--keep") == [("replace", "b")]
    assert scene.holds() == {"a": b"a", "b": b"new", "c": b"c"}
    found = scene.referee()
    assert found.default is not None
    assert found.default.name == b"b"
    assert scene.steps() == [("remove", "a"), ("remove", "c")]
    assert scene.holds() == {"b": b"new"}


def test_without_a_default_there_is_none(scene: Scene) -> None:
    scene.make()
    scene.file("a", b"a")
    scene.says("a", default="a")
    scene.apply()
    digest = hashlib.sha256(b"a").hexdigest()
    scene.says("a")

    assert scene.apply()["default"] == {"was": digest, "digest": None}
    assert scene.referee().default is None
    scene.says("a", default=f"?{digest}")
    assert scene.apply()["default"] == {"was": None, "digest": digest}


@pytest.mark.parametrize("default", ["b", "?00", "?xy", f"?{'00' * 32}"])
def test_a_default_that_will_not_be_there_is_an_error(scene: Scene, default: str) -> None:
    scene.make()
    scene.file("a", b"a")
    scene.says("a", default=default)
    before = scene.volume.read_bytes()

    code, message, _ = refused("apply", scene.volume, scene.manifest)

    assert code == 8
    assert default in message
    assert scene.volume.read_bytes() == before


def test_what_contradicts_itself_is_an_error(scene: Scene) -> None:
    scene.make()
    scene.file("a", b"same")
    scene.file("b", b"same")
    scene.says("a", "b")
    code, message, hint = refused("apply", scene.volume, scene.manifest)
    assert (code, "[[object]] 1 (a)" in message, "[[object]] 2 (b)" in message) == (8, True, True)
    assert "stored once" in hint

    scene.file("b", b"other")
    scene.says(object=[{"path": "a", "name": "n"}, {"path": "b", "name": "n"}])
    code, message, _ = refused("apply", scene.volume, scene.manifest)
    assert (code, "have the same name 'n'" in message) == (8, True)

    scene.says(object=[{"path": "a", "digest": "11" * 32}])
    code, message, _ = refused("apply", scene.volume, scene.manifest)
    assert (code, hashlib.sha256(b"same").hexdigest() in message) == (8, True)


def test_links_are_changed_where_they_stand(scene: Scene) -> None:
    scene.make()
    url = "http://127.0.0.1/a"
    scene.says(link=[{"url": url, "name": "a"}])
    scene.apply()
    (before,) = scene.referee().live
    scene.says(link=[{"url": url, "name": "b", "type": "raw"}])

    assert scene.steps() == [("change", "b")]
    (after,) = scene.referee().live
    assert (after.number, after.digest, after.name, after.kind) == (before.number, before.digest, b"b", "raw")


def test_with_the_originals_digests_contents_are_compared(scene: Scene) -> None:
    scene.make()
    scene.file("a", b"a" * 2 * CHUNK)
    scene.says("a")
    scene.apply("--compat-digest")
    assert scene.referee().live[0].digest == hashlib.sha256(b"a" * CHUNK).digest()
    assert scene.steps("--compat-digest") == []

    new = scene.file("a", b"a" * CHUNK + b"b" * CHUNK)
    assert scene.steps("--compat-digest") == [("replace", "a")]
    assert scene.holds() == {"a": new}
    assert scene.steps() == [("replace", "a")]
    assert scene.referee().live[0].digest == hashlib.sha256(new).digest()


def test_digests_given_by_hand(scene: Scene) -> None:
    scene.make(function=HashFunction.MANUAL, digest_length=20)
    scene.file("a", b"1")
    scene.says("a")
    assert refused("apply", scene.volume, scene.manifest)[0] == 8
    scene.says(object=[{"path": "a", "digest": "11" * 20}])
    assert scene.steps() == [("add", "a")]

    new = scene.file("a", b"2")
    assert scene.steps() == [("replace", "a")]
    assert scene.steps() == []
    assert scene.holds() == {"a": new}

    scene.says("a", provider="sha1-of-name")
    scene.apply()
    assert scene.referee().live[0].digest == bytes.fromhex("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8")
    scene.says("a", provider="blake2b")
    scene.apply()
    assert scene.referee().live[0].digest == hashlib.blake2b(b"2", digest_size=20).digest()


def test_what_has_a_digest_that_was_given_by_hand_is_replaced_under_any_name_and_stays_the_default(
    scene: Scene,
) -> None:
    scene.make(function=HashFunction.MANUAL, digest_length=20)
    scene.file("a", b"1")
    scene.says(object=[{"path": "a", "digest": "11" * 20}], default="a")
    scene.apply()
    new = scene.file("a", b"2")
    scene.says(object=[{"path": "a", "name": "b", "digest": "11" * 20}], default="b")

    assert scene.steps() == [("replace", "b")]
    assert scene.holds() == {"b": new}
    found = scene.referee()
    assert found.default is not None
    assert found.default.name == b"b"


def test_an_object_that_is_there_twice_is_no_reason_to_do_it_again_and_again(scene: Scene) -> None:
    scene.make()
    scene.file("a", b"a")
    scene.says("a")
    scene.apply()
    with Volume.open([str(scene.volume)], write=True) as volume:
        (item,) = volume.objects()
        volume.table.put(item.slot + 1, volume.table.slot(item.slot))
        volume.write_slots([item.slot, item.slot + 1])

    assert scene.steps() == []


def test_digests_of_names_want_a_volume_for_them(scene: Scene) -> None:
    scene.file("a", b"1")
    scene.says("a", provider="sha1-of-name")
    scene.make(function=HashFunction.MANUAL, digest_length=16)
    assert "makes 20" in refused("apply", scene.volume, scene.manifest)[1]
    scene.make()
    assert "makes its digests by SHA" in refused("apply", scene.volume, scene.manifest)[1]


def test_a_file_that_changes_meanwhile_is_found_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.make()
    scene.file("a", b"1")
    scene.says("a")
    before = scene.volume.read_bytes()
    monkeypatch.setattr("shfs.cli.planned.fit", lambda *_, **__: scene.file("a", b"2"))

    code, message, _ = refused("apply", scene.volume, scene.manifest)

    assert (code, "and not the one given" in message) == (8, True)
    assert scene.referee().live == []
    assert scene.volume.read_bytes()[: 4 * CHUNK] == before[: 4 * CHUNK]


def test_on_a_terminal_somebody_is_asked_before_objects_go(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.make()
    scene.file("a", b"a")
    scene.file("b", b"b")
    scene.says("a", "b")
    terminal, ours = pty.openpty()

    def apply(*options: str) -> object:
        with pytest.raises(SystemExit) as ended:
            main(["apply", str(scene.volume), str(scene.manifest), *options])
        return ended.value.code

    with open(ours, encoding="utf-8") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert apply() == 0
        scene.says("a")
        os.write(terminal, b"n\n")
        assert apply() == 130
        assert set(scene.holds()) == {"a", "b"}
        os.write(terminal, b"y\n")
        assert apply() == 0
        assert set(scene.holds()) == {"a"}
        scene.says("b")
        assert apply("--yes") == 0
    os.close(terminal)


def test_any_manifest_after_any_other(scene: Scene, seeded: random.Random, full: bool) -> None:
    scene.make(chunks=2000, buckets=16)
    contents = [bytes([at]) * seeded.choice((0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK)) for at in range(30)]
    contents = list({*contents})
    for _ in range(400 if full else 12):
        chosen = seeded.sample(range(len(contents)), seeded.randint(1, 12))
        names = seeded.sample([f"n{at}" for at in range(14)], len(chosen))
        for name, at in zip(names, chosen, strict=True):
            scene.file(name, contents[at])
        default = seeded.choice(names)
        scene.says(*names, default=default)
        scene.apply("--reuse-removed")

        assert scene.holds() == {name: contents[at] for name, at in zip(names, chosen, strict=True)}
        found = scene.referee()
        assert found.default is not None
        assert found.default.name == default.encode()
        assert scene.apply()["steps"] == []
    with Volume.open([str(scene.volume)]) as volume:
        assert len(list(volume.objects())) == len(chosen)
