"""A manifest: a file that says what a volume is to hold, in TOML or JSON. shfs-manifest(5) describes it.

It is read strictly: whatever is not understood is an error that names its place, so that a misspelt key is not silently
without effect.
"""

import json
import os
import stat
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from shfs.batch import text_field
from shfs.entry import ENCODING_SIZE, MIME_SIZE, NAME_SIZE
from shfs.errors import InputError
from shfs.links import LinkKind, name_of_link, parse_link
from shfs.naming import Naming, plain_path
from shfs.tree import Selection, Tree
from shfs.wanted import Wanted, WantedFile, WantedLink

_HINT = "shfs-manifest(5) describes manifests"
_EXAMPLES = {str: '"..."', bool: "true", list: '["...", "..."]'}
_KINDS = {str: "text", bool: "true or false", list: "a list", dict: "a table", int: "a number", float: "a number"}


def read_manifest(path: str) -> Wanted:
    """What a manifest asks for; `-` is standard input. Files are looked at, and not read.

    Raises InputError for what is no manifest, cannot be stored, or is not there.
    """
    where = "the manifest on standard input" if path == "-" else path
    text = _text_of(path, where)
    folder = "." if path == "-" else os.path.dirname(path) or "."
    top = _Table(where, "", _parsed(text, where))
    base = os.path.join(folder, top.text("base", "."))
    types = _types(top)
    default, provider = top.text("default", ""), top.text("provider", "")
    objects, links, trees = top.tables("object"), top.tables("link"), top.tables("tree")
    top.done()
    if ":" in provider:
        top.wrong(
            f"provider cannot be {provider!r}", "a manifest names no code: give the name of a registered function"
        )
    if not (objects or links or trees):
        raise InputError(
            f"{where} asks for nothing, and would leave nothing on the volume",
            hint="if that is meant, remove the objects with `shfs rm`",
        )
    files = [_file(table, base, types) for table in objects]
    own = {os.path.abspath(str(file.content)) for file in files}
    for table in trees:
        files += [file for file in _tree(table, base, types) if os.path.abspath(str(file.content)) not in own]
    return Wanted(files, [_link(table) for table in links], default or None, provider)


class _Table:
    """A table of a manifest. Keys are taken out one by one; what is left at the end nobody knows."""

    def __init__(self, where: str, name: str, data: Any) -> None:
        self.place = f"{where}: {name}" if name else where
        self._where = where
        self._known: list[str] = []
        if not isinstance(data, dict):
            raise InputError(f"{self.place} is {_kind(data)}, and not a table", hint=_HINT)
        self._left = dict(data)

    def wrong(self, problem: str, hint: str) -> NoReturn:
        raise InputError(f"{self.place}: {problem}", hint=hint)

    def text(self, key: str, default: str | None = None, *, size: int | None = None, what: str = "") -> str:
        """A text, of at most `size` bytes in the entry's field for `what`."""
        value: str = self._take(key, default, str)
        if "\0" in value:
            self.wrong(f"{key} has a NUL", "leave it out")
        return value if size is None else self.checked(value, size, what or key)

    def checked(self, text: str, size: int, what: str) -> str:
        """A text that an entry can hold."""
        try:
            text_field(text, size, what)
        except InputError as error:
            self.wrong(error.message, error.hint)
        return text

    def name(self, default: str) -> str:
        """A name: a text that is not empty."""
        name = self.text("name", default, size=NAME_SIZE)
        if not name:
            self.wrong("the name is empty", "readers take an empty name for the default object: `default` says which")
        return name

    def flag(self, key: str) -> bool:
        value: bool = self._take(key, False, bool)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key, [], list)
        if not all(isinstance(item, str) for item in value):
            self.wrong(f"{key} is not a list of texts", f'write it in brackets: {key} = ["...", "..."]')
        return tuple(value)

    def digest(self) -> bytes | None:
        text = self.text("digest", "")
        try:
            return bytes.fromhex(text.removeprefix("?")) if text else None
        except ValueError:
            self.wrong(f"digest cannot be {text!r}", "a digest is written in hexadecimal digits")

    def tables(self, key: str) -> list["_Table"]:
        value = self._take(key, [], list)
        return [_Table(self._where, f"[[{key}]] {at}", table) for at, table in enumerate(value, 1)]

    def mapping(self, key: str) -> dict[str, Any]:
        value: dict[str, Any] = self._take(key, {}, dict)
        return value

    def done(self) -> None:
        for key in self._left:
            self.wrong(f"there is no key {key!r}", "the keys here are: " + ", ".join(sorted(self._known)))

    def _take(self, key: str, default: Any, kind: type) -> Any:
        self._known.append(key)
        if key not in self._left and default is None:
            self.wrong(f"{key} is missing", f"add it: {key} = {_EXAMPLES.get(kind, '...')}")
        value = self._left.pop(key, default)
        if not isinstance(value, kind):
            self.wrong(f"{key} is {_kind(value)}, and not {_KINDS[kind]}", _HINT)
        return value


