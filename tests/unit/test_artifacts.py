"""Recipes: what goes into their key, that they are built once, and what is said when they fail."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from jitsu import artifacts
from jitsu.artifacts import build, cache_folder, keep, key, read, recipes
from jitsu.errors import ArtifactError

COUNTED = 'echo "built once more" >> "$COUNT"\necho "$(cat greeting)" > "$OUT/hello.elf"\n'
Cook = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no recipe but those that a test writes."""
    (tmp_path / "images").mkdir()
    monkeypatch.setattr(artifacts, "RECIPES", tmp_path / "images")
    monkeypatch.setenv("JITSU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    return tmp_path / "cache"


@pytest.fixture
def cook(tmp_path: Path) -> Cook:
    """Writes a recipe of which `build` is the script."""

    def write(name: str = "hello", script: str = COUNTED, more: str = "", outputs: str = '["hello.elf"]') -> Path:
        folder = tmp_path / "images" / name
        folder.mkdir(exist_ok=True)
        (folder / "recipe.toml").write_text(f'description = "says {name}"\noutputs = {outputs}\n{more}')
        (folder / "build").write_text(f"#!/bin/sh\nset -e\n{script}")
        (folder / "build").chmod(0o755)
        (folder / "greeting").write_text("good morning")
        return folder

    return write


def built(tmp_path: Path) -> int:
    """How often the script with the count in it ran."""
    count = tmp_path / "count"
    return len(count.read_text().splitlines()) if count.exists() else 0


def key_of(name: str) -> str:
    return key(read(name))


def test_a_recipe_is_built_into_the_cache(cook: Cook, cache: Path) -> None:
    cook()

    made = build("hello")

    assert made.parent == cache
    assert made.name == f"hello-{key_of('hello')}"
    assert (made / "hello.elf").read_text() == "good morning\n"


def test_nothing_but_what_was_made_is_left_in_the_cache(cook: Cook, cache: Path) -> None:
    cook(script='echo noise\ntouch "$WORK/object.o" "$OUT/hello.elf"\n')

    made = build("hello")

    assert {path.name for path in cache.iterdir()} == {made.name, f"{made.name}.lock"}
    assert [path.name for path in made.iterdir()] == ["hello.elf"]


def test_a_recipe_that_did_not_change_is_not_built_again(cook: Cook, tmp_path: Path) -> None:
    cook()
    said: list[str] = []

    first = build("hello", said.append)
    second = build("hello", said.append)

    assert first == second
    assert built(tmp_path) == 1
    assert said == ["building hello: says hello"]


def test_a_recipe_that_changed_is_built_again_and_both_are_kept(cook: Cook, tmp_path: Path) -> None:
    folder = cook()
    first = build("hello")
    (folder / "greeting").write_text("good night")
    second = build("hello")

    assert built(tmp_path) == 2
    assert (first / "hello.elf").read_text() == "good morning\n"
    assert (second / "hello.elf").read_text() == "good night\n"


def test_the_key_changes_with_what_a_file_says(cook: Cook) -> None:
    folder = cook()
    before = key_of("hello")
    (folder / "greeting").write_text("good night..")

    assert key_of("hello") != before


def test_the_key_changes_when_a_file_becomes_executable(cook: Cook) -> None:
    folder = cook()
    before = key_of("hello")
    (folder / "greeting").chmod(0o755)

    assert key_of("hello") != before


def test_the_key_changes_with_a_files_name(cook: Cook) -> None:
    folder = cook()
    before = key_of("hello")
    (folder / "greeting").rename(folder / "welcome")

    assert key_of("hello") != before


def test_the_key_does_not_change_with_time_or_with_what_python_leaves(cook: Cook) -> None:
    folder = cook()
    before = key_of("hello")
    os.utime(folder / "greeting", (1, 1))
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "gen.pyc").write_bytes(b"compiled")

    assert key_of("hello") == before


def test_the_key_changes_with_the_recipe_below(cook: Cook) -> None:
    below = cook("runtime")
    cook("hello", more='needs = ["runtime"]')
    before = key_of("hello")
    (below / "greeting").write_text("good night")

    assert key_of("hello") != before


def test_the_key_changes_with_the_version_of_a_package(cook: Cook, monkeypatch: pytest.MonkeyPatch) -> None:
    cook(more='packages = ["gcc"]')
    versions = {"gcc": "12.2.0"}
    monkeypatch.setattr(artifacts, "_version", versions.__getitem__)
    before = key_of("hello")
    versions["gcc"] = "12.2.1"

    assert key_of("hello") != before


