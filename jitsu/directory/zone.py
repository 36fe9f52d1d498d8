"""The zone: which names exist, which of them summon a service, and who serves the zone.

A zone is small, flat and immutable; a change of services makes a new `Zone`. Four kinds of names exist in it:

    hosts           an A record whose question summons a service; several names may summon the same one
    name servers    those inside the zone have a glue A record, which summons nobody
    records         TXT, SRV and PTR, at names of any kind, which summon nobody either
    the rest        the apex, and empty non-terminals: `b.jitsu.test` when only `a.b.jitsu.test` is a host
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address

from jitsu.directory.name import Name, parse_name
from jitsu.directory.records import Record
from jitsu.errors import ConfigError

LONGEST_TTL = 2**31 - 1
"""Seconds (RFC 2181 section 8)."""

MOST_NAMESERVERS = 13
"""As many as the root has. It also keeps every answer within reach of 14-bit compression pointers."""


@dataclass(frozen=True, slots=True)
class Host:
    """What a name stands for: the service it summons, and its A record (IPv4 in dotted form, `ttl` in seconds).

    Keep `ttl` well below the time after which the idle service is dismissed: whoever holds the address in a cache
    connects without asking again.
    """

    service: str
    address: str
    ttl: int


@dataclass(frozen=True)
class Zone:
    """The names under `origin`; every one in `hosts`, `nameservers` and `records` is written in full, in any case.

    `nameservers` are pairs of a name and, for a name inside the zone and only there, its IPv4 address. The first of
    them is the primary (SOA MNAME), and `hostmaster` is the zone's mailbox (SOA RNAME), `hostmaster.<origin>` unless
    said otherwise. `ttl` is that of all records but the hosts' addresses; `minimum` bounds how long a negative answer
    may be kept (RFC 2308 section 4), so it is how long a resolver may take to notice a new service. All times are in
    seconds. The origin itself may be a host as well. `elsewhere` are labels directly below the origin that somebody
    else answers for: what lies there is outside this zone.

    Raises ConfigError for a name that is malformed, outside the zone or there twice, for a name server inside the
    zone without an address or outside with one, and for addresses and numbers out of range.
    """

    origin: str
    nameservers: tuple[tuple[str, str | None], ...]
    hosts: Mapping[str, Host]
    records: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    elsewhere: frozenset[bytes] = frozenset()
    hostmaster: str = ""
    ttl: int = 3600
    serial: int = 1
    refresh: int = 3600
    retry: int = 600
    expire: int = 86400
    minimum: int = 60

    apex: Name = field(init=False, repr=False, compare=False)
    mailbox: Name = field(init=False, repr=False, compare=False)
    servers: tuple[Name, ...] = field(init=False, repr=False, compare=False)
    """The names of `nameservers`, the primary first."""
    _hosts: dict[Name, Host] = field(init=False, repr=False, compare=False)
    _records: dict[Name, tuple[Record, ...]] = field(init=False, repr=False, compare=False)
    _glue: dict[Name, str] = field(init=False, repr=False, compare=False)
    _existing: frozenset[Name] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_times()
        # A frozen dataclass fills in its derived fields the long way round.
        derive = object.__setattr__
        derive(self, "apex", parse_name(self.origin))
        derive(self, "mailbox", parse_name(self.hostmaster or f"hostmaster.{self.origin}"))
        derive(self, "_hosts", self._checked_hosts())
        derive(self, "_records", self._checked_records())
        derive(self, "_glue", self._checked_glue())
        derive(self, "servers", tuple(parse_name(name) for name, _ in self.nameservers))
        named = (self.apex, *self._hosts, *self._records, *self._glue)
        above = {name[depth:] for name in named for depth in range(len(name) - len(self.apex) + 1)}
        derive(self, "_existing", frozenset(above))

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
        return name in self._existing

    def host(self, name: Name) -> Host | None:
        """The host of this lower-case name."""
        return self._hosts.get(name)

    def records_at(self, name: Name) -> tuple[Record, ...]:
        """The records of this lower-case name that summon nobody."""
        return self._records.get(name, ())

    def glue(self, name: Name) -> str | None:
        """The IPv4 address of the name server of this lower-case name, if it is inside the zone."""
        return self._glue.get(name)

    def _check_times(self) -> None:
        for what in ("ttl", "refresh", "retry", "expire", "minimum"):
            _check_range(f"{what} of the zone {self.origin}", getattr(self, what), LONGEST_TTL)
        _check_range(f"serial of the zone {self.origin}", self.serial, 2**32 - 1)

    def _checked_hosts(self) -> dict[Name, Host]:
        hosts: dict[Name, Host] = {}
        for text, host in self.hosts.items():
            name = parse_name(text)
            if not self.contains(name):
                raise ConfigError(
                    f"the name {text!r} of service {host.service} is outside the zone {self.origin}",
                    hint=f"give it a name that ends in .{self.origin}",
                )
            if name in hosts:
                raise ConfigError(
                    f"the name {text!r} is there twice: it summons {hosts[name].service} and {host.service}",
                    hint="upper and lower case do not distinguish names",
                )
            _check_address(text, host.address)
            _check_range(f"ttl of {text}", host.ttl, LONGEST_TTL)
            hosts[name] = host
        return hosts

    def _checked_records(self) -> dict[Name, tuple[Record, ...]]:
        records: dict[Name, tuple[Record, ...]] = {}
        for text, found in self.records.items():
            name = parse_name(text)
            if not self.contains(name):
                raise ConfigError(
                    f"the name {text!r} of a record is outside the zone {self.origin}",
                    hint=f"give it a name that ends in .{self.origin}",
                )
            if name in records:
                raise ConfigError(
                    f"the name {text!r} has its records in two places",
                    hint="upper and lower case do not distinguish names",
                )
            records[name] = tuple(found)
        return records

    def _checked_glue(self) -> dict[Name, str]:
        if not 1 <= len(self.nameservers) <= MOST_NAMESERVERS:
            raise ConfigError(
                f"the zone {self.origin} has {len(self.nameservers)} name servers",
                hint=f"give it between 1 and {MOST_NAMESERVERS}, this one first",
            )
        glue: dict[Name, str] = {}
        seen: set[Name] = set()
        for text, address in self.nameservers:
            name = parse_name(text)
            if name in seen:
                raise ConfigError(f"the name server {text!r} is there twice", hint="once is enough")
            seen.add(name)
            if name in self._hosts:
                raise ConfigError(
                    f"the name server {text!r} is also a name of service {self._hosts[name].service}",
                    hint="give one of them another name: a name server's address summons nobody",
                )
            if self.contains(name) != (address is not None):
                raise ConfigError(
                    f"the name server {text!r} is inside the zone {self.origin} and has no address"
                    if address is None
                    else f"the name server {text!r} is outside the zone {self.origin} and has an address",
                    hint="name servers inside the zone need their IPv4 address here, others have it in their own zone",
                )
            if address is not None:
                _check_address(text, address)
                glue[name] = address
        return glue


def _check_range(what: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise ConfigError(f"the {what} is {value}", hint=f"it lies between 0 and {most}")


def _check_address(name: str, address: str) -> None:
    try:
        IPv4Address(address)
    except AddressValueError as error:
        raise ConfigError(f"{address!r} is no IPv4 address for {name}", hint=f"{error}") from error
