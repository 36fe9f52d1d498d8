"""What a request is answered: objects, redirections, pages (RFC 9110)."""

import html
import re
import secrets
import time
from urllib.parse import quote

from shfs.errors import InputError, ShfsError
from shfs.http.conditions import failed_precondition, range_is_meant, validators_of
from shfs.http.message import Piece, Refusal, Request, Response, http_date, page
from shfs.http.ranges import content_range, end_of_parts, parse_ranges, part_head
from shfs.http.target import ByDigest, ByName, DefaultObject, Wanted, WholeServer, parse_target
from shfs.live import LiveVolume
from shfs.volume import StoredObject, Volume

_ALLOW = ("Allow", "GET, HEAD, OPTIONS")
_METHODS = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "CONNECT", "TRACE", "PATCH"}
"""Those that are answered, and those that are known and are not for objects that nobody can change."""

_OF_A_FIELD = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?")
_OF_A_URL = "%!#$&'()*+,/:;=?@[]~"


class Site:
    """A volume as a web site. It is looked at again for each request."""

    def __init__(self, live: LiveVolume) -> None:
        self._live = live

    def answer(self, request: Request) -> Response:
        """The response, which is to be closed."""
        try:
            wanted = _understood(request)
            if request.method == "OPTIONS":
                return Response(204, [_ALLOW, ("Accept-Ranges", "bytes")])
            lease = self._live.lease()
        except Refusal as refusal:
            return refusal.response()
        except ShfsError as error:
            return failure(error)
        try:
            response = _answer(lease.volume, wanted, request)
        except Refusal as refusal:
            response = refusal.response()
        except ShfsError as error:
            response = failure(error)
        except BaseException:
            lease.close()
            raise
        response.lease = lease
        return response


def failure(error: ShfsError) -> Response:
    """The page for a volume that cannot be read: what a command would print."""
    return Refusal(500, f"{error.message}. {error.hint}".strip()).response()


def address_of(item: StoredObject, volume: Volume) -> str:
    """The path under which the object is found: its name where that leads to it, else its digest. Browsers resolve
    dots, and leading slashes are taken off here: nobody could ask for such names."""
    first = volume.named(item.name)
    readable = item.name and not item.name.startswith("/") and not {".", ".."} & set(item.name.split("/"))
    if readable and first is not None and first.slot == item.slot:
        return f"/{quote(item.name.encode('utf-8', 'surrogateescape'))}"
    return f"/?{item.digest.hex()}"


def _understood(request: Request) -> Wanted:
    if request.method not in _METHODS:
        raise Refusal(501, f"{request.method} is no method that is known here.")
    if request.method not in _ALLOW[1].split(", "):
        raise Refusal(405, f"{request.method} is not for objects of a volume, which is read only.", _ALLOW)
    wanted = parse_target(request.target)
    if isinstance(wanted, WholeServer) and request.method != "OPTIONS":
        raise Refusal(400, "* is a target of OPTIONS only.")
    return wanted


def _answer(volume: Volume, wanted: Wanted, request: Request) -> Response:
    item = _found(volume, wanted)
    if item is None and isinstance(wanted, DefaultObject):
        return _listing(volume)
    if item is None:
        raise Refusal(404, "Element not found: the volume has no such object.")
    if item.link is not None:
        return _redirection(item)
    return _file(volume, item, request)


def _found(volume: Volume, wanted: Wanted) -> StoredObject | None:
    if isinstance(wanted, ByDigest):
        return volume.find(wanted.digest)
    if isinstance(wanted, ByName):
        try:
            return volume.named(wanted.name)
        except InputError:
            return None
    return volume.default


def _file(volume: Volume, item: StoredObject, request: Request) -> Response:
    volume.check_run(item)
    now = int(time.time())
    validators = validators_of(volume, item, now)
    common = [("ETag", validators.tag), ("Cache-Control", "no-cache")]
    failed = failed_precondition(request.headers, validators)
    if failed == 304:
        return Response(304, common)
    if failed is not None:
        raise Refusal(failed, "The object is not the one that the request speaks of.")
    mime = item.mime if _OF_A_FIELD.fullmatch(item.mime) else "application/octet-stream"
    headers = [*common, ("Last-Modified", http_date(validators.modified)), ("Accept-Ranges", "bytes")]
    if _OF_A_FIELD.fullmatch(item.encoding):
        headers.append(("Content-Encoding", item.encoding))
    # Range has a meaning for GET alone (RFC 9110, 14.2).
    ranges = None
    if request.method == "GET" and range_is_meant(request.headers, validators):
        ranges = parse_ranges(request.headers.get("range"), item.size)
    body: list[bytes | Piece]
    if ranges is None:
        status, body = 200, [Piece(item, 0, item.size)]
    elif not ranges:
        raise Refusal(416, f"The object has {item.size} bytes.", ("Content-Range", f"bytes */{item.size}"))
    elif len(ranges) == 1:
        status, body = 206, [Piece(item, *ranges[0])]
        headers.append(("Content-Range", content_range(ranges[0], item.size)))
    else:
        boundary = secrets.token_hex(16)
        status, body = 206, []
        for part in ranges:
            body += [part_head(part, item.size, mime, boundary), Piece(item, *part)]
        body.append(end_of_parts(boundary))
        mime = f"multipart/byteranges; boundary={boundary}"
    headers += [("Content-Type", mime), ("Content-Length", str(sum(map(len, body))))]
    return Response(status, headers, body)


def _redirection(item: StoredObject) -> Response:
    """307 to the target. A cache would fetch the stream of a raw or auto link and clone it for its clients; here the
    client is sent to the source, and told of what it would get otherwise."""
    if item.link is None or not item.link.host_text:
        raise Refusal(500, "The link has no host: the volume is damaged.")
    location = quote(item.link.url.encode("utf-8", "surrogateescape"), safe=_OF_A_URL)
    text = f'<p>The object is a link to <a href="{html.escape(location)}">{html.escape(location)}</a>.</p>'
    if item.type != "redirect":
        text += f"\n<p>A cache would clone the stream ({item.type}); this server sends you to its source.</p>"
    return page(307, text, ("Location", location), ("SHFS-Link", item.type))


def _listing(volume: Volume) -> Response:
    """What is there to be asked for, where the volume has no default object."""
    rows = []
    for item in volume.objects():
        what = f"link ({item.type})" if item.link else item.mime
        size = "" if item.link else str(item.size)
        shown = item.name or f"?{item.digest.hex()}"
        cells = (f'<a href="{html.escape(address_of(item, volume))}">{html.escape(shown)}</a>', size, html.escape(what))
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    note = f"<p>The volume has no default object; it has {len(rows)} objects.</p>"
    return page(200, "\n".join([note, "<table>", *rows, "</table>"]), title=f"Volume {volume.name}")
