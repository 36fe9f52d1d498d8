"""What guests write into the zone themselves, by signed updates, and who may.

A key may write for one service or several. What it wrote outlives the daemon, in `RecordStore`, and vanishes with the
service. dnspython is imported when the first signed message comes.
"""

import base64
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from jitsu.config import KeyConfig
from jitsu.directory.answer import Rcode, Reply, bare
from jitsu.directory.name import Name
from jitsu.directory.query import CLASS_IN, Query, Type
from jitsu.directory.records import Record, Written
from jitsu.directory.zone import Zone
from jitsu.errors import JitsuError

if TYPE_CHECKING:
    from jitsu.directory.tsig import Signature

log = logging.getLogger(__name__)

CLOCK: Callable[[], float] = time.time
"""What signatures are dated by: seconds since 1970."""


class Entry(NamedTuple):
    """A record that a guest wrote, and at which name."""

    name: Name
    record: Written


class RecordStore(Protocol):
    """Where they are kept. Methods block for the time of a small write, raise JitsuError, and have changed nothing
    then."""

    def entries(self) -> Iterable[Entry]: ...

    def change(self, removed: Collection[Entry], added: Collection[Entry]) -> None: ...


class MemoryRecordStore:
    """Forgets everything at its end."""

    def __init__(self) -> None:
        self.kept: set[Entry] = set()

    def entries(self) -> Iterable[Entry]:
        return list(self.kept)

    def change(self, removed: Collection[Entry], added: Collection[Entry]) -> None:
        self.kept = self.kept - set(removed) | set(added)


class Guestbook:
    """Takes updates from whoever has one of `keys`, and keeps what they write in `store`."""

    def __init__(self, keys: Sequence[KeyConfig], store: RecordStore) -> None:
        self._keys = {key.name: key for key in keys}
        self._store = store
        self._entries = set(store.entries())

    def settle(self, zones: Sequence[Zone]) -> None:
        """Put what is kept into the zones, and forget what belongs to no service any more."""
        gone = {entry for entry in self._entries if _zone_of(zones, entry) is None}
        if gone:
            self._entries -= gone
            try:
                self._store.change(gone, ())
            except JitsuError as error:
                log.error("%d records of services that are gone are left: %s", len(gone), error)
        wanted: dict[tuple[Zone, Name], list[Record]] = {}
        for zone in zones:
            for name in {entry.name for entry in self._entries | gone if zone.contains(entry.name)}:
                wanted[zone, name] = [each for each in zone.records_at(name) if not isinstance(each, Written)]
        for entry in sorted(self._entries, key=lambda entry: (entry.name, entry.record.rtype, entry.record.data)):
            zone_of = _zone_of(zones, entry)
            if zone_of is not None:
                wanted[zone_of, entry.name].append(entry.record)
        for (zone, name), records in wanted.items():
            if tuple(records) != zone.records_at(name):
                zone.put_records(name, records)

    def verify(self, query: Query, packet: bytes) -> "Signature | Reply":
        """Who signed a query that has a signature, or the reply to one that is no good."""
        from jitsu.directory import tsig

        return tsig.verify(query, packet, self._secrets, int(CLOCK()))

    def sign(self, signature: "Signature", query: Query, packet: bytes, limit: int) -> bytes:
        """The answer with a signature, or one that fits into `limit` octets."""
        return signature.sign(query, packet, limit, int(CLOCK()))

    def update(self, zones: Sequence[Zone], query: Query, packet: bytes, key: str) -> Reply:
        """Do what a well-formed update, signed with `key`, asks for, or nothing."""
        from jitsu.directory import update

        zone = next((zone for zone in zones if zone.apex == query.name), None)
        if query.qtype != Type.SOA:
            return bare(query, Rcode.FORMERR)
        if zone is None or query.qclass != CLASS_IN:
            return bare(query, Rcode.NOTAUTH)
        outcome = update.decide(zone, query, packet, self._keys[key].services)
        if isinstance(outcome, Rcode):
            log.info("an update with the key %s: %s", key, outcome.name)
            return bare(query, outcome)
        return bare(query, self._write(zone, key, outcome, update.MOST_RECORDS, update.MOST_OCTETS))

    def _write(self, zone: Zone, key: str, changes: Mapping[Name, tuple[Record, ...]], most: int, octets: int) -> Rcode:
        before = {entry for name in changes for entry in _entries(name, zone.records_at(name))}
        after = {entry for name, records in changes.items() for entry in _entries(name, records)}
        entries = self._entries - before | after
        for service in self._keys[key].services:
            own = [entry.record for entry in entries if entry.record.service == service]
            if len(own) > most or sum(len(record.data) for record in own) > octets:
                log.info("an update with the key %s would give %s more records than it may have", key, service)
                return Rcode.REFUSED
        try:
            self._store.change(before - after, after - before)
        except JitsuError as error:
            log.error("an update with the key %s: %s", key, error)
            return Rcode.SERVFAIL
        self._entries = entries
        for name, records in changes.items():
            if records != zone.records_at(name):
                zone.put_records(name, records)
        log.info(
            "an update with the key %s: %d records removed, %d added", key, len(before - after), len(after - before)
        )
        return Rcode.NOERROR

    @cached_property
    def _secrets(self) -> dict[str, Any]:
        import dns.tsig

        return {
            key.name: dns.tsig.Key(key.name, base64.b64decode(key.secret), key.algorithm) for key in self._keys.values()
        }


def _entries(name: Name, records: Iterable[Record]) -> set[Entry]:
    return {Entry(name, record) for record in records if isinstance(record, Written)}


def _zone_of(zones: Sequence[Zone], entry: Entry) -> Zone | None:
    """The zone in which the service that wrote it still has the name."""
    inside = (zone for zone in zones if zone.contains(entry.name))
    return next((zone for zone in inside if zone.keeper(entry.name) == entry.record.service), None)
