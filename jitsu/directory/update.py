"""Dynamic update (RFC 2136): what a message asks to be changed in a zone, decided and not yet done.

A guest may keep records of the types in `MAY_WRITE` at its service's names and below them. What somebody else put there
is not its business: an update that touches an address, or a record of the configuration, is refused as a whole.

This room imports dnspython, as `tsig` does.
"""

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.wire
from dnslib import RD, DNSBuffer

from jitsu.directory.answer import Rcode, record_data, record_type, rrset
from jitsu.directory.name import Name, parse_name
from jitsu.directory.query import CLASS_IN, Query, Type
from jitsu.directory.records import Record, Written
from jitsu.directory.zone import LONGEST_TTL, Zone
from jitsu.errors import ConfigError

MAY_WRITE = frozenset(dns.rdatatype.from_text(name) for name in ("TXT", "SRV", "SSHFP", "TLSA", "HTTPS", "CAA"))
"""Types that say something about the service. Not its address: a question for that summons it."""

MOST_RECORDS, MOST_OCTETS = 64, 8192
"""What one service may write in all."""

_HEADER = struct.Struct("!HHHHHH")
_DELETING = (dns.rdataclass.ANY, dns.rdataclass.NONE)
_META = range(128, 256)
"""Types that are questions (RFC 6895 section 3.1)."""

Changes = Mapping[Name, tuple[Record, ...]]
"""What is to be at each name, of all that is there."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A record of the prerequisite or update section; `data` in canonical form (RFC 4034 section 6.2)."""

    name: Name
    rtype: int
    rclass: int
    ttl: int
    data: bytes


class _Wrong(Exception):
    """The update cannot be done."""

    def __init__(self, rcode: Rcode) -> None:
        self.rcode = rcode


def decide(zone: Zone, query: Query, packet: bytes, services: Collection[str]) -> Rcode | Changes:
    """What an update of `zone` by whoever may write for `services` comes to, in the order of RFC 2136 section 3."""
    try:
        prerequisites, updates = _read(packet, query)
        _check_prerequisites(zone, prerequisites)
        for line in updates:
            _check_form(zone, line)
        changed: dict[Name, list[Record]] = {}
        for line in updates:
            service = _permitted(zone, line, services)
            at = changed.setdefault(line.name, list(zone.records_at(line.name)))
            _apply(zone, line, service, at)
    except _Wrong as wrong:
        return wrong.rcode
    return {name: tuple(records) for name, records in changed.items()}


def _read(packet: bytes, query: Query) -> tuple[list[_Line], list[_Line]]:
    """The prerequisite and the update section."""
    _, _, _, first, second, _ = _HEADER.unpack_from(packet)
    parser = dns.wire.Parser(packet, _HEADER.size + len(query.question))
    try:
        lines = [_read_line(parser) for _ in range(first + second)]
    except dns.exception.DNSException as error:
        raise _Wrong(Rcode.FORMERR) from error
    return lines[:first], lines[first:]


def _read_line(parser: dns.wire.Parser) -> _Line:
    owner = dns.name.from_wire_parser(parser)
    rtype, rclass, ttl, length = parser.get_struct("!HHIH")
    data = b""
    if length:
        with parser.restrict_to(length):
            # The class of a deletion says nothing about the form of its data.
            data = dns.rdata.from_wire_parser(dns.rdataclass.IN, rtype, parser).to_digestable()
    return _Line(tuple(label.lower() for label in owner.labels[:-1]), rtype, rclass, ttl, data)


# Prerequisites (RFC 2136 section 3.2)


def _check_prerequisites(zone: Zone, lines: list[_Line]) -> None:
    exactly: dict[tuple[Name, int], set[bytes]] = {}
    for line in lines:
        if line.ttl or (line.rclass in _DELETING and line.data):
            raise _Wrong(Rcode.FORMERR)
        if not zone.contains(line.name):
            raise _Wrong(Rcode.NOTZONE)
        there = _is_there(zone, line)
        match line.rclass:
            case dns.rdataclass.IN:
                exactly.setdefault((line.name, line.rtype), set()).add(line.data)
            case dns.rdataclass.ANY if not there:
                raise _Wrong(Rcode.NXDOMAIN if line.rtype == Type.ANY else Rcode.NXRRSET)
            case dns.rdataclass.NONE if there:
                raise _Wrong(Rcode.YXDOMAIN if line.rtype == Type.ANY else Rcode.YXRRSET)
            case dns.rdataclass.ANY | dns.rdataclass.NONE:
                pass
            case _:
                raise _Wrong(Rcode.FORMERR)
    for (name, rtype), wanted in exactly.items():
        if set(_values(zone, name, rtype)) != wanted:
            raise _Wrong(Rcode.NXRRSET)


