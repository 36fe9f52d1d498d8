"""Several ranges of an object in one response: multipart/byteranges (RFC 9110, 14.6; RFC 2046, 5.1)."""

import re
from collections.abc import Sequence

from tests.cache.fields import Violation
from tests.cache.wire import Response

Piece = tuple[int, bytes]
"""Where bytes begin in the object, and the bytes."""

_TYPE = re.compile(r"multipart/byteranges; ?boundary=(?:\"([^\"]+)\"|([0-9A-Za-z'()+_,\-./:=?]+))")
_RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
_PART_HEAD = re.compile(rb"((?:[!-9;-~]+:[ \t]*[ -~]+\r\n)+)\r\n")


def pieces_of(response: Response, size: int) -> Sequence[Piece]:
    """The pieces in a 206 of an object of that size, in their order. Raises Violation."""
    if "content-range" in response.fields:
        return [_piece(response.fields["content-range"], response.body, size)]
    matched = _TYPE.fullmatch(response.fields.get("content-type", ""))
    if matched is None:
        raise Violation("206 with neither Content-Range nor parts")
    mark = b"--" + (matched[1] or matched[2]).encode()
    # Before the first boundary there may be an empty line, and behind the last one too.
    first, *parts = (b"\r\n" + response.body.removeprefix(b"\r\n")).split(b"\r\n" + mark)
    if first or not parts or parts.pop() not in (b"--", b"--\r\n") or not parts:
        raise Violation("the parts do not begin and end with boundaries")
    return [_part(part, size) for part in parts]


def _part(part: bytes, size: int) -> Piece:
    if not part.startswith(b"\r\n") or (head := _PART_HEAD.match(part, 2)) is None:
        raise Violation(f"a part begins with {part[:80]!r}")
    fields = dict(line.lower().split(": ", 1) for line in head[1].decode().splitlines())
    if "content-type" not in fields:
        raise Violation("a part has no type")
    return _piece(fields.get("content-range", ""), part[head.end() :], size)


def _piece(text: str, body: bytes, size: int) -> Piece:
    matched = _RANGE.fullmatch(text)
    if matched is None:
        raise Violation(f"Content-Range is {text!r}")
    first, last, whole = map(int, matched.groups())
    if whole != size or not first <= last < size or len(body) != last - first + 1:
        raise Violation(f"{text!r} with {len(body)} bytes of an object that has {size}")
    return first, body
