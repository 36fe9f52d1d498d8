"""`jitsu image`: recipes and what they made."""

import json
from pathlib import Path

import pytest

from jitsu import artifacts
from tests.unit.command_line import Jitsu


@pytest.fixture(autouse=True)
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "images" / "hello"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text('description = "says hello"\noutputs = ["hello.elf"]\n')
    (folder / "build").write_text('#!/bin/sh\n[ -z "$BROKEN" ] && touch "$OUT/hello.elf"\n')
    (folder / "build").chmod(0o755)
    monkeypatch.setattr(artifacts, "RECIPES", tmp_path / "images")
    monkeypatch.setenv("JITSU_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BROKEN", raising=False)


def test_recipes_are_listed(jitsu: Jitsu) -> None:
    assert jitsu("image", "list")[1] == "hello            says hello\n"
    assert json.loads(jitsu("image", "list", "-o", "json")[1]) == [{"name": "hello", "description": "says hello"}]


def test_the_folder_is_printed_and_progress_is_not_in_its_way(jitsu: Jitsu) -> None:
    code, out, err = jitsu("image", "build", "hello")

    assert code == 0
    assert (Path(out.strip()) / "hello.elf").exists()
    assert err == "building hello: says hello\n"


def test_a_build_that_fails_is_code_8(jitsu: Jitsu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "yes")

    code, out, err = jitsu("image", "build", "hello")
    assert (code, out) == (8, "")
    assert "error: recipe hello failed: it printed nothing" in err


def test_ls_is_list(jitsu: Jitsu) -> None:
    assert jitsu("image", "ls") == jitsu("image", "list")


def test_a_recipe_is_looked_into_before_and_after_it_is_built(jitsu: Jitsu) -> None:
    code, out, err = jitsu("image", "inspect", "hello", "-o", "json")
    before = json.loads(out)
    assert (code, err) == (0, "")
    assert (before["recipe"], before["cached"], before["kernels"]) == ("hello", False, [])

    folder = jitsu("image", "build", "hello")[1].strip()
    after = json.loads(jitsu("image", "inspect", "hello", "-o", "json")[1])
    assert (after["folder"], after["cached"]) == (folder, True)
    assert folder.endswith(after["key"])
    assert "\ncached:         yes\n" in jitsu("image", "inspect", "hello")[1]


def test_a_kernel_is_looked_into(jitsu: Jitsu, tmp_path: Path) -> None:
    kernel = tmp_path / "bzImage"
    kernel.write_bytes(bytes(0x1FE) + b"\x55\xaa" + b"\0\0HdrS" + bytes(3 << 20))

    assert json.loads(jitsu("image", "inspect", str(kernel), "-o", "json")[1]) == {
        "kernel": str(kernel),
        "format": "x86 bzImage",
        "size": 3 * (1 << 20) + 0x206,
        "end": 3 * (1 << 20) + 0x206,
        "least_memory": 3 * (1 << 20) + 0x206,
    }
    assert "least memory:   3,146,246 bytes\n" in jitsu("image", "inspect", str(kernel))[1]


def test_what_is_no_kernel_is_said_to_be_none(jitsu: Jitsu, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("milk, eggs")

    code, _, err = jitsu("image", "inspect", str(tmp_path / "notes"))
    assert code == 6
    assert "is a text file, not a kernel image" in err
