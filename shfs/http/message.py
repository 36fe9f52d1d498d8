"""A request and a response, without the bytes of the protocol."""

import html
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

from shfs.live import Lease
from shfs.volume import StoredObject

Bytes = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Request:
    """`target` as it stood in the request line; `headers` by their names in lower case, values of several lines joined
    by commas."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Piece:
    """`length` bytes of an object, from `start` on."""

    item: StoredObject
    start: int
    length: int

    def __len__(self) -> int:
        return self.length


@dataclass(slots=True)
class Response:
    """A response: `body` are its bytes, and pieces of objects of the volume that `lease` is for. Close it."""

    status: int
    headers: list[tuple[str, str]]
    body: Sequence[bytes | Piece] = ()
    lease: Lease | None = None

    @property
    def length(self) -> int:
        """Bytes of the body."""
        return sum(map(len, self.body))

    def blocks(self) -> Iterator[Bytes]:
        """The body. Raises ShfsError."""
        for part in self.body:
            if isinstance(part, bytes):
                yield part
            elif self.lease is not None:
                yield from self.lease.volume.read(part.item, part.start, part.length)

    def close(self) -> None:
        """Let go of the volume."""
        if self.lease is not None:
            self.lease.close()


class Refusal(Exception):
    """The request is answered by an error: its status, a sentence for people, further header lines."""

    def __init__(self, status: int, text: str, *headers: tuple[str, str]) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers

    def response(self) -> Response:
        """The page that says so."""
        return page(self.status, f"<p>{html.escape(self.text)}</p>", *self.headers)


def page(status: int, content: str, *headers: tuple[str, str], title: str = "") -> Response:
    """A page of our own; `content` is HTML."""
    heading = html.escape(title or f"{status} {phrase(status)}")
    text = f'<!doctype html>\n<meta charset="utf-8">\n<title>{heading}</title>\n<h1>{heading}</h1>\n{content}\n'
    body = text.encode("utf-8", "backslashreplace")
    lines = [*headers, ("Cache-Control", "no-cache"), ("Content-Type", "text/html; charset=utf-8")]
    return Response(status, [*lines, ("Content-Length", str(len(body)))], [body])


def phrase(status: int) -> str:
    """The words that go with a status."""
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return ""


def http_date(seconds: float) -> str:
    """A time as header fields have it (RFC 9110, 5.6.7): always of Greenwich."""
    return formatdate(seconds, usegmt=True)
