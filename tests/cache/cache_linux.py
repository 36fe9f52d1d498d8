"""cache-linux, the node as a program of this machine, under its sanitizers: started, asked, and ended."""

import contextlib
import http.client
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jitsu import artifacts

PATIENCE = 60.0


@cache
def program() -> Path:
    """It, built under the address and undefined-behaviour sanitizers."""
    return artifacts.build("cache-linux") / "sanitized" / "cache-linux"


class Refused(Exception):
    """The program does not serve; these are its words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Fields have names in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Running:
    """One that serves, and listens on a port of its own choice."""

    process: "subprocess.Popen[str]"
    host: str
    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=PATIENCE)

    def get(self, target: str, **fields: str) -> Answer:
        """The answer to one request on a connection of its own."""
        with contextlib.closing(self.connect()) as connection:
            return get(connection, target, **fields)

    def remount(self) -> str:
        """Has the table read again; what the log says of it."""
        self.process.send_signal(signal.SIGHUP)
        assert self.process.stderr is not None
        return self.process.stderr.readline().strip()


def get(connection: http.client.HTTPConnection, target: str, **fields: str) -> Answer:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    connection.request("GET", target, headers=headers)
    response = connection.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


@contextlib.contextmanager
def running(members: Sequence[Path], *options: str) -> Iterator[Running]:
    """Raises Refused if it does not serve, and AssertionError if it does not end as it should: a sanitizer has found
    something then."""
    arguments = [argument for member in members for argument in ("--volume", str(member))]
    process = subprocess.Popen(
        [program(), *arguments, "--listen", "127.0.0.1:0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        host, _, port = process.stdout.readline().strip().removeprefix("listening on ").rpartition(":")
        if not host:
            raise Refused(process.stderr.read())
        assert process.stderr.readline().startswith("mounted: ")
        yield Running(process, host, int(port))
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def refusal(*arguments: str) -> tuple[int, str]:
    """Exit code and words of one that does not serve."""
    done = subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stderr
