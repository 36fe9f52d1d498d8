"""A manifest is understood as a whole, or it is an error that says where."""

import io
import json
import sys
from pathlib import Path

import pytest

from shfs.errors import InputError
from shfs.links import LinkKind
from shfs.manifest import read_manifest
from shfs.wanted import Wanted

OBJECT = '[[object]]\npath = "a.html"\n'


def read(folder: Path, text: str) -> Wanted:
    (folder / "a.html").write_text("a")
    (folder / "manifest").write_text(text)
    return read_manifest(str(folder / "manifest"))


def refused(folder: Path, text: str) -> tuple[str, str]:
    with pytest.raises(InputError) as error:
        read(folder, text)
    where, _, problem = error.value.message.partition(f"{folder}/manifest")
    assert where == ""
    return problem, error.value.hint


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "live.key").write_bytes(b"k")
    structure = {
        "default": "start",
        "provider": "blake2b",
        "object": [
            {"path": "a.html", "name": "start", "mime": "text/x-a", "encoding": "gzip", "digest": "?00ff"},
            {"path": "live.key"},
        ],
        "link": [{"url": "http://h.example/p/live.ts", "type": "auto"}],
        "types": {".KEY": "application/x-key"},
    }
    as_json = read(tmp_path, json.dumps(structure, indent=1))
    as_toml = read(
        tmp_path,
        'default = "start"\nprovider = "blake2b"\n'
        '[[object]]\npath = "a.html"\nname = "start"\nmime = "text/x-a"\nencoding = "gzip"\ndigest = "00FF"\n'
        '[[object]]\npath = "live.key"\n'
        '[[link]]\nurl = "http://h.example/p/live.ts"\ntype = "auto"\n'
        '[types]\n".key" = "application/x-key"\n',
    )

    assert as_json == as_toml
    start, key = as_toml.files
    assert (start.name, start.mime, start.encoding, start.digest) == ("start", "text/x-a", "gzip", b"\x00\xff")
    assert (key.content, key.name, key.mime) == (str(tmp_path / "live.key"), "live.key", "application/x-key")
    (link,) = as_toml.links
    assert (link.url, link.kind, link.name) == ("http://h.example/p/live.ts", LinkKind.AUTO, "live.ts")
    assert (as_toml.default, as_toml.provider) == ("start", "blake2b")


def test_a_tree_is_its_files_but_those_that_are_objects_of_their_own(tmp_path: Path) -> None:
    for name in ("index.html", "css/a.css", "css/b.foo", ".hidden", "drafts/x.html"):
        (tmp_path / "www" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "www" / name).write_text(name)

    wanted = read(
        tmp_path,
        '[[object]]\npath = "www/css/../index.html"\nname = "start"\n'
        '[[tree]]\npath = "www"\nprefix = "site/"\nexclude = ["drafts"]\n[types]\n".foo" = "text/x-foo"\n',
    )

    assert [(file.name, file.mime) for file in wanted.files] == [
        ("start", "text/html"),
        ("site/css/a.css", "text/css"),
        ("site/css/b.foo", "text/x-foo"),
    ]
    assert "[[tree]] 1" in wanted.files[1].what
    hidden = read(tmp_path, '[[tree]]\npath = "www"\nhidden = true\ninclude = [".hid*"]\n')
    assert [file.name for file in hidden.files] == [".hidden"]


def test_paths_count_from_the_base(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "b.css").write_text("b")

    (file,) = read(tmp_path, 'base = "build"\n[[object]]\npath = "./b.css"\n').files

    assert (file.content, file.name) == (str(tmp_path / "build" / "b.css"), "b.css")