def test_only_the_inputs_that_are_named_go_into_the_key(cook: Cook) -> None:
    folder = cook(more='inputs = ["build", "../scripts"]')
    scripts = folder.parent / "scripts"
    scripts.mkdir()
    (scripts / "linker.ld").write_text("one")
    before = key_of("hello")
    (folder / "greeting").write_text("not an input")
    unchanged = key_of("hello")
    (scripts / "linker.ld").write_text("two")

    assert unchanged == before
    assert key_of("hello") != before


def test_an_input_that_is_not_there_is_an_error(cook: Cook) -> None:
    cook(more='inputs = ["build", "biuld.c"]')

    with pytest.raises(ArtifactError, match=r"recipe hello has no input .*biuld\.c"):
        key_of("hello")


def test_what_a_recipe_needs_is_built_first_and_told_to_it(cook: Cook) -> None:
    cook("base-files", script='echo below > "$OUT/part"', outputs='["part"]')
    cook("hello", script='cat "$NEED_BASE_FILES/part" > "$OUT/hello.elf"', more='needs = ["base-files"]')
    said: list[str] = []

    made = build("hello", said.append)

    assert (made / "hello.elf").read_text() == "below\n"
    assert said == ["building base-files: says base-files", "building hello: says hello"]


def test_recipes_with_a_dot_in_their_names_do_not_share_a_log(cook: Cook, cache: Path) -> None:
    cook("linux-6.1", script="echo of 6.1\nexit 1\n")
    cook("linux-6.6", script="echo of 6.6\nexit 1\n")

    hints = []
    for name in ("linux-6.1", "linux-6.6"):
        with pytest.raises(ArtifactError) as raised:
            build(name)
        hints.append(raised.value.hint)

    assert hints[0] != hints[1]
    assert [path.read_text() for path in sorted(cache.glob("*.log"))] == ["of 6.1\n", "of 6.6\n"]


def test_a_build_that_fails_is_quoted_and_all_it_said_is_kept(cook: Cook, cache: Path) -> None:
    cook(script="echo compiling\necho 'main.c:3: no semicolon' >&2\nexit 1\n")

    with pytest.raises(ArtifactError) as raised:
        build("hello")

    log = cache / f"hello-{key_of('hello')}.log"
    assert raised.value.message == "recipe hello failed: main.c:3: no semicolon"
    assert raised.value.hint == f"all it said is in {log}"
    assert log.read_text() == "compiling\nmain.c:3: no semicolon\n"
    assert not log.with_suffix("").exists()


def test_a_build_that_fails_in_silence_is_said_to_have_been_silent(cook: Cook) -> None:
    cook(script="exit 3\n")

    with pytest.raises(ArtifactError, match="recipe hello failed: it printed nothing"):
        build("hello")


def test_a_build_that_failed_is_tried_again(cook: Cook, tmp_path: Path, cache: Path) -> None:
    cook(script='touch "$OUT/hello.elf"\n[ -e "$COUNT" ]\n')
    with pytest.raises(ArtifactError):
        build("hello")
    (tmp_path / "count").touch()

    made = build("hello")

    assert (made / "hello.elf").exists()
    assert list(cache.glob("*.log")) == []


def test_a_build_that_makes_less_than_it_promises_has_failed(cook: Cook) -> None:
    cook(outputs='["hello.elf", "hello.map"]')

    with pytest.raises(ArtifactError, match=r"recipe hello did not make hello\.map"):
        build("hello")


def test_a_script_that_cannot_be_run_is_pointed_at(cook: Cook) -> None:
    folder = cook()
    (folder / "build").chmod(0o644)

    with pytest.raises(ArtifactError, match="recipe hello cannot be run: Permission denied") as raised:
        build("hello")

    assert raised.value.hint == f"look at {folder}/build"


def test_a_build_cannot_ask_questions(cook: Cook) -> None:
    cook(script='cat > "$OUT/hello.elf"\n')

    assert (build("hello") / "hello.elf").read_text() == ""


def test_many_who_want_the_same_get_it_built_once(cook: Cook, tmp_path: Path) -> None:
    cook()
    together = threading.Barrier(4)
    made: list[Path] = []

    def want() -> None:
        together.wait()
        made.append(build("hello"))

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 4
    assert len(set(made)) == 1
    assert built(tmp_path) == 1


def test_the_recipes_are_listed_by_name(cook: Cook) -> None:
    cook("b")
    cook("a")

    assert recipes() == ["a", "b"]
    with pytest.raises(ArtifactError, match="there is no recipe c") as raised:
        read("c")
    assert raised.value.hint == "the recipes are: a, b"


def test_a_recipe_that_is_not_toml_is_pointed_at(cook: Cook) -> None:
    folder = cook()
    (folder / "recipe.toml").write_text("outputs = [")

    with pytest.raises(ArtifactError, match="recipe hello is not TOML") as raised:
        read("hello")
    assert raised.value.hint == f"mend {folder}/recipe.toml"


