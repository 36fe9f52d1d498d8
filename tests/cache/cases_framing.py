"""Where a request ends, and attacks upon that: what two servers in a row read differently (RFC 9112, 2, 5, 6, 11)."""

from collections.abc import Sequence

from tests.cache.case import After, Case, Expected, OneOf, get, ok, part, refused

_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
"""Whoever answers this has mistaken a body for a request: the answers to the probe would be two."""

_HELLO = (ok("hello.txt"),)
_BAD = (refused(400),)
_UNREADABLE = (refused(400, 501),)
_EITHER: Sequence[Expected] = (OneOf((ok("hello.txt"), refused(400, 411, 413, 501))),)


def _raw(*lines: bytes) -> bytes:
    return b"\r\n".join((b"GET /hello.txt HTTP/1.1", b"Host: test", *lines, b"", b""))


def _case(name: str, section: str, send: bytes, expects: Sequence[Expected], after: After = After.EITHER) -> Case:
    return Case(name, f"RFC {section}", send, tuple(expects), after)


def _length(text: bytes) -> Case:
    """A length that is none. Nobody knows where the next request begins."""
    shown = text.decode("latin-1")[:24]
    return _case(
        f"Content-Length: {shown!r}",
        "9112, 6.3",
        _raw(b"Content-Length: " + text) + _SMUGGLED,
        (refused(400, 413),),
        After.CLOSED,
    )


def _coding(text: bytes) -> Case:
    return _case(
        f"Transfer-Encoding: {text.decode()!r}",
        "9112, 6.1",
        _raw(b"Transfer-Encoding: " + text) + b"0\r\n\r\n" + _SMUGGLED,
        _UNREADABLE,
        After.CLOSED,
    )


def _chunks(name: str, body: bytes, expects: Sequence[Expected] = _EITHER) -> Case:
    return _case(f"chunks: {name}", "9112, 7.1", _raw(b"Transfer-Encoding: chunked") + body, expects)


_SHORT_LINES = tuple(f"X-{number}: {number}" for number in range(100))

