"""What the original MiniCache does wrong, and other ways to be wrong; each with the cases that must find it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.cache.content import ITEMS, LONGEST_NAME
from tests.cache.wire import Response
from tests.cache.wrong_server import Reply, Wrong

_NO_RANGE = rb"\1bytes=999999999-"
_RANGE = rb"(?mi)(^range: *)"


@dataclass(frozen=True, slots=True)
class Defect:
    """A way to be wrong. `found_by` are names of cases, each of which must fail."""

    wrong: Wrong
    found_by: tuple[str, ...]


def _asks(pattern: bytes, instead: bytes | Callable[[re.Match[bytes]], bytes]) -> Wrong:
    """The right server is asked something else."""
    return Wrong(ask=lambda head: re.sub(pattern, instead, head))


def _replies(pattern: bytes, data: bytes = b"") -> Wrong:
    """Requests that match are answered with this, or an RST."""
    return Wrong(ask=lambda head: Reply(data) if re.search(pattern, head) else head)


def _tells(pattern: bytes, instead: bytes, status: int | None = None) -> Wrong:
    """The head of the response is another one."""

    def answer(head: bytes, response: Response) -> bytes:
        if status not in (None, response.status):
            return response.raw
        begin, mark, body = response.raw.partition(b"\r\n\r\n")
        return re.sub(pattern, instead, begin + b"\r\n") + mark[2:] + body

    return Wrong(answer=answer)


def _lacks(field: bytes, status: int | None = None) -> Wrong:
    return _tells(rb"(?mi)^" + field + rb":.*\r\n", b"", status)


def _fields_cut(head: bytes) -> bytes:
    """Of each field, 79 bytes of value."""
    line, *fields = head.split(b"\r\n")
    kept = [name + mark + value[:80] for name, mark, value in (field.partition(b":") for field in fields)]
    return b"\r\n".join([line, *kept])


def _target_cut(head: bytes) -> bytes:
    method, target, rest = head.split(b" ", 2)
    return b" ".join([method, target[:98], rest])


def _twelve(head: bytes) -> bytes:
    return b"\r\n".join([*head.removesuffix(b"\r\n\r\n").split(b"\r\n")[:13], b"", b""])


def _own_version(head: bytes, response: Response) -> bytes:
    version = re.search(rb"HTTP/[0-9.]+", head)
    return response.raw.replace(b"HTTP/1.1", version[0] if version else b"HTTP/0.9", 1)


def _and_its_body(head: bytes, response: Response) -> bytes:
    return response.raw + (b"hello world" if head.startswith(b"HEAD") else b"")


def _page(status: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status


_IF = rb"(?mi)^if-(match|none-match|modified-since|unmodified-since):.*\r\n"

OF_MINICACHE: Mapping[str, Defect] = {
    "CRLF behind every body": Defect(
        Wrong(answer=lambda head, response: response.raw + b"\r\n"),
        ("GET", "GET of nothing", "1.0", "two at once", "bytes=26- of alphabet.txt", "redirection, short.link"),
    ),
    "HEAD is 501": Defect(_replies(rb"^HEAD ", _page(b"501 Not Implemented")), ("HEAD of 11 bytes",)),
    "OPTIONS is 501": Defect(_replies(rb"^OPTIONS ", _page(b"501 Not Implemented")), ("OPTIONS of an object",)),
    "an RST for unknown methods": Defect(
        _replies(rb"^(?!GET |HEAD )"),
        ("BREW is answered, and not known", "nothing but a word", "get is no method"),
    ),
    "an RST for an upgrade": Defect(
        _replies(rb"(?i)\nupgrade:"),
        ("upgrade to HTTP/2 that is not taken", "upgrade to WebSocket that is not taken"),
    ),
    "an RST for too much header": Defect(
        Wrong(ask=lambda head: Reply() if len(head) > 80_000 else head),
        ("a field of 100,000 bytes", "ten thousand fields"),
    ),
    "percent is not decoded": Defect(
        _asks(rb"%", b"%25"), ("name with space.txt", "name grüße.txt", "every letter of a name in percent")
    ),
    "no absolute form": Defect(
        _asks(rb"(?i) http://[^ ]*", b" /none"), ("absolute form", "absolute form with a digest")
    ),
    "Host is not looked at": Defect(
        _asks(rb"(?mi)^host:.*\r\n", b"Host: test\r\n"),
        ("host one.example", "host two.example", "the default object of a host", "two hosts in turn"),
    ),
    "a query is part of the name": Defect(
        _asks(rb"^(GET /[^ ?]+)\?", rb"\1%3f"), ("a query behind a name", "a digest behind a name")
    ),
    "98 bytes of URL": Defect(
        Wrong(ask=_target_cut),
        ("digest of hello.txt", "digest in upper case", "a long name that is encoded"),
    ),
    "500 for what is no digest": Defect(
        _replies(rb"^GET /\?(?![0-9a-f]{128} )[^ ]", _page(b"500 Internal Server Error")),
        ("digest without its last digit", "digest that is none", "digest of 98 bytes of URL"),
    ),
    "twelve fields": Defect(Wrong(ask=_twelve), ("a range behind sixty fields", "a hundred fields")),
    "79 bytes of a field": Defect(Wrong(ask=_fields_cut), ("If-None-Match behind three hundred bytes of others",)),
    "single bytes are refused": Defect(
        _asks(_RANGE + rb"bytes=([0-9]+)-\2(?=\r)", _NO_RANGE),
        ("bytes=0-0 of alphabet.txt", "bytes=5-5 of alphabet.txt", "bytes=25-25 of alphabet.txt"),
    ),
    "the last byte alone is refused": Defect(
        _asks(_RANGE + rb"bytes=25-(?=\r)", _NO_RANGE), ("bytes=25- of alphabet.txt",)
    ),
    "suffixes are refused": Defect(
        _asks(_RANGE + rb"bytes=-[0-9]+", _NO_RANGE), ("bytes=-3 of alphabet.txt", "bytes=-27 of alphabet.txt")
    ),
    "what goes behind the end is refused": Defect(
        _asks(_RANGE + rb"bytes=20-1000", _NO_RANGE), ("bytes=20-1000 of alphabet.txt",)
    ),
    "the first of several ranges": Defect(
        _asks(_RANGE + rb"(bytes=[0-9]+-[0-9]*),.*(?=\r)", rb"\1\2"),
        ("bytes=0-1,3-4 of alphabet.txt", "bytes=0-0,-1 of alphabet.txt"),
    ),
    "other units are refused": Defect(
        _asks(_RANGE + rb"(?!bytes)[a-z-]+=.*(?=\r)", _NO_RANGE), ("unit lines is not known", "unit none is not known")
    ),
    "416 without Content-Range": Defect(
        _lacks(b"content-range", 416), ("bytes=26- of alphabet.txt", "bytes=-0 of alphabet.txt")
    ),
    "the version of the request": Defect(Wrong(answer=_own_version), ("1.0", "1.2 is answered as 1.1")),
    "HTTP/0.9 200": Defect(
        _replies(rb"HTTP/0.9", b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n"), ("HTTP/0.9 by its name",)
    ),
    "no Date": Defect(
        _lacks(b"date"), ("GET", "404 has a page", "If-None-Match with any", "bytes=0-4 of alphabet.txt")
    ),
    "no Last-Modified": Defect(_lacks(b"last-modified"), ("Last-Modified", "Last-Modified of a part")),
    "no ETag": Defect(_lacks(b"etag"), ("HEAD has the tag", "a part has the tag", "304 has the tag")),
    "no conditions": Defect(
        _asks(_IF, b""),
        ("If-None-Match with the tag", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", "304 goes before 206"),
    ),
    "a removed default object is served": Defect(
        _asks(rb"^GET /\?? ", b"GET /hello.txt "), ("the default object", "the default object with an empty query")
    ),
    "a long Location goes on with foreign bytes": Defect(
        _tells(rb"(?mi)^(location: .{80}).*\r\n", b"\\1\x00\xa0\x80HHz\r\n"), ("redirection, long.link",)
    ),
    "307 has no length": Defect(_lacks(b"content-length", 307), ("redirection, short.link",)),
}
"""Those that HTTP from outside can show without an upstream."""

OTHERS: Mapping[str, Defect] = {
    "digests in upper case are not found": Defect(
        _replies(rb"^GET /\?[0-9A-F]{128} ", _page(b"404 Not Found")), ("digest in upper case",)
    ),
    "a name that fills its field is not found": Defect(
        _asks(LONGEST_NAME.encode(), b"none"), ("a name that fills its field",)
    ),
    "a type of 31 bytes": Defect(_tells(rb"(?mi)^(content-type: .{31})..*\r\n", b"\\1\r\n"), ("type of typed.long",)),
    "names are decoded twice": Defect(_asks(rb"%25", b"%"), ("a name is decoded once",)),
    "a plus is a space": Defect(_asks(rb"\+(?=[^ ]*\.txt)", b"%20"), ("a plus is a plus", "a plus is no space")),
    "a length of one more": Defect(
        Wrong(answer=lambda head, response: response.raw.replace(b"Content-Length: 11\r", b"Content-Length: 12\r")),
        ("1.0", "half closed", "two at once"),
    ),
    "a body without its last byte": Defect(
        Wrong(answer=lambda head, response: response.raw[:-1]),
        ("1.0", "two at once", "closed after 16 MiB where asked"),
    ),
    "another byte in the middle": Defect(
        Wrong(
            answer=lambda head, response: response.raw.replace(ITEMS["chunks.bin"].content[20000:20010], b"0123456789")
        ),
        ("GET of 81920 bytes",),
    ),
    "HEAD with a body": Defect(Wrong(answer=_and_its_body), ("HEAD of 11 bytes", "HEAD, GET, HEAD on one connection")),
    "304 with a body": Defect(
        Wrong(answer=lambda head, response: response.raw + b"x" * (response.status == 304)),
        ("If-None-Match with the tag", "304 and 200 on one connection"),
    ),
    "lines end with LF": Defect(_tells(rb"\r\n", b"\n"), ("GET",)),
    "a folded line": Defect(_tells(rb"(?m)^Date:", b"Date:\r\n"), ("GET",)),
    "a field twice": Defect(_tells(rb"(?m)^(Date:.*\r\n)", rb"\1\1"), ("GET",)),
    "a date of another form": Defect(_tells(rb"(?m)^(Date: .*)GMT", rb"\1UTC"), ("GET",)),
    "405 without Allow": Defect(_lacks(b"allow"), ("DELETE is known, and not for objects",)),
    "close is not said": Defect(
        _lacks(b"connection"),
        ("closed where asked, and it is said", "1.0 keeps the connection where asked, and says so"),
    ),
    "close is said and not done": Defect(
        _tells(rb"(?mi)^connection:.*\r\n", b"Connection: close\r\n"),
        ("kept by itself", "two at once", "200 after 404"),
    ),
    "nothing is kept open": Defect(
        Wrong(ask=lambda head: re.sub(rb"\r\n\r\n$", b"\r\nConnection: close\r\n\r\n", head)),
        ("kept by itself", "two at once", "an empty line between two"),
    ),
    "ranges are ignored": Defect(
        _asks(_RANGE + rb".*\r\n", b""), ("bytes=0-4 of alphabet.txt", "bytes=26- of alphabet.txt", "1.0, a range")
    ),
    "If-Range is not looked at": Defect(
        _asks(rb"(?mi)^if-range:.*\r\n", b""),
        ("If-Range with another tag", "If-Range with the tag made weak", "If-Range with a later date"),
    ),
    "weak tags are as strong ones": Defect(_asks(rb"W/", b""), ("If-Range with the tag made weak",)),
    "no Host is a host": Defect(
        Wrong(ask=lambda head: head if b"Host" in head else head.replace(b"\r\n", b"\r\nHost: test\r\n", 1)),
        ("no Host",),
    ),
    "the first of two Hosts": Defect(_asks(rb"Host: other\r\n", b""), ("two Hosts",)),
    "blanks in front of a colon": Defect(
        _asks(rb"(?m)^([A-Za-z-]+)[ \t]+:", rb"\1:"), ("a blank in front of the colon",)
    ),
    "NULs are taken away": Defect(_asks(rb"\x00", b""), ("a NUL in a value", "a NUL in the target")),
    "any version is 1.1": Defect(_asks(rb"HTTP/[0-9.a-z]+(?=\r)", b"HTTP/1.1"), ("2.0", "3.0")),
    "a body is the next request": Defect(
        _asks(rb"(?mi)^(content-length|transfer-encoding):.*\r\n", b""),
        ("GET with a body, which is no request", "a body that looks like a request", "length and chunks"),
    ),
    "404 with what was asked": Defect(
        Wrong(ask=lambda head: Reply(_ECHO % len(_SCRIPT) + _SCRIPT) if b"script" in head else head),
        ("404 does not echo what could be script",),
    ),
}

_SCRIPT = b"<script>alert(1)</script>"
_ECHO = b"HTTP/1.1 404 Not Found\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nContent-Length: %d\r\n\r\n"

DEFECTS: Mapping[str, Defect] = {**OF_MINICACHE, **OTHERS}
