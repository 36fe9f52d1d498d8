"""Frames: what is read from strangers, and what is written back."""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitsu.network.frames import (
    ACK,
    BROADCAST,
    FIN,
    RST,
    SYN,
    Arp,
    Segment,
    arp_reply,
    arp_request,
    checksum,
    mac_bytes,
    mac_text,
    read_arp,
    read_segment,
    reset_for,
    tcp_segment,
)

CLIENT_MAC, GUEST_MAC = bytes.fromhex("02000000aa01"), bytes.fromhex("525400123456")
CLIENT, GUEST = bytes([10, 77, 0, 200]), bytes([10, 77, 0, 10])
PSH, URG = 0x08, 0x20

macs, addresses = st.binary(min_size=6, max_size=6), st.binary(min_size=4, max_size=4)
ports, numbers = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


def syn(*, sequence: int = 1000, flags: int = SYN, acknowledged: int = 0) -> bytes:
    return tcp_segment(
        CLIENT_MAC,
        GUEST_MAC,
        (CLIENT, 40000),
        (GUEST, 80),
        sequence=sequence,
        acknowledged=acknowledged,
        flags=flags,
        window=64240,
    )


def segment(frame: bytes) -> Segment:
    found = read_segment(frame)
    assert found is not None
    return found


def patched(frame: bytes, offset: int, replacement: bytes) -> bytes:
    return frame[:offset] + replacement + frame[offset + len(replacement) :]


def with_payload(frame: bytes, payload: bytes) -> bytes:
    """The same segment with a payload; checksums are not mended, as nobody reads them."""
    return patched(frame[:54], 16, struct.pack("!H", 40 + len(payload))) + payload


class TestChecksum:
    """RFC 1071."""

    def test_the_example_of_the_rfc(self) -> None:
        assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D

    def test_a_well_known_ipv4_header(self) -> None:
        assert checksum(bytes.fromhex("450000730000400040110000c0a80001c0a800c7")) == 0xB861

    def test_an_odd_byte_counts_as_if_a_zero_followed(self) -> None:
        assert checksum(b"\x12\x34\x56") == checksum(b"\x12\x34\x56\x00")

    def test_carries_are_folded_until_none_is_left(self) -> None:
        assert checksum(b"\xff\xff" * 5) == 0
        assert checksum(b"") == 0xFFFF

    @given(st.binary(max_size=1500).filter(lambda data: len(data) % 2 == 0))
    @settings(deadline=None)
    def test_data_with_its_checksum_in_it_sums_to_nothing(self, data: bytes) -> None:
        assert checksum(data + struct.pack("!H", checksum(data))) == 0


class TestMac:
    def test_text_and_bytes_are_the_same_address(self) -> None:
        assert mac_bytes("52:54:00:12:34:56") == GUEST_MAC
        assert mac_text(GUEST_MAC) == "52:54:00:12:34:56"

    @given(macs)
    @settings(deadline=None)
    def test_every_address_survives_the_way_there_and_back(self, mac: bytes) -> None:
        assert mac_bytes(mac_text(mac)) == mac

    @pytest.mark.parametrize(
        "text", ["", "52:54:00:12:34", "52:54:00:12:34:56:78", "525400123456", "52-54-00-12-34-56", "xx:54:00:12:34:56"]
    )
    def test_anything_else_is_no_address(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".*"):
            mac_bytes(text)


class TestArp:
    def test_a_request_teaches_who_asks(self) -> None:
        frame = arp_request(CLIENT_MAC, CLIENT, GUEST_MAC, GUEST)

        assert frame[:14] == GUEST_MAC + CLIENT_MAC + b"\x08\x06"
        assert read_arp(frame) == Arp(request=True, sender_mac=CLIENT_MAC, sender=CLIENT, target=GUEST)

    def test_a_reply_goes_to_who_asked_and_names_the_guest(self) -> None:
        request = read_arp(arp_request(CLIENT_MAC, CLIENT, BROADCAST, GUEST))
        assert request is not None

        frame = arp_reply(request, GUEST_MAC)

        assert frame.hex() == (
            # Ethernet: to the client, from the guest; ARP: Ethernet, IPv4, a reply
            "02000000aa01" + "525400123456" + "0806" + "0001" + "0800" + "06" + "04" + "0002"
            # the guest is at its MAC, said to the client; padding
            + "525400123456" + "0a4d000a" + "02000000aa01" + "0a4d00c8" + "00" * 18
        )  # fmt: skip

    @given(macs, addresses, macs, addresses)
    @settings(deadline=None)
    def test_what_is_written_is_read(self, sender_mac: bytes, sender: bytes, target_mac: bytes, target: bytes) -> None:
        arp = read_arp(arp_request(sender_mac, sender, target_mac, target))

        assert arp == Arp(True, sender_mac, sender, target)
        assert read_arp(arp_reply(arp, target_mac)) == Arp(False, target_mac, target, sender)

    @pytest.mark.parametrize(
        ("offset", "value"),
        [(12, b"\x08\x00"), (14, b"\x00\x06"), (16, b"\x86\xdd"), (18, b"\x08"), (19, b"\x10"), (20, b"\x00\x03")],
        ids=["ethertype", "hardware", "protocol", "hardware-length", "protocol-length", "operation"],
    )
    def test_arp_of_another_kind_is_of_no_interest(self, offset: int, value: bytes) -> None:
        assert read_arp(patched(arp_request(CLIENT_MAC, CLIENT, BROADCAST, GUEST), offset, value)) is None

    def test_arp_without_padding_is_read_and_anything_shorter_is_not(self) -> None:
        frame = arp_request(CLIENT_MAC, CLIENT, BROADCAST, GUEST)

        assert read_arp(frame[:42]) == read_arp(frame)
        assert [read_arp(frame[:length]) for length in range(42)] == [None] * 42


