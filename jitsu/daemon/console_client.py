"""A terminal, or a pipe, at a guest's console: the other end of `jitsu consoled`'s `view`."""

import json
import os
import selectors
import socket
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from jitsu.daemon.sockets import CONSOLED
from jitsu.errors import DaemonError

ESCAPE = b"\x1d"
"""Ctrl-], as in telnet and virsh."""

MOST_AT_ONCE = 16 * 1024


def view(runtime: Path, service: str, *, lines: int, raw: bool) -> socket.socket:
    """A connection that carries the console of `service`. Raises DaemonError: nobody listens, or it has none."""
    path = runtime / CONSOLED
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(str(path))
        request = {"do": "view", "service": service, "lines": lines, "raw": raw}
        connection.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(_line(connection))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        raise DaemonError(
            f"no jitsu consoled listens on {path}", hint="jitsu serve starts it; see: jitsu doctor"
        ) from None
    except PermissionError:
        connection.close()
        raise DaemonError(f"no permission to use {path}", hint="run as root, or as a member of its group") from None
    except (OSError, ValueError) as error:
        connection.close()
        raise DaemonError(f"the consoled behind {path} broke off: {error}", hint="see: jitsu doctor") from error
    if not answer["ok"]:
        connection.close()
        refused = DaemonError(answer["error"]["message"], hint=answer["error"]["hint"])
        refused.exit_code = answer["error"]["exit_code"]
        raise refused
    return connection


def _line(connection: socket.socket) -> bytes:
    """The answer, and nothing of what comes after it."""
    line = b""
    while not line.endswith(b"\n") and (byte := connection.recv(1)):
        line += byte
    return line


@contextmanager
def _keys() -> Iterator[None]:
    """Every key is passed on as it is pressed, Ctrl-C included."""
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, before)


def relay(connection: socket.socket, *, terminal: bool) -> None:
    """Join standard input and output to the console until the guest or the user ends it, or nobody reads the output.

    With `terminal`, keys are passed on as they are pressed, and `ESCAPE` leaves.
    """
    with _keys() if terminal else nullcontext(), suppress(BrokenPipeError, ConnectionResetError):
        _pass_on(connection, terminal=terminal)


def _pass_on(connection: socket.socket, *, terminal: bool) -> None:
    connection.setblocking(False)
    typed = b""
    # Unlike epoll, poll takes files too: they are always ready.
    with selectors.PollSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        selector.register(0, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if 0 in ready:
                typed = os.read(0, MOST_AT_ONCE)
                # Nothing more is read before this is on its way: the guest decides how fast it listens.
                selector.unregister(0)
                if terminal and ESCAPE in typed:
                    return
            if typed:
                with suppress(BlockingIOError):
                    typed = typed[connection.send(typed) :]
                if not typed:
                    selector.modify(connection, selectors.EVENT_READ)
                    selector.register(0, selectors.EVENT_READ)
                else:
                    selector.modify(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            with suppress(BlockingIOError):
                data = connection.recv(MOST_AT_ONCE)
                if not data:
                    return
                # In raw mode the terminal makes no carriage return of its own.
                _write(data.replace(b"\n", b"\r\n") if terminal else data)


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]
