"""The sentinel on one end of a socket pair: any descriptor of datagrams is a tap to it."""

import asyncio
import errno
import os
import socket
import struct
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from jitsu.network.datagrams import Datagram, read_datagram
from jitsu.network.frames import (
    ACK,
    FIN,
    RST,
    SYN,
    Segment,
    mac_bytes,
    read_segment,
    reset_for,
    tcp_segment,
    with_checksum,
)
from jitsu.network.neighbours import Enquiry, announcement, answer_to, enquiry
from jitsu.synjitsu.sentinel import Sentinel, Sightings
from tests.unit import datagram_frames as frames

CLIENT_MAC = bytes.fromhex("02000000aa01")
HELLO_MAC, WORLD_MAC = "52:54:00:00:00:01", "52:54:00:00:00:02"
CLIENT, HELLO, WORLD, NOBODY = (bytes([10, 77, 0, last]) for last in (200, 10, 11, 99))
CLIENT6, HELLO6, WORLD6, NOBODY6 = (IPv6Address(f"fd77::{last}").packed for last in (200, 10, 11, 99))


async def turns(number: int) -> None:
    """Let the event loop go round."""
    for _ in range(number):
        await asyncio.sleep(0)


class Household:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.knocks: list[tuple[str, Segment, bytes]] = []
        self.strays: list[tuple[str, bytes]] = []
        self.datagrams: list[tuple[str, Datagram, bytes]] = []

    def arrived(self, service: str, datagram: Datagram, frame: bytes) -> None:
        self.datagrams.append((service, datagram, frame))

    def knocked(self, service: str, segment: Segment, frame: bytes) -> None:
        self.knocks.append((service, segment, frame))

    def strayed(self, service: str, frame: bytes) -> None:
        self.strays.append((service, frame))


