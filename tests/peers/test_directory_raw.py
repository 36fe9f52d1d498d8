"""Messages that no client would send, octet by octet, over both transports."""

import asyncio
import struct
from collections.abc import AsyncIterator

import pytest

from jitsu.directory.answer import Rcode
from tests.peers.directories import Directory, serving
from tests.unit.dns_clients import TcpClient, UdpClient

WEB = b"\x03web\x05jitsu\x04test\x00"
A_IN = b"\x00\x01\x00\x01"
OPT = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"


def message(*body: bytes, flags: int = 0, questions: int = 1, answers: int = 0, additionals: int = 0) -> bytes:
    return struct.pack("!HHHHHH", 0xBEEF, flags, questions, answers, 0, additionals) + b"".join(body)


CASES = {
    "plain": (message(WEB, A_IN), Rcode.NOERROR),
    "with-opt": (message(WEB, A_IN, OPT, additionals=1), Rcode.NOERROR),
    "options-nobody-knows": (
        message(WEB, A_IN, OPT[:-2], b"\x00\x06\xfd\xe9\x00\x02hi", additionals=1),
        Rcode.NOERROR,
    ),
    "labels-of-any-octets": (message(b"\x04\xff\x00.\xc3\x05jitsu\x04test\x00", A_IN), Rcode.NXDOMAIN),
    "the-longest-label": (message(b"\x3f", b"a" * 63, WEB[4:], A_IN), Rcode.NXDOMAIN),
    "the-longest-name": (message((b"\x3f" + b"a" * 63) * 3, b"\x32", b"b" * 50, WEB[4:], A_IN), Rcode.NXDOMAIN),
    "a-name-one-too-long": (message((b"\x3f" + b"a" * 63) * 3, b"\x33", b"b" * 51, WEB[4:], A_IN), Rcode.FORMERR),
    "the-root": (message(b"\x00", A_IN), Rcode.REFUSED),
    "type-zero": (message(WEB, b"\x00\x00\x00\x01"), Rcode.NOERROR),
    "class-zero": (message(WEB, b"\x00\x01\x00\x00"), Rcode.REFUSED),
    "header-only": (message(questions=0), Rcode.FORMERR),
    "question-missing": (message(), Rcode.FORMERR),
    "question-cut-short": (message(WEB, A_IN[:3]), Rcode.FORMERR),
    "octets-after-the-end": (message(WEB, A_IN, b"!"), Rcode.FORMERR),
    "two-questions": (message(WEB, A_IN, WEB, A_IN, questions=2), Rcode.FORMERR),
    "65535-questions": (message(WEB, A_IN, questions=65535), Rcode.FORMERR),
    "a-pointer-to-itself": (message(b"\xc0\x0c", A_IN), Rcode.FORMERR),
    "a-pointer-into-the-header": (message(b"\x03web\xc0\x00", A_IN), Rcode.FORMERR),
    "a-label-of-a-reserved-kind": (message(b"\x80", A_IN), Rcode.FORMERR),
    "an-answer-that-is-not-there": (message(WEB, A_IN, answers=1), Rcode.FORMERR),
    "two-opts": (message(WEB, A_IN, OPT, OPT, additionals=2), Rcode.FORMERR),
    "opt-among-the-answers": (message(WEB, A_IN, OPT, answers=1), Rcode.FORMERR),
    "opt-with-a-name": (message(WEB, A_IN, b"\x01x", OPT, additionals=1), Rcode.FORMERR),
    "iquery": (message(WEB, A_IN, flags=1 << 11), Rcode.NOTIMP),
    "update": (message(WEB, A_IN, flags=5 << 11), Rcode.NOTIMP),
    "every-flag-but-qr-and-opcode": (message(WEB, A_IN, flags=0x07FF), Rcode.NOERROR),
}


@pytest.fixture
async def directory() -> AsyncIterator[Directory]:
    async with serving(Directory()) as directory:
        yield directory


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("case", CASES)
async def test_a_message_has_its_rcode_and_the_server_lives_on(directory: Directory, transport: str, case: str) -> None:
    packet, expected = CASES[case]
    for sent, rcode in ((packet, expected), (message(WEB, A_IN), Rcode.NOERROR)):
        answer = await exchange(directory, transport, sent)
        assert answer[:2] == sent[:2]
        assert answer[2] & 0x80, "an answer says that it is one"
        assert answer[2] & 0x79 == sent[2] & 0x79, "opcode and RD are repeated"
        assert answer[3] & 0xF0 == 0, "nobody recurses or validates here"
        assert answer[3] & 0x0F == rcode


@pytest.mark.parametrize("packet", [b"", b"x", message(WEB, A_IN)[:11], message(WEB, A_IN, flags=0x8000)])
async def test_what_is_no_question_is_never_answered(directory: Directory, packet: bytes) -> None:
    with UdpClient(directory.server.listening[0]) as client:
        client.send(packet)
        client.send(message(WEB, A_IN))
        assert (await client.receive()).header.rcode == Rcode.NOERROR
    assert directory.server.stats == {("udp", "dropped"): 1, ("udp", "NOERROR"): 1}
    reader, writer = await asyncio.open_connection(*directory.server.listening[0])
    TcpClient(reader, writer).send(packet)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def exchange(directory: Directory, transport: str, packet: bytes) -> bytes:
    """The octets of the answer."""
    address = directory.server.listening[0]
    async with asyncio.timeout(5):
        if transport == "udp":
            with UdpClient(address) as client:
                client.send(packet)
                return await asyncio.get_running_loop().sock_recv(client.sock, 65535)
        reader, writer = await asyncio.open_connection(*address)
        TcpClient(reader, writer).send(packet)
        answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        writer.close()
        return answer