@pytest.mark.parametrize("key_name", ["description", "outputs"])
def test_a_recipe_that_lacks_something_is_told_what(cook: Cook, key_name: str) -> None:
    recipe = cook() / "recipe.toml"
    recipe.write_text("\n".join(line for line in recipe.read_text().splitlines() if not line.startswith(key_name)))

    with pytest.raises(ArtifactError, match=f"recipe hello has no {key_name}"):
        read("hello")


def test_a_package_that_is_not_installed_is_named(cook: Cook) -> None:
    cook(more='packages = ["no-such-package-anywhere"]')

    with pytest.raises(ArtifactError, match="package no-such-package-anywhere is not installed") as raised:
        build("hello")
    assert "apt-get install no-such-package-anywhere" in raised.value.hint


def test_without_dpkg_a_recipe_with_packages_cannot_be_built(cook: Cook, monkeypatch: pytest.MonkeyPatch) -> None:
    cook(more='packages = ["gcc"]')
    monkeypatch.setattr(shutil, "which", lambda name: None)

    with pytest.raises(ArtifactError, match="there is no dpkg-query"):
        build("hello")


def test_the_cache_is_where_one_says_or_below_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = cache_folder()
    monkeypatch.delenv("JITSU_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    of_the_desktop = cache_folder()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert chosen == tmp_path / "cache"
    assert of_the_desktop == tmp_path / "xdg" / "jitsu"
    assert cache_folder() == tmp_path / "home" / ".cache" / "jitsu"


def test_a_recipe_with_variants_is_several(cook: Cook) -> None:
    cook("dom0", 'echo "$VARIANT" >"$OUT/hello.elf"\n', 'variants = ["armhf", "amd64"]\n')
    cook("plain")

    assert recipes() == ["dom0@armhf", "dom0@amd64", "plain"]
    assert key_of("dom0@armhf") != key_of("dom0@amd64")
    assert [(build(f"dom0@{name}") / "hello.elf").read_text() for name in ("armhf", "amd64")] == ["armhf\n", "amd64\n"]


@pytest.mark.parametrize("name", ["dom0", "dom0@", "dom0@sparc", "plain@armhf"])
def test_a_variant_that_is_none(cook: Cook, name: str) -> None:
    cook("dom0", more='variants = ["armhf"]\n')
    cook("plain")

    with pytest.raises(ArtifactError, match=f"there is no recipe {name}$") as caught:
        read(name)

    assert ("dom0@armhf" if name.startswith("dom0") else "plain") in caught.value.hint


def test_what_a_variant_needs_of_its_like(cook: Cook) -> None:
    cook("kernel", 'echo "for $VARIANT" >"$OUT/hello.elf"\n', 'variants = ["armhf", "amd64"]\n')
    cook("guest", 'cp "$NEED_KERNEL_AMD64/hello.elf" "$OUT"\n', 'variants = ["armhf", "amd64"]\nneeds = ["kernel@"]\n')

    assert (build("guest@amd64") / "hello.elf").read_text() == "for amd64\n"
    assert read("guest@armhf").needs == ("kernel@armhf",)


def test_what_is_needed_of_a_variant(cook: Cook) -> None:
    cook("dom0", 'echo "$VARIANT" >"$OUT/hello.elf"\n', 'variants = ["armhf"]\n')
    cook("disk", 'cp "$NEED_DOM0_ARMHF/hello.elf" "$OUT/"\n', 'needs = ["dom0@armhf"]\n')

    assert (build("disk") / "hello.elf").read_text() == "armhf\n"


def test_an_input_may_be_outside_of_the_images(cook: Cook, tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("one")
    cook(more='inputs = [".", "../../agent.py"]\n')
    before = key_of("hello")

    (tmp_path / "agent.py").write_text("two")

    assert key_of("hello") != before


def test_what_is_no_recipe_is_kept_the_same_way(cache: Path) -> None:
    def make(out: Path, work: Path) -> None:
        (work / "scratch").write_text("for a moment")
        (out / "made").write_text("kept")
        made.append(out)

    made: list[Path] = []

    folders = [keep("snapshot-0123", make) for _ in range(2)]

    assert folders == [cache / "snapshot-0123"] * 2
    assert (folders[0] / "made").read_text() == "kept"
    assert len(made) == 1
    assert sorted(path.name for path in cache.iterdir()) == ["snapshot-0123", "snapshot-0123.lock"]


def test_what_fails_is_not_kept(cache: Path) -> None:
    def make(out: Path, work: Path) -> None:
        (out / "half").write_text("")
        raise ArtifactError("no")

    with pytest.raises(ArtifactError):
        keep("snapshot-0123", make)

    assert [path.name for path in cache.iterdir()] == ["snapshot-0123.lock"]
