"""What responses say of themselves: validators, types, dates, caches; pages of errors (RFC 9110, 8, 15; RFC 9111)."""

from urllib.parse import quote

from tests.cache.case import After, Answer, Case, get, ok, part, refused
from tests.cache.content import DEFAULT, ITEMS, LONGEST_TYPE

_WRITTEN = "Tue, 14 Nov 2023 22:13:20 GMT"
_SCRIPT = "/%3Cscript%3Ealert(1)%3C/script%3E"

CASES = (
    *(
        Case(f"type of {name}", "RFC 9110, 8.3", get(f"/{name}"), (ok(name, content_type=mime),))
        for name, mime in (
            ("hello.txt", "text/plain"),
            ("page.html", "text/html"),
            ("style.css", "text/css"),
            ("picture.png", "image/png"),
            ("stream.m3u8", "application/vnd.apple.mpegurl"),
            ("chunk.bin", "application/octet-stream"),
            ("typed.long", LONGEST_TYPE),
            (DEFAULT, "text/html"),
        )
    ),
    Case("Last-Modified", "RFC 9110, 8.8.2", get("/hello.txt"), (ok("hello.txt", last_modified=_WRITTEN),)),
    Case(
        "Last-Modified of a part",
        "RFC 9110, 8.8.2",
        get("/hello.txt", "Range: bytes=0-0"),
        (part("hello.txt", 0, 0, last_modified=_WRITTEN),),
    ),
    Case("Last-Modified is not later than Date", "RFC 9110, 8.8.2.1", get("/future.txt"), (ok("future.txt"),)),
    *(
        Case(
            f"the tag of {name} is its digest",
            "SHFS",
            get(f"/{quote(name)}"),
            (ok(name, etag=f'"{ITEMS[name].digest}"'),),
        )
        for name in ("hello.txt", "alphabet.txt", "chunk+1.bin")
    ),
    Case(
        "HEAD has the tag",
        "RFC 9110, 9.3.2",
        get("/alphabet.txt", method="HEAD"),
        (Answer((200,), b"", "HEAD", needs=("etag",)),),
    ),
    Case(
        "a part has the tag",
        "RFC 9110, 15.3.7",
        get("/alphabet.txt", "Range: bytes=1-2"),
        (Answer((206,), b"bc", needs=("etag",)),),
    ),
    Case(
        "304 has the tag",
        "RFC 9110, 15.4.5",
        get("/alphabet.txt", "If-None-Match: *"),
        (Answer((304,), b"", needs=("etag",)),),
    ),
    Case("a tag is strong", "RFC 9110, 8.8.1", get("/alphabet.txt", "If-Match: @ETAG@"), (ok("alphabet.txt"),)),
    Case("ranges are offered", "RFC 9110, 14.3", get("/hello.txt"), (ok("hello.txt", accept_ranges="bytes"),)),
    Case(
        "Cache-Status names a hit",
        "RFC 9211, 2",
        get("/hello.txt"),
        (Answer((200,), ITEMS["hello.txt"].content, needs=("cache-status",)),),
    ),
    Case(
        "the body is not coded",
        "RFC 9110, 8.4",
        get("/page.html", "Accept-Encoding: gzip, br, zstd"),
        (ok("page.html", content_encoding=None),),
    ),
    Case(
        "nothing but identity is taken",
        "RFC 9110, 12.5.3",
        get("/page.html", "Accept-Encoding: identity;q=1, *;q=0"),
        (ok("page.html", content_encoding=None),),
    ),
    Case("Accept of another type", "RFC 9110, 12.5.1", get("/page.html", "Accept: image/webp"), (ok("page.html"),)),
    Case(
        "Cache-Control of a request",
        "RFC 9111, 5.2.1",
        get("/hello.txt", "Cache-Control: no-cache, max-age=0", "Pragma: no-cache"),
        (ok("hello.txt"),),
    ),
    # Pages of errors.
    Case("404 has a page", "RFC 9110, 15.5", get("/none"), (Answer((404,), needs=("content-type", "content-length")),)),
    Case("404 does not echo what could be script", "OWASP", get(_SCRIPT), (refused(404, without=b"<script"),)),
    Case(
        "404 does not echo what could be a header",
        "CWE-113",
        get("/none%0d%0aSet-Cookie:%20x=1"),
        (refused(400, 404, set_cookie=None),),
        After.EITHER,
    ),
    Case(
        "400 does not echo what could be script",
        "OWASP",
        get("/none", "Host: <script>"),
        (refused(400, without=b"<script"),),
        After.EITHER,
    ),
    Case("404 is no validator", "RFC 9110, 15.5.5", get("/none"), (refused(404, etag=None, last_modified=None),)),
    Case("200 after 404", "RFC 9112, 9.3", get("/none") + get("/hello.txt"), (refused(404), ok("hello.txt"))),
    Case(
        "200 after 405",
        "RFC 9112, 9.3",
        get("/hello.txt", "Content-Length: 0", method="DELETE") + get("/hello.txt"),
        (refused(405), ok("hello.txt")),
    ),
    Case(
        "200 after 416",
        "RFC 9112, 9.3",
        get("/hello.txt", "Range: bytes=100-") + get("/hello.txt"),
        (refused(416), ok("hello.txt")),
    ),
    Case(
        "200 after 412",
        "RFC 9112, 9.3",
        get("/hello.txt", 'If-Match: "x"') + get("/hello.txt"),
        (refused(412), ok("hello.txt")),
    ),
    Case("200 after 307", "RFC 9112, 9.3", get("/short.link") + get("/hello.txt"), (refused(307), ok("hello.txt"))),
    Case(
        "HEAD of a redirection",
        "RFC 9110, 9.3.2",
        get("/short.link", method="HEAD"),
        (Answer((307,), b"", method="HEAD"),),
    ),
)
