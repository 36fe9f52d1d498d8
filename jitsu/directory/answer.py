"""What the directory answers: a pure function from zones and a packet to a reply, or to a question that summons.

Of all questions only one kind summons: class IN, for an address of a host, by a type (A or AAAA) of which it has one.
Everything else is answered at once and boots nothing, so that a client which also asks for HTTPS, or for an address of
the version that the host has not, waits for one service once:

    name and type                               answer
    A, AAAA of a host that has such an address  summons; then its address, or SERVFAIL if there is no room
    A, AAAA of a name server inside the zone    its address
    SOA, NS of the apex                         the record; for NS with the servers' addresses
    TXT, SRV, PTR of a name that has some       the records
    ANY of a name that has any record           HINFO "RFC8482" (RFC 8482 section 4.2)
    another type of a name that exists          NODATA: NOERROR, no answer, SOA (RFC 2308 section 2.2)
    a name that does not exist                  NXDOMAIN with SOA (RFC 2308 section 2.1, RFC 8020)
    outside the zones, with RD set              forwarded for clients for whom that is done, else REFUSED
    outside the zones, a class other than IN    REFUSED; also class ANY, which only asks caches anything useful
    AXFR, IXFR                                  REFUSED (RFC 5936 section 2.2.1)
    an opcode other than QUERY                  NOTIMP (RFC 8906 section 3.1.4); for signed updates see `guestbook`
    malformed, not one question                 FORMERR (RFC 9619)
    EDNS of a version above 0                   BADVERS (RFC 6891 section 6.1.3)

An SRV answer does not bring its target's address along, which RFC 2782 leaves open: so the client asks for it, and
that question summons, or is refused where there is no room. A resolver that minimises names asks for types of A on
its way down (RFC 9156 section 2.1), so an SRV question that comes through one may summon the host above it.

The answer has the question's ID, opcode, RD and question section. AA is set where the zone speaks, in NOERROR and
NXDOMAIN. RA is only set in what has to do with forwarding, and AD and CD never (RFC 4035 section 3.1.6). A query with
an OPT record has an answer with one, which copies DO as RFC 3225 section 3 says, though nothing here is signed.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from socket import AF_INET, AF_INET6, inet_pton

from dnslib import AAAA, EDNS0, NS, PTR, RD, RR, SOA, SRV, TXT, A, DNSHeader, DNSLabel, DNSQuestion, DNSRecord

from jitsu.directory.name import Name
from jitsu.directory.query import CLASS_IN, LARGEST_PAYLOAD, OPCODE_QUERY, QR, Query, Type
from jitsu.directory.records import Ptr, Record, Srv, Txt, Written
from jitsu.directory.zone import Host, Zone

LARGEST_MESSAGE = 65535
"""Octets that TCP's two-byte length can announce (RFC 1035 section 4.2.2)."""

_HEADER = struct.Struct("!HHHHHH")
_OWN_ADDRESS = struct.Struct("!HHHIH")
_OPT = struct.Struct("!BHHBBHH")
_POINTER_TO_QUESTION = 0xC00C
"""A compressed name: the one behind the header (RFC 1035 section 4.1.4)."""

_OPCODE_AND_RD = 0x7900
_AA = 0x0400
_TC = 0x0200
_RD = 0x0100
_RA = 0x0080
_NEVER_FORWARDED = range(249, 253)
"""TKEY, TSIG, IXFR and AXFR, which are between neighbours."""
_HINFO = b"\x07RFC8482\x00"
"""CPU "RFC8482", OS empty."""
_KINDS: Mapping[type[Record], int] = {Ptr: Type.PTR, Txt: Type.TXT, Srv: Type.SRV}


class Rcode(IntEnum):
    """Outcomes of a query (RFC 1035 section 4.1.1; of an update, RFC 2136 section 2.2; BADVERS, RFC 6891 section 9)."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    YXDOMAIN = 6
    YXRRSET = 7
    NXRRSET = 8
    NOTAUTH = 9
    NOTZONE = 10
    BADVERS = 16


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer: the DNS message, and its outcome for those who count, or None if it is not from here."""

    packet: bytes
    rcode: Rcode | None


