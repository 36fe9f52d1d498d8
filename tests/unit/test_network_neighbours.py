"""Who has this address: ARP and Neighbour Discovery, what is read from strangers and what is written back."""

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitsu.network.frames import BROADCAST, checksum
from jitsu.network.neighbours import Enquiry, announcement, answer_to, enquiry, read_enquiry

CLIENT_MAC, GUEST_MAC = bytes.fromhex("02000000aa01"), bytes.fromhex("525400123456")
CLIENT, GUEST = bytes([10, 77, 0, 200]), bytes([10, 77, 0, 10])
CLIENT6, GUEST6 = IPv6Address("fd77::c8").packed, IPv6Address("fd77::12:3456").packed
GROUP6, ALL_NODES = IPv6Address("ff02::1:ff12:3456").packed, IPv6Address("ff02::1").packed
ANYBODY6 = bytes(16)

macs = st.binary(min_size=6, max_size=6)
unicast6 = st.binary(min_size=16, max_size=16).filter(lambda address: address[0] != 0xFF and any(address))


def patched(frame: bytes, offset: int, replacement: bytes) -> bytes:
    return frame[:offset] + replacement + frame[offset + len(replacement) :]


def summed(frame: bytes) -> bytes:
    """The same ICMPv6 message with its checksum mended, after the rules of RFC 8200, section 8.1."""
    (size,) = struct.unpack_from("!H", frame, 18)
    frame = patched(frame, 56, bytes(2))
    pseudo = frame[22:54] + struct.pack("!II", size, 58)
    return patched(frame, 56, struct.pack("!H", checksum(pseudo + frame[54 : 54 + size])))


def solicitation(*, options: bytes = b"\x01\x01" + CLIENT_MAC, sender: bytes = CLIENT6, to: bytes = GROUP6) -> bytes:
    """A neighbour solicitation written by the book (RFC 4861 section 4.3), not by the code under test."""
    message = bytes((135, 0, 0, 0)) + bytes(4) + GUEST6 + options
    ip = b"\x60\0\0\0" + struct.pack("!HBB", len(message), 58, 255) + sender + to
    mac = b"\x33\x33" + to[12:] if to[0] == 0xFF else GUEST_MAC
    return summed(mac + CLIENT_MAC + b"\x86\xdd" + ip + message)


class TestArp:
    """RFC 826."""

    def test_a_question_teaches_who_asks(self) -> None:
        frame = enquiry(CLIENT_MAC, CLIENT, GUEST, GUEST_MAC)

        assert frame[:14] == GUEST_MAC + CLIENT_MAC + b"\x08\x06"
        assert read_enquiry(frame) == Enquiry(CLIENT_MAC, CLIENT, GUEST)

    def test_an_answer_goes_to_who_asked_and_names_the_guest(self) -> None:
        frame = answer_to(Enquiry(CLIENT_MAC, CLIENT, GUEST), GUEST_MAC)

        assert frame.hex() == (
            # Ethernet: to the client, from the guest; ARP: Ethernet, IPv4, a reply
            "02000000aa01" + "525400123456" + "0806" + "0001" + "0800" + "06" + "04" + "0002"
            # the guest is at its MAC, said to the client; padding
            + "525400123456" + "0a4d000a" + "02000000aa01" + "0a4d00c8" + "00" * 18
        )  # fmt: skip

    def test_an_announcement_is_a_request_for_oneself(self) -> None:
        frame = announcement(GUEST_MAC, GUEST)

        assert frame[:6] == BROADCAST
        assert read_enquiry(frame) == Enquiry(GUEST_MAC, GUEST, GUEST)

    @given(macs, st.binary(min_size=4, max_size=4), macs, st.binary(min_size=4, max_size=4))
    @settings(deadline=None)
    def test_what_is_written_is_read(self, sender_mac: bytes, sender: bytes, target_mac: bytes, target: bytes) -> None:
        assert read_enquiry(enquiry(sender_mac, sender, target, target_mac)) == Enquiry(sender_mac, sender, target)

    @pytest.mark.parametrize(
        ("offset", "value"),
        [
            (12, b"\x08\x00"),
            (14, b"\x00\x06"),
            (16, b"\x86\xdd"),
            (18, b"\x08"),
            (19, b"\x10"),
            (20, b"\x00\x02"),
            (20, b"\x00\x03"),
        ],
        ids=["ethertype", "hardware", "protocol", "hardware-length", "protocol-length", "a-reply", "operation"],
    )
    def test_anything_else_is_no_question(self, offset: int, value: bytes) -> None:
        assert read_enquiry(patched(enquiry(CLIENT_MAC, CLIENT, GUEST), offset, value)) is None

    def test_without_padding_it_is_read_and_anything_shorter_is_not(self) -> None:
        frame = enquiry(CLIENT_MAC, CLIENT, GUEST)

        assert read_enquiry(frame[:42]) == read_enquiry(frame)
        assert [read_enquiry(frame[:length]) for length in range(42)] == [None] * 42