def _is_there(zone: Zone, line: _Line) -> bool:
    """Is the name in use, or has it records of this type? Empty non-terminals are not in use."""
    return next(_values(zone, line.name, line.rtype), None) is not None


def _values(zone: Zone, name: Name, rtype: int) -> Iterator[bytes]:
    """The data of the records at a name, in canonical form; for type ANY, something if there is any."""
    for rr in rrset(zone, Query(0, 0, asked=name, name=name, qtype=rtype, qclass=CLASS_IN)):
        yield _canonical(rr.rdata, rtype)


def _canonical(rd: RD, rtype: int) -> bytes:
    buffer = DNSBuffer()
    rd.pack(buffer)
    data = bytes(buffer.data)
    if rtype == Type.ANY:
        return data
    parser = dns.wire.Parser(data)
    return dns.rdata.from_wire_parser(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rtype), parser).to_digestable()


# Updates (RFC 2136 section 3.4)


def _check_form(zone: Zone, line: _Line) -> None:
    if not zone.contains(line.name):
        raise _Wrong(Rcode.NOTZONE)
    match line.rclass:
        case dns.rdataclass.IN:
            good = line.rtype not in _META and line.data and line.ttl <= LONGEST_TTL
        case dns.rdataclass.ANY:
            good = (line.rtype not in _META or line.rtype == Type.ANY) and not line.ttl and not line.data
        case dns.rdataclass.NONE:
            good = line.rtype not in _META and not line.ttl
        case _:
            good = False
    if not good:
        raise _Wrong(Rcode.FORMERR)


def _permitted(zone: Zone, line: _Line, services: Collection[str]) -> str:
    """The service that the record is written for."""
    service = zone.keeper(line.name)
    everything = line.rclass == dns.rdataclass.ANY and line.rtype == Type.ANY
    if service not in services or not (everything or line.rtype in MAY_WRITE):
        raise _Wrong(Rcode.REFUSED)
    try:
        ordinary = parse_name(b".".join(line.name).decode("ascii", "replace")) == line.name
    except ConfigError:
        ordinary = False
    if not ordinary:
        raise _Wrong(Rcode.REFUSED)
    return service


def _apply(zone: Zone, line: _Line, service: str, at: list[Record]) -> None:
    """Change `at`, which is what there is at the line's name."""
    match line.rclass:
        case dns.rdataclass.IN:
            _add(line, service, at)
        case dns.rdataclass.ANY:
            if line.rtype == Type.ANY and zone.host(line.name) is not None:
                raise _Wrong(Rcode.REFUSED)
            _delete(at, [each for each in at if line.rtype in (Type.ANY, record_type(each))])
        case _:
            _delete(at, [each for each in at if record_type(each) == line.rtype and _data_of(each) == line.data])


def _add(line: _Line, service: str, at: list[Record]) -> None:
    same = [each for each in at if record_type(each) == line.rtype]
    if not any(not isinstance(each, Written) and _data_of(each) == line.data for each in same):
        at[:] = [each for each in at if each not in same or _data_of(each) != line.data]
        at.append(Written(line.rtype, line.data, line.ttl, service))
    # All records of one name and type have one TTL (RFC 2181 section 5.2): the one that was told last.
    for place, each in enumerate(at):
        if isinstance(each, Written) and each.rtype == line.rtype:
            at[place] = Written(each.rtype, each.data, line.ttl, each.service)


def _delete(at: list[Record], those: list[Record]) -> None:
    if not all(isinstance(each, Written) for each in those):
        raise _Wrong(Rcode.REFUSED)
    at[:] = [each for each in at if each not in those]


def _data_of(record: Record) -> bytes:
    return _canonical(record_data(record), record_type(record))
