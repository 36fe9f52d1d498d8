"""Asking a running daemon: the other end of the control socket."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from jitsu.daemon.sockets import CONTROL
from jitsu.errors import DaemonError


def ask(runtime: Path, do: str, **fields: Any) -> Any:
    """Send one request and return its result. Raises DaemonError: nobody listens, or the daemon refused."""
    path = runtime / CONTROL
    with _asking(path, do, fields) as stream:
        answer = json.loads(stream.readline() or b"null")
    if answer is None:
        raise DaemonError(f"the daemon behind {path} hung up without an answer", hint="look at its log")
    return _result(path, answer)


def follow(runtime: Path, do: str, **fields: Any) -> Iterator[Any]:
    """Send one request that is answered with a stream, and give each of its results as it comes, until the daemon
    ends. Raises DaemonError as `ask` does."""
    path = runtime / CONTROL
    with _asking(path, do, fields) as stream:
        for line in stream:
            yield _result(path, json.loads(line))


@contextmanager
def _asking(path: Path, do: str, fields: dict[str, Any]) -> Iterator[BinaryIO]:
    """A request on its way, and what comes back for it."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            connection.sendall(json.dumps({"do": do, **fields}).encode() + b"\n")
            with connection.makefile("rb") as stream:
                yield stream
    except (FileNotFoundError, ConnectionRefusedError):
        raise DaemonError(
            f"no jitsu serve listens on {path}", hint="start it with: jitsu serve -c jitsu.toml"
        ) from None
    except PermissionError:
        raise DaemonError(f"no permission to use {path}", hint="run as root, or as a member of its group") from None
    except (OSError, ValueError) as error:
        raise DaemonError(f"the daemon behind {path} broke off: {error}", hint="look at its log") from error


def _result(path: Path, answer: Any) -> Any:
    """What an answer says. Raises DaemonError for a refusal, and for what is no answer."""
    try:
        if answer["ok"]:
            return answer["result"]
        refusal = answer["error"]
        refused = DaemonError(refusal["message"], hint=refusal["hint"])
        refused.exit_code = refusal["exit_code"]
    except (KeyError, TypeError) as error:
        raise DaemonError(
            f"the daemon behind {path} does not speak our language", hint="is it of another version? restart it"
        ) from error
    raise refused