class TestSolicitation:
    """RFC 4861, sections 4.3 and 7.1.1."""

    def test_it_is_read(self) -> None:
        assert read_enquiry(solicitation()) == Enquiry(CLIENT_MAC, CLIENT6, GUEST6)

    def test_one_that_asks_whether_a_neighbour_is_still_there_need_not_say_who_asks(self) -> None:
        assert read_enquiry(solicitation(options=b"", to=GUEST6)) == Enquiry(CLIENT_MAC, CLIENT6, GUEST6)

    def test_what_it_says_of_its_sender_goes_before_where_it_came_from(self) -> None:
        frame = solicitation(options=b"\x01\x01" + GUEST_MAC)

        assert read_enquiry(frame) == Enquiry(GUEST_MAC, CLIENT6, GUEST6)

    def test_one_that_asks_whether_an_address_is_taken_has_no_sender(self) -> None:
        assert read_enquiry(solicitation(options=b"", sender=ANYBODY6)) == Enquiry(CLIENT_MAC, ANYBODY6, GUEST6)

    def test_options_that_nobody_knows_are_passed_over(self) -> None:
        nonce, long = b"\x0e\x01" + bytes(6), b"\x63\x02" + bytes(14)

        assert read_enquiry(solicitation(options=nonce + long + b"\x01\x01" + GUEST_MAC)) == Enquiry(
            GUEST_MAC, CLIENT6, GUEST6
        )

    @pytest.mark.parametrize(
        "frame",
        [
            patched(solicitation(), 21, b"\xfe"),
            summed(patched(solicitation(), 54, b"\x88")),
            summed(patched(solicitation(), 55, b"\x01")),
            patched(solicitation(), 56, b"\0\0"),
            summed(patched(solicitation(), 62, b"\xff\x02")),
            summed(patched(solicitation(), 22, b"\xff\x02")),
            summed(solicitation(options=b"\x01\x00" + CLIENT_MAC)),
            solicitation(options=b"\x01\x02" + CLIENT_MAC),
            solicitation(options=b"\x01"),
            solicitation(sender=ANYBODY6),
            solicitation(options=b"", sender=ANYBODY6, to=GUEST6),
            patched(solicitation(), 14, b"\x50"),
            patched(solicitation(), 20, b"\x06"),
            patched(solicitation(), 12, b"\x08\x00"),
        ],
        ids=[
            "from-beyond-the-link",
            "an-advertisement",
            "code",
            "checksum",
            "for-a-group",
            "from-a-group",
            "option-of-no-length",
            "option-beyond-the-end",
            "half-an-option",
            "nobody-with-a-mac",
            "nobody-to-one",
            "ip-version",
            "tcp",
            "said-to-be-ipv4",
        ],
    )
    def test_what_must_be_discarded_is_no_question(self, frame: bytes) -> None:
        assert read_enquiry(frame) is None

    def test_one_that_was_cut_is_no_question(self) -> None:
        frame = solicitation()

        assert [read_enquiry(frame[:length]) for length in range(len(frame))] == [None] * len(frame)

    def test_what_ethernet_adds_behind_it_is_no_part_of_it(self) -> None:
        assert read_enquiry(solicitation() + b"\xff" * 10) == read_enquiry(solicitation())

    def test_ours_is_for_the_group_or_for_one(self) -> None:
        assert enquiry(CLIENT_MAC, CLIENT6, GUEST6) == solicitation()
        assert enquiry(CLIENT_MAC, CLIENT6, GUEST6, GUEST_MAC) == solicitation(to=GUEST6)

    @given(macs.filter(any), unicast6, unicast6)
    @settings(deadline=None)
    def test_what_is_written_is_read(self, mac: bytes, sender: bytes, target: bytes) -> None:
        for frame in (enquiry(mac, sender, target), enquiry(mac, sender, target, GUEST_MAC)):
            assert read_enquiry(frame) == Enquiry(mac, sender, target)


class TestAdvertisement:
    """RFC 4861, sections 4.4, 7.2.4 and 7.2.6; RFC 2464 for the MACs of groups."""

    def test_who_asked_is_told_alone_and_may_rely_on_it(self) -> None:
        frame = answer_to(Enquiry(CLIENT_MAC, CLIENT6, GUEST6), GUEST_MAC)

        assert frame == advertisement(CLIENT_MAC, CLIENT6, "60000000")
        assert read_enquiry(frame) is None

    def test_who_asked_whether_an_address_is_taken_is_told_with_everybody(self) -> None:
        frame = answer_to(Enquiry(CLIENT_MAC, ANYBODY6, GUEST6), GUEST_MAC)

        assert frame == advertisement(bytes.fromhex("333300000001"), ALL_NODES, "20000000")

    def test_an_announcement_is_for_everybody_and_answers_nobody(self) -> None:
        assert announcement(GUEST_MAC, GUEST6) == advertisement(bytes.fromhex("333300000001"), ALL_NODES, "20000000")


def advertisement(mac: bytes, to: bytes, flags: str) -> bytes:
    message = bytes((136, 0, 0, 0)) + bytes.fromhex(flags) + GUEST6 + b"\x02\x01" + GUEST_MAC
    ip = b"\x60\0\0\0" + struct.pack("!HBB", len(message), 58, 255) + GUEST6 + to
    return summed(mac + GUEST_MAC + b"\x86\xdd" + ip + message)


@given(data=st.binary(max_size=200))
@settings(deadline=None, max_examples=300)
def test_no_bytes_whatever_raise(data: bytes) -> None:
    assert read_enquiry(data) is None or len(data) >= 42


@given(offset=st.integers(12, 85), data=st.binary(min_size=1, max_size=48), cut=st.integers(0, 120), mend=st.booleans())
@settings(deadline=None, max_examples=500)
def test_no_frame_that_was_tampered_with_raises(offset: int, data: bytes, cut: int, mend: bool) -> None:
    for frame in (enquiry(CLIENT_MAC, CLIENT, GUEST), solicitation()):
        tampered = patched(frame, offset, data)
        if mend and len(tampered) > 57:
            tampered = summed(tampered)
        found = read_enquiry(tampered[:cut])
        assert found is None or answer_to(found, GUEST_MAC)
