"""What a service manager hands to the daemon by its environment, and what it is told in return.

`NOTIFY_SOCKET` and `WATCHDOG_USEC` are sd_notify(3) and sd_watchdog_enabled(3), `LISTEN_FDS` is sd_listen_fds(3). None
of it is needed: without the variables the daemon binds its own sockets and tells nobody anything.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack

from jitsu.errors import ConfigError, HostError

log = logging.getLogger(__name__)

FIRST_DESCRIPTOR = 3
"""Where the sockets begin that are handed over (SD_LISTEN_FDS_START of sd-daemon.h)."""

STATUS_INTERVAL = 2.0
"""Seconds between two looks at whether the status line is still true."""

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class Systemd:
    """Our side of the talk with the service manager.

    The variables are taken out of `environment`, or a child could speak in our name or take our sockets for its own;
    the sockets are closed on exec for the same reason. Raises ConfigError for sockets that cannot be used, HostError
    for variables that make no sense.
    """

    def __init__(
        self, environment: MutableMapping[str, str] = os.environ, *, first_descriptor: int = FIRST_DESCRIPTOR
    ) -> None:
        told = {name: environment.pop(name) for name in _VARIABLES if name in environment}
        self._address = _address(told.get("NOTIFY_SOCKET", ""))
        watched = bool(self._address) and _is_ours(told, "WATCHDOG_PID", if_missing=True)
        self.watchdog = _number(told, "WATCHDOG_USEC") / 1e6 if watched else 0.0
        """Seconds without a sign of life after which we are killed; 0 when nobody watches."""

        self.dns: list[socket.socket] = []
        """UDP and listening TCP sockets. When there are any, they stand for `[dns] listen`."""
        self.control: socket.socket | None = None
        """The listening unix socket for the control protocol."""
        if _is_ours(told, "LISTEN_PID", if_missing=False):
            last = first_descriptor + _number(told, "LISTEN_FDS")
            self._take_sockets(range(first_descriptor, last), told.get("LISTEN_FDNAMES", "").split(":"))

    def notify(self, *assignments: str) -> None:
        """Send assignments as `READY=1` or `STATUS=...`, all in one datagram; see sd_notify(3) for what there is.

        Nobody listening is no error, and a manager that does not hear is not worth dying for: it is logged.
        """
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                # A full queue must not stop the loop that serves DNS; the next sign of life comes soon enough.
                sock.setblocking(False)
                sock.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            log.warning("the service manager cannot be told %s: %s", " ".join(assignments), error.strerror)

    async def report(self, status: Callable[[], str]) -> None:
        """Keep the status line true, until cancelled: one that changes is sent within STATUS_INTERVAL seconds."""
        said = status()
        while self._address:
            await asyncio.sleep(STATUS_INTERVAL)
            if (line := status()) != said:
                self.notify(f"STATUS={line}")
                said = line

    async def stay_alive(self) -> None:
        """Give signs of life at twice the rhythm that is asked for, until cancelled.

        They come out of the caller's event loop: one that is stuck gives none, and is killed and started anew.
        """
        while self.watchdog:
            self.notify("WATCHDOG=1")
            await asyncio.sleep(self.watchdog / 2)

    def _take_sockets(self, descriptors: range, names: list[str]) -> None:
        with ExitStack() as refused:
            for descriptor in descriptors:
                # There is a name for each of them, or for none.
                name = (names[descriptor - descriptors.start] if len(names) == len(descriptors) else "") or "unknown"
                sock = refused.enter_context(_socket(descriptor, name))
                match sock.family, sock.type:
                    case socket.AF_INET | socket.AF_INET6, socket.SOCK_DGRAM:
                        self.dns.append(sock)
                    case socket.AF_INET | socket.AF_INET6, socket.SOCK_STREAM:
                        self.dns.append(_listening(sock, name))
                    case socket.AF_UNIX, socket.SOCK_STREAM if self.control is None:
                        self.control = _listening(sock, name)
                    case _:
                        raise _unfit(sock, name, "is none that jitsu serve has a use for")
            if len({sock.type for sock in self.dns}) == 1:
                raise ConfigError(
                    f"for DNS only {'UDP' if self.dns[0].type == socket.SOCK_DGRAM else 'TCP'} was handed over",
                    hint="give the .socket unit both ListenDatagram= and ListenStream=, with the same address and port",
                )
            refused.pop_all()


def _address(notify_socket: str) -> str:
    """The address that $NOTIFY_SOCKET means: @ stands for the zero byte of an abstract one (unix(7))."""
    return "\0" + notify_socket[1:] if notify_socket.startswith("@") else notify_socket


def _is_ours(told: dict[str, str], name: str, *, if_missing: bool) -> bool:
    """Is the variable about this process? A shell in between would have handed its own on to us."""
    return _number(told, name) == os.getpid() if name in told else if_missing


def _number(told: dict[str, str], name: str) -> int:
    text = told.get(name, "0")
    if not (text.isascii() and text.isdigit()):
        raise HostError(
            f"the environment says {name}={text}, which is no number",
            hint="the service manager sets it; to start without one: env -u " + name + " jitsu serve",
        )
    return int(text)


def _socket(descriptor: int, name: str) -> socket.socket:
    """The socket behind a descriptor, from now on closed on exec."""
    try:
        os.set_inheritable(descriptor, False)
        return socket.socket(fileno=descriptor)
    except OSError as error:
        raise ConfigError(
            f"descriptor {descriptor} ({name}), handed over to jitsu serve, is no socket: {error.strerror}",
            hint="leave only ListenDatagram= and ListenStream= in the .socket unit",
        ) from error


def _listening(sock: socket.socket, name: str) -> socket.socket:
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise _unfit(sock, name, "is a connection and not a listening socket; Accept= must be no")
    return sock


def _unfit(sock: socket.socket, name: str, problem: str) -> ConfigError:
    what = f"{sock.family.name} {sock.type.name}"
    return ConfigError(
        f"descriptor {sock.fileno()} ({name}, {what}), handed over to jitsu serve, {problem}",
        hint="it takes UDP and listening TCP sockets for DNS, and one listening unix stream socket for control",
    )
