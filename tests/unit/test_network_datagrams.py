"""Datagrams and echo requests, read from frames of strangers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitsu.config.wake import TCP, Trigger, read_trigger, wakes
from jitsu.network.datagrams import Datagram, read_datagram
from jitsu.network.frames import SYN, tcp_segment
from jitsu.synjitsu.datagrams import DatagramTable
from tests.unit import datagram_frames as frames
from tests.unit.datagram_frames import CLIENT, CLIENT6, CLIENT_MAC, GUEST, GUEST6, GUEST_MAC


@pytest.mark.parametrize(("version", "source", "target"), [(4, CLIENT, GUEST), (6, CLIENT6, GUEST6)])
def test_both_are_read_over_ipv4_and_ipv6(version: int, source: bytes, target: bytes) -> None:
    datagram = Datagram("udp", CLIENT_MAC, GUEST_MAC, source, target, 53)
    echo = Datagram("icmp", CLIENT_MAC, GUEST_MAC, source, target, 0)

    assert read_datagram(frames.udp(53, version=version)) == datagram
    assert read_datagram(frames.udp(53, b"", version=version)) == datagram
    assert read_datagram(frames.echo(version=version)) == echo


@pytest.mark.parametrize(
    "frame",
    [
        tcp_segment(CLIENT_MAC, GUEST_MAC, (CLIENT, 1), (GUEST, 80), sequence=1, flags=SYN),
        frames.later_fragment(frames.udp(53)),
        frames.echo(kind=0),
        frames.echo(kind=3),
        frames.echo(kind=128),
        frames.echo(version=6, kind=129),
        frames.echo(version=6, kind=135),
        frames.echo(version=6, kind=8),
        frames.udp(53)[:40],
        b"",
    ],
    ids=["tcp", "fragment", "echo-reply", "unreachable", "128", "reply-6", "solicitation", "8-in-6", "short", "none"],
)
def test_whatever_else_is_of_no_interest(frame: bytes) -> None:
    assert read_datagram(frame) is None


@given(st.binary(max_size=80), st.sampled_from([frames.udp(53), frames.echo(), frames.udp(53, version=6)]))
def test_no_frame_is_too_odd(noise: bytes, frame: bytes) -> None:
    read_datagram(noise)
    read_datagram(frame[: len(noise)])
    read_datagram(frame[:14] + noise)


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("tcp", Trigger("tcp")),
        ("tcp/80", Trigger("tcp", 80)),
        ("udp/53", Trigger("udp", 53)),
        ("icmp", Trigger("icmp")),
    ],
)
def test_triggers_are_written_so(text: str, trigger: Trigger) -> None:
    assert read_trigger(text) == trigger


@pytest.mark.parametrize("text", ["", "TCP", "sctp", "udp/", "udp/0", "udp/65536", "udp/053", "icmp/8", "tcp/80 "])
def test_other_writings_are_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ValueError, match="write tcp, udp or icmp"):
        read_trigger(text)


def test_a_port_restricts_and_no_port_is_any() -> None:
    mixed = (Trigger("tcp", 80), Trigger("udp"))

    assert [wakes(mixed, "tcp", 80), wakes(mixed, "udp", 1), wakes(mixed, "udp", 65535)] == [True] * 3
    assert [wakes(mixed, "tcp", 81), wakes(mixed, "icmp", 0), wakes((), "tcp", 80)] == [False] * 3
    assert wakes(TCP, "tcp", 80)


class TestTable:
    def held(self, table: DatagramTable, port: int) -> bool:
        frame = frames.udp(port)
        datagram = read_datagram(frame)
        assert datagram is not None
        return table.hold(datagram, frame)

    def test_the_first_few_are_held_in_order_and_given_out_once(self) -> None:
        table = DatagramTable(capacity=3)
        taken = [self.held(table, port) for port in (5, 4, 3, 2)]

        assert taken == [True, True, True, False]
        assert len(table) == 3
        assert [held.datagram.port for held in table.release()] == [5, 4, 3]
        assert table.release() == []
        assert self.held(table, 1)
