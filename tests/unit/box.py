"""A whole box without a kernel, for the tests of the summoner: fake network, fake driver, and a real sentinel.

The sentinel has one end of a socket pair; the other end, `Box.wire`, is the network as clients see it.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path

from jitsu.config import Ipv6Config, LimitsConfig, NetworkConfig, ServiceConfig
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Domain, DomainEvent, Ending, Happening, Listener
from jitsu.domains.fake import Behaviour, FakeDriver
from jitsu.errors import JitsuError
from jitsu.network.fake import FakeChannel, FakeNetwork
from jitsu.network.frames import (
    RST,
    SYN,
    mac_bytes,
    read_segment,
    tcp_segment,
)
from jitsu.network.host import Port
from jitsu.network.neighbours import enquiry, read_enquiry
from jitsu.network.packet import Interest
from jitsu.summon.admission import Budget
from jitsu.summon.doorman import Doorman
from jitsu.summon.summoner import Summoner
from jitsu.synjitsu.sentinel import Sentinel
from jitsu.trace import TraceRecord

MIB = 1 << 20
CLIENT_MAC = bytes.fromhex("02000000aa01")
CLIENT, STRANGER = bytes([10, 77, 0, 200]), bytes([203, 0, 113, 5])
CLIENT6, LINK_LOCAL6, STRANGER6 = (IPv6Address(text).packed for text in ("fd77::c8", "fe80::c8", "2001:db8::5"))
NETWORK = NetworkConfig(
    bridge="jitsu0",
    address=IPv4Interface("10.77.0.1/24"),
    gateway=IPv4Address("10.77.0.1"),
    uplink="",
    existing=False,
    probe=IPv4Address("10.77.0.254"),
    ipv6=Ipv6Config(IPv6Interface("fd77::1/64"), IPv6Address("fd77::1"), IPv6Address("fd77::fffe")),
)
LIMITS = LimitsConfig(
    memory=512 * MIB,
    guests=8,
    vcpus=256,
    boot=15.0,
    summons=0,
    answers=0,
    uids=range(0),
    knocks=0,
    client_knocks=0,
    held=4096,
    strangers=100,
)
"""No flood is feared here."""
NEVER = Behaviour(ready_after=None)


def service(name: str, last: int, ready: str = "told") -> ServiceConfig:
    return ServiceConfig(
        name=name,
        kernel=Path("/boot") / name,
        address=IPv4Address(f"10.77.0.{last}"),
        mac=f"52:54:00:00:00:{last:02x}",
        memory=16 * MIB,
        vcpus=1,
        initrd=None,
        cmdline="quiet",
        machine="",
        ready=ready,
        port=80,
        names=(name,),
        ttl=60,
        idle=60.0,
        linger=3600.0,
    )


HELLO = replace(service("hello", 10), address6=IPv6Address("fd77::10"))
WORLD, PROBED = service("world", 11), service("probed", 12, ready="probe")


async def eventually(holds: Callable[[], bool]) -> None:
    """Let the loop go round until it is so."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0)


async def settled() -> None:
    """Let everything happen that only waits for its turn."""
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class Journal(FakeNetwork):
    """A fake network that notes in which order gate and channels are used. `locked` keeps the gate shut."""

    done: list[str] = field(default_factory=list)
    locked: OSError | None = None

    def listen(self, port: Port, interest: Interest, reader: Callable[[bytes, bool], None]) -> FakeChannel:
        channel = super().listen(port, interest, reader)
        send = channel.send

        def noted(frame: bytes) -> None:
            send(frame)
            self.done.append("enquiry" if read_enquiry(frame) else "frame")

        channel.send = noted  # type: ignore[method-assign]
        return channel

    def open_gate(self, mac: str, port: Port) -> None:
        if self.locked is not None:
            raise self.locked
        super().open_gate(mac, port)
        self.done.append("open")

    def close_gate(self, mac: str, port: Port) -> None:
        super().close_gate(mac, port)
        self.done.append("close")


class Monitors(FakeDriver):
    """A fake driver whose domains can be slow to end, or not end in good order."""

    def __init__(self, listener: Listener, done: list[str]) -> None:
        super().__init__(listener)
        self.done = done
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.complaint: JitsuError | None = None

    async def destroy(self, domain: Domain, patience: float = 0.0) -> Ending:
        await self.may_end.wait()
        ending = await super().destroy(domain, patience)
        self.done.append("destroy")
        if self.complaint is not None:
            raise self.complaint
        return ending


