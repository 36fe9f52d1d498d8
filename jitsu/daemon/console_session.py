"""One connection to `jitsu consoled`: one JSON object a line in, one a line out, as on the daemon's control socket.

    {"do": "daemon"}                                            from here on, this connection is the daemon's
    {"do": "began", "kind": "pipe", "domid": 12, "service": "www"}   a guest was started, or adopted
    {"do": "ended", ... as `began`, "why": ...}                 answered when its last words are in the log
    {"do": "end"}                                               answered with whether consoled ends, too
    {"do": "status"}                                            {"pid": ..., "attached": ..., "consoles": ...}
    {"do": "view", "service": "www", "lines": 20, "raw": false}

After the answer to `view` the connection carries what the guest prints, beginning with the last lines that are kept,
and what is typed to it. `status` and `view` are for whoever may open the socket (the owner and the group), the others
for root and the user that consoled runs as.
"""

import asyncio
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any, Protocol, cast

from jitsu.daemon.console_view import ConsoleView
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.console_kinds import Console, console_of
from jitsu.errors import JitsuError

LONGEST_REQUEST = 4096
LONGEST_SILENCE = 10.0
"""Seconds in which the first request must have come."""

MOST_LINES = 10_000


class House(Protocol):
    """What a session needs of the consoled that it is one of."""

    keeper: ConsoleKeeper
    domains: Path
    sessions: "set[ConsoleSession]"

    def status(self) -> dict[str, Any]: ...

    def asked_to_end(self) -> bool: ...


class ConsoleSession(asyncio.Protocol):
    """Answers one connection. `is_daemon` says whether it is the one of `jitsu serve`."""

    def __init__(self, house: House) -> None:
        self.is_daemon = False
        self._house = house
        self._unread = b""
        self._view: ConsoleView | None = None
        self._transport: asyncio.Transport
        self._trusted = False
        self._silence: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._house.sessions.add(self)
        self._trusted = _user_of(transport.get_extra_info("socket")) in (0, os.geteuid())
        self._silence = asyncio.get_running_loop().call_later(LONGEST_SILENCE, self._transport.abort)

    def connection_lost(self, error: Exception | None) -> None:
        self._silence.cancel()
        self._house.sessions.discard(self)
        if self._view is not None:
            self._view.close()

    def data_received(self, data: bytes) -> None:
        if self._view is not None:
            self._view.type(data)
            return
        self._unread += data
        while self._view is None and b"\n" in self._unread and not self._transport.is_closing():
            line, _, self._unread = self._unread.partition(b"\n")
            self._silence.cancel()
            self._answer(line)
        if self._view is not None and self._unread:
            self._view.type(self._unread)
        elif len(self._unread) > LONGEST_REQUEST:
            self._transport.abort()

    def pause_writing(self) -> None:
        if self._view is None:
            # Somebody who asks and asks and does not read the answers.
            self._transport.abort()
        else:
            self._view.pause_writing()

    def resume_writing(self) -> None:
        if self._view is not None:
            self._view.resume_writing()

    def close(self) -> None:
        self._transport.close()

    def _answer(self, line: bytes) -> None:
        try:
            request = json.loads(line)
            if request["do"] == "view":
                self._show(request)
                return
            self._say(ok=True, result=self._do(request))
        except JitsuError as error:
            self._say(ok=False, error=error.as_json())
        except (ValueError, KeyError, TypeError, RecursionError):
            misshapen = JitsuError("a request is one JSON object a line", hint='as in {"do": "status"}')
            self._say(ok=False, error=misshapen.as_json())

    def _do(self, request: dict[str, Any]) -> Any:
        what = request["do"]
        if what == "status":
            return self._house.status()
        if what not in ("daemon", "began", "ended", "end"):
            raise JitsuError(f"there is no request {what!r}")
        if not self._trusted:
            raise JitsuError(f"request {what!r} is the daemon's", hint="only root and the user of consoled may do that")
        if what == "daemon":
            self.is_daemon = True
            return self._house.status()
        if what == "end":
            return self._house.asked_to_end()
        if what == "began":
            self._house.keeper.began(self._console(request))
        else:
            self._house.keeper.ended(self._console(request), str(request["why"]))
        return None

    def _console(self, request: dict[str, Any]) -> Console:
        return console_of(str(request["kind"]), self._house.domains, int(request["domid"]), str(request["service"]))

    def _show(self, request: dict[str, Any]) -> None:
        service = str(request["service"])
        lines = min(max(int(request["lines"]), 0), MOST_LINES)
        console = self._house.keeper.console_of(service)
        self._say(ok=True, result={"domid": console.files.domid})
        recent = self._house.keeper.recent(service, lines)
        self._transport.write("".join(f"{line}\n" for line in recent).encode())
        self._view = ConsoleView(self._transport, console, raw=bool(request["raw"]))

    def _say(self, **answer: Any) -> None:
        self._transport.write(json.dumps(answer).encode() + b"\n")


def _user_of(connection: socket.socket) -> int:
    """The user at the other end (SO_PEERCRED, unix(7))."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