def test_a_manifest_on_standard_input_counts_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.html").write_text("a")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"object": [{"path": "a.html"}]}')))

    (file,) = read_manifest("-").files

    assert (file.content, file.name) == ("a.html", "a.html")


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("[[object]", " is not TOML: ", "mend that line"),
        ('{"object": }', " is not JSON: ", "mend that line"),
        ('{"base": "a", "base": "b"}', "'base' stands there twice", ""),
        ("", " asks for nothing", "shfs rm"),
        ('defualt = "x"\n' + OBJECT, ": there is no key 'defualt'", "the keys here are: base, default, link"),
        (OBJECT + 'nmae = "x"\n', ": [[object]] 1: there is no key 'nmae'", "digest, encoding, mime, name, path"),
        (OBJECT + OBJECT + "mime = 3\n", ": [[object]] 2: mime is a number, and not text", ""),
        ('[object]\npath = "a.html"\n', ": object is a table, and not a list", ""),
        ('{"object": ["a.html"]}', ": [[object]] 1 is text, and not a table", ""),
        ('{"object": null}', ": object is nothing, and not a list", ""),
        ("[[object]]\n", ": [[object]] 1: path is missing", 'add it: path = "..."'),
        ('[[object]]\npath = "b.html"\n', "b.html cannot be read: No such file", "relative to the manifest"),
        ('[[object]]\npath = "."\n', "is a directory", "[[tree]]"),
        ('[[object]]\npath = "/dev/null"\nname = "n"\n', "/dev/null is no regular file", ""),
        ('[[object]]\npath = "a\\u0000"\n', ": [[object]] 1: path has a NUL", ""),
        (OBJECT + f'name = "{"n" * 65}"\n', f": [[object]] 1: the name '{'n' * 65}' has 65 bytes", "holds 64"),
        (OBJECT + 'name = ""\n', ": [[object]] 1: the name is empty", "default"),
        (OBJECT + f'mime = "{"m" * 33}"\n', "has 33 bytes", "holds 32"),
        (OBJECT + f'encoding = "{"e" * 17}"\n', "has 17 bytes", "holds 16"),
        (OBJECT + 'digest = "xy"\n', ": [[object]] 1: digest cannot be 'xy'", "hexadecimal"),
        (OBJECT + '[types]\nfoo = "text/x"\n', ": [types] cannot have 'foo' = 'text/x'", '".ext"'),
        (OBJECT + '[types]\n".foo" = 3\n', ": [types] cannot have '.foo' = 3", ""),
        (OBJECT + f'[types]\n".foo" = "{"m" * 33}"\n', "the MIME type of .foo", "holds 32"),
        ('provider = "os:getcwd"\n' + OBJECT, ": provider cannot be 'os:getcwd'", "no code"),
        ('[[tree]]\npath = "a.html"\n', "a.html is no folder", "[[object]]"),
        ('[[tree]]\npath = "."\nhidden = "no"\n', ": [[tree]] 1: hidden is text, and not true or false", ""),
        ('[[tree]]\npath = "."\ninclude = [1]\n', ": [[tree]] 1: include is not a list of texts", ""),
        (f'[[tree]]\npath = "."\nprefix = "{"p" * 60}"\n', ": [[tree]] 1: the name 'ppp", "holds 64"),
        ('[[link]]\nurl = "https://h/x"\n', ": [[link]] 1: a link to 'https://h/x' is not possible", "http only"),
        ('[[link]]\nurl = "http://h/x"\ntype = "live"\n', ": [[link]] 1: type cannot be 'live'", "redirect, raw, auto"),
        ('[[link]]\nurl = "http://h/x"\ntype = "RAW"\n', ": [[link]] 1: type cannot be 'RAW'", "redirect, raw, auto"),
    ],
)
def test_what_is_not_understood_is_an_error_that_says_where(tmp_path: Path, text: str, problem: str, hint: str) -> None:
    told, cure = refused(tmp_path, text)

    assert problem in told
    assert hint in cure
    assert cure


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="binary is not UTF-8 text"):
        read_manifest(str(tmp_path / "binary"))
    with pytest.raises(InputError, match=r"nothing cannot be read: No such file"):
        read_manifest(str(tmp_path / "nothing"))
