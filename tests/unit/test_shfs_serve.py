"""`shfs serve`: the protocol, byte by byte."""

import asyncio
import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from shfs import Volume, mkfs
from shfs.http.connection import BODY_LIMIT, HEAD_LIMIT, TARGET_LIMIT, Connection
from shfs.http.site import Site
from shfs.live import LiveVolume
from tests.unit.shfs_server import SHFS, Server, answers, received, serving

BIG = os.urandom(5 << 20)
PAGE = b"<h1>Hello</h1>\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    (folder / "big").write_bytes(BIG)
    (folder / "index.html").write_bytes(PAGE)
    with (folder / "v.img").open("wb") as blank:
        blank.truncate(24 << 20)
    mkfs([str(folder / "v.img")], buckets=64)
    with Volume.open([str(folder / "v.img")], write=True) as volume, volume.batch() as batch:
        batch.add(folder / "big")
        batch.set_default(batch.add(folder / "index.html", mime="text/html").digest)
    return folder / "v.img"


@pytest.fixture(scope="module")
def server(image: Path) -> Iterator[Server]:
    with serving(image, "--quiet") as running:
        yield running


def test_a_response_to_the_byte(server: Server) -> None:
    data = server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert re.fullmatch(
        rb"HTTP/1\.1 200 OK\r\n"
        rb"Date: [A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT\r\n"
        rb"Server: shfs\r\n"
        rb'ETag: "[0-9a-f]{64}"\r\n'
        rb"Cache-Control: no-cache\r\n"
        rb"Last-Modified: [^\r]+ GMT\r\n"
        rb"Accept-Ranges: bytes\r\n"
        rb"Content-Type: text/html\r\n"
        rb"Content-Length: 15\r\n"
        rb"\r\n"
        rb"<h1>Hello</h1>\n",
        data,
    )
    answer = answers(data)[0]
    assert abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()) < 60


def test_requests_that_come_together_are_answered_in_their_order(server: Server) -> None:
    requests = [b"GET /big", b"GET /", b"HEAD /big", b"GET /nothing", b"OPTIONS *", b"GET /big"]
    stream = b"".join(request + b" HTTP/1.1\r\nHost: x\r\n\r\n" for request in requests)

    found = answers(server.exchange(stream), ["GET", "GET", "HEAD", "GET", "OPTIONS", "GET"])

    assert [answer.status for answer in found] == [200, 200, 200, 404, 204, 200]
    assert [answer.body for answer in (found[0], found[1], found[2], found[5])] == [BIG, PAGE, b"", BIG]
    assert found[2].headers["content-length"] == str(len(BIG))


def test_a_connection_is_kept_and_may_be_given_up(server: Server) -> None:
    with server.connect() as client:
        for _ in range(3):
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            data = b""
            while not data.endswith(PAGE):
                data += client.recv(4096)
            assert len(answers(data)) == 1
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        (last,) = answers(b"".join(received(client)))
    assert last.headers["connection"] == "close"


@pytest.mark.parametrize("separator", [b"\r\n", b"\n"])
async def test_a_request_may_come_in_single_bytes_after_empty_lines(image: Path, separator: bytes) -> None:
    request = separator * 3 + separator.join([b"GET / HTTP/1.1", b"Host: x", b"Connection: close", b"", b""])
    live = LiveVolume([str(image)])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), timeout=30)
        ours, _ = listener.accept()
    _, writer = await asyncio.open_connection(sock=ours)
    reader = asyncio.StreamReader()
    serving_it = asyncio.create_task(Connection(reader, writer, Site(live), lambda *_: None, 30).serve())
    for byte in request:
        reader.feed_data(bytes([byte]))
        # So often a reader is woken before it has what was fed.
        for _ in range(4):
            await asyncio.sleep(0)
    reader.feed_eof()
    await serving_it
    with theirs:
        (answer,) = answers(b"".join(received(theirs)))
    live.close()
    assert (answer.status, answer.body) == (200, PAGE)