@dataclass(frozen=True, slots=True)
class Question:
    """A question that summons `service`. Nothing is answered until somebody says whether there is room for it."""

    service: str
    host: Host
    query: Query

    def finish(self, granted: bool) -> Reply:
        """The address, if the resources were granted; else SERVFAIL, upon which resolvers try the next server."""
        if not granted:
            return bare(self.query, Rcode.SERVFAIL)
        [address] = _of_type(self.query.qtype, self.host.addresses)
        data = inet_pton(AF_INET if self.query.qtype == Type.A else AF_INET6, address)
        # Laid out by hand, for it is the answer that is given most: it takes 2 us so, and 33 with dnslib.
        record = _OWN_ADDRESS.pack(_POINTER_TO_QUESTION, self.query.qtype, CLASS_IN, self.host.ttl, len(data)) + data
        packet = _head(self.query, Rcode.NOERROR, _AA, answers=1) + record + _opt(self.query, Rcode.NOERROR)
        return Reply(packet, Rcode.NOERROR)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A question that is not ours to answer, of a client that wants it resolved."""

    query: Query

    def refuse(self) -> Reply:
        """What whoever may not have it resolved here is told."""
        return bare(self.query, Rcode.REFUSED)


Outcome = Reply | Question | Foreign


def consider(zones: Sequence[Zone], packet: bytes, udp: bool, *, forwards: bool = False) -> Outcome | None:
    """What to do about `packet`, which came over UDP or else TCP: reply, summon, drop it (None), or, where somebody's
    questions are forwarded, find out whether this is one of them.

    Never raises, whatever the packet holds. Replies over UDP are no longer than the client and we can take, and
    truncated (TC) where that does not suffice.
    """
    query = Query.read(packet)
    return decide(zones, query, udp, forwards=forwards) if query is not None else None


def decide(zones: Sequence[Zone], query: Query, udp: bool, *, forwards: bool = False) -> Outcome:
    """The same for a query that has been read."""
    limit = query.payload if udp else LARGEST_MESSAGE
    if query.opcode != OPCODE_QUERY:
        return bare(query, Rcode.NOTIMP)
    if query.malformed:
        return bare(query, Rcode.FORMERR)
    if query.edns is not None and query.edns.version > 0:
        return bare(query, Rcode.BADVERS)
    zone = _closest(zones, query.name)
    if forwards and zone is None and _may_be_forwarded(query):
        return Foreign(query)
    if zone is None or query.qclass != CLASS_IN or query.qtype in (Type.AXFR, Type.IXFR):
        return bare(query, Rcode.REFUSED)
    host = zone.host(query.name)
    if host is not None and _of_type(query.qtype, host.addresses):
        return Question(host.service, host, query)
    if not zone.exists(query.name):
        return _reply(query, Rcode.NXDOMAIN, limit, authority=[_soa(zone, query, zone.negative_ttl)])
    answer = rrset(zone, query)
    if not answer:
        return _reply(query, Rcode.NOERROR, limit, authority=[_soa(zone, query, zone.negative_ttl)])
    additional = _glue(zone) if query.qtype == Type.NS else []
    return _reply(query, Rcode.NOERROR, limit, answer=answer, additional=additional)


def _may_be_forwarded(query: Query) -> bool:
    return bool(query.flags & _RD) and query.qclass == CLASS_IN and query.qtype not in _NEVER_FORWARDED


def _closest(zones: Sequence[Zone], name: Name) -> Zone | None:
    """The zone that speaks for `name`: where one lies within another, the inner."""
    closest = None
    for zone in zones:
        if zone.contains(name) and (closest is None or len(zone.apex) > len(closest.apex)):
            closest = zone
    return closest


def rrset(zone: Zone, query: Query) -> list[RR]:
    """The records of the question's name and type."""
    name, owner = query.name, query.asked or ()
    host, glue, others = zone.host(name), zone.glue(name), zone.records_at(name)
    match query.qtype:
        case Type.A | Type.AAAA as qtype if host is not None:
            return [_address(owner, address, host.ttl) for address in _of_type(qtype, host.addresses)]
        case Type.A | Type.AAAA as qtype:
            return [_address(owner, address, zone.ttl) for address in _of_type(qtype, glue)]
        case Type.SOA if name == zone.apex:
            return [_soa(zone, query, zone.ttl)]
        case Type.NS if name == zone.apex:
            return [RR(DNSLabel(owner), Type.NS, CLASS_IN, zone.ttl, NS(DNSLabel(server))) for server in zone.servers]
        case Type.ANY if name == zone.apex or glue or others or host is not None:
            return [RR(DNSLabel(owner), Type.HINFO, CLASS_IN, zone.ttl, RD(_HINFO))]
        case qtype:
            found = [record for record in others if record_type(record) == qtype]
            # All records of one name and type have one TTL (RFC 2181 section 5.2).
            ttl = min([record.ttl if isinstance(record, Written) else zone.ttl for record in found], default=0)
            return [RR(DNSLabel(owner), qtype, CLASS_IN, ttl, record_data(record)) for record in found]


