"""The gate on a real bridge: who gets a frame before, while and after it moves."""

import os
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface

import pytest

from jitsu.network.bridge import BridgeSettings
from jitsu.network.host import HostNetwork, Port
from jitsu.network.netlink import Netlink, PortFlags
from jitsu.network.tap import open_tap

pytestmark = pytest.mark.usefixtures("private_network")

GUEST = "52:54:00:00:00:10"
GUEST_MAC = bytes.fromhex("525400000010")
CLIENT_MAC = bytes.fromhex("525400000099")
ORDINARY = PortFlags(learning=True, flood=True, locked=False)


@dataclass
class Wire:
    """A bridge with a sentinel, a guest's port, and a client's; each end is a tap's descriptor."""

    network: HostNetwork
    sentinel: int
    guest: int
    client: int
    port: Port

    def from_client(self, number: int) -> None:
        os.write(self.client, GUEST_MAC + CLIENT_MAC + b"\x88\xb5" + struct.pack("!I", number).ljust(46, b"\0"))

    def from_guest(self) -> None:
        os.write(self.guest, CLIENT_MAC + GUEST_MAC + b"\x88\xb5" + bytes(46))


@pytest.fixture
async def wire() -> Iterator[Wire]:
    network = HostNetwork(BridgeSettings("jt0", IPv4Interface("10.9.0.1/24"), "gate-test"))
    sentinel = await network.start()
    guest, port = network.open_taps(1)[0], network.plug(1)
    client = open_tap("client")
    netlink = Netlink()
    netlink.plug(socket.if_nametoindex("client"), socket.if_nametoindex("jt0"), ORDINARY)
    netlink.close()
    wire = Wire(network, sentinel, guest, client, port)
    _settle(wire)
    yield wire
    for fd in (client, guest, sentinel):
        os.close(fd)
    await network.stop()


def test_a_closed_gate_sends_everything_to_the_sentinel(wire: Wire) -> None:
    wire.from_client(7)
    assert _numbers(wire.sentinel) == [7]
    assert _numbers(wire.guest) == []


def test_an_open_gate_sends_everything_to_the_guest(wire: Wire) -> None:
    wire.network.open_gate(GUEST, wire.port)
    wire.from_client(8)
    assert _numbers(wire.guest) == [8]
    assert _numbers(wire.sentinel) == []


def test_a_guest_is_heard_only_through_an_open_gate(wire: Wire) -> None:
    wire.from_guest()
    assert _numbers(wire.client) == []
    wire.network.open_gate(GUEST, wire.port)
    wire.from_guest()
    assert len(_numbers(wire.client)) == 1


def test_nobody_steals_the_address_of_an_awake_guest(wire: Wire) -> None:
    wire.network.open_gate(GUEST, wire.port)
    os.write(wire.client, CLIENT_MAC[:5] + b"\x01" + GUEST_MAC + b"\x88\xb5" + bytes(46))
    wire.from_client(9)
    assert _numbers(wire.guest) == [9]


def test_what_the_sentinel_answers_teaches_the_bridge_nothing(wire: Wire) -> None:
    os.write(wire.sentinel, CLIENT_MAC + GUEST_MAC + b"\x88\xb5" + bytes(46))
    assert wire.network.gate_unused(GUEST, wire.port) is None
    wire.network.open_gate(GUEST, wire.port)
    os.write(wire.sentinel, CLIENT_MAC + GUEST_MAC + b"\x88\xb5" + bytes(46))
    wire.from_client(10)
    assert _numbers(wire.guest) == [10]


def test_traffic_falls_back_to_the_sentinel_when_the_port_dies(wire: Wire) -> None:
    wire.network.open_gate(GUEST, wire.port)
    wire.from_client(1)
    assert _numbers(wire.guest) == [1]
    os.close(wire.guest)
    wire.from_client(2)
    assert _numbers(wire.sentinel) == [2]
    wire.guest = wire.network.open_taps(2)[0]


def test_a_port_that_is_unplugged_takes_its_gate_along(wire: Wire) -> None:
    """As on Xen, where a dead guest's interface stays."""
    wire.network.open_gate(GUEST, wire.port)
    wire.network.unplug(1)
    assert wire.network.gate_unused(GUEST, wire.port) is None
    wire.from_client(3)
    assert (_numbers(wire.sentinel), _numbers(wire.guest)) == ([3], [])
    with pytest.raises(OSError, match="not supported"):
        wire.network.open_gate(GUEST, wire.port)
    # Neither one that is unplugged already nor one that is gone is an error.
    wire.network.unplug(1)
    wire.network.unplug(99)


