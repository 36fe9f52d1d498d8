"""The hello guest: what it promises on the wire, and about itself."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from jitsu import artifacts
from jitsu.demo.stage import Stage
from jitsu.network.namespace import inside

pytestmark = pytest.mark.usefixtures("private_network")

LARGEST_IMAGE = 256 << 10


@pytest.fixture
def address(stage: Stage) -> str:
    stage.ask("start", service="www")
    return str(stage.config.services["www"].address)


@pytest.fixture
def wire(stage: Stage, address: str) -> Iterator[socket.socket]:
    """A connection to the guest."""
    with inside(stage.client):
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with connection:
        connection.settimeout(10)
        connection.connect((address, 80))
        yield connection


def answers(wire: socket.socket, request: bytes) -> bytes:
    """Everything that comes back until the guest closes."""
    wire.sendall(request)
    said = b""
    while piece := wire.recv(65536):
        said += piece
    return said


def answer(wire: socket.socket, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer; the connection stays open."""
    wire.sendall(request)
    response = http.client.HTTPResponse(wire, method=request.split(b" ")[0].decode())
    response.begin()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def test_one_connection_serves_many_requests(wire: socket.socket) -> None:
    for _ in range(50):
        status, headers, body = answer(wire, b"GET / HTTP/1.1\r\nHost: www\r\n\r\n")
        assert status == 200
        assert headers["content-type"].startswith("text/html")
        assert b"www" in body


def test_head_has_the_headers_of_get_and_no_body(wire: socket.socket) -> None:
    _, of_get, body = answer(wire, b"GET / HTTP/1.1\r\nHost: www\r\n\r\n")
    status, of_head, nothing = answer(wire, b"HEAD / HTTP/1.1\r\nHost: www\r\n\r\n")
    assert (status, nothing) == (200, b"")
    assert of_head["content-length"] == of_get["content-length"] == str(len(body))


def test_pipelined_requests_are_answered_in_order(wire: socket.socket) -> None:
    said = answers(
        wire,
        b"GET /status HTTP/1.1\r\nHost: www\r\n\r\n"
        b"GET /nosuch HTTP/1.1\r\nHost: www\r\n\r\n"
        b"GET / HTTP/1.1\r\nHost: www\r\nConnection: close\r\n\r\n",
    )
    assert re.findall(rb"HTTP/1\.1 (\d+)", said) == [b"200", b"404", b"200"]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nosuch HTTP/1.1\r\nHost: www\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost www\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"DELETE / HTTP/1.1\r\nHost: www\r\nConnection: close\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nHost: www\r\nX: " + b"x" * 20000 + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_wrong_is_told_so(wire: socket.socket, request_bytes: bytes, status: bytes) -> None:
    wire.sendall(request_bytes)
    assert wire.recv(65536).split(b" ")[1] == status


def test_echo_returns_what_it_was_sent(wire: socket.socket) -> None:
    body = os.urandom(20_000)
    head = f"POST /echo HTTP/1.1\r\nHost: www\r\nContent-Length: {len(body)}\r\n\r\n"
    assert answer(wire, head.encode() + body)[2] == body
    chunked = b"POST /echo HTTP/1.1\r\nHost: www\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer(wire, chunked + b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n")[2] == b"hello world"


def test_a_slow_answer_holds_up_nobody_else(stage: Stage, address: str, wire: socket.socket) -> None:
    wire.sendall(b"GET /slow?ms=1500 HTTP/1.1\r\nHost: www\r\n\r\n")
    quick = _in_client(
        stage, "curl", "-sS", "--max-time", "1", "-o", "/dev/null", "-w", "%{http_code}", f"http://{address}/"
    )
    assert quick == "200"
    assert wire.recv(65536).startswith(b"HTTP/1.1 200")


def test_the_status_page_tells_its_boot(wire: socket.socket) -> None:
    _, headers, body = answer(wire, b"GET /status HTTP/1.1\r\nHost: www\r\n\r\n")
    status = json.loads(body)
    assert headers["content-type"].startswith("application/json")
    assert status["name"] == "www"
    assert list(status["boot_us"]) == ["entry", "devices", "network", "ready"]
    assert list(status["boot_us"].values()) == sorted(status["boot_us"].values())


def test_two_boots_differ_in_what_must_be_random(stage: Stage, address: str) -> None:
    first = json.loads(_in_client(stage, "curl", "-sS", f"http://{address}/status"))
    stage.ask("stop", service="www")
    stage.ask("start", service="www")
    second = json.loads(_in_client(stage, "curl", "-sS", f"http://{address}/status"))
    assert first["boot_id"] != second["boot_id"]


def test_the_image_is_small_and_two_builds_are_the_same(hello: Path, tmp_path: Path) -> None:
    assert hello.stat().st_size < LARGEST_IMAGE
    digests = set()
    for turn in ("one", "another-place"):
        images = tmp_path / turn / "images"
        shutil.copytree(artifacts.RECIPES, images)
        out, work = tmp_path / turn / "out", tmp_path / turn / "work"
        out.mkdir()
        work.mkdir()
        environment = os.environ | {
            "OUT": str(out),
            "WORK": str(work),
            "NEED_LWIP_SOURCE": str(artifacts.build("lwip-source")),
        }
        subprocess.run(["./build"], cwd=images / "hello", env=environment, check=True, capture_output=True)
        digests.add(sha256((out / "hello.elf").read_bytes()).hexdigest())
    assert digests == {sha256(hello.read_bytes()).hexdigest()}


def _in_client(stage: Stage, *command: str) -> str:
    with inside(stage.client):
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
