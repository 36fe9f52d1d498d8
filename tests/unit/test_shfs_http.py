"""What a request asks for: targets, ranges, dates and preconditions, without a server."""

import random

import pytest

from shfs.errors import InputError
from shfs.http.conditions import Validators, failed_precondition, parse_date, range_is_meant
from shfs.http.message import Refusal
from shfs.http.ranges import MOST_RANGES, parse_ranges
from shfs.http.server import parse_listen, url
from shfs.http.target import ByDigest, ByName, DefaultObject, Wanted, WholeServer, parse_target

MODIFIED = 784111777
"""Sun, 06 Nov 1994 08:49:37 GMT: the example of RFC 9110, 5.6.7."""

STRONG = Validators('"a,b"', MODIFIED)
WEAK = Validators('W/"a,b"', MODIFIED)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("/", DefaultObject()),
        ("//", DefaultObject()),
        ("/?", DefaultObject()),
        ("*", WholeServer()),
        ("/index.html", ByName("index.html")),
        ("///index.html", ByName("index.html")),
        ("/a/b?c=d", ByName("a/b")),
        ("/index.html?", ByName("index.html")),
        ("/hello%2etxt", ByName("hello.txt")),
        ("/a%3Fb?c", ByName("a?b")),
        ("/%2Fa", ByName("/a")),
        ("/100%", ByName("100%")),
        ("/%zz", ByName("%zz")),
        ("/%C3%BC", ByName("ü")),
        ("/%ff", ByName("\udcff")),
        ("/a+b", ByName("a+b")),
        ("/?00ff", ByDigest(b"\0\xff")),
        ("/?00FF", ByDigest(b"\0\xff")),
        ("//?00ff", ByDigest(b"\0\xff")),
        ("http://h/x", ByName("x")),
        ("HTTP://h:80/x?y", ByName("x")),
        ("http://h", DefaultObject()),
        ("http://h?00ff", ByDigest(b"\0\xff")),
        ("http://u@h/x", ByName("x")),
    ],
)
def test_targets(target: str, wanted: Wanted) -> None:
    assert parse_target(target) == wanted


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("index.html", 400),
        ("ftp://h/x", 400),
        ("http:///x", 400),
        ("h:80", 400),
        ("/x#y", 400),
        ("/?xyz", 404),
        ("/?abc", 404),
        ("/?00ff&x", 404),
    ],
)
def test_what_is_no_target(target: str, status: int) -> None:
    with pytest.raises(Refusal) as refused:
        parse_target(target)

    assert refused.value.status == status


@pytest.mark.parametrize(
    ("field", "size", "ranges"),
    [
        (None, 10, None),
        ("bytes=0-0", 10, [(0, 1)]),
        ("bytes=5-5", 10, [(5, 1)]),
        ("bytes=9-", 10, [(9, 1)]),
        ("bytes=-3", 10, [(7, 3)]),
        ("bytes=-30", 10, [(0, 10)]),
        ("bytes=2-100", 10, [(2, 8)]),
        ("bytes=0-", 10, [(0, 10)]),
        ("BYTES=0-1", 10, [(0, 2)]),
        (" bytes=0-1 ", 10, [(0, 2)]),
        # None lies in it.
        ("bytes=10-", 10, []),
        ("bytes=10-20,30-", 10, []),
        ("bytes=-0", 10, []),
        ("bytes=0-", 0, []),
        ("bytes=-0", 0, []),
        # All of an empty object is the object.
        ("bytes=-5", 0, None),
        # Several: in their order, those that lie in it; what overlaps or touches is one.
        ("bytes=0-1, 4-5", 10, [(0, 2), (4, 2)]),
        ("bytes=4-5,0-1", 10, [(4, 2), (0, 2)]),
        ("bytes=,0-1,,4-5,", 10, [(0, 2), (4, 2)]),
        ("bytes=0-1,20-30", 10, [(0, 2)]),
        ("bytes=0-4,2-6", 10, [(0, 7)]),
        ("bytes=0-1,2-3", 10, [(0, 4)]),
        ("bytes=0-,0-", 10, [(0, 10)]),
        ("bytes=8-9,2-3,0-2", 10, [(0, 4), (8, 2)]),
        ("bytes=-1,0-0", 10, [(9, 1), (0, 1)]),
        # Not followed.
        ("items=0-1", 10, None),
        ("bytes", 10, None),
        ("bytes=", 10, None),
        ("bytes=,", 10, None),
        ("bytes=-", 10, None),
        ("bytes=5-4", 10, None),
        ("bytes=0-1,5-4", 10, None),
        ("bytes=a-b", 10, None),
        ("bytes=1 - 2", 10, None),
        ("bytes=0-1;2-3", 10, None),
        ("bytes=--1", 10, None),
        ("bytes=+1-2", 10, None),
        ("bytes=٣-٤", 10, None),
        ("bytes=0-" + "9" * 5000, 10, None),
        ("bytes=" + ",".join(f"{at * 2}-{at * 2}" for at in range(MOST_RANGES + 1)), 1000, None),
    ],
)
def test_ranges(field: str | None, size: int, ranges: list[tuple[int, int]] | None) -> None:
    assert parse_ranges(field, size) == ranges