class Wire:
    """The other end of the sentinel's tap."""

    def __init__(self, end: socket.socket, sentinel: Sentinel, household: Household) -> None:
        self.end, self.sentinel, self.household = end, sentinel, household

    async def carries(self, *frames: bytes) -> list[bytes]:
        """Send the frames; what the sentinel answered."""
        for frame in frames:
            self.end.send(frame)
        # The loop polls its descriptors once a turn, and callbacks of that poll run in the same turn.
        await turns(3 + len(frames) // 32)
        answers = []
        while True:
            try:
                answers.append(self.end.recv(65536))
            except BlockingIOError:
                return answers


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    household = Household()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        theirs.setblocking(False)
        sentinel = Sentinel(ours.fileno(), household)
        sentinel.guard("hello", (IPv4Address(HELLO), IPv6Address(HELLO6)), HELLO_MAC)
        sentinel.guard("world", (IPv4Address(WORLD), IPv6Address(WORLD6)), WORLD_MAC)
        sentinel.start()
        yield Wire(theirs, sentinel, household)
        sentinel.stop()


def who_has(target: bytes, *, sender: bytes | None = None, mac: bytes = CLIENT_MAC) -> bytes:
    return enquiry(mac, sender if sender is not None else CLIENT if len(target) == 4 else CLIENT6, target)


def tcp(flags: int, *, to: bytes = HELLO, mac: str = HELLO_MAC, sequence: int = 1000, acknowledged: int = 0) -> bytes:
    return tcp_segment(
        CLIENT_MAC,
        mac_bytes(mac),
        (CLIENT if len(to) == 4 else CLIENT6, 40000),
        (to, 80),
        sequence=sequence,
        acknowledged=acknowledged,
        flags=flags,
    )


def udp(to: bytes = HELLO) -> bytes:
    frame, at = tcp(SYN, to=to), 23 if len(to) == 4 else 20
    return frame[:at] + bytes([socket.IPPROTO_UDP]) + frame[at + 1 :]


over_both = pytest.mark.parametrize(
    ("client", "hello", "world", "nobody"),
    [(CLIENT, HELLO, WORLD, NOBODY), (CLIENT6, HELLO6, WORLD6, NOBODY6)],
    ids=["ipv4", "ipv6"],
)
to_both = pytest.mark.parametrize("hello", [HELLO, HELLO6], ids=["ipv4", "ipv6"])


def without_option(solicitation: bytes) -> bytes:
    """A solicitation of somebody without an address may not say who asks: the option is cut off, and the checksum
    mended."""
    message = solicitation[54:56] + bytes(2) + solicitation[58:78]
    message = with_checksum(message, 2, solicitation[22:38], solicitation[38:54], socket.IPPROTO_ICMPV6)
    return solicitation[:18] + struct.pack("!H", len(message)) + solicitation[20:54] + message


class TestEnquiries:
    """ARP and neighbour solicitations; what they look like on the wire is tested with `neighbours`."""

    @over_both
    async def test_a_sleeper_is_said_to_be_at_its_own_mac(
        self, wire: Wire, client: bytes, hello: bytes, world: bytes, nobody: bytes
    ) -> None:
        (answer,) = await wire.carries(who_has(hello))

        assert answer == answer_to(Enquiry(CLIENT_MAC, client, hello), mac_bytes(HELLO_MAC))

    @over_both
    async def test_each_sleeper_has_its_own(
        self, wire: Wire, client: bytes, hello: bytes, world: bytes, nobody: bytes
    ) -> None:
        answers = await wire.carries(who_has(world), who_has(hello))

        assert [answer[6:12] for answer in answers] == [mac_bytes(WORLD_MAC), mac_bytes(HELLO_MAC)]

    @pytest.mark.parametrize("nobody", [NOBODY, NOBODY6])
    async def test_nobody_is_answered_for_an_address_that_is_not_guarded(self, wire: Wire, nobody: bytes) -> None:
        assert await wire.carries(who_has(nobody)) == []

    @over_both
    async def test_whoever_is_awake_answers_for_itself(
        self, wire: Wire, client: bytes, hello: bytes, world: bytes, nobody: bytes
    ) -> None:
        wire.sentinel.step_aside("hello")
        awake = await wire.carries(who_has(hello))
        others = await wire.carries(who_has(world))
        wire.sentinel.step_in("hello")
        asleep_again = await wire.carries(who_has(hello))

        assert (len(awake), len(others), len(asleep_again)) == (0, 1, 1)

    async def test_a_client_that_asks_whether_a_sleeper_is_still_there_is_answered(self, wire: Wire) -> None:
        """RFC 4861 section 7.3: such a solicitation goes to the address itself."""
        (answer,) = await wire.carries(enquiry(CLIENT_MAC, CLIENT6, HELLO6, mac_bytes(HELLO_MAC)))

        assert answer == answer_to(Enquiry(CLIENT_MAC, CLIENT6, HELLO6), mac_bytes(HELLO_MAC))

    async def test_one_that_asks_that_of_a_guest_is_passed_on_if_it_strays_here(self, wire: Wire) -> None:
        wire.sentinel.step_aside("hello")
        frame = enquiry(CLIENT_MAC, CLIENT6, HELLO6, mac_bytes(HELLO_MAC))

        assert await wire.carries(frame) == []
        assert wire.household.strays == [("hello", frame)]

    async def test_a_gratuitous_request_is_no_question(self, wire: Wire) -> None:
        assert await wire.carries(who_has(HELLO, sender=HELLO)) == []

    @to_both
    async def test_a_guest_that_probes_for_its_own_address_finds_it_free(self, wire: Wire, hello: bytes) -> None:
        probe = who_has(hello, sender=bytes(len(hello)), mac=mac_bytes(HELLO_MAC))
        if hello == HELLO6:
            probe = without_option(probe)

        assert await wire.carries(probe) == []

    @to_both
    async def test_a_stranger_that_probes_for_the_address_finds_it_taken(self, wire: Wire, hello: bytes) -> None:
        probe = who_has(hello, sender=bytes(len(hello)))
        (answer,) = await wire.carries(probe if hello == HELLO else without_option(probe))

        assert answer == answer_to(Enquiry(CLIENT_MAC, bytes(len(hello)), hello), mac_bytes(HELLO_MAC))

    @over_both
    async def test_an_answer_is_no_question(
        self, wire: Wire, client: bytes, hello: bytes, world: bytes, nobody: bytes
    ) -> None:
        assert await wire.carries(answer_to(Enquiry(CLIENT_MAC, client, hello), CLIENT_MAC)) == []

    async def test_every_service_is_announced_to_those_who_wait_for_an_answer(self, wire: Wire) -> None:
        wire.sentinel.step_aside("world")
        await wire.sentinel.announce()

        assert await wire.carries() == [
            announcement(mac_bytes(HELLO_MAC), HELLO),
            announcement(mac_bytes(HELLO_MAC), HELLO6),
            announcement(mac_bytes(WORLD_MAC), WORLD),
            announcement(mac_bytes(WORLD_MAC), WORLD6),
        ]

    async def test_many_services_are_announced_in_bursts_with_a_breath_between(self, wire: Wire) -> None:
        for number in range(120):
            wire.sentinel.guard(f"s{number}", [IPv4Address(f"10.77.1.{number}")], f"52:54:00:00:01:{number:02x}")
        announcing = asyncio.create_task(wire.sentinel.announce())
        first = await wire.carries()
        await announcing

        assert len(first) == 50
        assert len(await wire.carries()) == 124 - 50


class TestTcp:
    @to_both
    async def test_a_syn_is_reported_as_it_came_and_not_answered(self, wire: Wire, hello: bytes) -> None:
        frame = tcp(SYN, to=hello)

        assert await wire.carries(frame) == []
        assert wire.household.knocks == [("hello", read_segment(frame), frame)]

    async def test_a_syn_for_whoever_is_awake_is_reported_too(self, wire: Wire) -> None:
        wire.sentinel.step_aside("hello")

        assert await wire.carries(tcp(SYN)) == []
        assert [service for service, _, _ in wire.household.knocks] == ["hello"]
        assert wire.household.strays == []

    @to_both
    @pytest.mark.parametrize("flags", [ACK, FIN | ACK, SYN | ACK, SYN | FIN, 0])
    async def test_anything_but_a_syn_is_reset_and_summons_nobody(self, wire: Wire, flags: int, hello: bytes) -> None:
        frame = tcp(flags, to=hello, acknowledged=77)

        segment = read_segment(frame)
        assert segment is not None
        assert await wire.carries(frame) == [reset_for(segment)]
        assert wire.household.knocks == []

    @pytest.mark.parametrize("flags", [RST, RST | ACK, RST | SYN])
    async def test_a_reset_is_not_answered(self, wire: Wire, flags: int) -> None:
        assert await wire.carries(tcp(flags)) == []
        assert wire.household.knocks == []

    @pytest.mark.parametrize("flags", [ACK, FIN | ACK, RST])
    async def test_what_strays_here_after_the_gate_was_opened_is_passed_on(self, wire: Wire, flags: int) -> None:
        wire.sentinel.step_aside("hello")
        frame = tcp(flags)

        assert await wire.carries(frame) == []
        assert wire.household.strays == [("hello", frame)]

    @to_both
    async def test_a_stray_need_not_be_tcp(self, wire: Wire, hello: bytes) -> None:
        assert await wire.carries(udp(hello)) == []
        wire.sentinel.step_aside("hello")

        assert await wire.carries(udp(hello)) == []
        assert wire.household.strays == [("hello", udp(hello))]

    async def test_a_frame_for_another_mac_is_not_for_us(self, wire: Wire) -> None:
        wire.sentinel.step_aside("world")
        answers = await wire.carries(
            tcp(SYN, mac=WORLD_MAC), tcp(ACK, mac=WORLD_MAC), tcp(ACK, to=WORLD), tcp(SYN, mac="ff:ff:ff:ff:ff:ff")
        )

        assert answers == []
        assert (wire.household.knocks, wire.household.strays) == ([], [])

    async def test_a_frame_for_an_address_that_is_not_guarded_is_not_for_us(self, wire: Wire) -> None:
        assert await wire.carries(tcp(SYN, to=NOBODY), tcp(ACK, to=NOBODY), tcp(SYN, to=NOBODY6)) == []
        assert wire.household.knocks == []

    async def test_a_later_fragment_is_neither_reported_nor_reset(self, wire: Wire) -> None:
        frame = tcp(SYN)

        assert await wire.carries(frame[:20] + struct.pack("!H", 0x0001) + frame[22:]) == []
        assert wire.household.knocks == []

    async def test_a_connection_can_be_refused_in_the_services_name(self, wire: Wire) -> None:
        segment = read_segment(tcp(SYN))
        assert segment is not None

        wire.sentinel.reset(segment)

        (answer,) = await wire.carries()
        answered = read_segment(answer)
        assert answered is not None
        assert (answered.flags, answered.source, answered.acknowledged) == (RST | ACK, HELLO, 1001)
        assert answered.source_mac == mac_bytes(HELLO_MAC)


class TestWire:
    async def test_what_was_seen_is_counted(self, wire: Wire) -> None:
        wire.sentinel.step_aside("world")
        await wire.carries(who_has(HELLO), who_has(NOBODY), tcp(SYN), tcp(SYN), tcp(ACK), tcp(RST))
        await wire.carries(tcp(ACK, to=WORLD, mac=WORLD_MAC))

        assert wire.sentinel.seen == Sightings(enquiry=1, syn=2, reset=1, stray=1)

    @pytest.mark.parametrize(
        "noise", [b"", b"x", bytes(12), bytes(60), tcp(SYN)[:40], who_has(HELLO)[:30], b"\xff" * 90]
    )
    async def test_noise_is_of_no_interest_and_stops_nothing(self, wire: Wire, noise: bytes) -> None:
        assert await wire.carries(noise) == []
        assert len(await wire.carries(who_has(HELLO))) == 1

    async def test_many_frames_in_one_go_are_all_seen(self, wire: Wire) -> None:
        await wire.carries(*(tcp(SYN, sequence=number) for number in range(200)))

        assert [segment.sequence for _, segment, _ in wire.household.knocks] == list(range(200))

    async def test_a_flood_does_not_keep_the_loop_to_itself(self, wire: Wire) -> None:
        for number in range(200):
            wire.end.send(tcp(SYN, sequence=number))
        seen = []
        for _ in range(8):
            seen.append(len(wire.household.knocks))
            await turns(1)

        assert len(set(seen)) > 3, "others had their turn in between"
        assert seen[-1] == 200

    async def test_an_answer_that_finds_no_room_is_lost_and_no_more(self, wire: Wire) -> None:
        segment = read_segment(tcp(SYN))
        assert segment is not None
        for _ in range(2000):
            wire.sentinel.reset(segment)
        answers = await wire.carries()

        assert 0 < len(answers) < 2000
        assert len(await wire.carries(who_has(HELLO))) == 1

    async def test_an_answer_to_a_wire_that_is_gone_is_lost_and_no_more(self, wire: Wire) -> None:
        segment = read_segment(tcp(SYN))
        assert segment is not None
        wire.end.close()

        wire.sentinel.reset(segment)

        assert wire.sentinel.seen.reset == 1

    async def test_a_port_that_is_gone_is_not_read_for_ever(
        self, wire: Wire, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        reads: list[int] = []

        def gone(fd: int, size: int) -> bytes:
            reads.append(fd)
            raise OSError(errno.EBADFD, "File descriptor in bad state")

        monkeypatch.setattr(os, "read", gone)
        await wire.carries(who_has(HELLO), who_has(HELLO))
        await wire.carries(who_has(HELLO))

        assert len(reads) == 1
        assert "the sentinel's port is gone" in caplog.text

    async def test_a_sentinel_that_was_stopped_reads_no_more(self, wire: Wire) -> None:
        wire.sentinel.stop()

        assert await wire.carries(who_has(HELLO), tcp(SYN)) == []
        assert wire.household.knocks == []


class TestDatagrams:
    """Those for sleepers are reported, whether anybody wants them or not; they get no answer."""

    @pytest.mark.parametrize(
        "frame",
        [frames.udp(53), frames.echo(), frames.udp(53, version=6), frames.echo(version=6)],
        ids=["udp", "icmp", "udp-6", "icmp-6"],
    )
    async def test_one_for_a_sleeper_is_reported_as_it_came(self, wire: Wire, frame: bytes) -> None:
        answers = await wire.carries(frame)

        assert answers == []
        assert wire.household.datagrams == [("hello", read_datagram(frame), frame)]
        assert wire.sentinel.seen.datagram == 1
        assert wire.household.knocks == []

    async def test_one_for_a_guest_that_is_awake_has_strayed(self, wire: Wire) -> None:
        wire.sentinel.step_aside("hello")
        await wire.carries(frames.echo())

        assert wire.household.datagrams == []
        assert wire.household.strays == [("hello", frames.echo())]

    async def test_one_for_another_mac_or_for_everybody_is_none_of_its_business(self, wire: Wire) -> None:
        await wire.carries(frames.udp(53, mac=b"\xff" * 6), frames.udp(53, mac=CLIENT_MAC), frames.udp(53, to=NOBODY))

        assert wire.household.datagrams == []
