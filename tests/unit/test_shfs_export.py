"""`shfs export`: objects as files and as a tar archive, names made safe, and a manifest that brings them back."""

import io
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from shfs import Volume
from shfs.addition import Addition
from tests.unit.shfs_command import done, failed, shfs
from tests.unit.shfs_decoder import Volume as Referee
from tests.unit.shfs_golden import GOLDEN, unpack

PAST_THE_END = "f-pastend"
"""The golden volume of which the original wrote an object behind its end."""

FILES = {"index.html": b"<p>home", "css/main.css": b"p {}", "css/deep/er.css": b"", "film.mp4": b"ftyp" * 500_000}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A volume with files, links of each kind and a default object."""
    path = tmp_path / "cache.img"
    done("mkfs", path, "--size", "16M", "--stripe", 4096, "--buckets", 64)
    store(path, FILES)
    done("link", path, "http://origin.example.com:8080/live.ts?x=1", "--type", "auto", "--name", "live/äöü")
    done("link", path, "http://10.1.2.3/raw", "--type", "raw")
    done("link", path, "http://origin.example.com:80", "--name", "home")
    done("default", path, "css/main.css")
    return path


def store(image: Path, files: dict[str, bytes], digests: dict[str, bytes] | None = None) -> None:
    """Files under any names, through the library."""
    with Volume.open([os.fspath(image)], write=True) as volume, volume.batch() as batch:
        for name, data in files.items():
            mime = "text/x-own" if name.endswith(".css") else ""
            digest = None if digests is None else digests[name]
            list(batch.add_all([Addition(io.BytesIO(data), name, mime, "", digest, len(data))]))


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        os.fsdecode(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.toml"
    }


def rows(*image: object) -> list[dict[str, Any]]:
    """The listing without what a copy may have of its own: times and places."""
    listed = done("ls", *image, "-o", "json").json
    return sorted(
        ({key: row[key] for key in row if key not in ("created", "chunk")} for row in listed),
        key=lambda row: str(row["digest"]),
    )


def rebuilt(members: list[Path], folder: Path, copy: Path) -> Path:
    """A volume with the same table and digests, made of what was exported."""
    info = done("info", *(argument for member in members for argument in ("-v", member)), "-o", "json").json
    same = ["--hash", info["hash"], "--hash-len", info["digest_length"]]
    same += ["--buckets", info["buckets"], "--entries", info["entries_per_bucket"]]
    done("mkfs", copy, "--size", "64M", "--stripe", 4096, *same)
    if (folder / "manifest.toml").read_text().strip():
        done("apply", copy, folder / "manifest.toml", "--yes")
    return copy


def test_files_are_written_by_their_names(image: Path, tmp_path: Path) -> None:
    ran = done("export", image, tmp_path / "out")

    assert files_in(tmp_path / "out") == FILES
    assert "4 files, and manifest.toml with 3 links" in ran.err
    created = {row["name"]: row["created"] for row in done("ls", image, "-o", "json").json}
    assert (tmp_path / "out" / "index.html").stat().st_mtime == created["index.html"]


def test_a_volume_of_what_was_exported_is_the_same(image: Path, tmp_path: Path) -> None:
    done("export", image, tmp_path / "out")

    copy = rebuilt([image], tmp_path / "out", tmp_path / "copy.img")

    assert rows(copy) == rows(image)
    assert Referee.read([copy]).findings() == []
    again = done("apply", copy, tmp_path / "out" / "manifest.toml", "-o", "json").json
    assert again["steps"] == []


def test_a_site_comes_back(tmp_path: Path) -> None:
    """Digests by hand, contents that are there several times, names that are those of folders too."""
    for name in ("index.html", "shop/index.html", "shop/new/index.html"):
        (tmp_path / "www" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "www" / name).write_bytes(name.encode())
    done("site", tmp_path / "www", tmp_path / "www.img")

    ran = done("export", tmp_path / "www.img", tmp_path / "out")

    assert "named 'shop/' is written to shop~" in ran.err
    copy = rebuilt([tmp_path / "www.img"], tmp_path / "out", tmp_path / "copy.img")
    assert rows(copy) == rows(tmp_path / "www.img")


def test_golden_volumes_come_back(tmp_path: Path, full: bool) -> None:
    """The public ones, in the full run all: what the original wrote, without what a manifest cannot say."""
    for key, record in GOLDEN.items():
        if not full and not key.startswith("p"):
            continue
        folder = tmp_path / key
        folder.mkdir()
        members = unpack(record, folder)
        volume = [argument for member in members for argument in ("-v", member)]
        if key == PAST_THE_END:
            assert "says it has chunks 3 to 8, of a volume of 7" in failed(3, "export", *volume, folder / "out")
            continue
        ran = done("export", *volume, folder / "out")
        manifest = tomllib.loads((folder / "out" / "manifest.toml").read_text())
        referee = Referee.read(members)

        by_path = {table["path"]: table for table in manifest.get("object", [])}
        written = files_in(folder / "out")
        assert set(by_path) == set(written), key
        live = {slot.digest.hex(): slot for slot in referee.live}
        assert sorted(written.values()) == sorted(
            referee.content(slot) for slot in live.values() if not slot.is_link
        ), key
        copy = rebuilt(members, folder / "out", folder / "copy.img")
        left = {(row["type"], row["size"], row["mime"]) for row in rows(*volume)}
        assert {(row["type"], row["size"], row["mime"]) for row in rows(copy)} == left, key
        unchanged = {row["name"] for row in rows(*volume)} & {row["name"] for row in rows(copy)}
        assert len(rows(copy)) - len(unchanged) <= ran.err.count("in the manifest"), key


def test_an_archive_has_the_same(image: Path, tmp_path: Path) -> None:
    ran = shfs("export", image, tmp_path / "out")
    program = [sys.executable, "-m", "shfs.cli.main", "export", str(image), "-"]
    archive = subprocess.run(program, capture_output=True, check=True).stdout

    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    manifest = found.pop("manifest.toml")
    assert ran.code == 0
    assert found == FILES
    assert manifest == (tmp_path / "out" / "manifest.toml").read_bytes()
    done("mkfs", tmp_path / "again.img", "--size", "16M", "--stripe", 4096, "--buckets", 64)
    done("import", tmp_path / "again.img", "--exclude", "manifest.toml", stdin=archive)
    assert {row["digest"] for row in rows(tmp_path / "again.img")} <= {row["digest"] for row in rows(image)}


ODD = {
    # What a name becomes; behind a tilde the first digits of the digest.
    "../up.txt": "%2E%2E/up.txt",
    "/etc/passwd": "etc/passwd",
    "a/../../b": "a/%2E%2E/%2E%2E/b",
    ".": "%2E",
    "..": "%2E%2E~",
    "a//c/": "a/c",
    "two\nlines": "two%0Alines",
    "\x1b[31mred": "%1B[31mred",
    "caf\udce9": "caf%E9",
    "manifest.toml": "manifest.toml~",
    "dir": "dir~",
    "dir/file": "dir/file",
    "ü" * 32: "ü" * 32,
    "日本/語": "日本/語",
    "-rf": "-rf",
}


def test_no_name_leads_out_of_the_folder(image: Path, tmp_path: Path) -> None:
    contents = {name: b"odd %d" % number for number, name in enumerate([*ODD, ""])}
    store(image, contents)
    store(image, {"index.html": b"another"})
    before = set(tmp_path.rglob("*"))

    ran = done("export", image, tmp_path / "out")

    outside = {path for path in tmp_path.rglob("*") if tmp_path / "out" not in [path, *path.parents]}
    assert outside == before
    found = {data: path for path, data in files_in(tmp_path / "out").items()}
    digests = {row["name"]: row["digest"] for row in done("ls", image, "-o", "json").json}
    for name, safe in ODD.items():
        path = found[contents[name]]
        assert path == (safe + digests[name][:8] if safe.endswith("~") else safe)
        assert (f"object {digests[name]} named" in ran.err) == (path != name)
    assert found[contents[""]] == digests[""]
    assert len(found) == len(FILES) + len(ODD) + 2, "both that are named index.html"
    assert "\x1b" not in ran.err

    copy = rebuilt([image], tmp_path / "out", tmp_path / "copy.img")
    assert {row["digest"] for row in rows(copy)} == {row["digest"] for row in rows(image)}
    lost = {row["name"] for row in rows(image)} - {row["name"] for row in rows(copy)}
    assert lost == {"caf\udce9", ""}


def test_files_by_digest(image: Path, tmp_path: Path) -> None:
    done("export", image, tmp_path / "out", "--digests")

    names = {row["digest"]: row["name"] for row in rows(image) if row["type"] == "file"}
    assert {names[path]: data for path, data in files_in(tmp_path / "out").items()} == FILES
    assert rows(rebuilt([image], tmp_path / "out", tmp_path / "copy.img")) == rows(image)


def test_what_is_there_is_never_written_over(image: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "keep").write_bytes(b"keep")
    (tmp_path / "file").write_bytes(b"file")
    (tmp_path / "empty").mkdir()

    assert "is no empty folder" in failed(8, "export", image, tmp_path / "full")
    assert "is no empty folder" in failed(8, "export", image, tmp_path / "file")
    assert "cannot be written" in failed(4, "export", image, tmp_path / "no" / "where")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["keep"]
    done("export", image, tmp_path / "empty")


def test_nothing_is_left_of_an_export_that_fails(image: Path, tmp_path: Path) -> None:
    """One object's entry says that it lies behind the end of the volume."""
    data = bytearray(image.read_bytes())
    slot = next(one for one in Referee.read([image]).live if one.name == b"film.mp4")
    at = data.index(slot.raw)
    data[at + 64 : at + 72] = (1 << 40).to_bytes(8, "little")
    image.write_bytes(data)

    for folder in (tmp_path / "out", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        assert "film.mp4" in failed(3, "export", image, folder)
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "empty").iterdir()) == []

    ran = shfs("export", image, tmp_path / "out", "--keep-going")
    assert ran.code == 1
    assert "film.mp4" in ran.err
    assert files_in(tmp_path / "out") == {name: data for name, data in FILES.items() if name != "film.mp4"}
    assert len(tomllib.loads((tmp_path / "out" / "manifest.toml").read_text())["object"]) == 3
