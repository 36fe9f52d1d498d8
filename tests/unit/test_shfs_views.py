"""The tree that a volume is seen as: whatever names it has, each object is in it once by name and once by digest."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from shfs import Volume, mkfs
from shfs.digests import HashFunction
from shfs.links import LinkKind
from shfs.views import Folder, Node, Pointer, find, tree_of
from shfs.volume import StoredObject


@dataclass
class Maker:
    """Makes volumes whose objects have the names that are given, in this order in the table."""

    folder: Path

    def volume(self, *names: str, default: int | None = None) -> Volume:
        path = self.folder / "v.img"
        with path.open("wb") as image:
            image.truncate(1 << 20)
        # One bucket: objects stand in the table as they were added.
        mkfs([str(path)], stripe=4096, buckets=1, entries=max(len(names), 1), function=HashFunction.MANUAL)
        with Volume.open([str(path)], write=True) as volume, volume.batch() as batch:
            for number, name in enumerate(names):
                batch.link("http://h/x", LinkKind.RAW, name=name, digest=digest_of(number))
            batch.set_default(None if default is None else digest_of(default))
        return Volume.open([str(path)])


def digest_of(number: int) -> bytes:
    return (number + 1).to_bytes(16, "big")


def hex_of(number: int) -> str:
    return digest_of(number).hex()


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def walked(node: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every path below it that is no folder, and what is there."""
    if isinstance(node, Folder):
        for name, child in node.children.items():
            yield from walked(child, f"{path}/{name}")
    else:
        yield path, node


def named(volume: Volume) -> dict[str, int]:
    """The paths in names/, each with the number of its object."""
    names = find(tree_of(volume), "/names")
    assert names is not None
    found = {}
    for path, item in walked(names):
        assert isinstance(item, StoredObject)
        found[path.removeprefix("/")] = int.from_bytes(item.digest, "big") - 1
    return found


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        ([], {}),
        (["a", "b"], {"a": 0, "b": 1}),
        (["d/e/f", "d/g", "h"], {"d/e/f": 0, "d/g": 1, "h": 2}),
        (["/a", "b//c", "d/"], {"a": 0, "b/c": 1, "d": 2}),
        ([".", "..", "b/../a", "b/./c", "..."], {"%2E": 0, "%2E%2E": 1, "b/%2E%2E/a": 2, "b/%2E/c": 3, "...": 4}),
        (["..", "../a"], {f"%2E%2E~{hex_of(0)}": 0, "%2E%2E/a": 1}),
        (["", "/", "///"], {hex_of(0): 0, hex_of(1): 1, hex_of(2): 2}),
        (["a", "a", "/a"], {"a": 0, f"a~{hex_of(1)}": 1, f"a~{hex_of(2)}": 2}),
        (["d", "d/", "d/index.html"], {f"d~{hex_of(0)}": 0, f"d~{hex_of(1)}": 1, "d/index.html": 2}),
        (["a", f"a~{hex_of(2)}", "a"], {"a": 0, f"a~{hex_of(2)}": 1, f"a~{hex_of(2)}~": 2}),
        (["ü", "\udcff", " ", "*\n"], {"ü": 0, "\udcff": 1, " ": 2, "*\n": 3}),
        ([".", "%2E"], {f"%2E~{hex_of(0)}": 0, "%2E": 1}),
        (["/a", "a", "a/", "a"], {f"a~{hex_of(0)}": 0, "a": 1, f"a~{hex_of(2)}": 2, f"a~{hex_of(3)}": 3}),
    ],
)
def test_names_are_paths(maker: Maker, names: list[str], paths: dict[str, int]) -> None:
    with maker.volume(*names) as volume:
        assert named(volume) == paths


def test_whatever_the_names_are_each_object_is_there_once(maker: Maker, seeded: random.Random, full: bool) -> None:
    letters = ["a", "b", "/", ".", "~", "%2E", "/a", "/b/", hex_of(0), f"~{hex_of(1)}"]
    for _ in range(2000 if full else 60):
        names = ["".join(seeded.choices(letters, k=seeded.randrange(5)))[:64] for _ in range(seeded.randrange(1, 30))]
        with maker.volume(*names) as volume:
            found = named(volume)

        assert sorted(found.values()) == list(range(len(names))), names
        for path in found:
            parts = path.split("/")
            assert not {"", ".", ".."} & set(parts), path
            assert all(len(part.encode()) <= 255 for part in parts)
        # Who asks a cache for a name gets what stands under that name here.
        for path, number in found.items():
            if path in names:
                assert names.index(path) == number, (path, names)


def test_digests_and_default(maker: Maker) -> None:
    with maker.volume("a", "b/c", default=1) as volume:
        tree = tree_of(volume)

        assert list(tree.children) == ["names", "hashes", "default"]
        hashes = tree.children["hashes"]
        assert isinstance(hashes, Folder)
        assert list(hashes.children) == [hex_of(0), hex_of(1)]
        assert find(tree, f"/hashes/{hex_of(1)}") is find(tree, "/names/b/c")
        assert tree.children["default"] == Pointer(f"hashes/{hex_of(1)}")
    with maker.volume("a") as volume:
        assert "default" not in tree_of(volume).children


@pytest.mark.parametrize("path", ["/x", "/names/x", "/names/a/x", "/default/x", "/hashes/00", "/names/d/e/f/g"])
def test_what_is_not_there(maker: Maker, path: str) -> None:
    with maker.volume("a", "d/e/f", default=0) as volume:
        assert find(tree_of(volume), path) is None


def test_the_top_and_folders_are_found(maker: Maker) -> None:
    with maker.volume("d/e/f") as volume:
        tree = tree_of(volume)

        assert find(tree, "/") is tree
        assert isinstance(find(tree, "/names/d/e"), Folder)
