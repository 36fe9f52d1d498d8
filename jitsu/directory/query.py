"""A query as it came off the wire.

Queries are read by hand and strictly, where answers are built with dnslib. Its parser decodes every record of a
packet, follows compression pointers by recursion and refuses labels that are not UTF-8: each is a way for a stranger
to make us work or stumble. A query needs less: the header, one name that cannot be compressed because nothing
precedes it, and the OPT record. The reading is linear in the packet's length, and quick: it is the first thing that
happens on the way to a boot.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from jitsu.directory.name import LONGEST_LABEL, LONGEST_NAME, Name

OPCODE_QUERY = 0
OPCODE_UPDATE = 5

QR = 0x8000
"""The header bit of an answer (RFC 1035 section 4.1.1)."""

SMALLEST_PAYLOAD = 512
"""Octets every UDP client takes (RFC 1035 section 2.3.4); lower EDNS sizes mean this one (RFC 6891 section 6.2.3)."""

LARGEST_PAYLOAD = 1232
"""Octets that cross nearly every path unfragmented: IPv6's least MTU less headers (DNS flag day 2020)."""

_HEADER = struct.Struct("!HHHHHH")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_POINTER = 0xC0
_DNSSEC_OK = 0x8000


class Type(IntEnum):
    """The record types that are answered in ways of their own."""

    A = 1
    NS = 2
    SOA = 6
    PTR = 12
    HINFO = 13
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255


CLASS_IN = 1


@dataclass(frozen=True, slots=True)
class Edns:
    """What a client says in its OPT record (RFC 6891 section 6.1): the UDP payload it takes, in octets, the version
    it speaks, and the DO flag (RFC 3225). Its options are not looked at."""

    payload: int
    version: int
    dnssec_ok: bool


@dataclass(slots=True)
class Query:
    """One query. `malformed` ones hold what could be read, which is the header at least.

    `asked` is the name as it was written, which the answer repeats: resolvers mix upper and lower case to recognise
    their own questions (draft-vixie-dnsext-dns0x20). `name` is the same in lower case, for looking up. `question` is
    the question section, octet for octet, and empty if there is not one question.
    """

    ident: int
    flags: int
    question: bytes = b""
    asked: Name | None = None
    name: Name = ()
    qtype: int = 0
    qclass: int = 0
    edns: Edns | None = None
    tsig: int = 0
    """Where the TSIG record begins, if the last record is one (RFC 8945 section 5.1); else 0."""
    malformed: bool = False

    @property
    def opcode(self) -> int:
        """Bits 1-4 of the flags; 0 is QUERY."""
        return self.flags >> 11 & 0xF

    @property
    def payload(self) -> int:
        """The octets that an answer over UDP may have: what the client takes, within bounds of ours."""
        if self.edns is None:
            return SMALLEST_PAYLOAD
        return min(max(self.edns.payload, SMALLEST_PAYLOAD), LARGEST_PAYLOAD)

    @classmethod
    def read(cls, packet: bytes) -> "Query | None":
        """The query in `packet`, or None for what deserves no answer: answers, and less than a header. Never raises.

        Malformed is what RFC 1035 section 4.1 does not allow, a number of questions other than one (RFC 9619), a
        second OPT record, one outside the additional section or with a name (RFC 6891 section 6.1.1), and octets
        after the end. It says nothing about opcodes other than QUERY, some of which have formats of their own.
        """
        if len(packet) < _HEADER.size:
            return None
        ident, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet)
        if flags & QR:
            return None
        query = cls(ident, flags)
        try:
            offset = query._read_questions(packet, questions)
            offset = query._read_records(packet, offset, answers + authorities, additionals)
            query.malformed |= offset != len(packet)
        except (IndexError, struct.error, ValueError):
            query.malformed = True
        return query

    def _read_questions(self, packet: bytes, count: int) -> int:
        """Read the question; any other number than one is malformed and passed over. The offset behind them."""
        offset = _HEADER.size
        if count == 1:
            asked, offset = _read_name(packet, offset)
            self.qtype, self.qclass = _QUESTION.unpack_from(packet, offset)
            self.asked, self.name = asked, tuple([label.lower() for label in asked])
            self.question = packet[_HEADER.size : offset + _QUESTION.size]
            return offset + _QUESTION.size
        self.malformed = True
        for _ in range(count):
            offset = _skip_name(packet, offset) + _QUESTION.size
        return offset

    def _read_records(self, packet: bytes, offset: int, before: int, additionals: int) -> int:
        """Walk over all records and keep the OPT among the last `additionals`. The offset behind them."""
        for place, record in enumerate(walk(packet, offset, before + additionals)):
            offset = record.end
            if record.rtype == Type.TSIG and place == before + additionals - 1 and place >= before:
                self.tsig = record.owner
            if record.rtype == Type.OPT:
                if self.edns is not None or place < before or packet[record.owner] != 0:
                    raise ValueError("this OPT record must not be here")
                # The record's class and TTL are the fields of EDNS (RFC 6891 section 6.1.3).
                version, dnssec_ok = record.ttl >> 16 & 0xFF, bool(record.ttl & _DNSSEC_OK)
                self.edns = Edns(payload=record.rclass, version=version, dnssec_ok=dnssec_ok)
        return offset


class Record(NamedTuple):
    """A record's fields, and where in its packet its owner name begins and the record ends."""

    owner: int
    rtype: int
    rclass: int
    ttl: int
    end: int


def walk(packet: bytes, offset: int, count: int) -> Iterator[Record]:
    """The `count` records of a packet from `offset` on; what they hold is not read. Raises IndexError, ValueError or
    struct.error where there is no such record. The last may end beyond the packet."""
    for _ in range(count):
        owner = offset
        offset = _skip_name(packet, offset)
        rtype, rclass, ttl, length = _RECORD.unpack_from(packet, offset)
        offset += _RECORD.size + length
        yield Record(owner, rtype, rclass, ttl, offset)


def _read_name(packet: bytes, offset: int) -> tuple[Name, int]:
    """The labels of an uncompressed name and the offset behind it. Raises IndexError or ValueError."""
    start = offset
    labels = []
    while length := packet[offset]:
        if length > LONGEST_LABEL:
            raise ValueError("compressed, or a label of an unknown kind")
        labels.append(packet[offset + 1 : offset + 1 + length])
        offset += 1 + length
    offset += 1
    if offset - start > LONGEST_NAME:
        raise ValueError("the name is too long")
    return tuple(labels), offset


def _skip_name(packet: bytes, offset: int) -> int:
    """The offset behind a name that may end in a pointer, which is not followed. Raises IndexError or ValueError."""
    while length := packet[offset]:
        if length >= _POINTER:
            return offset + 2
        if length > LONGEST_LABEL:
            raise ValueError("a label of an unknown kind")
        offset += 1 + length
    return offset + 1
