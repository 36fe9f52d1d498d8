"""rtnetlink by hand: what is sent is read by pyroute2, which knows nothing of our encoder, and the kernel is played."""

import errno
import socket
import struct
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from jitsu.network import netlink
from jitsu.network.netlink import GUEST_PORT, SENTINEL_PORT, FdbEntry, Netlink

MAC = bytes.fromhex("525400123456")
REQUEST, ACKNOWLEDGE, REPLACE, CREATE = 0x001, 0x004, 0x100, 0x400
AF_BRIDGE = 7

Message = tuple[int, int, int, bytes]
"""Type, flags, sequence number, body."""


def take_apart(packet: bytes) -> list[Message]:
    messages = []
    while packet:
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", packet)
        messages.append((kind, flags, sequence, packet[16:length]))
        packet = packet[(length + 3) & ~3 :]
    return messages


def message(kind: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body


def acknowledgement(sequence: int, error: int = 0) -> bytes:
    return message(2, sequence, struct.pack("=i", -error) + bytes(16))


class Kernel:
    """The other end of the socket. It answers every packet through `answer`, which gives the datagrams to be read."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.waiting: list[bytes] = []
        self.closed = False
        self.refused: dict[int, int] = {}
        """Which message of a packet is refused, and with what."""
        self.answer: Callable[[Sequence[Message]], list[bytes]] = self.acknowledge

    def acknowledge(self, messages: Sequence[Message]) -> list[bytes]:
        return [
            acknowledgement(sequence, self.refused.get(number, 0))
            for number, (_, _, sequence, _) in enumerate(messages)
        ]

    def bind(self, address: tuple[int, int]) -> None:
        assert address == (0, 0)

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0, "a kernel that does not answer must not stop the daemon for ever"

    def send(self, packet: bytes) -> None:
        self.sent.append(packet)
        self.waiting += self.answer(take_apart(packet))

    def recv(self, size: int) -> bytes:
        if not self.waiting:
            raise TimeoutError("timed out")
        return self.waiting.pop(0)

    def close(self) -> None:
        self.closed = True

    def understood(self) -> list[Any]:
        """All messages sent so far, as pyroute2 reads them."""
        return [each for packet in self.sent for each in MarshalRtnl().parse(packet)]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr(netlink, "socket", SimpleNamespace(**{**vars(socket), "socket": lambda *kind: kernel}))
    return kernel


def fdb_entry(ifindex: int, unused_for: int | None) -> bytes:
    """A neighbour message of the bridge; `unused_for` in hundredths of a second."""
    body = struct.pack("=BxxxiHBB", AF_BRIDGE, ifindex, 0x40, 0, 0) + struct.pack("=HH", 10, 2) + MAC + bytes(2)
    if unused_for is not None:
        body += struct.pack("=HHIIII", 20, 3, 1, unused_for, 2, 0)
    return body


class TestPlug:
    def test_a_port_is_enslaved_then_locked_and_only_then_brought_up(self, kernel: Kernel) -> None:
        Netlink().plug(7, 3, GUEST_PORT)

        enslaved, locked, up = kernel.understood()
        assert enslaved["event"] == "RTM_NEWLINK"
        assert enslaved.get("master") == 3
        assert enslaved["change"] == 0
        assert (locked["event"], locked["family"]) == ("RTM_SETLINK", AF_BRIDGE)
        assert (up["event"], up["flags"], up["change"]) == ("RTM_NEWLINK", 1, 1)
        assert {each["index"] for each in (enslaved, locked, up)} == {7}

    def test_the_host_gets_no_ipv6_address_on_a_guests_port(self, kernel: Kernel) -> None:
        Netlink().plug(7, 3, GUEST_PORT)

        enslaved = kernel.understood()[0]
        assert enslaved.get_nested("IFLA_AF_SPEC", "AF_INET6", "IFLA_INET6_ADDR_GEN_MODE") == 1

    @pytest.mark.parametrize(("flags", "flood", "locked"), [(GUEST_PORT, 0, 1), (SENTINEL_PORT, 1, 0)])
    def test_a_guests_port_is_locked_and_the_sentinels_port_floods(
        self, kernel: Kernel, flags: netlink.PortFlags, flood: int, locked: int
    ) -> None:
        Netlink().plug(7, 3, flags)

        port = kernel.understood()[1].get("protinfo")
        assert port.get("IFLA_BRPORT_LEARNING") == 0
        assert port.get("IFLA_BRPORT_UNICAST_FLOOD") == flood
        assert port.get("IFLA_BRPORT_LOCKED") == locked

    def test_it_takes_one_system_call_and_every_message_is_acknowledged(self, kernel: Kernel) -> None:
        Netlink().plug(7, 3, GUEST_PORT)

        (packet,) = kernel.sent
        assert [(flags, sequence) for _, flags, sequence, _ in take_apart(packet)] == [
            (REQUEST | ACKNOWLEDGE, 1),
            (REQUEST | ACKNOWLEDGE, 2),
            (REQUEST | ACKNOWLEDGE, 3),
        ]
        assert kernel.waiting == []


class TestPin:
    def test_the_entry_is_static_sticky_and_replaces_the_old_one(self, kernel: Kernel) -> None:
        Netlink().pin(MAC, 7)

        (entry,) = kernel.understood()
        assert (entry["event"], entry["family"], entry["ifindex"]) == ("RTM_NEWNEIGH", AF_BRIDGE, 7)
        assert entry.get("lladdr") == "52:54:00:12:34:56"
        # NUD_NOARP is a static entry; NTF_MASTER and NTF_STICKY.
        assert (entry["state"], entry["flags"]) == (0x40, 0x04 | 0x40)
        assert entry["header"]["flags"] == REQUEST | ACKNOWLEDGE | REPLACE | CREATE

    def test_to_unpin_removes_the_entry_of_that_port_only(self, kernel: Kernel) -> None:
        assert Netlink().unpin(MAC, 7) is True

        (entry,) = kernel.understood()
        assert (entry["event"], entry["family"], entry["ifindex"]) == ("RTM_DELNEIGH", AF_BRIDGE, 7)
        assert entry.get("lladdr") == "52:54:00:12:34:56"

    @pytest.mark.parametrize("error", [errno.ENOENT, errno.ENODEV, errno.EINVAL])
    def test_what_is_gone_already_need_not_be_unpinned(self, kernel: Kernel, error: int) -> None:
        kernel.refused = {0: error}

        assert Netlink().unpin(MAC, 7) is False

    def test_any_other_refusal_to_unpin_is_an_error(self, kernel: Kernel) -> None:
        kernel.refused = {0: errno.EPERM}

        with pytest.raises(PermissionError):
            Netlink().unpin(MAC, 7)


class TestEntry:
    def test_an_entry_says_its_port_and_how_long_it_was_not_used(self, kernel: Kernel) -> None:
        kernel.answer = lambda messages: [message(28, messages[0][2], fdb_entry(7, 1250))]

        assert Netlink().entry(MAC, 3) == FdbEntry(ifindex=7, unused_for=12.5)
        (asked,) = kernel.understood()
        assert (asked["event"], asked["family"], asked["ifindex"]) == ("RTM_GETNEIGH", AF_BRIDGE, 0)
        assert (asked.get("lladdr"), asked.get("master")) == ("52:54:00:12:34:56", 3)
        assert asked["header"]["flags"] == REQUEST

    def test_an_entry_without_times_counts_as_just_used(self, kernel: Kernel) -> None:
        kernel.answer = lambda messages: [message(28, messages[0][2], fdb_entry(7, None))]

        assert Netlink().entry(MAC, 3) == FdbEntry(ifindex=7, unused_for=0.0)

    def test_no_entry_is_none(self, kernel: Kernel) -> None:
        kernel.refused = {0: errno.ENOENT}

        assert Netlink().entry(MAC, 3) is None

    def test_any_other_refusal_is_an_error(self, kernel: Kernel) -> None:
        kernel.refused = {0: errno.ENODEV}

        with pytest.raises(OSError, match="No such device"):
            Netlink().entry(MAC, 3)

    def test_an_answer_to_an_older_question_is_not_ours(self, kernel: Kernel) -> None:
        kernel.waiting = [message(28, 99, fdb_entry(1, 0)), acknowledgement(98, errno.EPERM)]
        kernel.answer = lambda messages: [message(28, messages[0][2], fdb_entry(7, 100))]

        assert Netlink().entry(MAC, 3) == FdbEntry(ifindex=7, unused_for=1.0)


class TestRefusals:
    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_the_error_of_any_message_is_raised(self, kernel: Kernel, number: int) -> None:
        kernel.refused = {number: errno.ENODEV}

        with pytest.raises(OSError, match="No such device") as raised:
            Netlink().plug(7, 3, GUEST_PORT)
        assert raised.value.errno == errno.ENODEV

    def test_of_two_errors_the_first_is_raised(self, kernel: Kernel) -> None:
        kernel.refused = {1: errno.EBUSY, 2: errno.ENODEV}

        with pytest.raises(OSError, match="busy"):
            Netlink().plug(7, 3, GUEST_PORT)

    def test_after_an_error_the_next_request_starts_clean(self, kernel: Kernel) -> None:
        kernel.refused = {0: errno.ENODEV}
        link = Netlink()
        with pytest.raises(OSError, match="No such device"):
            link.plug(7, 3, GUEST_PORT)
        kernel.refused = {}

        link.pin(MAC, 7)
        assert kernel.waiting == []
        assert [sequence for _, _, sequence, _ in take_apart(kernel.sent[1])] == [4]

    def test_acknowledgements_may_share_a_datagram(self, kernel: Kernel) -> None:
        kernel.answer = lambda messages: [b"".join(kernel.acknowledge(messages))]

        Netlink().plug(7, 3, GUEST_PORT)
        assert kernel.waiting == []

    def test_an_acknowledgement_of_something_else_is_not_ours(self, kernel: Kernel) -> None:
        kernel.waiting = [acknowledgement(77, errno.EPERM)]

        Netlink().pin(MAC, 7)
        assert kernel.waiting == []

    def test_a_kernel_that_does_not_answer_is_an_error(self, kernel: Kernel) -> None:
        kernel.answer = lambda messages: []

        with pytest.raises(OSError, match="timed out"):
            Netlink().pin(MAC, 7)

    @pytest.mark.parametrize("noise", [b"", b"\x01", bytes(16), struct.pack("=IHHII", 15, 2, 0, 1, 0)])
    def test_noise_ends_no_request_and_hangs_none(self, kernel: Kernel, noise: bytes) -> None:
        kernel.waiting = [noise]

        Netlink().pin(MAC, 7)
        assert kernel.waiting == []


def test_a_closed_link_has_closed_its_socket(kernel: Kernel) -> None:
    Netlink().close()

    assert kernel.closed
