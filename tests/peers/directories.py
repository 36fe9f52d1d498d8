"""A directory on loopback for foreign programs to ask, and their answers read."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from jitsu.directory.enquiries import Done, Limits
from jitsu.directory.forwarder import Forwarder
from jitsu.directory.guestbook import Guestbook
from jitsu.directory.records import Srv, Txt
from jitsu.directory.reverse import reverse_zone
from jitsu.directory.server import DirectoryServer
from jitsu.directory.zone import Host, Zone

ZONE = Zone(
    origin="jitsu.test",
    nameservers=(("ns1.jitsu.test", "192.0.2.1"), *((f"{'x' * 50}{n}.example.org",) for n in range(12))),
    hosts={
        "web.jitsu.test": Host("web", ("10.77.0.10",), 7),
        "full.jitsu.test": Host("full", ("10.77.0.11",), 7),
        "a.deep.jitsu.test": Host("deep", ("10.77.0.12",), 0),
        "both.jitsu.test": Host("both", ("10.77.0.13", "fd77::13"), 7),
        "six.jitsu.test": Host("six", ("fd77::14",), 7),
    },
    records={
        "web.jitsu.test": [Txt("v=1"), Txt('say "hi" \\')],
        "long.jitsu.test": [Txt(f"{number}" * 250) for number in range(8)],
        "_http._tcp.web.jitsu.test": [Srv(80, "web.jitsu.test")],
    },
    ttl=300,
    minimum=60,
)
NAMES = {IPv4Address("10.77.0.10"): "web.jitsu.test", IPv4Address("10.77.0.11"): "full.jitsu.test"}
REVERSE = reverse_zone(IPv4Network("10.77.0.0/25"), ["ns1.jitsu.test"], NAMES, "hostmaster.jitsu.test", 300)
NAMES6 = {IPv6Address("fd77::13"): "both.jitsu.test"}
REVERSE6 = reverse_zone(IPv6Network("fd77::/64"), ["ns1.jitsu.test"], NAMES6, "hostmaster.jitsu.test", 300)


class Directory:
    """A server that has room for every service but those in `full`; `summoned` are those that were asked for."""

    def __init__(
        self,
        zones: Sequence[Zone] = (ZONE, REVERSE, REVERSE6),
        address: tuple[str, int] = ("127.0.0.1", 0),
        full: Sequence[str] = ("full",),
        forwarder: Forwarder | None = None,
        guestbook: Guestbook | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.summoned: list[str] = []
        self.server = DirectoryServer(
            zones, self._summon, [address], limits=limits, forwarder=forwarder, guestbook=guestbook
        )
        self._full = full

    @property
    def port(self) -> int:
        return self.server.listening[0][1]

    def _summon(self, service: str, client: str, arrived: float, done: Done) -> None:
        self.summoned.append(service)
        asyncio.get_running_loop().call_soon(done, service not in self._full)


@asynccontextmanager
async def serving(directory: Directory) -> AsyncIterator[Directory]:
    await directory.server.start()
    try:
        yield directory
    finally:
        await directory.server.stop()


async def run(*command: str) -> str:
    """What a program prints. It must end well."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    return text


async def dig(port: int, *arguments: str) -> str:
    text = await run("dig", "-p", str(port), "@127.0.0.1", "+tries=1", "+time=3", "+nocookie", *arguments)
    # The one complaint that is in order: nobody recurses here.
    rest = text.replace(";; WARNING: recursion requested but not available", "")
    assert ";; warning" not in rest.lower(), rest
    return text


async def kdig(port: int, *arguments: str) -> str:
    text = await run("kdig", "-p", str(port), "@127.0.0.1", "+retry=0", "+timeout=3", "+noidn", *arguments)
    assert ";; WARNING" not in text
    assert ";; ERROR" not in text
    return text


def status(text: str) -> str:
    found = re.search(r"status: (\w+)", text)
    assert found, text
    return found[1]


def flags(text: str) -> set[str]:
    found = re.search(r";; flags: ([a-z ]*);", text, re.IGNORECASE)
    assert found, text
    return set(found[1].split())


def records(text: str) -> set[str]:
    """The records of all sections, one line each, with single spaces."""
    return {" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith(";")}
