"""Links: from the URL that a user writes to the host, port and path that an entry holds, and back (SHFS 2.01)."""

import enum
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from shfs.errors import InputError

HOST_SIZE = 32
_PATH_SIZE = 71
_MOST_PATH = 70
"""A path alone, without its leading slash. A query may take one byte more: so it is in the original."""

_HTTP = 80


class LinkKind(enum.IntEnum):
    """What a cache does for a link: send the client there, or fetch the stream once and clone it. `raw` joins late
    clients anywhere, `auto` where the format of the stream allows it."""

    REDIRECT = 0
    RAW = 1
    AUTO = 2


class HostType(enum.IntEnum):
    """How a link names its host. The original reads no IPv6."""

    NAME = 0
    IPV4 = 1
    IPV6 = 2


@dataclass(frozen=True, slots=True)
class LinkTarget:
    """Fields of a link entry: `host` as on disk (a name, or an address in network order), `path` without its leading
    slash and with its query. Types and kinds that the format does not know are kept as numbers."""

    host_type: int
    host: bytes
    port: int
    path: bytes
    kind: int

    @property
    def host_text(self) -> str:
        """The host as in a URL. Behind a name's NUL and behind an address lie bytes of the original's stack: they are
        not looked at."""
        if self.host_type == HostType.IPV4:
            return str(ipaddress.IPv4Address(self.host[:4].ljust(4, b"\0")))
        if self.host_type == HostType.IPV6:
            return f"[{ipaddress.IPv6Address(self.host[:16].ljust(16, bytes(1)))}]"
        return self.host.partition(b"\0")[0].decode("utf-8", "surrogateescape")

    @property
    def url(self) -> str:
        """The target as a URL; port 80 is not shown."""
        port = "" if self.port == _HTTP else f":{self.port}"
        return f"http://{self.host_text}{port}/{self.path.decode('utf-8', 'surrogateescape')}"


def parse_link(url: str, kind: LinkKind) -> LinkTarget:
    """The target that the URL means. Raises InputError for whatever an entry cannot hold: nothing is cut."""
    try:
        parts = urlsplit(url)
        port = _HTTP if parts.port is None else parts.port
    except ValueError as error:
        raise InputError(f"{url!r} is no URL: {error}", hint="http://HOST[:PORT]/PATH") from None
    if parts.scheme != "http":
        raise InputError(
            f"a link to {url!r} is not possible: its scheme is {parts.scheme or 'missing'}",
            hint="caches fetch by http only: http://HOST[:PORT]/PATH",
        )
    if parts.username is not None or parts.password is not None:
        raise InputError(f"the URL {url!r} has a user's name", hint="an entry has no place for it: leave it out")
    if "#" in url:
        raise InputError(f"the URL {url!r} has a fragment", hint="servers are never sent it: leave it out")
    if not parts.hostname or not all(map(_may_stand, url)):
        raise InputError(f"{url!r} is no URL", hint="http://HOST[:PORT]/PATH, blanks as %20")
    path = parts.path.removeprefix("/").encode("utf-8", "surrogateescape")
    query = f"?{parts.query}".encode("utf-8", "surrogateescape") if "?" in url else b""
    if len(path) > _MOST_PATH or len(path + query) > _PATH_SIZE:
        raise InputError(
            f"the path of {url!r} has {len(path + query)} bytes",
            hint=f"an entry holds {_MOST_PATH} without its first slash, and {_PATH_SIZE} with its query",
        )
    host_type, host = _host(parts.hostname, url)
    return LinkTarget(host_type, host, port, path + query, kind)


def spellings(target: LinkTarget) -> Iterator[bytes]:
    """The URLs that may have been written for a target, the most usual first: a link's digest is that of its URL as it
    was written. The original takes any beginning of `http` for the scheme."""
    host, path = target.host_text.encode("utf-8", "surrogateescape"), target.path
    ports = [b"", b":80"] if target.port == _HTTP else [f":{target.port}".encode()]
    paths = [b"/" + path, path] if not path or path.startswith(b"?") else [b"/" + path]
    for scheme in (b"http", b"htt", b"ht", b"h"):
        for port in ports:
            for ending in paths:
                yield scheme + b"://" + host + port + ending


def name_of_link(url: str) -> str:
    """The name that a link gets unless it is given one: the last part of its path with the query, or its host."""
    parts = urlsplit(url)
    last = parts.path.rpartition("/")[2]
    if not last:
        return parts.hostname or url
    return f"{last}?{parts.query}" if parts.query else last


def _may_stand(letter: str) -> bool:
    """No blanks, nothing that moves a cursor, and no half of a letter, as JSON can have it."""
    return letter > " " and letter != "\x7f" and not "\ud800" <= letter < "\udc80"


def _host(host: str, url: str) -> tuple[HostType, bytes]:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("utf-8", "surrogateescape")
        if len(name) > HOST_SIZE:
            raise InputError(
                f"the host of {url!r} has {len(name)} bytes", hint=f"an entry holds {HOST_SIZE}: use a shorter name"
            ) from None
        return HostType.NAME, name
    if address.version == 6:
        raise InputError(
            f"the host of {url!r} is an IPv6 address", hint="no reader of SHFS 2.01 connects to one: use a name"
        )
    return HostType.IPV4, address.packed
