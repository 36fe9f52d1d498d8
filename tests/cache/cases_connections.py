"""Connections: kept, closed, pipelined on, half closed (RFC 9112, 9)."""

from tests.cache.case import After, Case, Expected, get, head_of, ok, part, refused

_HELLO = get("/hello.txt")


def _pipelined(count: int) -> tuple[bytes, tuple[Expected, ...]]:
    """Requests of five kinds in turn, and their responses."""
    kinds: tuple[tuple[bytes, Expected], ...] = (
        (_HELLO, ok("hello.txt")),
        (get("/none"), refused(404)),
        (get("/alphabet.txt", "Range: bytes=-3"), part("alphabet.txt", 23, 25)),
        (get("/style.css", method="HEAD"), head_of("style.css")),
        (get("/chunk.bin"), ok("chunk.bin")),
    )
    chosen = [kinds[number % len(kinds)] for number in range(count)]
    return b"".join(request for request, _ in chosen), tuple(answer for _, answer in chosen)


CASES = (
    Case("kept by itself", "RFC 9112, 9.3", _HELLO, (ok("hello.txt"),)),
    Case("kept where asked", "RFC 9112, 9.3", get("/hello.txt", "Connection: keep-alive"), (ok("hello.txt"),)),
    Case(
        "closed where asked, and it is said",
        "RFC 9112, 9.6",
        get("/hello.txt", "Connection: close"),
        (ok("hello.txt", connection="close"),),
        After.CLOSED,
    ),
    Case(
        "Close in upper case",
        "RFC 9110, 7.6.1",
        get("/hello.txt", "Connection: Close"),
        (ok("hello.txt"),),
        After.CLOSED,
    ),
    Case(
        "close in a list",
        "RFC 9110, 7.6.1",
        get("/hello.txt", "Connection: TE, close"),
        (ok("hello.txt"),),
        After.CLOSED,
    ),
    Case(
        "another option of a connection",
        "RFC 9110, 7.6.1",
        get("/hello.txt", "Connection: x-option"),
        (ok("hello.txt"),),
    ),
    Case(
        "closed after 404 where asked",
        "RFC 9112, 9.6",
        get("/none", "Connection: close"),
        (refused(404),),
        After.CLOSED,
    ),
    Case(
        "closed after HEAD where asked",
        "RFC 9112, 9.6",
        get("/hello.txt", "Connection: close", method="HEAD"),
        (head_of("hello.txt"),),
        After.CLOSED,
    ),
    Case(
        "closed after 16 MiB where asked",
        "RFC 9112, 9.6",
        get("/huge.bin", "Connection: close"),
        (ok("huge.bin"),),
        After.CLOSED,
    ),
    Case(
        "requests behind the last one are not answered",
        "RFC 9112, 9.6",
        get("/hello.txt", "Connection: close") + _HELLO,
        (ok("hello.txt"),),
        After.CLOSED,
    ),
    Case("two at once", "RFC 9112, 9.3.2", _HELLO * 2, (ok("hello.txt"),) * 2),
    Case("a hundred at once", "RFC 9112, 9.3.2", *_pipelined(100)),
    Case(
        "large ones at once, in their order",
        "RFC 9112, 9.3.2",
        get("/huge.bin") + _HELLO + get("/chunks.bin"),
        (ok("huge.bin"), ok("hello.txt"), ok("chunks.bin")),
    ),
    Case("empty ones at once", "RFC 9112, 9.3.2", get("/empty.txt") * 20, (ok("empty.txt"),) * 20),
    Case("an empty line in front", "RFC 9112, 2.2", b"\r\n" + _HELLO, (ok("hello.txt"),)),
    Case("an empty line between two", "RFC 9112, 2.2", _HELLO + b"\r\n" + _HELLO, (ok("hello.txt"),) * 2),
    Case(
        "a broken one behind a right one",
        "RFC 9112, 9.3.2",
        _HELLO + b"\x00\x01\x02\r\n\r\n",
        (ok("hello.txt"), refused(400)),
        After.CLOSED,
    ),
    Case("half closed", "RFC 9112, 9.6", _HELLO, (ok("hello.txt"),), After.CLOSED, half_closes=True),
    Case("half closed, large", "RFC 9112, 9.6", get("/huge.bin"), (ok("huge.bin"),), After.CLOSED, half_closes=True),
    Case("half closed, ten at once", "RFC 9112, 9.6", *_pipelined(10), After.CLOSED, half_closes=True),
    Case(
        "half closed in 1.0",
        "RFC 9112, 9.6",
        b"GET /chunks.bin HTTP/1.0\r\n\r\n",
        (ok("chunks.bin"),),
        After.CLOSED,
        half_closes=True,
    ),
    Case(
        "half closed within a second one",
        "RFC 9112, 9.6",
        _HELLO + b"GET /hel",
        (ok("hello.txt"),),
        After.CLOSED,
        half_closes=True,
    ),
)