def record_type(record: Record) -> int:
    return record.rtype if isinstance(record, Written) else _KINDS[type(record)]


def record_data(record: Record) -> RD:
    match record:
        case Written(_, data):
            return RD(data)
        case Ptr(target):
            return PTR(DNSLabel(target))
        case Txt(text):
            return TXT(text.encode())
        case Srv(port, target):
            return SRV(port=port, target=DNSLabel(target))


def _of_type(qtype: int, addresses: Sequence[str]) -> list[str]:
    """The addresses that are data of this type: IPv4 for A, IPv6 for AAAA, none for any other."""
    if qtype not in (Type.A, Type.AAAA):
        return []
    return [address for address in addresses if (":" in address) is (qtype == Type.AAAA)]


def _address(owner: Name, address: str, ttl: int) -> RR:
    if ":" in address:
        return RR(DNSLabel(owner), Type.AAAA, CLASS_IN, ttl, AAAA(address))
    return RR(DNSLabel(owner), Type.A, CLASS_IN, ttl, A(address))


def _glue(zone: Zone) -> list[RR]:
    """The addresses of the name servers inside the zone."""
    return [_address(server, address, zone.ttl) for server in zone.servers for address in zone.glue(server)]


def _soa(zone: Zone, query: Query, ttl: int) -> RR:
    # The owner is taken from the end of the question, in whose case it is written: so it compresses to a pointer.
    owner = (query.asked or ())[-len(zone.apex) :]
    times = (zone.serial, zone.refresh, zone.retry, zone.expire, zone.minimum)
    soa = SOA(DNSLabel(zone.servers[0]), DNSLabel(zone.mailbox), times)
    return RR(DNSLabel(owner), Type.SOA, CLASS_IN, ttl, soa)


def _reply(
    query: Query,
    rcode: Rcode,
    limit: int,
    *,
    answer: Sequence[RR] = (),
    authority: Sequence[RR] = (),
    additional: Sequence[RR] = (),
) -> Reply:
    """The zone's reply in at most `limit` octets, which is always enough for the header, the question and OPT."""
    packet = _pack(query, rcode, answer, authority, additional)
    if len(packet) > limit:
        # Leaving out what was only extra is no truncation (RFC 2181 section 9).
        packet = _pack(query, rcode, answer, authority, ())
    if len(packet) > limit:
        packet = _head(query, rcode, _AA | _TC) + _opt(query, rcode)
    return Reply(packet, rcode)


def bare(query: Query, rcode: Rcode, *, recursive: bool = False) -> Reply:
    """A reply that says no more than `rcode`; `recursive` if it is one to a client for whom questions are forwarded."""
    return Reply(_head(query, rcode, _RA * recursive) + _opt(query, rcode), rcode)


def truncated(query: Query, *, recursive: bool = False) -> Reply:
    """A reply that sends the client from UDP to TCP; `recursive` as in `bare`."""
    return Reply(_head(query, Rcode.NOERROR, _TC | _RA * recursive) + _opt(query, Rcode.NOERROR), Rcode.NOERROR)


def _pack(query: Query, rcode: Rcode, answer: Sequence[RR], authority: Sequence[RR], additional: Sequence[RR]) -> bytes:
    questions = [DNSQuestion(DNSLabel(query.asked or ()), query.qtype, query.qclass)]
    header = DNSHeader(id=query.ident, bitmap=QR | query.flags & _OPCODE_AND_RD | _AA | rcode & 0xF)
    options = []
    if query.edns is not None:
        options.append(EDNS0(flags="do" if query.edns.dnssec_ok else "", udp_len=LARGEST_PAYLOAD))
    record = DNSRecord(header, questions, rr=answer, auth=authority, ar=[*additional, *options])
    return bytes(record.pack())


def _head(query: Query, rcode: Rcode, flags: int, answers: int = 0) -> bytes:
    """Header and question of a reply."""
    flags |= QR | query.flags & _OPCODE_AND_RD | rcode & 0xF
    options = query.edns is not None
    return _HEADER.pack(query.ident, flags, bool(query.question), answers, 0, options) + query.question


def _opt(query: Query, rcode: Rcode) -> bytes:
    """The OPT record of a reply, if it has one."""
    if query.edns is None:
        return b""
    return _OPT.pack(0, Type.OPT, LARGEST_PAYLOAD, rcode >> 4, 0, query.edns.dnssec_ok << 15, 0)
