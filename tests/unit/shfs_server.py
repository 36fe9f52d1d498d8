"""`shfs serve` as a process, and clients that see every byte of it."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SHFS = (sys.executable, "-m", "shfs.cli.main")


@dataclass(frozen=True)
class Server:
    """A server that runs: its process, and the port on which it listens."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def exchange(self, data: bytes) -> bytes:
        """Send it, close our side, and return all that comes until the server has closed its own."""
        with self.connect() as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return b"".join(received(client))

    def ask(self, data: bytes) -> list["Answer"]:
        """The responses to the requests in the data."""
        return answers(self.exchange(data))

    def get(self, target: str, *lines: str, method: str = "GET") -> "Answer":
        """The response to one request."""
        head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: test", "Connection: close", *lines, "", ""])
        return answers(self.exchange(head.encode("latin-1")), [method])[0]


@dataclass(frozen=True)
class Answer:
    """A response: status, header lines by their names in lower case, body."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(data: bytes, methods: Sequence[str] = ()) -> list[Answer]:
    """Cut a stream into responses, strictly by RFC 9112. A byte that belongs to none of them is an error."""
    found = []
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        assert mark, head
        first, *lines = head.decode("latin-1").split("\r\n")
        matched = re.fullmatch(r"HTTP/1\.1 ([1-5][0-9][0-9]) [A-Za-z -]+", first)
        assert matched, first
        status = int(matched[1])
        pairs = [re.fullmatch(r"([A-Za-z-]+): (.*\S)", line) for line in lines]
        headers = {pair[1].lower(): pair[2] for pair in pairs if pair}
        assert len(headers) == len(lines), lines
        bodiless = status in (204, 304) or (len(found) < len(methods) and methods[len(found)] == "HEAD")
        length = 0 if bodiless else int(headers["content-length"])
        assert len(data) >= length
        found.append(Answer(status, headers, data[:length]))
        data = data[length:]
    return found


def received(client: socket.socket) -> Iterator[bytes]:
    while data := client.recv(1 << 16):
        yield data


@contextlib.contextmanager
def serving(*arguments: str | Path, log: Path | None = None) -> Iterator[Server]:
    """A server on a port of its own, for as long as the block lasts; it must end well upon Ctrl-C."""
    command = [*SHFS, "serve", *map(str, arguments), "--listen", "127.0.0.1:0"]
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        first = process.stdout.readline()
        matched = re.fullmatch(r"serving http://127\.0\.0\.1:([0-9]+)/\n", first)
        assert matched, first + process.communicate(timeout=30)[1]
        yield Server(process, int(matched[1]))
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=30)
        if log is not None:
            log.write_text(printed)
        assert (process.returncode, errors) == (0, "")
