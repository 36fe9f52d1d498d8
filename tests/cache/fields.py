"""What must hold for the header of every response, whatever was asked (RFC 9110, 9112, 9211)."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


class Violation(AssertionError):
    """The server did what the RFCs forbid, or not what the case expects."""


Fields = Sequence[tuple[str, str]]
"""Names in lower case, and values."""

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-9]{2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    r"[0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
)
_CLOCKS = 600
"""Seconds that the server's clock and ours may be apart."""

_SYNTAX = {
    "accept-ranges": re.compile(_WORD),
    "age": re.compile("[0-9]+"),
    "allow": re.compile(rf"{_WORD}(?:, ?{_WORD})*"),
    "cache-status": re.compile(rf"(?:{_WORD}|{_QUOTED})(?: *; *{_WORD}(?:=(?:{_WORD}|{_QUOTED}))?)*"),
    "connection": re.compile(rf"{_WORD}(?:, ?{_WORD})*"),
    "content-length": re.compile("[0-9]+"),
    "content-range": re.compile(r"bytes (?:[0-9]+-[0-9]+/[0-9]+|\*/[0-9]+)"),
    "content-type": re.compile(rf"{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|{_QUOTED}))*"),
    "date": _DATE,
    "etag": re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'),
    "last-modified": _DATE,
    "location": re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+"),
    "retry-after": re.compile("[0-9]+"),
    "transfer-encoding": re.compile("chunked"),
    "via": re.compile(r"(?:[^ ,]+ [^ ,]+)(?:, ?[^ ,]+ [^ ,]+)*"),
}
"""Fields that come once at most, and what they look like."""


def parse_date(text: str) -> float:
    """Unix seconds of a date as servers have to send it: the day of the week has to be right too."""
    moment = parsedate_to_datetime(text) if _DATE.fullmatch(text) else None
    if moment is None or f"{moment:%a}" != text[:3]:
        raise Violation(f"{text!r} is no date that a server may send")
    return moment.timestamp()


def check_fields(status: int, fields: Fields) -> dict[str, str]:
    """The fields by their names. Raises Violation."""
    found: dict[str, str] = {}
    for name, value in fields:
        syntax = _SYNTAX.get(name)
        if syntax is not None and name in found:
            raise Violation(f"{name} is there twice")
        if syntax is not None and not syntax.fullmatch(value):
            raise Violation(f"{name} is {value!r}")
        found[name] = f"{found[name]}, {value}" if name in found else value
    if 200 <= status < 500:
        # Nobody but a server without a clock may leave it out, and a 500 may.
        if "date" not in found:
            raise Violation("there is no Date")
        now, date = datetime.now(UTC).timestamp(), parse_date(found["date"])
        if abs(date - now) > _CLOCKS:
            raise Violation(f"Date is {found['date']!r}, {date - now:+.0f} seconds from now")
        if "last-modified" in found and parse_date(found["last-modified"]) > date:
            raise Violation(f"Last-Modified {found['last-modified']!r} is later than Date")
    for needed, where in _NEEDED.items():
        if status == where and needed not in found:
            raise Violation(f"{status} without {needed}")
    if status == 416 and not found["content-range"].startswith("bytes */"):
        raise Violation(f"416 with Content-Range {found['content-range']!r}")
    if status not in (206, 416) and "content-range" in found:
        raise Violation(f"{status} with Content-Range")
    return found


_NEEDED = {"allow": 405, "content-range": 416, "retry-after": 503, "location": 307}
"""Fields without which a status says too little."""
