"""What stands in the XenStore of each domain that we run, and where.

    /local/domain/DOMID             the guest's to read
        name, domid
        data                        the guest's own
            jitsu/config/KEY        who and where it is: name, ip, gw, ip6, gw6, mac; the guest's to read
            jitsu/control/WORD      what the host says to it: wake, stop (store_readiness.py); the guest's to read
            jitsu/ready             the guest writes it (the same)
    /jitsu/domains/DOMID            for domain 0 alone
        service, state, fingerprint, address, mac
        since                       for a state of serving: since when, in seconds of the host's monotonic clock
    /jitsu/services/NAME            the domid of the service's domain

It is written and removed in one transaction, so that nobody ever sees a part of it.
"""

import asyncio
from dataclasses import dataclass, replace
from enum import StrEnum

from jitsu.domains.driver import DomainSpec
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.pipeline import Pipeline
from jitsu.xenstore.wire import StoreError

DOMAINS, SERVICES, HOMES = "/jitsu/domains", "/jitsu/services", "/local/domain"

_KEYS = ("service", "state", "since", "fingerprint", "address", "mac")


class Standing(StrEnum):
    """What a domain is there for just now."""

    BOOTING = "booting"
    """It starts, or goes on after a rest, and cannot be reached yet."""
    SERVING = "serving"
    RESTING = "resting"
    TEMPLATE = "template"
    """It is there to be saved, and never serves."""


@dataclass(frozen=True, slots=True)
class Record:
    """One domain. `address` is the first that it has. `config` and `control` are what the guest is told, and are not
    read back; nor is `present`: whether its port to the store may be opened by now."""

    domid: int
    service: str
    fingerprint: str
    address: str
    mac: str
    standing: Standing
    since: float | None = None
    """Since when it serves, as `time.monotonic()` has it; None if it does not."""
    config: tuple[tuple[str, str], ...] = ()
    control: tuple[tuple[str, bytes], ...] = ()
    present: bool = True

    @classmethod
    def of(cls, spec: DomainSpec, standing: Standing = Standing.BOOTING) -> "Record":
        """That of a domain that is built by this spec."""
        told = dict(spec.config)
        address = (told.get("ip") or told.get("ip6") or "").partition("/")[0]
        return cls(spec.domid, spec.service, spec.fingerprint, address, spec.mac, standing, config=spec.config)

    def is_of(self, other: "Record") -> bool:
        """Is it the same domain, whatever it does now?"""
        return (self.domid, self.service, self.fingerprint) == (other.domid, other.service, other.fingerprint)


def make_places(pipeline: Pipeline) -> None:
    """What all records lie in."""
    for place in (HOMES, "/jitsu", DOMAINS, SERVICES):
        pipeline.mkdir(place)
    for place in ("/jitsu", DOMAINS, SERVICES):
        pipeline.set_perms(place, ["n0"])


def furnish(pipeline: Pipeline, record: Record, *, anew: bool) -> None:
    """Write what is the guest's; `anew`: another domain had its domid, of which nothing may stay."""
    home = home_of(record.domid)
    guest = f"{record.domid}"
    if anew:
        pipeline.rm(home)
    pipeline.mkdir(home)
    pipeline.set_perms(home, ["n0", f"r{guest}"])
    pipeline.write(f"{home}/name", record.service.encode())
    pipeline.write(f"{home}/domid", guest.encode())
    pipeline.mkdir(f"{home}/data")
    pipeline.set_perms(f"{home}/data", [f"n{guest}"])
    for folder in ("config", "control"):
        pipeline.mkdir(f"{home}/data/jitsu/{folder}")
        pipeline.set_perms(f"{home}/data/jitsu/{folder}", ["n0", f"r{guest}"])
    for key, value in record.config:
        pipeline.write(f"{home}/data/jitsu/config/{key}", value.encode())
    _tell(pipeline, record)


def enter(pipeline: Pipeline, record: Record) -> None:
    """Write what is ours of a record."""
    for key, value in _entry(record).items():
        pipeline.write(f"{entry_of(record.domid)}/{key}", value.encode())


def amend(pipeline: Pipeline, there: Record, record: Record) -> bool:
    """Write what may change in the life of a domain, and has. False: more than that has."""
    if replace(there, control=(), present=True, standing=record.standing, since=record.since) != replace(
        record, control=(), present=True
    ):
        return False
    entry = _entry(record)
    if (there.standing, there.since) != (record.standing, record.since):
        for key in ("state", "since"):
            pipeline.write(f"{entry_of(record.domid)}/{key}", entry[key].encode())
    _tell(pipeline, record, there.control)
    return True


def strike(pipeline: Pipeline, domid: int, *, homes: bool) -> None:
    """Remove all that there is of a domain, but for the name of its service; what is the guest's, if that is for us."""
    if homes:
        pipeline.rm(home_of(domid))
    pipeline.rm(entry_of(domid))


def appoint(pipeline: Pipeline, service: str, domid: int | None) -> None:
    """This is the service's domain, or it has none."""
    if domid is None:
        pipeline.rm(f"{SERVICES}/{service}")
    else:
        pipeline.write(f"{SERVICES}/{service}", f"{domid}".encode())


async def recorded(client: StoreClient) -> dict[int, Record]:
    """All records that there are. Raises StoreError and StoreUnreachable."""
    domids = [int(name) for name in await client.list(DOMAINS) if name.isdecimal()]
    return {record.domid: record for record in await asyncio.gather(*(_read(client, domid) for domid in domids))}


def ready_of(domid: int) -> str:
    return f"{home_of(domid)}/data/jitsu/ready"


def home_of(domid: int) -> str:
    return f"{HOMES}/{domid}"


def entry_of(domid: int) -> str:
    return f"{DOMAINS}/{domid}"


def _tell(pipeline: Pipeline, record: Record, told: tuple[tuple[str, bytes], ...] = ()) -> None:
    """Write what the host says to the guest, and has not said yet."""
    for word in record.control:
        if word not in told:
            pipeline.write(f"{home_of(record.domid)}/data/jitsu/control/{word[0]}", word[1])


async def _read(client: StoreClient, domid: int) -> Record:
    async def value(key: str) -> str:
        try:
            return (await client.read(f"{entry_of(domid)}/{key}")).decode("utf-8", "replace")
        except StoreError:
            # Somebody else has been at it. What is written next is whole again.
            return ""

    service, state, since, fingerprint, address, mac = await asyncio.gather(*map(value, _KEYS))
    standing = Standing(state) if state in set(Standing) else Standing.BOOTING
    return Record(domid, service, fingerprint, address, mac, standing, _moment(since))


def _moment(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _entry(record: Record) -> dict[str, str]:
    since = "" if record.since is None else f"{record.since:.3f}"
    values = (record.service, record.standing.value, since, record.fingerprint, record.address, record.mac)
    return dict(zip(_KEYS, values, strict=True))
