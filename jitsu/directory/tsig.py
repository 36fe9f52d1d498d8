"""Transaction signatures (RFC 8945): who sent a message, and a proof for them that the answer is from here.

This room imports dnspython, which takes a moment: whoever needs it imports it when the first signed message comes.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.wire
from dns.rdtypes.ANY.TSIG import TSIG

from jitsu.directory.answer import Rcode, Reply, bare, truncated
from jitsu.directory.query import Query, Type

FUDGE = 300
"""Seconds by which the clocks of both sides may differ (RFC 8945 section 10)."""

_RECORD = struct.Struct("!HHIH")
_COUNT = struct.Struct("!H")
_ADDITIONALS = 10
"""Where in the header the number of additional records is."""


class TsigError(IntEnum):
    """What is wrong with a signature (RFC 8945 section 3)."""

    BADSIG = 16
    BADKEY = 17
    BADTIME = 18


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that was found good: the name of its key in lower case, and what is needed to sign the answer."""

    key: str
    secret: dns.tsig.Key
    request: TSIG

    def sign(self, query: Query, packet: bytes, limit: int, now: int) -> bytes:
        """The answer `packet` with a signature of ours, at `now` in seconds since 1970. If that is longer than `limit`
        octets, the client is sent to TCP in its place."""
        signed = _signed(packet, self.secret, self.request, now, 0, b"")
        if len(signed) > limit:
            signed = _signed(truncated(query).packet, self.secret, self.request, now, 0, b"")
        return signed


def verify(query: Query, packet: bytes, keys: Mapping[str, dns.tsig.Key], now: int) -> Signature | Reply:
    """The signature of a query that has one, or the reply to whoever cannot sign: the key is looked at first, then the
    signature, then the time, which is `now` in seconds since 1970 (RFC 8945 section 5.2)."""
    try:
        parser = dns.wire.Parser(packet, query.tsig)
        owner = dns.name.from_wire_parser(parser)
        _, rclass, ttl, length = parser.get_struct(_RECORD.format)
        with parser.restrict_to(length):
            request = dns.rdata.from_wire_parser(rclass, dns.rdatatype.TSIG, parser)
    except dns.exception.DNSException:
        return bare(query, Rcode.FORMERR)
    if rclass != dns.rdataclass.ANY or ttl or not isinstance(request, TSIG):
        return bare(query, Rcode.FORMERR)
    name = owner.to_text(omit_final_dot=True).lower()
    key = keys.get(name)
    if key is None or key.algorithm != request.algorithm:
        return _rejected(query, owner, request, TsigError.BADKEY)
    try:
        # dnspython looks at the time as well: it is told the client's, so that it finds nothing wrong with that.
        dns.tsig.validate(packet, key, key.name, request, request.time_signed, b"", query.tsig)  # type: ignore[no-untyped-call]
    except (dns.exception.DNSException, dns.tsig.BadSignature):
        return _rejected(query, owner, request, TsigError.BADSIG)
    if abs(now - request.time_signed) > min(request.fudge, FUDGE):
        # Signed, under the client's own time and with ours beside it, so that the client can believe it.
        answer = bare(query, Rcode.NOTAUTH).packet
        other = now.to_bytes(6, "big")
        signed = _signed(answer, key, request, request.time_signed, TsigError.BADTIME, other)
        return Reply(signed, Rcode.NOTAUTH)
    return Signature(name, key, request)


def _rejected(query: Query, owner: dns.name.Name, request: TSIG, error: TsigError) -> Reply:
    """NOTAUTH, with a TSIG record that signs nothing (RFC 8945 sections 5.2.1 and 5.2.2)."""
    unsigned = request.replace(mac=b"", error=int(error), other=b"")
    return Reply(_with(bare(query, Rcode.NOTAUTH).packet, owner, unsigned), Rcode.NOTAUTH)


def _signed(packet: bytes, key: dns.tsig.Key, request: TSIG, now: int, error: int, other: bytes) -> bytes:
    blank = request.replace(fudge=FUDGE, original_id=int.from_bytes(packet[:2], "big"), error=error, other=other)
    tsig, _ = dns.tsig.sign(packet, key, blank, now, request.mac)  # type: ignore[no-untyped-call]
    return _with(packet, key.name, tsig)


def _with(packet: bytes, owner: dns.name.Name, tsig: dns.rdata.Rdata) -> bytes:
    """The packet with this record at its end."""
    buffer = BytesIO()
    tsig.to_wire(buffer)
    data = buffer.getvalue()
    [count] = _COUNT.unpack_from(packet, _ADDITIONALS)
    head = packet[:_ADDITIONALS] + _COUNT.pack(count + 1) + packet[_ADDITIONALS + _COUNT.size :]
    return head + owner.to_digestable() + _RECORD.pack(Type.TSIG, dns.rdataclass.ANY, 0, len(data)) + data
