"""The zone: which names exist, which of them summon a service, and who serves the zone.

A zone is flat, and changes by as much as a change of services needs: one among ten thousand is added or removed
without a look at the others. Four kinds of names exist in it:

    hosts           A and AAAA records whose questions summon a service; several names may summon the same one
    name servers    those inside the zone have glue records, A and AAAA, which summon nobody
    records         TXT, SRV and PTR, at names of any kind, which summon nobody either
    the rest        the apex, and empty non-terminals: `b.jitsu.test` when only `a.b.jitsu.test` is a host
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType

from jitsu.directory.name import Name, parse_name
from jitsu.directory.records import Record
from jitsu.errors import ConfigError

LONGEST_TTL = 2**31 - 1
"""Seconds (RFC 2181 section 8)."""

MOST_NAMESERVERS = 13
"""As many as the root has. It also keeps every answer within reach of 14-bit compression pointers."""


@dataclass(frozen=True, slots=True)
class Host:
    """What a name stands for: the service it summons, and its address, or one of each IP version (`ttl` in seconds).

    Keep `ttl` well below the time after which the idle service is dismissed: whoever holds the address in a cache
    connects without asking again.
    """

    service: str
    addresses: tuple[str, ...]
    ttl: int


class Zone:
    """The names under `origin`; every one in `hosts`, `nameservers` and `records` is written in full, in any case.

    `nameservers` are tuples of a name and, for a name inside the zone and only there, its addresses. The first of
    them is the primary (SOA MNAME), and `hostmaster` is the zone's mailbox (SOA RNAME), `hostmaster.<origin>` unless
    said otherwise. `ttl` is that of all records but the hosts' addresses; `minimum` bounds how long a negative answer
    may be kept (RFC 2308 section 4), so it is how long a resolver may take to notice a new service. All times are in
    seconds. The origin itself may be a host as well. `elsewhere` are labels directly below the origin that somebody
    else answers for: what lies there is outside this zone.

    Raises ConfigError for a name that is malformed, outside the zone or there twice, for a name server inside the
    zone without an address or outside with one, and for addresses and numbers out of range.
    """

    def __init__(
        self,
        origin: str,
        nameservers: Sequence[tuple[str, ...]],
        hosts: Mapping[str, Host],
        *,
        records: Mapping[str, Sequence[Record]] = MappingProxyType({}),
        elsewhere: frozenset[bytes] = frozenset(),
        hostmaster: str = "",
        ttl: int = 3600,
        serial: int = 1,
        refresh: int = 3600,
        retry: int = 600,
        expire: int = 86400,
        minimum: int = 60,
    ) -> None:
        self.origin = origin
        self.elsewhere = elsewhere
        self.ttl, self.serial, self.minimum = ttl, serial, minimum
        self.refresh, self.retry, self.expire = refresh, retry, expire
        for what in ("ttl", "refresh", "retry", "expire", "minimum"):
            _check_range(f"{what} of the zone {origin}", getattr(self, what), LONGEST_TTL)
        _check_range(f"serial of the zone {origin}", serial, 2**32 - 1)
        self.apex = parse_name(origin)
        self.mailbox = parse_name(hostmaster or f"hostmaster.{origin}")
        self._hosts: dict[Name, Host] = {}
        self._records: dict[Name, tuple[Record, ...]] = {}
        self._below: Counter[Name] = Counter()
        """How many names with something to them lie below each name that has any."""
        self.servers = tuple(parse_name(name) for name, *_ in nameservers)
        """The names of `nameservers`, the primary first."""
        self._glue = self._checked_glue(nameservers)
        for name in self._glue:
            self._count(name, 1)
        self.change(hosts, records)
        self.serial = serial

    def change(
        self,
        hosts: Mapping[str, Host],
        records: Mapping[str, Sequence[Record]] = MappingProxyType({}),
        *,
        without: Iterable[str] = (),
    ) -> None:
        """Take away everything at the names `without`, add `hosts` and `records`, and raise the serial; all at once,
        or, if ConfigError is raised, nothing of it. It takes as long as the change is large, not the zone."""
        gone = {self._inside(text, "a record") for text in without}
        new_hosts = self._checked_hosts(hosts, gone)
        new_records = self._checked_records(records, gone)
        for name in gone:
            self._set(name, None, ())
        for name, host in new_hosts.items():
            self._set(name, host, self.records_at(name))
        for name, found in new_records.items():
            self._set(name, self.host(name), found)
        self._touch()

    def put_records(self, name: Name, records: Sequence[Record]) -> None:
        """Let these be all the records of a lower-case name inside the zone, and raise the serial."""
        self._set((*name[: -len(self.apex)], *self.apex), self.host(name), records)
        self._touch()

    @property
    def negative_ttl(self) -> int:
        """Seconds a negative answer may be kept: the SOA's TTL in such answers (RFC 2308 sections 3 and 5)."""
        return min(self.ttl, self.minimum)

    def contains(self, name: Name) -> bool:
        """Whether the lower-case `name` is the apex or below it, and not somebody else's."""
        depth = len(name) - len(self.apex)
        if depth < 0 or name[depth:] != self.apex:
            return False
        return depth == 0 or name[depth - 1] not in self.elsewhere

    def exists(self, name: Name) -> bool:
        """Whether anything is at or below the lower-case `name`: if not, the answer is NXDOMAIN (RFC 8020)."""
        return self._has(name) or name in self._below or name == self.apex

    def host(self, name: Name) -> Host | None:
        """The host of this lower-case name."""
        return self._hosts.get(name)

    def records_at(self, name: Name) -> tuple[Record, ...]:
        """The records of this lower-case name that summon nobody."""
        return self._records.get(name, ())

    def keeper(self, name: Name) -> str:
        """The service whose name this lower-case name is or lies below, of several the nearest; empty if it is nobody's
        or a name server's."""
        while len(name) >= len(self.apex) and name not in self._glue:
            if (host := self._hosts.get(name)) is not None:
                return host.service
            name = name[1:]
        return ""

    def glue(self, name: Name) -> tuple[str, ...]:
        """The addresses of the name server of this lower-case name, if it is inside the zone."""
        return self._glue.get(name, ())

    def _has(self, name: Name) -> bool:
        return name in self._hosts or name in self._records or name in self._glue

    def _set(self, name: Name, host: Host | None, records: Sequence[Record]) -> None:
        had = self._has(name)
        if host is not None:
            self._hosts[name] = host
        else:
            self._hosts.pop(name, None)
        if records:
            self._records[name] = tuple(records)
        else:
            self._records.pop(name, None)
        if self._has(name) != had:
            self._count(name, -1 if had else 1)

    def _count(self, name: Name, step: int) -> None:
        for depth in range(1, len(name) - len(self.apex) + 1):
            above = name[depth:]
            self._below[above] += step
            if not self._below[above]:
                del self._below[above]

    def _touch(self) -> None:
        # Serial numbers go in circles (RFC 1982), and 0 is best left out (RFC 2136 section 3.6).
        self.serial = self.serial % (2**32 - 1) + 1

    def _inside(self, text: str, whose: str) -> Name:
        """The name of a host or record; the labels of the apex are stored once for all. Raises ConfigError."""
        name = parse_name(text)
        if not self.contains(name):
            raise ConfigError(
                f"the name {text!r} of {whose} is outside the zone {self.origin}",
                hint=f"give it a name that ends in .{self.origin}",
            )
        return (*name[: len(name) - len(self.apex)], *self.apex)

    def _checked_hosts(self, wanted: Mapping[str, Host], gone: AbstractSet[Name]) -> dict[Name, Host]:
        hosts: dict[Name, Host] = {}
        for text, host in wanted.items():
            name = self._inside(text, f"service {host.service}")
            other = hosts.get(name) or (None if name in gone else self._hosts.get(name))
            if other is not None:
                raise ConfigError(
                    f"the name {text!r} is there twice: it summons {other.service} and {host.service}",
                    hint="upper and lower case do not distinguish names",
                )
            if name in self._glue:
                raise ConfigError(
                    f"the name server {text!r} is also a name of service {host.service}",
                    hint="give one of them another name: a name server's address summons nobody",
                )
            if not 1 <= len(host.addresses) == len({":" in address for address in host.addresses}):
                raise ConfigError(
                    f"the name {text!r} has {len(host.addresses)} addresses",
                    hint=f"give {host.service} one, or one of each IP version",
                )
            for address in host.addresses:
                _check_address(text, address)
            _check_range(f"ttl of {text}", host.ttl, LONGEST_TTL)
            hosts[name] = host
        return hosts

    def _checked_records(
        self, wanted: Mapping[str, Sequence[Record]], gone: AbstractSet[Name]
    ) -> dict[Name, tuple[Record, ...]]:
        records: dict[Name, tuple[Record, ...]] = {}
        for text, found in wanted.items():
            name = self._inside(text, "a record")
            if name in records or (name in self._records and name not in gone):
                raise ConfigError(
                    f"the name {text!r} has its records in two places",
                    hint="upper and lower case do not distinguish names",
                )
            records[name] = tuple(found)
        return records

    def _checked_glue(self, nameservers: Sequence[tuple[str, ...]]) -> dict[Name, tuple[str, ...]]:
        if not 1 <= len(nameservers) <= MOST_NAMESERVERS:
            raise ConfigError(
                f"the zone {self.origin} has {len(nameservers)} name servers",
                hint=f"give it between 1 and {MOST_NAMESERVERS}, this one first",
            )
        glue: dict[Name, tuple[str, ...]] = {}
        seen: set[Name] = set()
        for text, *addresses in nameservers:
            name = parse_name(text)
            if name in seen:
                raise ConfigError(f"the name server {text!r} is there twice", hint="once is enough")
            seen.add(name)
            if self.contains(name) != bool(addresses):
                raise ConfigError(
                    f"the name server {text!r} is inside the zone {self.origin} and has no address"
                    if not addresses
                    else f"the name server {text!r} is outside the zone {self.origin} and has an address",
                    hint="name servers inside the zone need their address here, others have it in their own zone",
                )
            for address in addresses:
                _check_address(text, address)
            if addresses:
                glue[name] = tuple(addresses)
        return glue


def _check_range(what: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise ConfigError(f"the {what} is {value}", hint=f"it lies between 0 and {most}")


def _check_address(name: str, address: str) -> None:
    try:
        ip_address(address)
    except ValueError as error:
        raise ConfigError(
            f"{address!r} is no IP address for {name}", hint="write it as 192.0.2.1 or 2001:db8::1"
        ) from error
