"""Where nginx 1.22 answers otherwise than the tables want, how, and why. A row that is not true any more fails."""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.cache.case import After, Answer, Breaks, Expected, ok, refused, unsatisfied

_ABC = "alphabet.txt"


@dataclass(frozen=True, slots=True)
class Difference:
    """What nginx answers to the case instead."""

    expects: tuple[Expected, ...]
    after: After
    why: str


def _alike(why: str, expected: Expected, after: After, *names: str) -> Iterator[tuple[str, Difference]]:
    for name in names:
        yield name, Difference((expected,), after, why)


_FAILED = refused(412)

DIFFERENCES: dict[str, Difference] = dict(
    (
        *_alike("it knows no OPTIONS of the whole server", refused(400), After.EITHER, "OPTIONS of the server"),
        *_alike(
            "it takes a client that has sent its end for one that is gone, as soon as it has to wait",
            Breaks("before the body did"),
            After.UNKNOWN,
            "half closed, large",
        ),
        *_alike(
            "RFC 9112, 3.2 wants Host without a value where a target has no authority; nginx wants a name",
            refused(400),
            After.EITHER,
            "an empty Host",
        ),
        *_alike(
            "RFC 9112, 3.2: what cannot be a host must be refused; nginx looks for slashes and controls only",
            ok("hello.txt"),
            After.OPEN,
            *(f"Host: {host}" for host in ("a@b", "a\\b", "a?b", "a#b", "a:b:c", "a:port", "[::1", "a<b")),
        ),
        *_alike(
            "RFC 9110, 5.6.3: a tab is white space as a blank is",
            ok(_ABC),
            After.OPEN,
            "a value with blanks around it",
        ),
        *_alike(
            "RFC 9110, 14.1.2: however large a number, what is behind the end means the end",
            unsatisfied(_ABC),
            After.OPEN,
            *(
                f"bytes={span} of {_ABC}"
                for span in ("-99999999999999999999", "20-18446744073709551615", "20-18446744073709551616")
            ),
        ),
        *_alike(
            "RFC 9110, 5.6.1: empty elements and tabs are part of a list's syntax",
            unsatisfied(_ABC),
            After.OPEN,
            f"bytes=0-1 ,\t3-4 of {_ABC}",
            f"bytes=,0-1,,3-4, of {_ABC}",
        ),
        *_alike(
            "RFC 9110, 14.1.2: nothing has no first byte; nginx offers no ranges of empty files, and may",
            ok("empty.txt"),
            After.OPEN,
            "bytes=0-0 of empty.txt",
            "bytes=0- of empty.txt",
        ),
        *_alike(
            "RFC 9110, 14.2: Range is for GET; nginx has it for HEAD too",
            Answer((206,), b"", "HEAD"),
            After.OPEN,
            "HEAD knows no ranges",
        ),
        *_alike(
            "RFC 9110, 14.2: Range is for GET; nginx has it for HEAD too",
            Answer((416,), b"", "HEAD"),
            After.OPEN,
            "HEAD knows no wrong ranges",
        ),
        *_alike(
            "RFC 9110, 5.3: the lines of a list are one list; nginx takes one line",
            refused(400),
            After.EITHER,
            "If-None-Match in two lines",
        ),
        *_alike(
            "it ends the connection after a 412 without having said so, which is no fault and is no use",
            _FAILED,
            After.CLOSED,
            "If-Match with another",
            "If-Match with the tag made weak",
            "If-Match with a list of others",
            "If-Unmodified-Since, earlier",
            "If-Match goes before If-None-Match",
            "412 goes before 206",
            "200 after 412",
        ),
        *_alike(
            "RFC 9110, 13.1.4: what is no date is to be ignored",
            _FAILED,
            After.CLOSED,
            "If-Unmodified-Since with nonsense",
        ),
        *_alike(
            "RFC 9110, 13.2.2: with If-Match, If-Unmodified-Since is not looked at",
            _FAILED,
            After.CLOSED,
            "If-Match goes before If-Unmodified-Since",
        ),
        *_alike(
            "RFC 9110, 13.2.2: with If-None-Match, If-Modified-Since is not looked at",
            ok(_ABC),
            After.OPEN,
            "tag goes before date: same tag, earlier date",
        ),
        *_alike(
            "RFC 9110, 8.8.2.1: nothing was changed later than now",
            Breaks("later than Date"),
            After.UNKNOWN,
            "Last-Modified is not later than Date",
        ),
        *(
            (f"the tag of {name} is its digest", Difference((ok(name),), After.OPEN, "its tags are time and size"))
            for name in ("hello.txt", _ABC, "chunk+1.bin")
        ),
        *_alike("it is no cache here", ok("hello.txt", cache_status=None), After.OPEN, "Cache-Status names a hit"),
        *_alike(
            "it does not look whether numbers are addresses",
            ok("hello.txt"),
            After.OPEN,
            "PROXY: v1, no address",
        ),
        *_alike(
            "proxy-protocol.txt, 2.2: a command that nobody knows must be dropped; nginx does not look at it",
            ok("hello.txt"),
            After.OPEN,
            "PROXY: v2, of a command that nobody knows",
        ),
    )
)
