"""Methods (RFC 9110, 9): what is answered to which."""

from tests.cache.case import After, Answer, Case, OneOf, get, head_of, ok, refused
from tests.cache.content import ITEMS

_ALLOWED = ("POST", "PUT", "DELETE", "PATCH", "TRACE")
_UNKNOWN = ("PURGE", "PROPFIND", "BREW", "GETX", "GE", "G", "M-SEARCH", "A" * 40)
_NO_METHODS = ("get", "Get", "G(T", "GET:")

_BODY = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"

CASES = (
    Case("GET", "RFC 9110, 9.3.1", get("/hello.txt"), (ok("hello.txt"),)),
    Case("GET of nothing", "RFC 9110, 9.3.1", get("/empty.txt"), (ok("empty.txt", content_length="0"),)),
    *(
        Case(f"GET of {len(item.content)} bytes", "RFC 9110, 8.6", get(f"/{name}"), (ok(name),))
        for name, item in ITEMS.items()
        if name.endswith(".bin") and "+" not in name
    ),
    *(
        Case(
            f"GET of {len(ITEMS[name].content)} bytes",
            "RFC 9110, 8.6",
            get(f"/{name.replace('+', '%2B')}"),
            (ok(name),),
        )
        for name in ("chunk+1.bin", "chunks+7.bin")
    ),
    *(
        Case(
            f"HEAD of {len(ITEMS[name].content)} bytes",
            "RFC 9110, 9.3.2",
            get(f"/{name}", method="HEAD"),
            (head_of(name),),
        )
        for name in ("empty.txt", "hello.txt", "chunk.bin", "huge.bin")
    ),
    Case(
        "HEAD has the fields of GET",
        "RFC 9110, 9.3.2",
        get("/style.css", method="HEAD"),
        (
            head_of(
                "style.css",
                content_type="text/css",
                accept_ranges="bytes",
                last_modified="Tue, 14 Nov 2023 22:13:20 GMT",
            ),
        ),
    ),
    Case("HEAD of what is not there", "RFC 9110, 9.3.2", get("/none", method="HEAD"), (refused(404, method="HEAD"),)),
    Case(
        "HEAD, GET, HEAD on one connection",
        "RFC 9112, 6.3",
        get("/hello.txt", method="HEAD") + get("/hello.txt") + get("/none", method="HEAD"),
        (head_of("hello.txt"), ok("hello.txt"), refused(404, method="HEAD")),
    ),
    Case("OPTIONS of an object", "RFC 9110, 9.3.7", get("/hello.txt", method="OPTIONS"), (Answer((200, 204)),)),
    Case(
        "OPTIONS says which methods there are",
        "RFC 9110, 10.2.1",
        get("/hello.txt", method="OPTIONS"),
        (Answer((200, 204), fields={"allow": "GET, HEAD, OPTIONS"}),),
    ),
    Case("OPTIONS of the server", "RFC 9112, 3.2.4", get("*", method="OPTIONS"), (Answer((200, 204)),)),
    Case("GET of the server", "RFC 9112, 3.2.4", get("*"), (refused(400, 404),), After.EITHER),
    *(
        Case(
            f"{method} is known, and not for objects",
            "RFC 9110, 15.5.6",
            get("/hello.txt", method=method),
            (refused(405),),
            After.EITHER,
        )
        for method in _ALLOWED
    ),
    Case(
        "POST with a body, which is no request",
        "RFC 9110, 15.5.6",
        get("/hello.txt", f"Content-Length: {len(_BODY)}", method="POST") + _BODY,
        (refused(405),),
        After.EITHER,
    ),
    Case(
        "CONNECT is no method of an origin",
        "RFC 9110, 9.3.6",
        get("origin.example:443", method="CONNECT"),
        (refused(400, 405, 501),),
        After.EITHER,
    ),
    *(
        Case(
            f"{method[:12]} is answered, and not known",
            "RFC 9110, 9.1",
            get("/hello.txt", method=method),
            (refused(405, 501),),
            After.EITHER,
        )
        for method in _UNKNOWN
    ),
    *(
        Case(
            f"{method} is no method",
            "RFC 9110, 9.1",
            get("/hello.txt", method=method),
            (refused(400, 405, 501),),
            After.EITHER,
        )
        for method in _NO_METHODS
    ),
    Case(
        "GET with a body, which is no request",
        "RFC 9110, 9.3.1",
        get("/hello.txt", f"Content-Length: {len(_BODY)}") + _BODY,
        (OneOf((ok("hello.txt"), refused(400, 413))),),
        After.EITHER,
    ),
)
