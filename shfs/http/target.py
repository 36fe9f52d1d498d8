"""What a request asks for: its target (RFC 9112, 3.2), read as MiniCache reads it.

All leading slashes are taken off, and a query behind a name is cut off. What is left is a name; `?HEX` asks for a
digest, nothing for the default object. Other than MiniCache we decode percent signs and take a target with scheme and
host: RFC 9110 wants both.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from shfs.http.message import Refusal
from shfs.volume import decode_text

_ABSOLUTE = re.compile(r"https?://(?:[^/?@]*@)?(?P<host>[^/?@]+)(?P<rest>.*)", re.IGNORECASE)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True)
class ByName:
    """The object with that name."""

    name: str


@dataclass(frozen=True, slots=True)
class ByDigest:
    """The object with that digest."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class DefaultObject:
    """What an empty request is answered."""


@dataclass(frozen=True, slots=True)
class WholeServer:
    """`*`: no object, but what the server can do."""


Wanted = ByName | ByDigest | DefaultObject | WholeServer


def parse_target(target: str) -> Wanted:
    """Raises Refusal: 400 for what is no target, 404 for a query alone that is no digest."""
    if target == "*":
        return WholeServer()
    if "#" in target:
        raise Refusal(400, "The target has a fragment, which is for the client alone.")
    if not target.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(target)
        if absolute is None:
            raise Refusal(400, "The target is neither a path nor a URL of http.")
        target = absolute["rest"]
    path, _, query = target.partition("?")
    if name := path.lstrip("/"):
        return ByName(decode_text(unquote_to_bytes(name)))
    if not query:
        return DefaultObject()
    if not _HEX.fullmatch(query):
        raise Refusal(404, "What is behind ? is no digest.")
    return ByDigest(bytes.fromhex(query))