class TestSegment:
    def test_a_syn_is_read_with_all_that_matters(self) -> None:
        assert segment(syn()) == Segment(
            source_mac=CLIENT_MAC,
            target_mac=GUEST_MAC,
            source=CLIENT,
            target=GUEST,
            source_port=40000,
            target_port=80,
            sequence=1000,
            acknowledged=0,
            flags=SYN,
            length=0,
        )

    def test_a_frame_has_the_least_length_of_ethernet_and_its_padding_is_no_payload(self) -> None:
        assert len(syn()) == 60
        assert segment(syn()).length == 0

    @given(macs, macs, addresses, addresses, ports, ports, numbers, numbers, st.integers(0, 0xFF))
    @settings(deadline=None)
    def test_what_is_written_is_read(
        self,
        source_mac: bytes,
        target_mac: bytes,
        source: bytes,
        target: bytes,
        source_port: int,
        target_port: int,
        sequence: int,
        acknowledged: int,
        flags: int,
    ) -> None:
        frame = tcp_segment(
            source_mac,
            target_mac,
            (source, source_port),
            (target, target_port),
            sequence=sequence,
            acknowledged=acknowledged,
            flags=flags,
        )

        assert read_segment(frame) == Segment(
            source_mac, target_mac, source, target, source_port, target_port, sequence, acknowledged, flags, 0
        )
        pseudo = source + target + struct.pack("!BBH", 0, 6, 20)
        assert checksum(frame[14:34]) == 0
        assert checksum(pseudo + frame[34:54]) == 0

    def test_the_payload_is_counted_by_the_header_even_if_the_frame_was_cut(self) -> None:
        frame = with_payload(syn(flags=ACK | PSH), b"x" * 700)

        assert segment(frame).length == 700
        assert segment(frame[:128]).length == 700

    def test_options_of_ip_and_tcp_are_no_payload(self) -> None:
        frame = syn()
        ip = patched(frame[14:34], 0, b"\x46\x00" + struct.pack("!H", 24 + 24 + 5)) + b"\x01" * 4
        tcp = patched(frame[34:54], 12, bytes([6 << 4])) + bytes.fromhex("020405b4")

        found = segment(frame[:14] + ip + tcp + b"hello")

        assert (found.source_port, found.target_port, found.sequence, found.length) == (40000, 80, 1000, 5)

    @pytest.mark.parametrize(("bits", "read"), [(0x4000, True), (0x2000, True), (0x0001, False), (0x2001, False)])
    def test_the_first_fragment_is_read_and_later_ones_are_not(self, bits: int, read: bool) -> None:
        frame = patched(syn(), 20, struct.pack("!H", bits))

        assert (read_segment(frame) is not None) is read

    @pytest.mark.parametrize(
        ("offset", "value"),
        [
            (12, b"\x86\xdd"),
            (12, b"\x81\x00"),
            (14, b"\x65"),
            (14, b"\x44"),
            (14, b"\x40"),
            (14, b"\x4f"),
            (16, b"\x00\x27"),
            (16, b"\x00\x00"),
            (23, b"\x11"),
            (46, b"\x40"),
            (46, b"\x00"),
            (46, b"\xf0"),
        ],
        ids=[
            "ipv6",
            "vlan",
            "ip-version",
            "ip-header-too-short",
            "ip-header-of-none",
            "ip-header-beyond-the-frame",
            "total-length-too-short",
            "total-length-of-none",
            "udp",
            "tcp-header-too-short",
            "tcp-header-of-none",
            "tcp-header-beyond-the-packet",
        ],
    )
    def test_hostile_headers_are_of_no_interest(self, offset: int, value: bytes) -> None:
        assert read_segment(patched(syn(), offset, value)) is None

    def test_tcp_that_begins_within_the_ip_header_is_of_no_interest(self) -> None:
        # With a header of 16 octets, four too few, the acknowledged number stands where TCP says its own length.
        assert read_segment(patched(syn(acknowledged=0x50000000), 14, b"\x44")) is None

    def test_a_frame_cut_anywhere_in_its_headers_is_of_no_interest(self) -> None:
        assert [read_segment(syn()[:length]) for length in range(54)] == [None] * 54

    @pytest.mark.parametrize(
        ("flags", "opens"),
        [
            (SYN, True),
            (SYN | PSH | URG, True),
            (SYN | 0xC0, True),
            (SYN | ACK, False),
            (SYN | RST, False),
            (SYN | FIN, False),
            (ACK, False),
            (0, False),
        ],
    )
    def test_a_connection_is_opened_by_a_syn_alone(self, flags: int, opens: bool) -> None:
        assert segment(syn(flags=flags)).opens is opens


