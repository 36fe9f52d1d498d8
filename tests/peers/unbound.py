"""A real resolver that others may ask, or that asks them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.unit.dns_clients import UdpClient, ask, bound

SERVER = """
server:
    interface: {address}@{port}
    chroot: ""
    username: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    logfile: ""
    do-daemonize: no
    num-threads: 1
    module-config: "iterator"
    do-not-query-localhost: no
"""
REST = """
remote-control:
    control-enable: no
"""


@asynccontextmanager
async def resolver(folder: Path, address: tuple[str, int], server: str, clauses: str = "") -> AsyncIterator[None]:
    """An unbound at `address`, with further lines of its server clause and further clauses."""
    config = folder / f"unbound-{address[1]}.conf"
    own = SERVER.format(address=address[0], port=address[1], folder=folder)
    config.write_text(own + server + REST + clauses)
    unbound = await asyncio.create_subprocess_exec("unbound", "-d", "-c", str(config))
    try:
        await _started(address)
        yield
    finally:
        with suppress(ProcessLookupError):
            unbound.terminate()
        await unbound.wait()


def free_port(address: str) -> int:
    with bound(socket.SOCK_DGRAM, (address, 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


async def _started(address: tuple[str, int]) -> None:
    """Ask what no board is asked until the resolver answers. What comes in while it starts may be lost."""
    for _ in range(100):
        with suppress(ConnectionRefusedError, TimeoutError), UdpClient(address) as client:
            async with asyncio.timeout(0.2):
                await client.ask(ask("localhost"))
            return
        await asyncio.sleep(0.02)
    pytest.fail("unbound does not answer; what it says is among the captured output")