def test_as_many_ranges_as_are_allowed_are_followed() -> None:
    field = "bytes=" + ",".join(f"{at * 2}-{at * 2}" for at in range(MOST_RANGES))

    assert parse_ranges(field, 1000) == [(at * 2, 1) for at in range(MOST_RANGES)]


def test_ranges_cover_what_was_asked_for_and_nothing_twice(seeded: random.Random, full: bool) -> None:
    for _ in range(100_000 if full else 2_000):
        size = seeded.randrange(0, 60)
        specs, wanted = [], set()
        for _ in range(seeded.randrange(1, 6)):
            first = seeded.randrange(0, 70)
            kind = seeded.randrange(3)
            if kind == 0:
                last = seeded.randrange(first, 80)
                specs.append(f"{first}-{last}")
                wanted |= set(range(first, last + 1))
            elif kind == 1:
                specs.append(f"{first}-")
                wanted |= set(range(first, size))
            else:
                specs.append(f"-{first}")
                wanted |= set(range(max(size - first, 0), size))
        wanted &= set(range(size))
        found = parse_ranges("bytes=" + ",".join(specs), size)

        if found is None:
            assert size == 0, specs
            continue
        sent = [byte for start, length in found for byte in range(start, start + length)]
        assert len(sent) == len(set(sent)), specs
        assert set(sent) == wanted, specs
        assert all(length > 0 for _, length in found), specs


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", MODIFIED),
        ("Sunday, 06-Nov-94 08:49:37 GMT", MODIFIED),
        ("Sun Nov  6 08:49:37 1994", MODIFIED),
        (" Sun, 06 Nov 1994 08:49:37 GMT ", MODIFIED),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thursday, 01-Jan-70 00:00:00 GMT", 0),
        ("Sunday, 01-Jan-40 00:00:00 GMT", 2208988800),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("784111777", None),
        ("", None),
        (None, None),
    ],
)
def test_dates(text: str | None, seconds: int | None) -> None:
    assert parse_date(text) == seconds


BEFORE, SAME, AFTER = (f"Sun, 06 Nov 1994 08:49:{second} GMT" for second in (36, 37, 38))


