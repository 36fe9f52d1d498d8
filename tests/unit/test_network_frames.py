"""Frames: what is read from strangers, and what is written back."""

import struct
from dataclasses import replace
from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitsu.network.frames import (
    ACK,
    FIN,
    RST,
    SYN,
    Segment,
    checksum,
    mac_bytes,
    mac_text,
    read_segment,
    reset_for,
    target_of,
    tcp_segment,
)

CLIENT_MAC, GUEST_MAC = bytes.fromhex("02000000aa01"), bytes.fromhex("525400123456")
CLIENT, GUEST = bytes([10, 77, 0, 200]), bytes([10, 77, 0, 10])
CLIENT6, GUEST6 = IPv6Address("fd77::c8").packed, IPv6Address("fd77::10").packed
PSH, URG = 0x08, 0x20

macs = st.binary(min_size=6, max_size=6)
pairs = st.sampled_from((4, 16)).flatmap(lambda size: st.tuples(*[st.binary(min_size=size, max_size=size)] * 2))
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


def syn6(*, sequence: int = 1000, flags: int = SYN, acknowledged: int = 0) -> bytes:
    return tcp_segment(
        CLIENT_MAC,
        GUEST_MAC,
        (CLIENT6, 40000),
        (GUEST6, 80),
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

    @given(macs, macs, pairs, ports, ports, numbers, numbers, st.integers(0, 0xFF))
    @settings(deadline=None)
    def test_what_is_written_is_read(
        self,
        source_mac: bytes,
        target_mac: bytes,
        addresses: tuple[bytes, bytes],
        source_port: int,
        target_port: int,
        sequence: int,
        acknowledged: int,
        flags: int,
    ) -> None:
        source, target = addresses
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
        assert target_of(frame) == target
        if len(source) == 16:
            # RFC 8200, 8.1: the length has 32 bits, and 24 zeros come before the next header.
            assert checksum(source + target + struct.pack("!II", 20, 6) + frame[54:74]) == 0
            assert frame[14:22] == bytes.fromhex("6000000000140640")
        else:
            assert checksum(frame[14:34]) == 0
            assert checksum(source + target + struct.pack("!BBH", 0, 6, 20) + frame[34:54]) == 0

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
            (12, b"\x08\x06"),
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
            "said-to-be-ipv6",
            "arp",
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
        assert [read_segment(syn6()[:length]) for length in range(74)] == [None] * 74

    def test_a_syn_over_ipv6_is_read_with_all_that_matters(self) -> None:
        assert segment(syn6()) == replace(segment(syn()), source=CLIENT6, target=GUEST6)

    def test_the_payload_of_ipv6_is_counted_by_its_header_without_the_options_of_tcp(self) -> None:
        frame = patched(patched(syn6(flags=ACK | PSH), 18, struct.pack("!H", 24 + 700)), 66, bytes([6 << 4]))

        assert segment(frame + bytes(4 + 700)).length == 700
        assert segment(frame).length == 700

    @pytest.mark.parametrize(
        ("offset", "value"),
        [
            (12, b"\x08\x00"),
            (14, b"\x40"),
            (18, b"\x00\x13"),
            (66, b"\x40"),
            (66, b"\xf0"),
            (20, b"\x11"),
            (20, b"\x3a"),
        ],
        ids=["said-to-be-ipv4", "version", "too-short", "tcp-too-short", "tcp-beyond-the-packet", "udp", "icmp"],
    )
    def test_hostile_headers_of_ipv6_are_of_no_interest(self, offset: int, value: bytes) -> None:
        assert read_segment(patched(syn6(), offset, value)) is None

    @pytest.mark.parametrize("header", [0, 43, 44, 60], ids=["hop-by-hop", "routing", "fragment", "destination"])
    def test_what_comes_behind_an_extension_header_is_of_no_interest(self, header: int) -> None:
        frame = syn6()
        extension = bytes([6, 0]) + bytes(6)
        longer = patched(patched(frame[:54], 18, struct.pack("!H", 28)), 20, bytes([header]))

        assert read_segment(longer + extension + frame[54:]) is None

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

    def reset(
        self, *, flags: int, sequence: int = 1000, acknowledged: int = 0, length: int = 0, frame: bytes | None = None
    ) -> Segment:
        asked = replace(
            segment(frame or syn()), flags=flags, sequence=sequence, acknowledged=acknowledged, length=length
        )
        return segment(reset_for(asked))

    def test_it_comes_from_whom_the_segment_was_for(self) -> None:
        answer = self.reset(flags=SYN)

        assert (answer.source_mac, answer.target_mac) == (GUEST_MAC, CLIENT_MAC)
        assert (answer.source, answer.source_port) == (GUEST, 80)
        assert (answer.target, answer.target_port) == (CLIENT, 40000)
        assert answer.length == 0

    def test_over_ipv6_it_is_the_same_and_its_checksum_right(self) -> None:
        answer = self.reset(flags=SYN, frame=syn6())

        assert answer == replace(self.reset(flags=SYN), source=GUEST6, target=CLIENT6)
        frame = reset_for(segment(syn6()))
        assert checksum(GUEST6 + CLIENT6 + struct.pack("!II", 20, 6) + frame[54:74]) == 0

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


@given(data=st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_no_bytes_whatever_raise(data: bytes) -> None:
    assert read_segment(data) is None or len(data) >= 54
    assert len(target_of(data)) <= 16


@given(offset=st.integers(12, 79), data=st.binary(min_size=1, max_size=48), cut=st.integers(0, 120))
@settings(deadline=None, max_examples=500)
def test_no_frame_that_was_tampered_with_raises(offset: int, data: bytes, cut: int) -> None:
    for frame in (syn(), syn6()):
        found = read_segment(patched(frame, offset, data)[:cut])
        if found is not None:
            assert found.length >= 0
            assert segment(reset_for(found)).flags & RST