async def test_on_xen_a_port_is_the_interface_that_netback_made() -> None:
    network = HostNetwork(BridgeSettings("jt0", IPv4Interface("10.9.0.1/24"), "gate-test"), vifs=True)
    sentinel, vif = await network.start(), open_tap("vif7.0")
    assert network.open_taps(7) == []
    assert network.plug(7).name == "vif7.0"
    os.close(vif)
    os.close(sentinel)
    await network.stop()


def test_the_kernel_tells_how_long_the_gate_is_unused(wire: Wire) -> None:
    wire.network.open_gate(GUEST, wire.port)
    time.sleep(0.3)
    unused = wire.network.gate_unused(GUEST, wire.port)
    assert unused is not None
    assert unused >= 0.25
    wire.from_client(1)
    again = wire.network.gate_unused(GUEST, wire.port)
    assert again is not None
    assert again < unused


def test_closing_a_gate_that_went_with_its_port_is_no_error(wire: Wire) -> None:
    wire.network.open_gate(GUEST, wire.port)
    os.close(wire.guest)
    wire.network.close_gate(GUEST, wire.port)
    wire.guest = wire.network.open_taps(2)[0]


def test_not_one_frame_is_lost_or_doubled_while_the_gate_moves(wire: Wire, full: bool) -> None:
    """Absent to present and back, under load: every numbered frame arrives at exactly one of guest and sentinel."""
    frames = 400_000 if full else 40_000
    seen: dict[str, Counter[int]] = {"guest": Counter(), "sentinel": Counter()}
    over = threading.Event()
    readers = [
        threading.Thread(target=_collect, args=(fd, seen[name], over))
        for name, fd in (("guest", wire.guest), ("sentinel", wire.sentinel))
    ]
    writer = threading.Thread(target=_pour, args=(wire, frames))
    for thread in (*readers, writer):
        thread.start()
    moves = 0
    while writer.is_alive():
        wire.network.open_gate(GUEST, wire.port)
        time.sleep(0.002)
        wire.network.close_gate(GUEST, wire.port)
        time.sleep(0.002)
        moves += 2
    time.sleep(0.2)
    over.set()
    for thread in readers:
        thread.join()
    arrived = seen["guest"] + seen["sentinel"]
    print(f"{frames} frames, {moves} moves, {len(seen['guest'])} to the guest, {len(seen['sentinel'])} to the sentinel")
    assert [number for number in range(frames) if arrived[number] != 1] == []
    assert min(len(seen["guest"]), len(seen["sentinel"])) > frames // 10, "the gate hardly moved"


def _pour(wire: Wire, frames: int) -> None:
    """Some 20,000 numbered frames a second: the taps' queues hold 1,000, and their readers are Python."""
    begin = time.monotonic()
    for number in range(frames):
        wire.from_client(number)
        if number % 20 == 0:
            ahead = number / 20_000 - (time.monotonic() - begin)
            if ahead > 0:
                time.sleep(ahead)


def _collect(fd: int, seen: Counter[int], over: threading.Event) -> None:
    while not over.is_set():
        if select.select([fd], [], [], 0.05)[0]:
            seen.update(_drain(fd))


def _drain(fd: int) -> list[int]:
    """The numbers of the client's frames that wait in a tap."""
    numbers = []
    while True:
        try:
            frame = os.read(fd, 2048)
        except BlockingIOError:
            return numbers
        if frame[12:14] == b"\x88\xb5":
            numbers.append(struct.unpack_from("!I", frame, 14)[0])


def _numbers(fd: int) -> list[int]:
    """What arrived, after a moment in which it could."""
    select.select([fd], [], [], 0.1)
    return _drain(fd)


def _settle(wire: Wire) -> None:
    """Wait until all ports forward: the kernel brings a new port's carrier up within some milliseconds."""
    give_up = time.monotonic() + 5
    while time.monotonic() < give_up:
        os.write(wire.client, b"\xff" * 6 + CLIENT_MAC + b"\x88\xb5" + bytes(46))
        if _numbers(wire.sentinel) and _numbers(wire.guest):
            return
    raise AssertionError("the ports do not forward")