def test_http_1_0_needs_no_host_and_ends_the_connection(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        (answer,) = answers(b"".join(received(client)))
    assert (answer.status, answer.body, answer.headers["connection"]) == (200, PAGE, "close")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect: coffee\r\n\r\n", 417),
        (b"GET /" + b"a" * TARGET_LIMIT + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
    ],
)
def test_what_is_not_well_formed_is_answered_once_and_ends_the_connection(
    server: Server, request_bytes: bytes, status: int
) -> None:
    # What follows is no request: where the first one ends is not known.
    data = server.exchange(request_bytes + b"GET / HTTP/1.1\r\nHost: smuggled\r\n\r\n")

    (answer,) = answers(data)
    assert answer.status == status
    assert answer.headers["connection"] == "close"
    assert f"<h1>{status} ".encode() in answer.body


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", 400),
        (b"GET /" + b"a" * HEAD_LIMIT, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * HEAD_LIMIT, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * HEAD_LIMIT, 431),
    ],
)
def test_what_is_not_finished_or_too_much_is_answered_once(server: Server, request_bytes: bytes, status: int) -> None:
    (answer,) = server.ask(request_bytes)

    assert (answer.status, answer.headers["connection"]) == (status, "close")


@pytest.mark.parametrize("target", ["*", "index.html", "/#", "http:///"])
def test_a_target_that_is_none_is_answered_and_the_next_request_too(server: Server, target: str) -> None:
    found = server.ask(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert [answer.status for answer in found] == [400, 200]


def test_a_longest_target_is_looked_up(server: Server) -> None:
    assert server.get("/" + "a" * (TARGET_LIMIT - 1)).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nGET /",
        b"Content-Length: 5, 5\r\n\r\nGET /",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
        b"Content-Length: 1000000\r\n\r\n" + bytes(1_000_000),
    ],
)
def test_the_body_of_a_request_is_passed_over(server: Server, body: bytes) -> None:
    first = b"GET / HTTP/1.1\r\nHost: x\r\n" + body

    found = server.ask(first + b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")

    assert [(answer.status, answer.body) for answer in found] == [(200, PAGE), (200, BIG)]


def test_who_waits_for_100_continue_is_answered_at_once(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        (answer,) = answers(b"".join(received(client)))
    assert (answer.status, answer.headers["connection"]) == (405, "close")


@pytest.mark.parametrize("length", [BODY_LIMIT + 1, 8 * BODY_LIMIT])
def test_who_sends_on_after_a_refusal_gets_it_all_the_same(server: Server, length: int) -> None:
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length
    with server.connect() as client:
        client.sendall(head + bytes(length))
        (answer,) = answers(b"".join(received(client)))
    assert (answer.status, answer.headers["connection"]) == (413, "close")


def test_http_1_0_cannot_expect(server: Server) -> None:
    (answer,) = server.ask(b"GET / HTTP/1.0\r\nExpect: coffee\r\n\r\n")

    assert answer.status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT"])
def test_methods_that_are_not_for_a_volume(server: Server, method: str) -> None:
    target = "h:80" if method == "CONNECT" else "/"
    found = server.ask(f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert [answer.status for answer in found] == [405, 200]
    assert found[0].headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["PROPFIND", "get", "G-E-T"])
def test_methods_that_nobody_knows(server: Server, method: str) -> None:
    assert server.get("/", method=method).status == 501


@pytest.mark.parametrize("target", ["*", "/", "/nothing", "http://x/"])
def test_options(server: Server, target: str) -> None:
    answer = server.get(target, method="OPTIONS")

    assert (answer.status, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    assert "content-length" not in answer.headers


def test_a_connection_that_would_be_another_protocol_stays_http(server: Server) -> None:
    answer = server.get("/", "Upgrade: websocket")

    assert (answer.status, answer.body) == (200, PAGE)


def test_a_client_of_the_standard_library(server: Server) -> None:
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for target, body in (("/", PAGE), ("/big", BIG), ("/index.html", PAGE)):
        client.request("GET", target)
        response = client.getresponse()
        assert (response.status, response.read()) == (200, body)
    client.close()


def test_clients_that_read_nothing_hold_nobody_up(server: Server) -> None:
    slow = [server.connect() for _ in range(20)]
    for client in slow:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
    half = server.connect()
    half.sendall(b"GET / HTT")

    assert server.get("/big").body == BIG

    slow[0].shutdown(socket.SHUT_WR)
    assert [answer.body for answer in answers(b"".join(received(slow[0])))] == [BIG] * 10
    for client in (*slow, half):
        client.close()
    assert server.get("/").body == PAGE


@dataclass(frozen=True)
class Impatient:
    """A server that waits for a tenth of a second only, and whether a connection of it has ended."""

    port: int
    ended: asyncio.Event


@pytest.fixture
async def impatient(image: Path) -> AsyncIterator[Impatient]:
    live = LiveVolume([str(image)])
    site = Site(live)
    ended = asyncio.Event()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(reader, writer, site, lambda *_: None, 0.1).serve()
        ended.set()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    yield Impatient(server.sockets[0].getsockname()[1], ended)
    server.close()
    await server.wait_closed()
    live.close()


@pytest.mark.parametrize(
    ("begun", "statuses"),
    [
        (b"", []),
        (b"\r\n", []),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", [200]),
        (b"GET / HTTP/1.1\r\nHo", [408]),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", [200, 408]),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabc", [408]),
    ],
)
async def test_who_does_not_go_on_is_not_waited_for(impatient: Impatient, begun: bytes, statuses: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    writer.write(begun)

    data = await asyncio.wait_for(reader.read(), 30)

    assert [answer.status for answer in answers(data)] == statuses
    writer.close()


async def test_who_takes_nothing_is_not_waited_for(impatient: Impatient) -> None:
    # The buffers of a system hold a few megabytes, and this is 50.
    with socket.create_connection(("127.0.0.1", impatient.port)) as client:
        client.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 10)

        await asyncio.wait_for(impatient.ended.wait(), 30)


def test_what_is_printed(image: Path, tmp_path: Path) -> None:
    with serving(image, log=tmp_path / "log") as server:
        server.get('/index.html?x="y"')
        server.get("/nothing", method="HEAD")
        server.exchange(b"nonsense\r\n\r\n")

    lines = (tmp_path / "log").read_text().splitlines()
    shape = re.compile(
        r'127\.0\.0\.1 - - \[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}\] "(.*)" ([0-9]+) (.+)'
    )
    found = [matched.groups() if (matched := shape.fullmatch(line)) else line for line in lines]
    assert found[0] == (r"GET /index.html?x=\"y\" HTTP/1.1", "200", "15")
    assert found[1] == ("HEAD /nothing HTTP/1.1", "404", "-")
    assert found[2][:2] == ("-", "400")
    assert len(found) == 3


def run(*arguments: str | Path) -> tuple[int, str]:
    ended = subprocess.run([*SHFS, "serve", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stderr


def test_a_port_that_is_taken(server: Server, image: Path) -> None:
    code, said = run(image, "--listen", f"127.0.0.1:{server.port}")

    assert code == 4
    assert said == (
        f"error: http://127.0.0.1:{server.port}/ cannot be listened on: Address already in use\n"
        " hint: another program may have the port, or the address is not this machine's: --listen HOST:PORT\n"
    )


@pytest.mark.parametrize(
    ("listen", "code", "what"),
    [
        ("192.0.2.1:0", 4, "cannot be listened on: Cannot assign requested address"),
        ("nonsense", 8, "'nonsense' is no address to listen on"),
    ],
)
def test_an_address_that_cannot_be_had(image: Path, listen: str, code: int, what: str) -> None:
    ended, said = run(image, "--listen", listen)

    assert ended == code
    first, second = said.splitlines()
    assert first.startswith("error: ")
    assert what in first
    assert second.startswith(" hint: ")


def test_no_volume(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(bytes(100))
    code, said = run(tmp_path / "empty")

    assert (code, len(said.splitlines())) == (3, 2)


def test_it_ends_under_clients_that_stay(image: Path) -> None:
    with serving(image) as server:
        idle, reading = server.connect(), server.connect()
        reading.sendall(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n" * 10)
        assert reading.recv(10) == b"HTTP/1.1 2"
    # `serving` saw it end by itself, with 0 and nothing to say.
    assert idle.recv(1) == b""
    idle.close()
    reading.close()


def test_it_ends_upon_sigterm(image: Path) -> None:
    command = [*SHFS, "serve", str(image), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("serving ")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
