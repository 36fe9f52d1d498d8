"""Domains that outlived an earlier daemon: each is taken over, if it still fits the configuration, or ended.

There are two witnesses of what that daemon ran. The monitors say which domains live and whose they are: a process is
what its command line says, and a store that was lost costs no guest. What stood in the store comes after them, when
somebody has it, and is believed in what no monitor can tell: since when a guest serves, and that one is no more.
"""

import logging
from collections.abc import Iterable

from jitsu.domains.domain_record import Record, Standing
from jitsu.domains.driver import Domain
from jitsu.errors import JitsuError
from jitsu.events import Events, Kind
from jitsu.summon.executor import Executor
from jitsu.summon.register import Register
from jitsu.summon.tenant import Holding, Tenant

log = logging.getLogger(__name__)


async def adopt(domains: Iterable[Domain], register: Register, executor: Executor, events: Events) -> None:
    """Take over what fits; returns when what does not has ended."""
    found = list(domains)
    executor.builder.count_domids_from(max((domain.domid for domain in found), default=0) + 1)
    # All that stay are taken over before any end is waited for: what a guest says meanwhile must find it here.
    for domain in [domain for domain in found if not _is_taken_over(domain, register, executor, events)]:
        await executor.builder.end(Holding(domain.domid, domain))


def recall(record: Record, lives: bool, register: Register, executor: Executor, events: Events) -> None:
    """Take in what stood in the store of a domain; `lives`: its monitor was found."""
    tenant = register.tenants.get(record.service)
    if tenant is None or record.standing is Standing.TEMPLATE:
        return
    holding = tenant.holding
    if not lives:
        tenant.last = "it ended while no daemon ran"
        log.warning("%s: its domain %d %s", tenant.name, record.domid, tenant.last)
        events.add(Kind.CRASHED, tenant.name, domid=record.domid, detail=tenant.last)
    elif holding is not None and _is_of(holding, record) and holding.serving_since and record.since:
        # It has served since we found it, if not for longer.
        holding.serving_since = min(holding.serving_since, record.since)
        executor.builder.serves(holding)


def _is_taken_over(domain: Domain, register: Register, executor: Executor, events: Events) -> bool:
    """Take over this domain if it can be."""
    tenant = register.tenants.get(domain.service)
    if tenant is None or tenant.holding is not None or domain.fingerprint != tenant.service.fingerprint:
        log.info("%s: domain %d is of another configuration and is ended", domain.service, domain.domid)
        return False
    if domain.paused:
        return _rests(tenant, domain, executor)
    try:
        executor.adopt(tenant, domain)
    except (JitsuError, OSError) as error:
        log.warning("%s: domain %d cannot be adopted and is ended: %s", tenant.name, domain.domid, error)
        executor.bury(tenant, f"it could not be adopted: {error}")
        return False
    register.keep_in_sight(tenant)
    events.add(Kind.ADOPTED, tenant.name, domid=domain.domid, detail=tenant.state.phase.value)
    return True


def _is_of(holding: Holding, record: Record) -> bool:
    domain = holding.domain
    return domain is not None and (domain.domid, domain.fingerprint) == (record.domid, record.fingerprint)


def _rests(tenant: Tenant, domain: Domain, executor: Executor) -> bool:
    """Take over a guest that rests."""
    try:
        executor.pools.adopt(tenant.service, domain)
    except (JitsuError, OSError) as error:
        log.info("%s: domain %d rests for nobody and is ended: %s", tenant.name, domain.domid, error)
        return False
    log.info("%s: domain %d adopted, paused", tenant.name, domain.domid)
    return True
