"""Queries of every kind, and what becomes of them when octets go wrong. All of it from one seeded source."""

import base64
import random
import struct
import time
from collections.abc import Callable, Iterator

import dns.message
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TSIG import TSIG
from dnslib import EDNS0, QTYPE, DNSHeader, DNSQuestion, DNSRecord, EDNSOption

SECRET = base64.b64encode(b"a secret of thirty-two octets...").decode()
KEY = dns.tsig.Key("web-key", SECRET)
NAMES = (
    "web.jitsu.test",
    "web.jitsu.test",
    "web.jitsu.test",
    "WEB.jitsu.TEST",
    "slow.jitsu.test",
    "nope.jitsu.test",
    "jitsu.test",
    "ns.jitsu.test",
    "_http._tcp.web.jitsu.test",
    "example.org",
    "10.0.77.10.in-addr.arpa",
    "a" * 63 + ".jitsu.test",
    ".".join(["b" * 60] * 3) + ".jitsu.test",
)
TYPES = ("A", "A", "A", "A", "A", "AAAA", "PTR", "TXT", "SRV", "SOA", "NS", "ANY", "AXFR", "HTTPS", "DS")


def packets(source: random.Random, count: int) -> Iterator[bytes]:
    """`count` packets: some of pure noise, some as they should be, most with a few things wrong."""
    kinds = (question, question, with_edns, signed, update, noise)
    for _ in range(count):
        packet = source.choice(kinds)(source)
        for _ in range(source.choice((0, 1, 1, 1, 2, 3, 8))):
            packet = source.choice(MUTATIONS)(source, packet)
        # What a holder of the key sends is read further than what anybody does.
        yield resigned(packet) if source.random() < 0.2 and len(packet) >= 12 else packet


def framed(source: random.Random, packet: bytes) -> bytes:
    """The message as TCP carries it, with a length that is wrong now and then."""
    length = len(packet) if source.random() < 0.8 else source.choice((0, 1, 11, len(packet) + 1, 65535))
    return struct.pack("!H", length & 0xFFFF) + packet


# Queries as they should be.


def _query(source: random.Random) -> DNSRecord:
    header = DNSHeader(id=source.randrange(65536), bitmap=source.choice((0, 0x0100, 0x0110, 0x0120)))
    return DNSRecord(header, q=DNSQuestion(source.choice(NAMES), getattr(QTYPE, source.choice(TYPES))))


def question(source: random.Random) -> bytes:
    return bytes(_query(source).pack())


def with_edns(source: random.Random) -> bytes:
    query = _query(source)
    options = [
        EDNSOption(source.choice((3, 8, 10, 12, 15, 65001)), source.randbytes(source.randrange(24)))
        for _ in range(source.randrange(4))
    ]
    flags = source.choice(("", "do"))
    query.add_ar(EDNS0(flags=flags, udp_len=source.choice((0, 512, 1232, 4096, 65535)), opts=options))
    return bytes(query.pack())


def signed(source: random.Random) -> bytes:
    query = dns.message.make_query(source.choice(NAMES), "A", id=source.randrange(65536))
    query.use_tsig(KEY)
    return query.to_wire()


def update(source: random.Random) -> bytes:
    change = dns.update.UpdateMessage(source.choice(("jitsu.test", "example.org")), id=source.randrange(65536))
    name = source.choice(NAMES[:9]) + "."
    if str(change.origin) == "jitsu.test.":
        if source.random() < 0.5:
            change.present(name, "TXT")
        change.add(name, 60, "TXT", f'"{source.randrange(1000)}"')
        change.delete(name, "SRV")
    if source.random() < 0.7:
        change.use_tsig(KEY)
    return change.to_wire()


def resigned(packet: bytes) -> bytes:
    """A packet, whatever it holds, with a good signature at its end."""
    ident, now = int.from_bytes(packet[:2], "big"), int(time.time())
    blank = TSIG(dns.rdataclass.ANY, dns.rdatatype.TSIG, KEY.algorithm, now, 300, b"", ident, 0, b"")
    tsig, _ = dns.tsig.sign(packet, KEY, blank, now, b"")
    data = tsig.to_wire()
    count = int.from_bytes(packet[10:12], "big") + 1 & 0xFFFF
    record = KEY.name.to_wire() + struct.pack("!HHIH", dns.rdatatype.TSIG, dns.rdataclass.ANY, 0, len(data)) + data
    return packet[:10] + struct.pack("!H", count) + packet[12:] + record


def noise(source: random.Random) -> bytes:
    return source.randbytes(source.choice((0, 1, 11, 12, 13, 40, 512, 1400)))


# What goes wrong.


def _flip(source: random.Random, packet: bytes) -> bytes:
    if not packet:
        return packet
    place = source.randrange(len(packet))
    return packet[:place] + bytes([packet[place] ^ 1 << source.randrange(8)]) + packet[place + 1 :]


def _overwrite(source: random.Random, packet: bytes) -> bytes:
    place = source.randrange(len(packet) + 1)
    piece = source.choice((b"\x00", b"\xff", b"\xff\xff", b"\xc0\x0c", b"\xc0\x00", b"\x3f", b"\x40", b"\x80"))
    return packet[:place] + piece + packet[place + len(piece) :]


def _cut(source: random.Random, packet: bytes) -> bytes:
    return packet[: source.randrange(len(packet) + 1)]


def _grow(source: random.Random, packet: bytes) -> bytes:
    return packet + source.randbytes(source.randrange(1, 40))


def _repeat(source: random.Random, packet: bytes) -> bytes:
    start = source.randrange(len(packet) + 1)
    return packet[:start] + packet[start : start + source.randrange(1, 30)] * 2 + packet[start:]


def _counts(source: random.Random, packet: bytes) -> bytes:
    """Another number of records in some section."""
    if len(packet) < 12:
        return packet
    place = source.choice((4, 6, 8, 10))
    return packet[:place] + struct.pack("!H", source.choice((0, 1, 2, 255, 65535))) + packet[place + 2 :]


def _point(source: random.Random, packet: bytes) -> bytes:
    """A compression pointer to anywhere, itself included."""
    place = source.randrange(12, max(len(packet), 13))
    return packet[:place] + struct.pack("!H", 0xC000 | source.randrange(place + 4)) + packet[place + 2 :]


def _another_opcode(source: random.Random, packet: bytes) -> bytes:
    if len(packet) < 3:
        return packet
    return packet[:2] + bytes([packet[2] & 0x87 | source.randrange(16) << 3]) + packet[3:]


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _flip,
    _flip,
    _overwrite,
    _cut,
    _grow,
    _repeat,
    _counts,
    _point,
    _another_opcode,
)