class Box:
    """A whole box without a kernel: summoner, fake network, fake driver, and a sentinel on one end of a wire."""

    def __init__(self, sentinel: int, wire: socket.socket, boot_limit: float, others: dict[str, ServiceConfig]) -> None:
        self.wire = wire
        self.network = Journal()
        self.driver = Monitors(self._happened, self.network.done)
        self.budget = Budget(memory=512 * MIB, guests=8, vcpus=16)
        services = {each.name: each for each in (HELLO, WORLD, PROBED)} | others
        self.doorman = Doorman(LIMITS)
        self.store = DomainStore()
        self.summoner = Summoner(
            services, NETWORK, self.network, self.driver, self.store, self.budget, self.doorman, boot_limit=boot_limit
        )
        self.summoner.sentinel = Sentinel(sentinel, self.summoner)
        for each in services.values():
            self.summoner.sentinel.guard(each.name, each.addresses, each.mac)

    def _happened(self, event: DomainEvent) -> None:
        if event.happening is not Happening.READY:
            # Port, gate and tap die with their domain.
            self.network.done.append("end")
            gone = f"fake{event.domain.domid}"
            self.network.gates = {mac: port for mac, port in self.network.gates.items() if port != gone}
            if gone in self.network.channels:
                self.network.channels[gone].closed = True
        self.summoner.happened(event)

    def ask(self, name: str = "hello") -> list[bool]:
        """A DNS question; the list gets the answer."""
        answers: list[bool] = []
        self.summoner.question(name, "10.77.0.200", asyncio.get_running_loop().time(), answers.append)
        return answers

    def knock(self, number: int = 1000, *, name: str = "hello", client: bytes = CLIENT) -> bytes:
        """A SYN at the sentinel."""
        frame = packet(SYN, name=name, client=client, number=number)
        segment = read_segment(frame)
        assert segment is not None
        self.summoner.knocked(name, segment, frame)
        return frame

    def state(self, name: str = "hello") -> str:
        return self.summoner.tenant(name).row()["state"]

    def domain(self, domid: int = 1) -> Domain:
        return self.driver.running[domid]

    def guest(self, domid: int = 1) -> FakeChannel:
        return self.network.channels[f"fake{domid}"]

    def launches(self) -> list[int]:
        return [call.domid for call in self.driver.calls if call.method == "launch"]

    def trace(self, name: str = "hello") -> TraceRecord:
        return self.summoner.traces.last(1, name)[0].record()

    def resets(self) -> list[int]:
        """Which SYNs were reset, by their sequence numbers."""
        found = []
        while True:
            try:
                answer = read_segment(self.wire.recv(2048))
            except BlockingIOError:
                return found
            assert answer is not None
            assert answer.flags & RST
            found.append(answer.acknowledged - 1)

    async def sentinel_answers(self, name: str = "hello") -> bool:
        """Does the sentinel answer enquiries in the service's name?"""
        address = self.summoner.tenant(name).service.addresses[0].packed
        self.wire.send(enquiry(CLIENT_MAC, CLIENT, address))
        await settled()
        try:
            return bool(self.wire.recv(2048))
        except BlockingIOError:
            return False

    async def serve(self, name: str = "hello") -> None:
        await self.summoner.start(name)


def own_address(client: bytes, service: ServiceConfig = HELLO) -> bytes:
    """Where this client meets the service: its address of the same IP version."""
    (found,) = (each.packed for each in service.addresses if len(each.packed) == len(client))
    return found


def packet(flags: int, *, name: str = "hello", client: bytes = CLIENT, number: int = 1000) -> bytes:
    target = {each.name: each for each in (HELLO, WORLD, PROBED)}[name]
    return tcp_segment(
        CLIENT_MAC,
        mac_bytes(target.mac),
        (client, 40000),
        (own_address(client, target), 80),
        sequence=number,
        flags=flags,
    )


def from_guest(frame: bytes, flags: int) -> bytes:
    """The guest's answer to a frame."""
    segment = read_segment(frame)
    assert segment is not None
    return tcp_segment(
        segment.target_mac,
        segment.source_mac,
        (segment.target, segment.target_port),
        (segment.source, segment.source_port),
        sequence=1,
        acknowledged=(segment.sequence + 1) & 0xFFFFFFFF,
        flags=flags,
    )


@asynccontextmanager
async def boxed(boot_limit: float = 30.0, **others: ServiceConfig) -> AsyncIterator[Box]:
    """A box, and the certainty that closing it leaves nothing behind. `others` are in place of its own services."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        box = Box(ours.fileno(), theirs, boot_limit, others)
        box.summoner.sentinel.start()
        yield box
        box.summoner.sentinel.stop()
        box.driver.may_end.set()
        await box.summoner.close()
        assert box.driver.running == {}, "a domain is left"
        assert box.network.gates == {}, "a gate is left open"
        assert box.budget.guests_used == 0, "somebody's share was not given back"
        assert box.store.empty, "a domain is left in the store"
