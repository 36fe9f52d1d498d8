"""An HLS presentation as objects of a volume: a playlist and all that it names, and what that names.

Each URI becomes `/?DIGEST`, the digest of the object that it means, from the innermost playlist to the outermost: so a
cache serves all of it without a single name. The original's script writes `?DIGEST`. That is resolved against the URI
of the playlist, and means the same if the playlist was itself fetched as `/?DIGEST`; but fetched by its name, as in
`/live/master.m3u8`, it becomes `/live/master.m3u8?DIGEST`, which names nothing, or the playlist again. With the slash
it is right in both cases. It has to be the root of a server, and that it is: caches have no other.

The same file is one object, however often and with whatever byte ranges it is named, and so are files of the same
content. A digest cannot be that of a playlist which names itself, so a circle is an error.
"""

import filecmp
import os
import stat
from collections.abc import Callable, Iterator
from urllib.parse import unquote, urlsplit

from shfs.entry import NAME_SIZE
from shfs.errors import InputError
from shfs.fingerprint import Fingerprint, Fingerprints
from shfs.links import LinkKind, name_of_link, parse_link
from shfs.media_types import ANYTHING
from shfs.naming import Naming
from shfs.playlist import Playlist, Reference, Role
from shfs.volume import encode_text
from shfs.wanted import Wanted, WantedFile, WantedLink

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"

_DEEPEST = 16
"""Playlists within playlists. Two is what there is in practice."""

_LARGEST = 64 << 20
"""Bytes of a playlist. A day in segments of a second has 5 MiB."""


class Presentation:
    """What the playlist at `path` names. Files lie in the folder `root`, the playlist's unless given, and nothing
    outside of it is taken, whatever a playlist says; names are paths from there, behind `prefix`. `link_remote`: what
    is named by an http URL becomes a link; else it is left as it is, as all other schemes are.

    `notes` are sentences about what may not be meant so. Raises InputError for a playlist that cannot be understood, or
    that names itself or what is not there.
    """

    def __init__(self, path: str, *, root: str | None = None, prefix: str = "", link_remote: bool = False) -> None:
        self.notes: list[str] = []
        self._root = os.path.abspath(os.path.dirname(path) if root is None else root)
        self._prefix = prefix
        self._link_remote = link_remote
        self._playlists: dict[str, Playlist] = {}
        self._media: dict[str, WantedFile] = {}
        self._links: dict[str, WantedLink] = {}
        self._top = os.path.abspath(path)
        if not self._has(self._top):
            raise InputError(f"{path} does not lie in {self._root}", hint="--root names the folder that has all files")
        self._gather(self._top, path, ())

    def wanted(
        self, fingerprints: Fingerprints, progress: Callable[[int, int], None] = lambda done, whole: None
    ) -> Wanted:
        """The objects, of the files the outermost playlist last. `progress` is told the bytes of media that were read,
        and all. Raises what `Fingerprints.of` raises, and InputError if different files have one digest."""
        uris: dict[str, str] = {}
        files: dict[bytes, WantedFile] = {}
        for path, found in zip(self._media, fingerprints.of_all(self._media.values(), progress), strict=True):
            uris[path] = _uri(found.digest)
            _share(files.setdefault(found.digest, self._media[path]), self._media[path], found)
        for url, link in self._links.items():
            uris[url] = _uri(fingerprints.of_link(link))
        for path, playlist in self._playlists.items():
            targets = {reference.start: target for reference, target in self._targets(path, playlist)}
            content = playlist.with_uris({start: uris[target] for start, target in targets.items()})
            file = self._file(path, content, PLAYLIST_TYPE, playlist.what)
            digest = fingerprints.of(file).digest
            uris[path] = _uri(digest)
            files.setdefault(digest, file)
        return Wanted([*files.values()], [*self._links.values()])

    def _gather(self, path: str, what: str, above: tuple[str, ...]) -> None:
        """Read a playlist and all that it names, the innermost first."""
        playlist = Playlist(_content(path, what), what)
        for reference, target in self._targets(path, playlist):
            place = _place(playlist, reference)
            if target in (*above, path):
                raise InputError(
                    f"{place}: the playlist names itself, or one that names it",
                    hint="it is to be named by its digest, which it cannot have then: leave out that line",
                )
            if not target.startswith("/"):
                self._links.setdefault(target, _link(target, place))
            elif reference.role is Role.PLAYLIST and target not in self._playlists:
                if len(above) >= _DEEPEST:
                    raise InputError(f"{place}: playlists lie over {_DEEPEST} deep", hint="players expect two")
                self._gather(target, _checked(target, place), (*above, path))
            elif target not in self._media and target not in self._playlists:
                mime = ANYTHING if reference.role is Role.KEY else Naming().type(target, place)
                self._media[target] = self._file(target, _checked(target, place), mime, place)
        if playlist.goes_on:
            self.notes.append(f"{what} has no EXT-X-ENDLIST: players take it for live, and ask for it again and again")
        self._playlists[path] = playlist

    def _targets(self, path: str, playlist: Playlist) -> Iterator[tuple[Reference, str]]:
        """What becomes an object: each reference with the absolute path of its file, or its URL."""
        for reference in playlist.references:
            place = _place(playlist, reference)
            try:
                parts = urlsplit(reference.uri)
            except ValueError as error:
                raise InputError(f"{place}: it is no URI: {error}", hint="mend that line") from None
            if parts.scheme or parts.netloc:
                if self._link_remote and parts.scheme == "http":
                    yield reference, reference.uri
                continue
            inner = unquote(parts.path, errors="surrogateescape")
            if not inner.strip("/") or "\0" in inner:
                raise InputError(f"{place}: it names no file", hint="is the playlist one that was on a volume already?")
            folder = self._root if inner.startswith("/") else os.path.dirname(path)
            target = os.path.normpath(os.path.join(folder, inner.lstrip("/")))
            if not self._has(target):
                raise InputError(
                    f"{place}: {target} does not lie in {self._root}",
                    hint="nothing else is taken, whatever a playlist names: --root names the folder that has all files",
                )
            yield reference, target

    def _has(self, path: str) -> bool:
        return os.path.commonpath([path, self._root]) == self._root

    def _file(self, path: str, content: str | bytes, mime: str, place: str) -> WantedFile:
        """Only the outermost playlist needs its name, and gives it; a name that does not fit is left out for others."""
        is_top = path == self._top
        name = self._prefix + os.path.relpath(path, self._root)
        if not is_top and len(encode_text(name)) > NAME_SIZE:
            name = ""
        return WantedFile(content, name, mime, place=place, any_name=not is_top)