@pytest.mark.parametrize(
    ("headers", "validators", "status"),
    [
        ({}, STRONG, None),
        ({"if-none-match": '"a,b"'}, STRONG, 304),
        ({"if-none-match": '"a,b"'}, WEAK, 304),
        ({"if-none-match": 'W/"a,b"'}, STRONG, 304),
        ({"if-none-match": '"x", W/"y" ,"a,b"'}, STRONG, 304),
        ({"if-none-match": ', "x",,"a,b",'}, STRONG, 304),
        ({"if-none-match": "*"}, STRONG, 304),
        ({"if-none-match": '"a"'}, STRONG, None),
        ({"if-none-match": "a,b"}, STRONG, None),
        ({"if-none-match": '"a,b'}, STRONG, None),
        ({"if-none-match": 'w/"a,b"'}, STRONG, None),
        ({"if-none-match": '"x" "a,b"'}, STRONG, None),
        ({"if-match": '"a,b"'}, STRONG, None),
        ({"if-match": '"x", "a,b"'}, STRONG, None),
        ({"if-match": "*"}, STRONG, None),
        ({"if-match": '"x"'}, STRONG, 412),
        ({"if-match": 'W/"a,b"'}, STRONG, 412),
        ({"if-match": 'W/"a,b"'}, WEAK, 412),
        ({"if-match": '"a,b"'}, WEAK, 412),
        ({"if-match": "nonsense"}, STRONG, 412),
        ({"if-modified-since": BEFORE}, STRONG, None),
        ({"if-modified-since": SAME}, STRONG, 304),
        ({"if-modified-since": AFTER}, STRONG, 304),
        ({"if-modified-since": "yesterday"}, STRONG, None),
        ({"if-unmodified-since": BEFORE}, STRONG, 412),
        ({"if-unmodified-since": SAME}, STRONG, None),
        ({"if-unmodified-since": AFTER}, STRONG, None),
        ({"if-unmodified-since": "yesterday"}, STRONG, None),
        # The order of RFC 9110, 13.2.2: a tag is heard before a date, and If-Match before all.
        ({"if-match": '"a,b"', "if-unmodified-since": BEFORE}, STRONG, None),
        ({"if-match": '"x"', "if-none-match": '"a,b"'}, STRONG, 412),
        ({"if-match": '"a,b"', "if-none-match": '"a,b"'}, STRONG, 304),
        ({"if-unmodified-since": BEFORE, "if-none-match": '"a,b"'}, STRONG, 412),
        ({"if-none-match": '"x"', "if-modified-since": AFTER}, STRONG, None),
        ({"if-none-match": '"a,b"', "if-modified-since": BEFORE}, STRONG, 304),
        ({"if-unmodified-since": AFTER, "if-modified-since": AFTER}, STRONG, 304),
    ],
)
def test_preconditions(headers: dict[str, str], validators: Validators, status: int | None) -> None:
    assert failed_precondition(headers, validators) == status


@pytest.mark.parametrize(
    ("condition", "validators", "meant"),
    [
        (None, STRONG, True),
        ('"a,b"', STRONG, True),
        ('"x"', STRONG, False),
        ('W/"a,b"', STRONG, False),
        ('W/"a,b"', WEAK, False),
        ('"a,b"', WEAK, False),
        (SAME, STRONG, True),
        (BEFORE, STRONG, False),
        (AFTER, STRONG, False),
        ("*", STRONG, False),
        ('"x", "a,b"', STRONG, False),
    ],
)
def test_if_range(condition: str | None, validators: Validators, meant: bool) -> None:
    headers = {} if condition is None else {"if-range": condition}

    assert range_is_meant(headers, validators) is meant


@pytest.mark.parametrize(
    ("text", "host", "port", "shown"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, "http://127.0.0.1:8080/"),
        ("[::1]:80", "::1", 80, "http://[::1]/"),
        (":0", "", 0, "http://localhost:0/"),
        ("localhost:65535", "localhost", 65535, "http://localhost:65535/"),
    ],
)
def test_addresses_to_listen_on(text: str, host: str, port: int, shown: str) -> None:
    assert parse_listen(text) == (host, port)
    assert url(host, port) == shown


@pytest.mark.parametrize(
    "text", ["", "8080", "h", "h:", "h:x", "h:-1", "h:65536", "::1:80", "h:٣", "a..b:80", "h:000080"]
)
def test_what_is_no_address_to_listen_on(text: str) -> None:
    with pytest.raises(InputError, match="is no address to listen on"):
        parse_listen(text)