class TestReset:
    """RFC 9293, 3.10.7.1: what a closed port answers."""

    def reset(self, *, flags: int, sequence: int = 1000, acknowledged: int = 0, length: int = 0) -> Segment:
        asked = replace(segment(syn()), flags=flags, sequence=sequence, acknowledged=acknowledged, length=length)
        return segment(reset_for(asked))

    def test_it_comes_from_whom_the_segment_was_for(self) -> None:
        answer = self.reset(flags=SYN)

        assert (answer.source_mac, answer.target_mac) == (GUEST_MAC, CLIENT_MAC)
        assert (answer.source, answer.source_port) == (GUEST, 80)
        assert (answer.target, answer.target_port) == (CLIENT, 40000)
        assert answer.length == 0

    def test_a_syn_is_acknowledged_as_one_octet(self) -> None:
        answer = self.reset(flags=SYN, sequence=1000)

        assert (answer.flags, answer.sequence, answer.acknowledged) == (RST | ACK, 0, 1001)

    def test_a_segment_with_an_acknowledgement_gets_the_number_that_it_expects(self) -> None:
        answer = self.reset(flags=ACK | PSH, sequence=1000, acknowledged=77, length=5)

        assert (answer.flags, answer.sequence, answer.acknowledged) == (RST, 77, 0)

    def test_payload_and_fin_are_acknowledged_too(self) -> None:
        answer = self.reset(flags=FIN, sequence=1000, length=5)

        assert (answer.flags, answer.sequence, answer.acknowledged) == (RST | ACK, 0, 1006)

    def test_a_segment_without_any_flag_is_acknowledged_by_its_length(self) -> None:
        assert self.reset(flags=0, sequence=1000, length=5).acknowledged == 1005

    def test_sequence_numbers_wrap(self) -> None:
        assert self.reset(flags=SYN, sequence=0xFFFFFFFF).acknowledged == 0

    @given(st.integers(0, 0xFF), numbers, numbers, st.integers(0, 65495))
    @settings(deadline=None)
    def test_every_segment_can_be_reset(self, flags: int, sequence: int, acknowledged: int, length: int) -> None:
        answer = self.reset(flags=flags, sequence=sequence, acknowledged=acknowledged, length=length)

        assert answer.flags & RST
        assert bool(answer.flags & ACK) is not bool(flags & ACK)


READERS: list[Callable[[bytes], object]] = [read_arp, read_segment]


@pytest.mark.parametrize("reader", READERS)
@given(data=st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_no_bytes_whatever_raise(reader: Callable[[bytes], object], data: bytes) -> None:
    assert reader(data) is None or len(data) >= 42


@pytest.mark.parametrize("reader", READERS)
@given(offset=st.integers(12, 59), data=st.binary(min_size=1, max_size=48), cut=st.integers(0, 120))
@settings(deadline=None, max_examples=500)
def test_no_frame_that_was_tampered_with_raises(
    reader: Callable[[bytes], object], offset: int, data: bytes, cut: int
) -> None:
    for frame in (syn(), arp_request(CLIENT_MAC, CLIENT, BROADCAST, GUEST)):
        found = reader(patched(frame, offset, data)[:cut])
        if isinstance(found, Segment):
            assert found.length >= 0
            assert segment(reset_for(found)).flags & RST
        else:
            assert found is None or isinstance(found, Arp)