def _uri(digest: bytes) -> str:
    return f"/?{digest.hex()}"


def _place(playlist: Playlist, reference: Reference) -> str:
    return f"{playlist.what}, line {reference.line} ({reference.uri})"


def _link(url: str, place: str) -> WantedLink:
    """A link that sends players to the URL."""
    try:
        parse_link(url, LinkKind.REDIRECT)
    except InputError as error:
        raise InputError(f"{place}: {error.message}", hint=error.hint) from None
    name = name_of_link(url)
    fits = len(encode_text(name)) <= NAME_SIZE
    return WantedLink(url, LinkKind.REDIRECT, name if fits else "", place=place, any_name=True)


def _checked(path: str, place: str) -> str:
    """The path, if there is a regular file."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise InputError(
            f"{place}: {path} cannot be read: {error.strerror}", hint="all that a playlist names has to be there"
        ) from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{place}: {path} is no regular file", hint="all that a playlist names has to be there")
    return path


def _content(path: str, what: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{what} cannot be read: {error.strerror}", hint="give an HLS playlist (RFC 8216)") from None
    if len(data) > _LARGEST:
        raise InputError(f"{what} is no playlist: it has over {_LARGEST >> 20} MiB", hint="give an HLS playlist")
    return data


def _share(first: WantedFile, other: WantedFile, found: Fingerprint) -> None:
    """Two files have one digest: one object is enough if it tells that they have the same content, or if they do."""
    if first is other or found.certain or filecmp.cmp(str(first.content), str(other.content), shallow=False):
        return
    raise InputError(
        f"{first.what} and {other.what} are different, and have the same digest",
        hint="the original's digests leave out a last chunk that is full: do without --compat-digest",
    )
