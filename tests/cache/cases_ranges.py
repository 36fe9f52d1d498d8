"""Ranges (RFC 9110, 14)."""

from tests.cache.case import After, Case, OneOf, Ranges, get, head_of, ok, part, refused, unsatisfied
from tests.cache.content import CHUNK, ITEMS

_NAME = "alphabet.txt"
_HUGE = len(ITEMS["huge.bin"].content)
_FILL = [f"X-{number}: {number}" for number in range(60)]


def _asked(ranges: str, name: str = _NAME, *lines: str) -> bytes:
    return get(f"/{name.replace('+', '%2B')}", f"Range: {ranges}", *lines)


def _one(ranges: str, first: int, last: int, name: str = _NAME, section: str = "14.1.2") -> Case:
    return Case(f"{ranges} of {name}", f"RFC 9110, {section}", _asked(ranges, name), (part(name, first, last),))


def _ignored(ranges: str, section: str = "14.2") -> Case:
    """A field that is no range, or of a unit that nobody knows, is as if it were not there; some refuse it."""
    return Case(
        f"{ranges!r} is no range",
        f"RFC 9110, {section}",
        _asked(ranges),
        (OneOf((ok(_NAME), unsatisfied(_NAME), refused(400))),),
    )


def _several(ranges: str, *spans: tuple[int, int], name: str = _NAME) -> Case:
    return Case(f"{ranges} of {name}", "RFC 9110, 15.3.7.2", _asked(ranges, name), (Ranges(name, spans),))


