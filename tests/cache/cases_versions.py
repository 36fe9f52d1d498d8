"""Versions of HTTP (RFC 9110, 2.5; RFC 9112, 2.3)."""

from tests.cache.case import After, Bare, Case, get, ok, part, refused

_BARE_10 = b"GET /hello.txt HTTP/1.0\r\n\r\n"

CASES = (
    Case("1.0", "RFC 9112, 9.3", _BARE_10, (ok("hello.txt", transfer_encoding=None),), After.CLOSED),
    Case(
        "1.0 with Host",
        "RFC 9112, 3.2",
        get("/hosted.txt", host="one.example", version="1.0"),
        (ok("one.example/hosted.txt"),),
        After.CLOSED,
    ),
    Case(
        "1.0, large",
        "RFC 9112, 6.3",
        b"GET /huge.bin HTTP/1.0\r\n\r\n",
        (ok("huge.bin", transfer_encoding=None),),
        After.CLOSED,
    ),
    Case(
        "1.0 keeps the connection where asked, and says so",
        "RFC 9112, 9.3",
        b"GET /hello.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        (ok("hello.txt", connection="keep-alive"),),
    ),
    Case(
        "1.0, closed where asked",
        "RFC 9112, 9.3",
        b"GET /hello.txt HTTP/1.0\r\nConnection: close\r\n\r\n",
        (ok("hello.txt"),),
        After.CLOSED,
    ),
    Case("1.0, not found", "RFC 9112, 9.3", b"GET /none HTTP/1.0\r\n\r\n", (refused(404),), After.CLOSED),
    Case(
        "1.0, a range",
        "RFC 9110, 14.2",
        b"GET /alphabet.txt HTTP/1.0\r\nRange: bytes=1-2\r\n\r\n",
        (part("alphabet.txt", 1, 2),),
        After.CLOSED,
    ),
    Case(
        "1.0, keep-alive and close",
        "RFC 9112, 9.3",
        b"GET /hello.txt HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
        (ok("hello.txt"),),
        After.CLOSED,
    ),
    Case("1.2 is answered as 1.1", "RFC 9110, 2.5", get("/hello.txt", version="1.2"), (ok("hello.txt"),)),
    Case("1.9 is answered as 1.1", "RFC 9110, 2.5", get("/hello.txt", version="1.9"), (ok("hello.txt"),)),
    Case("0.9", "RFC 1945, 4.1", b"GET /hello.txt\r\n", (Bare("hello.txt"),), After.CLOSED),
    Case(
        "HTTP/0.9 by its name",
        "RFC 9110, 15.6.6",
        b"GET /hello.txt HTTP/0.9\r\n\r\n",
        (refused(400, 505),),
        After.CLOSED,
    ),
    Case("2.0", "RFC 9110, 15.6.6", get("/hello.txt", version="2.0"), (refused(400, 505),), After.CLOSED),
    Case("3.0", "RFC 9110, 15.6.6", get("/hello.txt", version="3.0"), (refused(400, 505),), After.CLOSED),
    Case(
        "the preface of HTTP/2",
        "RFC 9113, 3.4",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        (refused(400, 405, 501, 505),),
        After.CLOSED,
    ),
    Case("no minor version", "RFC 9112, 2.3", get("/hello.txt", version="1"), (refused(400, 505),), After.CLOSED),
    Case("no number at all", "RFC 9112, 2.3", get("/hello.txt", version="x.y"), (refused(400, 505),), After.CLOSED),
    Case(
        "the name in lower case",
        "RFC 9112, 2.3",
        b"GET /hello.txt http/1.1\r\nHost: test\r\n\r\n",
        (refused(400, 505),),
        After.CLOSED,
    ),
    Case(
        "another protocol",
        "RFC 9112, 2.3",
        b"GET /hello.txt RTSP/1.0\r\nHost: test\r\n\r\n",
        (refused(400, 501, 505),),
        After.CLOSED,
    ),
    Case(
        "a blank behind the version",
        "RFC 9112, 3",
        b"GET /hello.txt HTTP/1.1 \r\nHost: test\r\n\r\n",
        (refused(400, 200, 505),),
        After.EITHER,
    ),
    Case(
        "upgrade to HTTP/2 that is not taken",
        "RFC 9110, 7.8",
        get(
            "/hello.txt",
            "Connection: Upgrade, HTTP2-Settings",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        ),
        (ok("hello.txt", upgrade=None),),
    ),
    Case(
        "upgrade to WebSocket that is not taken",
        "RFC 9110, 7.8",
        get(
            "/hello.txt",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "Sec-WebSocket-Version: 13",
        ),
        (ok("hello.txt", upgrade=None),),
    ),
)
