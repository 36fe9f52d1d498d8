"""Validators of an object, and the preconditions of a request that speak of them (RFC 9110, 8.8 and 13)."""

import re
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from shfs.digests import HashFunction
from shfs.volume import StoredObject, Volume

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(_TAG)
_LIST = re.compile(rf"[\s,]*{_TAG}(?:\s*,[\s,]*{_TAG})*[\s,]*")
_DATES = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")


@dataclass(frozen=True, slots=True)
class Validators:
    """An entity tag as it is sent, and the time of the last change in Unix seconds."""

    tag: str
    modified: int


def validators_of(volume: Volume, item: StoredObject, now: int) -> Validators:
    """The tag of an object is its digest.

    Where the digest may stay while the content changes, the tag has the time and the place of the entry too: if digests
    are given by hand, and then it is weak, and if the size is a multiple of the chunk, since the original leaves out
    the last chunk of such a file. An object of the future is as old as the response: RFC 9110 forbids later times.
    """
    digest = item.digest.hex()
    entry = f"{digest}-{item.created:x}-{item.first_chunk:x}"
    if volume.configuration.function is HashFunction.MANUAL:
        tag = f'W/"{entry}"'
    elif item.size and not item.size % volume.geometry.chunk_size:
        tag = f'"{entry}"'
    else:
        tag = f'"{digest}"'
    return Validators(tag, min(item.created, now))


def failed_precondition(headers: Mapping[str, str], validators: Validators) -> int | None:
    """The status of a GET or HEAD whose preconditions do not hold, 412 or 304, in the order of RFC 9110, 13.2.2."""
    if (wanted := headers.get("if-match")) is not None:
        if not _matches(wanted, validators.tag, weak=False):
            return 412
    elif (limit := parse_date(headers.get("if-unmodified-since"))) is not None and validators.modified > limit:
        return 412
    if (known := headers.get("if-none-match")) is not None:
        return 304 if _matches(known, validators.tag, weak=True) else None
    since = parse_date(headers.get("if-modified-since"))
    return 304 if since is not None and validators.modified <= since else None


def range_is_meant(headers: Mapping[str, str], validators: Validators) -> bool:
    """Is the representation the one that If-Range speaks of? Only a strong tag or the very time can say so."""
    condition = headers.get("if-range")
    if condition is None:
        return True
    condition = condition.strip()
    if _TAGS.fullmatch(condition):
        return _matches(condition, validators.tag, weak=False)
    return parse_date(condition) == validators.modified


def parse_date(text: str | None) -> int | None:
    """Unix seconds of a date in any of the three forms that RFC 9110, 5.6.7 has; None for what is none of them."""
    for form in _DATES if text else ():
        try:
            date = datetime.strptime(str(text).strip(), form).replace(tzinfo=UTC)
        except ValueError:
            continue
        # Two digits of a year that seem to be over fifty years ahead are of the last century.
        if "%y" in form and date.year > datetime.now(UTC).year + 50:
            date = date.replace(year=date.year - 100)
        return timegm(date.timetuple())
    return None


def _matches(field: str, tag: str, *, weak: bool) -> bool:
    """Does the tag stand in the list, or does the list mean any? A field that is no list holds none."""
    if field.strip() == "*":
        return True
    if not _LIST.fullmatch(field):
        return False
    listed = _TAGS.findall(field)
    if weak:
        return tag.removeprefix("W/") in [other.removeprefix("W/") for other in listed]
    return not tag.startswith("W/") and tag in listed
