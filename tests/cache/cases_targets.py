"""Targets (RFC 9110, 7.1; RFC 9112, 3.2; RFC 3986): which object is asked for."""

from urllib.parse import quote

from tests.cache.case import After, Answer, Case, OneOf, get, ok, refused
from tests.cache.content import DEFAULT, GHOST, HOSTS, ITEMS, LINKS, LONGEST_NAME

_HELLO = ITEMS["hello.txt"].digest
_ALPHABET = ITEMS["alphabet.txt"].digest
_NO_OBJECT = refused(400, 404)

_ENCODED = (
    "with space.txt",
    "plus+plus.txt",
    "100%.txt",
    "what?.txt",
    "hash#tag.txt",
    "grüße.txt",
    "semi;colon,comma.txt",
    "folder/file.txt",
    "folder/deep/er/file.txt",
    "%41.txt",
)

CASES = (
    # Names.
    *(Case(f"name {name}", "RFC 3986, 2.1", get("/" + quote(name)), (ok(name),)) for name in _ENCODED),
    Case(
        "every letter of a name in percent",
        "RFC 3986, 6.2.2.2",
        get("/%68%65%6c%6c%6f%2e%74%78%74"),
        (ok("hello.txt"),),
    ),
    Case("lower-case hexadecimal digits", "RFC 3986, 2.1", get("/gr%c3%bc%c3%9fe.txt"), (ok("grüße.txt"),)),
    Case("mixed hexadecimal digits", "RFC 3986, 2.1", get("/gr%C3%bC%c3%9Fe.txt"), (ok("grüße.txt"),)),
    Case("a plus is a plus", "RFC 3986, 2.2", get("/plus+plus.txt"), (ok("plus+plus.txt"),)),
    Case("a plus is no space", "RFC 3986, 2.2", get("/with+space.txt"), (refused(404),)),
    Case("a name is decoded once", "RFC 3986, 2.4", get("/%2541.txt"), (ok("%41.txt"),)),
    Case("a name that was decoded is not decoded again", "RFC 3986, 2.4", get("/%2568ello.txt"), (refused(404),)),
    Case(
        "semicolons and commas as they are",
        "RFC 3986, 3.3",
        get("/semi;colon,comma.txt"),
        (ok("semi;colon,comma.txt"),),
    ),
    Case("a name that fills its field", "SHFS", get("/" + LONGEST_NAME), (ok(LONGEST_NAME),)),
    Case("a name of one byte more", "SHFS", get("/" + LONGEST_NAME + "x"), (refused(404),)),
    Case("a name of one byte less", "SHFS", get("/" + LONGEST_NAME[:-1]), (refused(404),)),
    Case("upper and lower case are two", "RFC 3986, 6.2.2.1", get("/HELLO.TXT"), (refused(404),)),
    Case("no such name", "RFC 9110, 15.5.5", get("/none.txt"), (refused(404),)),
    Case("a folder is no object", "RFC 9110, 15.5.5", get("/folder"), (refused(404),)),
    Case("a slash behind a name", "RFC 9110, 15.5.5", get("/hello.txt/"), (refused(404),)),
    Case(
        "a percent and no digits",
        "RFC 3986, 2.1",
        get("/100%.txt"),
        (OneOf((ok("100%.txt"), _NO_OBJECT)),),
        After.EITHER,
    ),
    Case("a percent at the end", "RFC 3986, 2.1", get("/hello.txt%"), (_NO_OBJECT,), After.EITHER),
    Case("a percent and one digit", "RFC 3986, 2.1", get("/hello.txt%4"), (_NO_OBJECT,), After.EITHER),
    Case("NUL in percent", "RFC 3986, 7.3", get("/hello.txt%00"), (_NO_OBJECT,), After.EITHER),
    Case("NUL in percent, and more", "RFC 3986, 7.3", get("/hello.txt%00.html"), (_NO_OBJECT,), After.EITHER),
    Case(
        "a slash in percent", "RFC 3986, 2.2", get("/folder%2Ffile.txt"), (OneOf((ok("folder/file.txt"), _NO_OBJECT)),)
    ),
    Case("bytes that are no UTF-8", "RFC 3986, 2.5", get("/%ff%fe"), (_NO_OBJECT,), After.EITHER),
    Case(
        "bytes over 127 as they are",
        "RFC 3986, 2",
        get("/gr\xc3\xbc\xc3\x9fe.txt"),
        (OneOf((ok("grüße.txt"), _NO_OBJECT)),),
        After.EITHER,
    ),
    Case(
        "two slashes in front",
        "RFC 3986, 3.3",
        get("//hello.txt"),
        (OneOf((ok("hello.txt"), _NO_OBJECT)),),
        After.EITHER,
    ),
    # Dots.
    Case(
        "a dot segment", "RFC 3986, 6.2.2.3", get("/./hello.txt"), (OneOf((ok("hello.txt"), _NO_OBJECT)),), After.EITHER
    ),
    Case(
        "two dots",
        "RFC 3986, 6.2.2.3",
        get("/folder/../hello.txt"),
        (OneOf((ok("hello.txt"), _NO_OBJECT)),),
        After.EITHER,
    ),
    Case("two dots out of the root", "RFC 3986, 5.2.4", get("/../../../etc/passwd"), (_NO_OBJECT,), After.EITHER),
    Case(
        "two dots in percent out of the root",
        "RFC 3986, 5.2.4",
        get("/%2e%2e/%2e%2e/etc/passwd"),
        (_NO_OBJECT,),
        After.EITHER,
    ),
    Case(
        "two dots with slashes in percent",
        "RFC 3986, 5.2.4",
        get("/..%2f..%2fetc%2fpasswd"),
        (_NO_OBJECT,),
        After.EITHER,
    ),
    # The default object and queries.
    Case("the default object", "SHFS", get("/"), (ok(DEFAULT, content_type="text/html"),)),
    Case("the default object with an empty query", "SHFS", get("/?"), (ok(DEFAULT),)),
    Case("the default object by its name", "SHFS", get(f"/{DEFAULT}"), (ok(DEFAULT),)),
    Case("what was the default object and is removed", "MiniCache", get(f"/{GHOST.name}"), (refused(404),)),
    Case("a query behind a name", "RFC 3986, 3.4", get("/hello.txt?x=1&y=%20"), (ok("hello.txt"),)),
    Case("an empty query behind a name", "RFC 3986, 3.4", get("/hello.txt?"), (ok("hello.txt"),)),
    Case("two question marks", "RFC 3986, 3.4", get("/hello.txt??"), (ok("hello.txt"),)),
    Case("a digest behind a name", "RFC 3986, 3.4", get(f"/hello.txt?{_ALPHABET}"), (ok("hello.txt"),)),
    Case("a fragment", "RFC 9112, 3.2", get("/hello.txt#top"), (OneOf((ok("hello.txt"), _NO_OBJECT)),), After.EITHER),
    # Digests.
    *(
        Case(f"digest of {name}", "SHFS", get(f"/?{ITEMS[name].digest}"), (ok(name),))
        for name in ("hello.txt", "empty.txt", "chunk.bin", "chunks+7.bin", LONGEST_NAME)
    ),
    Case("digest in upper case", "SHFS", get(f"/?{_HELLO.upper()}"), (ok("hello.txt"),)),
    Case("digest in either case", "SHFS", get(f"/?{_HELLO[:64].upper()}{_HELLO[64:]}"), (ok("hello.txt"),)),
    Case(
        "digest of an object with its type",
        "SHFS",
        get(f"/?{ITEMS['style.css'].digest}"),
        (ok("style.css", content_type="text/css"),),
    ),
    Case("digest of nothing", "MiniCache", get("/?" + "12" * 64), (refused(404),)),
    Case("digest of zeros", "MiniCache", get("/?" + "0" * 128), (refused(404),)),
    Case("digest without its last byte", "MiniCache", get(f"/?{_HELLO[:-2]}"), (_NO_OBJECT,)),
    Case("digest without its last digit", "MiniCache", get(f"/?{_HELLO[:-1]}"), (_NO_OBJECT,)),
    Case("digest with a byte more", "MiniCache", get(f"/?{_HELLO}00"), (_NO_OBJECT,)),
    Case("digest of 98 bytes of URL", "MiniCache", get(f"/?{_HELLO[:96]}"), (_NO_OBJECT,)),
    Case("digest that is none", "MiniCache", get("/?" + "xy" * 64), (_NO_OBJECT,)),
    Case("digest of a removed object", "MiniCache", get("/?" + "00" * 63 + "01"), (refused(404),)),
    # Long ones.
    Case("8000 bytes of name", "RFC 9110, 4.1", get("/" + "n" * 7999), (refused(404),)),
    Case("a long query behind a name", "MiniCache", get("/hello.txt?" + "q" * 2000), (ok("hello.txt"),)),
    Case("a long query that ends like a digest", "MiniCache", get("/?" + "q" * 200 + _HELLO), (_NO_OBJECT,)),
    Case(
        "a name that begins with an object's, of 99 bytes",
        "MiniCache",
        get("/" + LONGEST_NAME + "x" * 35),
        (refused(404),),
    ),
    Case(
        "100,000 bytes of name", "RFC 9110, 15.5.15", get("/" + "n" * 100_000), (refused(414, 400, 431),), After.CLOSED
    ),
    Case(
        "a long name that is encoded",
        "RFC 3986, 2.1",
        get("/" + "".join(f"%{byte:02x}" for byte in LONGEST_NAME.encode())),
        (ok(LONGEST_NAME),),
    ),
    # Hosts.
    *(
        Case(f"host {host}", "RFC 9110, 7.2", get("/hosted.txt", host=host), (ok(f"{host}/hosted.txt"),))
        for host in HOSTS
    ),
    Case("no host of ours has it", "RFC 9110, 7.2", get("/hosted.txt", host="three.example"), (refused(404),)),
    Case(
        "what a host has goes before what all have",
        "RFC 9110, 7.2",
        get("/hello.txt", host=HOSTS[0]),
        (ok("one.example/hello.txt"),),
    ),
    Case("what a host has not, all have", "RFC 9110, 7.2", get("/hello.txt", host=HOSTS[1]), (ok("hello.txt"),)),
    Case("the default object of a host", "RFC 9110, 7.2", get("/", host=HOSTS[0]), (ok("one.example/"),)),
    Case("a host without a default object of its own", "RFC 9110, 7.2", get("/", host=HOSTS[1]), (ok(DEFAULT),)),
    Case(
        "a host with a port",
        "RFC 9110, 7.2",
        get("/hosted.txt", host="one.example:8080"),
        (ok("one.example/hosted.txt"),),
    ),
    Case(
        "a host in upper case",
        "RFC 9110, 4.2.3",
        get("/hosted.txt", host="ONE.Example"),
        (ok("one.example/hosted.txt"),),
    ),
    Case(
        "a host with its last dot",
        "RFC 3986, 3.2.2",
        get("/hosted.txt", host="one.example."),
        (ok("one.example/hosted.txt"),),
    ),
    Case("an address as a host", "RFC 9110, 7.2", get("/hello.txt", host="127.0.0.1:80"), (ok("hello.txt"),)),
    Case("an IPv6 address as a host", "RFC 3986, 3.2.2", get("/hello.txt", host="[::1]:80"), (ok("hello.txt"),)),
    Case(
        "a host of dots",
        "RFC 9110, 7.2",
        get("/hello.txt", host=".."),
        (OneOf((ok("hello.txt"), refused(400))),),
        After.EITHER,
    ),
    Case(
        "two hosts in turn",
        "RFC 9110, 7.2",
        get("/hosted.txt", host=HOSTS[0]) + get("/hosted.txt", host=HOSTS[1]),
        tuple(ok(f"{host}/hosted.txt") for host in HOSTS),
    ),
    # The absolute form.
    Case("absolute form", "RFC 9112, 3.2.2", get("http://test/hello.txt"), (ok("hello.txt"),)),
    Case("absolute form with a port", "RFC 9112, 3.2.2", get("http://test:8080/hello.txt"), (ok("hello.txt"),)),
    Case("absolute form with HTTP in upper case", "RFC 3986, 3.1", get("HTTP://test/hello.txt"), (ok("hello.txt"),)),
    Case(
        "absolute form goes before Host",
        "RFC 9112, 3.2.2",
        get("http://two.example/hosted.txt", host="one.example"),
        (ok("two.example/hosted.txt"),),
    ),
    Case("absolute form without a path", "RFC 9112, 3.2.2", get("http://test"), (ok(DEFAULT),)),
    Case("absolute form with a digest", "RFC 9112, 3.2.2", get(f"http://test/?{_HELLO}"), (ok("hello.txt"),)),
    Case(
        "absolute form without a host", "RFC 9110, 4.2.1", get("http:///hello.txt"), (refused(400, 404),), After.EITHER
    ),
    Case("no form at all", "RFC 9112, 3.2", get("hello.txt"), (refused(400, 404),), After.EITHER),
    # Links.
    *(
        Case(f"redirection, {name}", "RFC 9110, 15.4.8", get(f"/{name}"), (Answer((307,), fields={"location": url}),))
        for name, url in LINKS.items()
    ),
)
