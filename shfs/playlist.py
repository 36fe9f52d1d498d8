"""An HLS playlist: where in its text other files are named (RFC 8216; the low-latency tags are those of its second
edition, draft-pantos-hls-rfc8216bis).

Only the URIs are looked at and exchanged. Every other byte stays as it is: tags that nobody here knows, comments, blank
lines, ends of lines. A library that takes playlists apart and puts them together again loses the first three.
"""

import codecs
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass

from shfs.errors import InputError

EXTENSIONS = (".m3u8", ".m3u")


class Role(enum.Enum):
    """What is behind a URI: another playlist; media, or how they begin; a key; or other data."""

    PLAYLIST = "playlist"
    MEDIA = "media"
    KEY = "key"
    DATA = "data"


_ROLES = {
    "EXT-X-I-FRAME-STREAM-INF": Role.PLAYLIST,
    "EXT-X-KEY": Role.KEY,
    "EXT-X-MAP": Role.MEDIA,
    "EXT-X-MEDIA": Role.PLAYLIST,
    "EXT-X-PART": Role.MEDIA,
    "EXT-X-PRELOAD-HINT": Role.MEDIA,
    "EXT-X-RENDITION-REPORT": Role.PLAYLIST,
    "EXT-X-SESSION-DATA": Role.DATA,
    "EXT-X-SESSION-KEY": Role.KEY,
}
"""The tags that have a URI attribute."""

_FIRST_LINE = "#EXTM3U"
_TAG = re.compile(r"#(EXT[^:\s]*):?")
_ATTRIBUTE = re.compile(r'[ \t]*([A-Z0-9-]+)=(?:"([^"]*)"|([^",]*))[ \t]*(?:,[ \t]*|$)')


@dataclass(frozen=True, slots=True)
class Reference:
    """A URI of a playlist: characters `start` to `end` of its text, on a line that counts from 1."""

    uri: str
    role: Role
    start: int
    end: int
    line: int


class Playlist:
    """A playlist as text, and the URIs in it. `what` is what messages call it.

    Raises InputError for what is no playlist, and where it cannot be told what a URI is.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self.what = what
        if data.startswith(codecs.BOM_UTF8):
            raise InputError(
                f"{what} begins with a byte order mark", hint="RFC 8216 (4.1) has clients refuse that: save it without"
            )
        try:
            self.text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{what} is no playlist: it is not UTF-8 text", hint="RFC 8216 (4.1) wants it") from None
        if self.text.partition("\n")[0].rstrip("\r") != _FIRST_LINE:
            raise InputError(
                f"{what} is no playlist: its first line is not {_FIRST_LINE}", hint="give an HLS playlist (RFC 8216)"
            )
        self.tags = set[str]()
        self.references = list[Reference]()
        self._read()

    @property
    def goes_on(self) -> bool:
        """Do players ask for it again and again? They do for a list of media without an end."""
        return "EXTINF" in self.tags and "EXT-X-ENDLIST" not in self.tags

    def with_uris(self, uris: Mapping[int, str]) -> bytes:
        """The playlist with other URIs, given by where the old ones start; the others stay."""
        parts, at = [], 0
        for reference in self.references:
            if reference.start in uris:
                parts += [self.text[at : reference.start], uris[reference.start]]
                at = reference.end
        return "".join([*parts, self.text[at:]]).encode()

    def _read(self) -> None:
        is_variant = False
        start = 0
        for number, ended in enumerate(self.text.split("\n"), 1):
            line = ended.rstrip("\r")
            if tag := _TAG.match(line):
                self.tags.add(tag[1])
                is_variant = is_variant or tag[1] == "EXT-X-STREAM-INF"
                if tag[1] in _ROLES:
                    self._read_attributes(line, start, tag, number)
            elif (uri := line.strip()) and not line.startswith("#"):
                path = uri.partition("#")[0].partition("?")[0].lower()
                role = Role.PLAYLIST if is_variant or path.endswith(EXTENSIONS) else Role.MEDIA
                self._refer(uri, role, start + line.index(uri), number)
                is_variant = False
            start += len(ended) + 1

    def _read_attributes(self, line: str, start: int, tag: re.Match[str], number: int) -> None:
        at = tag.end()
        while at < len(line):
            found = _ATTRIBUTE.match(line, at)
            if found is None:
                raise InputError(
                    f"{self.what}, line {number}: the attributes of {tag[1]} cannot be read: {line[at : at + 40]!r}",
                    hint='NAME=VALUE,NAME="TEXT" is how RFC 8216 (4.2) has them',
                )
            if found[1] == "URI":
                if found[2] is None:
                    raise InputError(
                        f"{self.what}, line {number}: the URI of {tag[1]} is not in quotes", hint='write it URI="..."'
                    )
                self._refer(found[2], _ROLES[tag[1]], start + found.start(2), number)
            at = found.end()

    def _refer(self, uri: str, role: Role, start: int, number: int) -> None:
        if "{$" in uri:
            raise InputError(
                f"{self.what}, line {number}: the URI {uri!r} has a variable",
                hint="write out what EXT-X-DEFINE stands for: the name of the file has to be known",
            )
        self.references.append(Reference(uri, role, start, start + len(uri), number))
