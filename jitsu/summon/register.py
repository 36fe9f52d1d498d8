"""Who is there: all services of one daemon, and which of them are to be looked at now and then.

There may be ten thousand. Whatever is done often looks only at those who are awake.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from jitsu.config import ServiceConfig
from jitsu.errors import DomainError
from jitsu.summon.machine import Phase
from jitsu.summon.tenant import Row, Tenant
from jitsu.synjitsu.embryonic import WaitingRoom

_ROWS_A_TURN = 256

_MOST_NAMED = 20
"""Services that an error names."""


class Register:
    """The services by their names. `room` is where the SYNs of all are on hold, `warmth` says what is kept for one, as
    in `Row`."""

    def __init__(
        self, services: Mapping[str, ServiceConfig], room: WaitingRoom, warmth: Callable[[ServiceConfig], str]
    ) -> None:
        self._room = room
        self._warmth = warmth
        self.tenants = {name: Tenant(service, room) for name, service in services.items()}
        self.timed = {name: tenant for name, tenant in self.tenants.items() if tenant.service.hours}
        """Those with hours."""
        self.awake: dict[str, Tenant] = {}
        """Those who are not asleep, or not for long."""

    def __len__(self) -> int:
        return len(self.tenants)

    def tenant(self, service: str) -> Tenant:
        """The service of that name. Raises DomainError if there is none."""
        try:
            return self.tenants[service]
        except KeyError:
            known = ", ".join(list(self.tenants)[:_MOST_NAMED]) + (", ..." if len(self.tenants) > _MOST_NAMED else "")
            raise DomainError(f"there is no service {service}", hint=f"the services are: {known}") from None

    def add(self, service: ServiceConfig) -> Tenant:
        """A new service, asleep."""
        tenant = self.tenants[service.name] = Tenant(service, self._room)
        return tenant

    def remove(self, name: str) -> None:
        del self.tenants[name]
        self.timed.pop(name, None)
        self.awake.pop(name, None)

    def keep_time(self, tenant: Tenant) -> None:
        """Know whether it has hours."""
        if tenant.service.hours:
            self.timed[tenant.name] = tenant
        else:
            self.timed.pop(tenant.name, None)

    def keep_in_sight(self, tenant: Tenant) -> None:
        """Know whether it is asleep, and for long."""
        if tenant.state.phase is Phase.ASLEEP and tenant.retry is None:
            self.awake.pop(tenant.name, None)
        else:
            self.awake[tenant.name] = tenant

    @property
    def serving(self) -> int:
        """How many services serve."""
        return sum(tenant.state.phase is Phase.SERVING for tenant in self.awake.values())

    def census(self) -> Counter[Phase]:
        """How many services are in each state."""
        found = Counter(dict.fromkeys(Phase, 0))
        found.update(tenant.state.phase for tenant in self.awake.values())
        found[Phase.ASLEEP] += len(self.tenants) - len(self.awake)
        return found

    async def rows(self) -> list[Row]:
        """Every service as `jitsu ps` shows it. Ten thousand are not looked at in one go."""
        rows: list[Row] = []
        for tenant in list(self.tenants.values()):
            rows.append(self.row(tenant))
            if not len(rows) % _ROWS_A_TURN:
                await asyncio.sleep(0)
        return rows

    def awake_rows(self) -> list[Row]:
        """The same of those who are not asleep."""
        return [self.row(tenant) for tenant in self.awake.values()]

    def services(self) -> dict[str, ServiceConfig]:
        """The definitions that are in force."""
        return {name: tenant.service for name, tenant in self.tenants.items()}

    def pending(self) -> set[str]:
        """The services of which a part of their definition waits for the end of the domain that they have."""
        return {tenant.name for tenant in self.awake.values() if tenant.successor is not None}

    def in_use(self) -> dict[str, str]:
        """The addresses and MACs that domains have now, and the service of each."""
        having = [tenant.service for tenant in self.awake.values() if tenant.holding is not None]
        return {own: service.name for service in having for own in (*map(str, service.addresses), service.mac)}

    def row(self, tenant: Tenant) -> Row:
        """One service as `jitsu ps` shows it."""
        row = tenant.row()
        if tenant.service.mode in ("paused", "snapshot"):
            row["warm"] = self._warmth(tenant.service)
            if row["warm"] == "paused" and tenant.state.phase is Phase.ASLEEP:
                row["state"] = "paused"
        return row