CASES = (
    _one("bytes=0-4", 0, 4),
    _one("bytes=0-0", 0, 0),
    _one("bytes=5-5", 5, 5),
    _one("bytes=25-25", 25, 25),
    _one("bytes=0-25", 0, 25),
    _one("bytes=0-", 0, 25),
    _one("bytes=10-", 10, 25),
    _one("bytes=25-", 25, 25),
    _one("bytes=-1", 25, 25),
    _one("bytes=-3", 23, 25),
    _one("bytes=-26", 0, 25),
    _one("bytes=-27", 0, 25),
    _one("bytes=-99999999999999999999", 0, 25),
    _one("bytes=0-26", 0, 25),
    _one("bytes=20-1000", 20, 25),
    _one("bytes=20-18446744073709551615", 20, 25),
    _one("bytes=20-18446744073709551616", 20, 25),
    _one("bytes=00020-0021", 20, 21),
    _one("Bytes=1-2", 1, 2, section="14.1"),
    _one("bytes=0-0", 0, 0, "one.bin"),
    _one("bytes=-1", 0, 0, "one.bin"),
    _one(f"bytes={CHUNK - 1}-{CHUNK}", CHUNK - 1, CHUNK, "chunks.bin"),
    _one(f"bytes={CHUNK}-{2 * CHUNK - 1}", CHUNK, 2 * CHUNK - 1, "chunks.bin"),
    _one(f"bytes={CHUNK - 5}-{3 * CHUNK + 5}", CHUNK - 5, 3 * CHUNK + 5, "chunks.bin"),
    _one(f"bytes={5 * CHUNK - 1}-", 5 * CHUNK - 1, 5 * CHUNK - 1, "chunks.bin"),
    _one(f"bytes={CHUNK}-", CHUNK, CHUNK, "chunk+1.bin"),
    _one("bytes=-7", 9 * CHUNK, 9 * CHUNK + 6, "chunks+7.bin"),
    _one("bytes=-8", 9 * CHUNK - 1, 9 * CHUNK + 6, "chunks+7.bin"),
    _one("bytes=1-", 1, _HUGE - 1, "huge.bin"),
    _one("bytes=8388607-8388609", 8388607, 8388609, "huge.bin"),
    Case(
        "a range has the fields of the object",
        "RFC 9110, 15.3.7",
        _asked("bytes=1-2"),
        (
            part(
                _NAME,
                1,
                2,
                content_type="text/plain",
                content_length="2",
                last_modified="Tue, 14 Nov 2023 22:13:20 GMT",
            ),
        ),
    ),
    *(
        Case(f"{ranges} of {name}", "RFC 9110, 15.5.17", _asked(ranges, name), (unsatisfied(name),))
        for ranges, name in (
            ("bytes=26-", _NAME),
            ("bytes=26-26", _NAME),
            ("bytes=100-200", _NAME),
            ("bytes=99999999999999999999-", _NAME),
            ("bytes=-0", _NAME),
            ("bytes=26-27,30-", _NAME),
            ("bytes=0-0", "empty.txt"),
            ("bytes=0-", "empty.txt"),
            (f"bytes={CHUNK}-", "chunk.bin"),
        )
    ),
    Case(
        "a suffix of nothing",
        "RFC 9110, 14.1.2",
        _asked("bytes=-5", "empty.txt"),
        (OneOf((ok("empty.txt"), unsatisfied("empty.txt"))),),
    ),
    *(
        _ignored(ranges)
        for ranges in (
            "bytes=4-2",
            "bytes=",
            "bytes=-",
            "bytes",
            "bytes=a-b",
            "bytes=0-4x",
            "bytes=1",
            "bytes=--1",
            "bytes 0-4",
            "bytes=0x1-0x2",
            "=0-4",
            "bytes=0-1,a-b",
            "bytes=-1-2",
        )
    ),
    *(
        Case(f"unit {unit} is not known", "RFC 9110, 14.2", _asked(f"{unit}=0-4"), (ok(_NAME),))
        for unit in ("lines", "byte", "bytess", "none", "x-seconds")
    ),
    # Several.
    _several("bytes=0-1,3-4", (0, 1), (3, 4)),
    _several("bytes=0-1, 3-4", (0, 1), (3, 4)),
    _several("bytes=0-1 ,\t3-4", (0, 1), (3, 4)),
    _several("bytes=,0-1,,3-4,", (0, 1), (3, 4)),
    _several("bytes=0-0,-1", (0, 0), (25, 25)),
    _several("bytes=20-,0-1", (20, 25), (0, 1)),
    _several("bytes=0-1,100-200", (0, 1)),
    _several("bytes=0-10,5-15", (0, 15)),
    _several("bytes=0-4,0-4", (0, 4)),
    _several("bytes=0-4,5-9", (0, 9)),
    _several("bytes=0-0,2-2,4-4,6-6", (0, 0), (2, 2), (4, 4), (6, 6)),
    _several("bytes=0-,0-,0-,0-", (0, 25)),
    _several(
        f"bytes=0-9,{CHUNK - 1}-{CHUNK},-5",
        (0, 9),
        (CHUNK - 1, CHUNK),
        (5 * CHUNK - 5, 5 * CHUNK - 1),
        name="chunks.bin",
    ),
    Case(
        "a thousand ranges",
        "RFC 9110, 14.2",
        _asked("bytes=" + ",".join(f"{at}-{at}" for at in range(0, 2000, 2)), "huge.bin"),
        (Ranges("huge.bin", ((0, 0), (1998, 1998)), may_be_refused=True),),
    ),
    Case(
        "a hundred times all of it",
        "RFC 9110, 17.15",
        _asked("bytes=" + ",".join(["0-"] * 100), "chunks.bin"),
        (Ranges("chunks.bin", ((0, 5 * CHUNK - 1),), may_be_refused=True),),
    ),
    # Where Range means something.
    Case(
        "HEAD knows no ranges",
        "RFC 9110, 14.2",
        get(f"/{_NAME}", "Range: bytes=0-4", method="HEAD"),
        (head_of(_NAME, content_range=None),),
    ),
    Case(
        "HEAD knows no wrong ranges",
        "RFC 9110, 14.2",
        get(f"/{_NAME}", "Range: bytes=100-", method="HEAD"),
        (head_of(_NAME),),
    ),
    Case("no range of what is not there", "RFC 9110, 14.2", get("/none", "Range: bytes=0-4"), (refused(404),)),
    Case(
        "a range behind sixty fields", "MiniCache", get(f"/{_NAME}", *_FILL, "Range: bytes=1-2"), (part(_NAME, 1, 2),)
    ),
    Case(
        "a range by digest", "RFC 9110, 14.2", get(f"/?{ITEMS[_NAME].digest}", "Range: bytes=1-2"), (part(_NAME, 1, 2),)
    ),
    Case("range in small letters", "RFC 9110, 5.1", get(f"/{_NAME}", "range: bytes=1-2"), (part(_NAME, 1, 2),)),
    Case(
        "two Range fields",
        "RFC 9110, 5.3",
        get(f"/{_NAME}", "Range: bytes=0-1", "Range: bytes=3-4"),
        (OneOf((ok(_NAME), part(_NAME, 0, 1), part(_NAME, 3, 4), refused(400, 206))),),
        After.EITHER,
    ),
    # If-Range.
    Case(
        "If-Range with the tag",
        "RFC 9110, 13.1.5",
        _asked("bytes=0-4", _NAME, "If-Range: @ETAG@"),
        (part(_NAME, 0, 4),),
    ),
    Case(
        "If-Range with another tag", "RFC 9110, 13.1.5", _asked("bytes=0-4", _NAME, 'If-Range: "other"'), (ok(_NAME),)
    ),
    Case(
        "If-Range with the tag made weak",
        "RFC 9110, 13.1.5",
        _asked("bytes=0-4", _NAME, "If-Range: W/@ETAG@"),
        (ok(_NAME),),
    ),
    Case(
        "If-Range with the date",
        "RFC 9110, 13.1.5",
        _asked("bytes=0-4", _NAME, "If-Range: Tue, 14 Nov 2023 22:13:20 GMT"),
        (part(_NAME, 0, 4),),
    ),
    Case(
        "If-Range with an earlier date",
        "RFC 9110, 13.1.5",
        _asked("bytes=0-4", _NAME, "If-Range: Tue, 14 Nov 2023 22:13:19 GMT"),
        (ok(_NAME),),
    ),
    Case(
        "If-Range with a later date",
        "RFC 9110, 13.1.5",
        _asked("bytes=0-4", _NAME, "If-Range: Tue, 14 Nov 2023 22:13:21 GMT"),
        (ok(_NAME),),
    ),
    Case("If-Range with nonsense", "RFC 9110, 13.1.5", _asked("bytes=0-4", _NAME, "If-Range: yesterday"), (ok(_NAME),)),
    Case(
        "If-Range that fails, with a range that cannot be",
        "RFC 9110, 13.1.5",
        _asked("bytes=100-", _NAME, 'If-Range: "other"'),
        (ok(_NAME),),
    ),
    Case(
        "If-Range that holds, with a range that cannot be",
        "RFC 9110, 13.1.5",
        _asked("bytes=100-", _NAME, "If-Range: @ETAG@"),
        (unsatisfied(_NAME),),
    ),
    Case("If-Range without Range", "RFC 9110, 13.1.5", get(f"/{_NAME}", "If-Range: @ETAG@"), (ok(_NAME),)),
)