CASES = (
    # Host.
    _case("no Host", "9112, 3.2", b"GET /hello.txt HTTP/1.1\r\n\r\n", _BAD),
    _case("two Hosts", "9112, 3.2", _raw(b"Host: other"), _BAD),
    _case("the same Host twice", "9112, 3.2", _raw(b"Host: test"), _BAD),
    _case("an empty Host", "9112, 3.2", get("/hello.txt", host=""), _HELLO, After.OPEN),
    *(
        _case(f"Host: {host}", "9112, 3.2", get("/hello.txt", host=host), _BAD)
        for host in ("a b", "a/b", "a@b", "a\\b", "a?b", "a#b", "a:b:c", "a:port", "[::1", "a\x7fb", "a<b")
    ),
    # Lengths.
    *map(
        _length,
        (
            b"-1",
            b"+5",
            b"5a",
            b"0x5",
            b"5 5",
            b"5,",
            b"1e1",
            b"",
            b"99999999999999999999999",
            b"18446744073709551616",
            b"5, 6",
            b"\xb2",
            b"five",
        ),
    ),
    _case(
        "two lengths that differ",
        "9112, 6.3",
        _raw(b"Content-Length: 5", b"Content-Length: 6") + b"hello!",
        _BAD,
        After.CLOSED,
    ),
    _case(
        "two lengths that are the same",
        "9112, 6.3",
        _raw(b"Content-Length: 5", b"Content-Length: 5") + b"hello",
        _EITHER,
    ),
    _case("a length with zeros in front", "9110, 8.6", _raw(b"Content-Length: 0005") + b"hello", _EITHER),
    _case("a length of zero", "9110, 8.6", _raw(b"Content-Length: 0"), _HELLO, After.OPEN),
    _case(
        "a body that looks like a request",
        "9112, 11.2",
        _raw(b"Content-Length: %d" % len(_SMUGGLED)) + _SMUGGLED,
        _EITHER,
    ),
    _case("a body of 100,000 bytes", "9112, 6.3", _raw(b"Content-Length: 100000") + b"x" * 100_000, _EITHER),
    # Length and coding.
    _case(
        "length and chunks",
        "9112, 6.3",
        _raw(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + _SMUGGLED,
        _EITHER,
        After.CLOSED,
    ),
    _case(
        "chunks and length",
        "9112, 6.3",
        _raw(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n" + _SMUGGLED,
        _EITHER,
        After.CLOSED,
    ),
    _case(
        "chunks in 1.0",
        "9112, 6.1",
        b"GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + _SMUGGLED,
        _EITHER,
        After.CLOSED,
    ),
    *map(
        _coding,
        (
            b"gzip, chunked",
            b"chunked, gzip",
            b"identity",
            b"chunked, chunked",
            b"xchunked",
            b"chunked;q=1",
            b'"chunked"',
            b"\x0bchunked",
            b"",
        ),
    ),
    _case(
        "two codings in two lines",
        "9112, 6.1",
        _raw(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + b"0\r\n\r\n" + _SMUGGLED,
        _UNREADABLE,
        After.CLOSED,
    ),
    _case("chunked in upper case", "9112, 7", _raw(b"Transfer-Encoding: CHUNKED") + b"0\r\n\r\n", _EITHER),
    # Chunks.
    _chunks("none", b"0\r\n\r\n"),
    _chunks("two", b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"),
    _chunks("a request in one", b"%x\r\n%s\r\n0\r\n\r\n" % (len(_SMUGGLED), _SMUGGLED)),
    _chunks("an extension", b"5;name=value\r\nhello\r\n0\r\n\r\n"),
    _chunks("a trailer", b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n"),
    _chunks("zeros in front", b"00005\r\nhello\r\n000\r\n\r\n"),
    _chunks("no size", b"\r\nhello\r\n0\r\n\r\n", _BAD),
    _chunks("a size that is none", b"xyz\r\nhello\r\n0\r\n\r\n", _BAD),
    _chunks("a negative size", b"-5\r\nhello\r\n0\r\n\r\n", _BAD),
    _chunks("a size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n", _BAD),
    _chunks("a size beyond 64 bits", b"ffffffffffffffff5\r\nhello\r\n0\r\n\r\n", (refused(400, 413),)),
    _chunks("longer than told", b"3\r\nhello\r\n0\r\n\r\n", _BAD),
    # Lines.
    _case("lines that end with LF alone", "9112, 2.2", b"GET /hello.txt HTTP/1.1\nHost: test\n\n", _EITHER),
    _case(
        "one line that ends with LF alone", "9112, 2.2", b"GET /hello.txt HTTP/1.1\r\nHost: test\nX: y\r\n\r\n", _EITHER
    ),
    _case("a CR within a line", "9112, 2.2", _raw(b"X: a\rb"), _EITHER),
    _case("a CR that would end a line", "9112, 2.2", _raw(b"X: a\rHost: other"), _EITHER),
    _case("a folded line", "9112, 5.2", _raw(b"X: a", b" b"), _EITHER),
    _case("a folded line with a tab", "9112, 5.2", _raw(b"X: a", b"\tb"), _EITHER),
    _case(
        "a folded line in front of all",
        "9112, 2.2",
        b"GET /hello.txt HTTP/1.1\r\n Host: test\r\nHost: test\r\n\r\n",
        _EITHER,
    ),
    _case("a blank in front of the colon", "9112, 5.1", _raw(b"X : a"), _BAD),
    _case(
        "a blank in front of the colon of a length",
        "9112, 5.1",
        _raw(b"Content-Length : %d" % len(_SMUGGLED)) + _SMUGGLED,
        _BAD,
        After.CLOSED,
    ),
    _case(
        "a tab in front of the colon of a coding",
        "9112, 5.1",
        _raw(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n" + _SMUGGLED,
        _BAD,
        After.CLOSED,
    ),
    _case("a line without a colon", "9112, 5", _raw(b"nothing"), _EITHER),
    _case("a name of nothing", "9112, 5", _raw(b": value"), _EITHER),
    _case("a name with a bracket", "9110, 5.1", _raw(b"X(Y): a"), _EITHER),
    _case("a name with a byte over 127", "9110, 5.1", _raw(b"X\xff: a"), _EITHER),
    _case("a value of nothing", "9110, 5.5", _raw(b"X-Empty:"), _HELLO, After.OPEN),
    _case(
        "a value with blanks around it",
        "9110, 5.5",
        get("/alphabet.txt", "Range: \t bytes=1-2 \t "),
        (part("alphabet.txt", 1, 2),),
        After.OPEN,
    ),
    _case(
        "a value with no blank in front",
        "9112, 5",
        get("/alphabet.txt", "Range:bytes=1-2"),
        (part("alphabet.txt", 1, 2),),
        After.OPEN,
    ),
    _case("a value with bytes over 127", "9110, 5.5", _raw(b"X: \xe4\xff"), _HELLO, After.OPEN),
    _case("a NUL in a value", "9110, 5.5", _raw(b"X: a\x00b"), _BAD),
    _case("a NUL in a name", "9110, 5.1", _raw(b"X\x00Y: a"), _BAD),
    _case("a NUL in the target", "9112, 3", b"GET /hello.txt\x00 HTTP/1.1\r\nHost: test\r\n\r\n", _BAD),
    _case("a NUL in the method", "9112, 3", b"GE\x00T /hello.txt HTTP/1.1\r\nHost: test\r\n\r\n", _BAD),
    _case("two blanks in the request line", "9112, 3", b"GET  /hello.txt HTTP/1.1\r\nHost: test\r\n\r\n", _EITHER),
    _case("a tab in the request line", "9112, 3", b"GET\t/hello.txt\tHTTP/1.1\r\nHost: test\r\n\r\n", _EITHER),
    _case("a blank in front of the request line", "9112, 3", b" GET /hello.txt HTTP/1.1\r\nHost: test\r\n\r\n", _BAD),
    _case("a blank in the target", "9112, 3.2", b"GET /with space.txt HTTP/1.1\r\nHost: test\r\n\r\n", _BAD),
    _case("no target", "9112, 3", b"GET HTTP/1.1\r\nHost: test\r\n\r\n", _BAD),
    _case("nothing but a word", "9112, 3", b"garbage\r\n\r\n", _BAD, After.CLOSED),
    _case("bytes without a line", "9112, 3", bytes(range(128, 256)) + b"\r\n\r\n", _BAD, After.CLOSED),
    _case(
        "a client that speaks TLS",
        "9112, 3",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        _BAD,
        After.CLOSED,
    ),
    # Too much.
    Case(
        "a hundred fields",
        "RFC 9110, 5.4",
        get("/alphabet.txt", *_SHORT_LINES, "Range: bytes=1-2"),
        (part("alphabet.txt", 1, 2),),
    ),
    Case(
        "a field of 4000 bytes",
        "RFC 9110, 5.4",
        get("/alphabet.txt", "Cookie: " + "c" * 4000, "Range: bytes=1-2"),
        (part("alphabet.txt", 1, 2),),
    ),
    _case(
        "a field of 100,000 bytes",
        "9110, 5.4",
        get("/hello.txt", "Cookie: " + "c" * 100_000),
        (refused(400, 431),),
        After.CLOSED,
    ),
    _case(
        "ten thousand fields", "9110, 5.4", get("/hello.txt", *_SHORT_LINES * 100), (refused(400, 431),), After.CLOSED
    ),
    _case(
        "a name of 100,000 bytes",
        "9110, 5.4",
        get("/hello.txt", "x" * 100_000 + ": 1"),
        (refused(400, 431),),
        After.CLOSED,
    ),
    _case(
        "a method of 100,000 bytes",
        "9112, 3",
        get("/hello.txt", method="M" * 100_000),
        (refused(400, 405, 414, 431, 501),),
        After.CLOSED,
    ),
    # Expectations.
    _case(
        "Expect: 100-continue", "9110, 10.1.1", _raw(b"Expect: 100-continue", b"Content-Length: 5") + b"hello", _EITHER
    ),
    _case("Expect: 100-continue without a body", "9110, 10.1.1", _raw(b"Expect: 100-continue"), _HELLO),
    _case(
        "Expect of something else", "9110, 10.1.1", _raw(b"Expect: miracles"), (OneOf((ok("hello.txt"), refused(417))),)
    ),
)