def _types(top: _Table) -> dict[str, str]:
    """MIME types by extension, with their dots."""
    types = {}
    for extension, mime in top.mapping("types").items():
        if not isinstance(mime, str) or not extension.startswith(".") or "/" in extension:
            top.wrong(f"[types] cannot have {extension!r} = {mime!r}", 'write it as ".ext" = "type/subtype"')
        types[extension.lower()] = top.checked(mime, MIME_SIZE, f"MIME type of {extension}")
    return types


def _file(table: _Table, base: str, types: dict[str, str]) -> WantedFile:
    given = table.text("path")
    path = os.path.normpath(os.path.join(base, given))
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        table.wrong(f"{path} cannot be read: {error.strerror}", "paths are relative to the manifest, or to its `base`")
    if not stat.S_ISREG(mode):
        hint = "a folder is a [[tree]]" if stat.S_ISDIR(mode) else "an object is made of a regular file"
        table.wrong(f"{path} is {'a directory' if stat.S_ISDIR(mode) else 'no regular file'}", hint)
    name = table.name(plain_path(given))
    mime = table.text("mime", _mime(given, types), size=MIME_SIZE, what="MIME type")
    encoding = table.text("encoding", "", size=ENCODING_SIZE)
    file = WantedFile(path, name, mime, encoding, table.digest(), f"{table.place} ({given})")
    table.done()
    return file


def _tree(table: _Table, base: str, types: dict[str, str]) -> Iterator[WantedFile]:
    given, prefix = table.text("path"), table.text("prefix", "")
    selection = Selection(table.texts("include"), table.texts("exclude"), table.flag("hidden"))
    tree = Tree(selection, table.flag("follow"))
    table.done()
    folder = os.path.normpath(os.path.join(base, given))
    if not os.path.isdir(folder):
        table.wrong(f"{folder} is no folder", "a single file is an [[object]]")
    for found in tree.files([folder]):
        name = table.checked(prefix + found.relative, NAME_SIZE, "name")
        yield WantedFile(found.path, name, _mime(name, types), place=f"{table.place} ({found.path})")


def _link(table: _Table) -> WantedLink:
    url = table.text("url")
    kind = table.text("type", LinkKind.REDIRECT.name.lower())
    if kind.upper() not in LinkKind.__members__ or kind != kind.lower():
        table.wrong(f"type cannot be {kind!r}", "use one of: " + ", ".join(member.name.lower() for member in LinkKind))
    try:
        parse_link(url, LinkKind[kind.upper()])
    except InputError as error:
        table.wrong(error.message, error.hint)
    link = WantedLink(
        url, LinkKind[kind.upper()], table.name(name_of_link(url)), table.digest(), f"{table.place} ({url})"
    )
    table.done()
    return link


def _mime(name: str, types: dict[str, str]) -> str:
    own = types.get(os.path.splitext(name)[1].lower())
    return Naming().type(name, name) if own is None else own


def _text_of(path: str, where: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}", hint=_HINT) from None
    except UnicodeDecodeError:
        raise InputError(f"{where} is not UTF-8 text", hint=_HINT) from None


def _parsed(text: str, where: str) -> Any:
    """JSON if it begins with a brace, as no TOML does; else TOML."""
    try:
        if text.lstrip().startswith("{"):
            return json.loads(text, object_pairs_hook=_once)
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # The errors of both parsers are ValueErrors.
        kind = "JSON" if text.lstrip().startswith("{") else "TOML"
        raise InputError(f"{where} is not {kind}: {error}", hint=f"mend that line; {_HINT}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a key stand twice, of which one would be without effect."""
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"the key {key!r} stands there twice")
    return dict(pairs)


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "nothing" if value is None else "something else")
