"""Ranges of bytes: what a Range field asks for, and the body of several parts (RFC 9110, 14)."""

import re

MOST_RANGES = 32
"""A field with more of them is not followed: the object is sent whole."""

_FIELD = re.compile(r"bytes\s*=(.*)", re.IGNORECASE)
_SPEC = re.compile(r"([0-9]*)-([0-9]*)")
_MOST_DIGITS = 20

Range = tuple[int, int]
"""First byte, and how many. Never empty."""


def parse_ranges(field: str | None, size: int) -> list[Range] | None:
    """The ranges of an object of `size` bytes that are to be sent; an empty list if none of them lies in it.

    None is the object as a whole: the field is missing, malformed, of another unit, of too many ranges, or all that it
    asks for is there is to have of an empty object. Ranges that overlap or touch are one, and then they come in their
    order in the object; else in the order of the field.
    """
    found = _FIELD.fullmatch(field.strip()) if field else None
    if found is None:
        return None
    specs = [spec.strip() for spec in found[1].split(",") if spec.strip()]
    if not 1 <= len(specs) <= MOST_RANGES:
        return None
    ranges = []
    for spec in specs:
        matched = _SPEC.fullmatch(spec)
        if matched is None or spec == "-" or len(spec) > 2 * _MOST_DIGITS:
            return None
        first, last = matched.groups()
        if first and last and int(last) < int(first):
            return None
        if first:
            start, end = int(first), min(int(last) + 1, size) if last else size
        elif size == 0 and int(last):
            return None
        else:
            start, end = max(size - int(last), 0), size
        if start < end:
            ranges.append((start, end - start))
    return _merged(ranges)


def content_range(part: Range, size: int) -> str:
    """The value of Content-Range."""
    return f"bytes {part[0]}-{part[0] + part[1] - 1}/{size}"


def part_head(part: Range, size: int, content_type: str, boundary: str) -> bytes:
    """What stands before a part in a body of several."""
    lines = [
        f"\r\n--{boundary}",
        f"Content-Type: {content_type}",
        f"Content-Range: {content_range(part, size)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


def end_of_parts(boundary: str) -> bytes:
    """What stands behind the last part."""
    return f"\r\n--{boundary}--\r\n".encode("latin-1")


def _merged(ranges: list[Range]) -> list[Range]:
    joined: list[Range] = []
    for start, length in sorted(ranges):
        if joined and start <= sum(joined[-1]):
            first = joined[-1][0]
            joined[-1] = (first, max(sum(joined[-1]), start + length) - first)
        else:
            joined.append((start, length))
    return ranges if len(joined) == len(ranges) else joined
