"""The server: listens, gives each client a connection, and ends when it is told to."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from shfs.errors import HostError, InputError
from shfs.http.connection import Connection, Log
from shfs.http.site import Site
from shfs.live import LiveVolume

PATIENCE = 60.0


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPv6]:PORT`, `:PORT` (any address). Raises InputError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    valid = colon and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535 and (bracketed or ":" not in host)
    with suppress(UnicodeError):
        if valid:
            host.encode("idna")
            return host.strip("[]"), int(port)
    raise InputError(
        f"{text!r} is no address to listen on",
        hint="HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080; port 0 is a free one",
    )


def serve(
    paths: Sequence[str], listen: str, *, say: Callable[[str], None], log: Log, patience: float = PATIENCE
) -> None:
    """Serve a volume until SIGINT or SIGTERM. `say` is told the URL once connections are accepted.

    Raises InputError for the address, HostError if it cannot be listened on, and what `Volume.open` raises.
    """
    host, port = parse_listen(listen)
    live = LiveVolume(paths)
    try:
        asyncio.run(_serve(live, host, port, say, log, patience))
    finally:
        live.close()


async def _serve(live: LiveVolume, host: str, port: int, say: Callable[[str], None], log: Log, patience: float) -> None:
    site = Site(live)
    clients: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            clients.add(task)
            task.add_done_callback(clients.discard)
        with suppress(asyncio.CancelledError):
            await Connection(reader, writer, site, log, patience).serve()

    try:
        server = await asyncio.start_server(accepted, host or None, port)
    except OSError as error:
        # asyncio puts a sentence of its own around the system's.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise HostError(
            f"{url(host, port)} cannot be listened on: {reason}",
            hint="another program may have the port, or the address is not this machine's: --listen HOST:PORT",
        ) from None
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    say(url(host, server.sockets[0].getsockname()[1]))
    await told.wait()
    server.close()
    for task in clients:
        task.cancel()
    if clients:
        await asyncio.wait(clients)


def url(host: str, port: int) -> str:
    """The URL of the volume; a server that listens on any address is told by `localhost`."""
    shown = f"[{host}]" if ":" in host else host or "localhost"
    return f"http://{shown}{'' if port == 80 else f':{port}'}/"


def access_line(client: str, line: str, status: int, sent: int) -> str:
    """A line of an access log as most servers write it: the common log format."""
    when = time.strftime("%d/%b/%Y:%H:%M:%S %z")
    safe = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'{client} - - [{when}] "{safe}" {status} {sent or "-"}'
