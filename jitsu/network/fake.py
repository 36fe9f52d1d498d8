"""A network without a kernel, for the unit tests of policy."""

import os
from dataclasses import dataclass, field

from jitsu.network.host import Port
from jitsu.network.packet import Interest, Reader


@dataclass
class FakeChannel:
    """Keeps what is sent; `reader` is called by a test that plays the guest."""

    port: Port
    reader: Reader
    sent: list[bytes] = field(default_factory=list)
    interest: Interest = Interest.CONNECTIONS
    closed: bool = False

    def listen_for(self, interest: Interest) -> None:
        self.interest = interest

    def send(self, frame: bytes) -> None:
        if self.closed:
            raise OSError("the port is gone")
        self.sent.append(frame)

    async def close(self) -> None:
        self.closed = True


@dataclass
class FakeNetwork:
    """Same signatures as `HostNetwork`. `gates` maps a MAC to its port's name, `unused` to seconds of silence;
    `resting` are the ports of guests that rest."""

    gates: dict[str, str] = field(default_factory=dict)
    unused: dict[str, float] = field(default_factory=dict)
    channels: dict[str, FakeChannel] = field(default_factory=dict)
    ports: set[int] = field(default_factory=set)
    resting: set[int] = field(default_factory=set)
    broken: Exception | None = None

    def open_taps(self, domid: int) -> list[int]:
        if self.broken is not None:
            raise self.broken
        return [os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)]

    def plug(self, domid: int) -> Port:
        self.ports.add(domid)
        self.resting.discard(domid)
        return Port(f"fake{domid}", domid)

    def rest(self, port: Port) -> None:
        self.resting.add(port.ifindex)

    def listen(self, port: Port, interest: Interest, reader: Reader) -> FakeChannel:
        channel = FakeChannel(port, reader, interest=interest)
        self.channels[port.name] = channel
        return channel

    def open_gate(self, mac: str, port: Port) -> None:
        self.gates[mac] = port.name

    def close_gate(self, mac: str, port: Port) -> None:
        if self.gates.get(mac) == port.name:
            del self.gates[mac]

    def gate_unused(self, mac: str, port: Port) -> float | None:
        return self.unused.get(mac, 0.0) if self.gates.get(mac) == port.name else None
