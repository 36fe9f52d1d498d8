"""Which services a board has: those of jitsu.toml, and those that were added at run time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from jitsu.config import Claims, Config, ServiceConfig, define
from jitsu.config.dependencies import check_dependencies, circle_in
from jitsu.daemon.store import Keys
from jitsu.errors import ConfigError, JitsuError

Origin = Literal["file", "added"]

_CHANGEABLE = {"dns": ("zone", "ttl", "name", "nameservers"), "limits": ("memory", "guests", "vcpus", "boot")}
"""Keys outside of services that a running daemon can take on."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What another roster has that this one has not. Services as they are to be; names of those that go."""

    added: tuple[ServiceConfig, ...]
    changed: tuple[ServiceConfig, ...]
    removed: tuple[str, ...]


class Roster:
    """The services of `config`, and `stored` ones, which are in the file `source`.

    A stored one that does not fit beside the others is put into `misfits`: whoever is in jitsu.toml is served in any
    case. In a roster that `succeeds` another one, only what did not fit there either may be a misfit here.
    """

    def __init__(
        self, config: Config, stored: Mapping[str, Keys], source: Path, *, succeeds: "Roster | None" = None
    ) -> None:
        self.config = config
        self.misfits: dict[str, JitsuError] = {}
        """Why an added service is not served, by its name."""
        self._source = source
        self._claims = Claims(config.network, config.dns)
        self._services: dict[str, ServiceConfig] = {}
        self._stored: dict[str, Keys] = {}
        for service in config.services.values():
            self._claims.add(service, config.path)
            self._services[service.name] = service
        for name, keys in stored.items():
            try:
                self._take(name, keys, source)
            except ConfigError as error:
                self._misfit(name, error, succeeds)
        while (unfulfilled := self._unfulfilled()) is not None:
            self.remove(unfulfilled[0])
            self._misfit(*unfulfilled, succeeds)

    @property
    def services(self) -> Mapping[str, ServiceConfig]:
        return self._services

    @property
    def everybody(self) -> Config:
        """The configuration with all services in it."""
        return replace(self.config, services=self._services)

    def successor(self, config: Config, stored: Mapping[str, Keys]) -> "Roster":
        """The roster for another reading of the file. Raises ConfigError for what fitted so far and does no longer."""
        return Roster(config, stored, self._source, succeeds=self)

    def origin(self, name: str) -> Origin:
        return "added" if name in self._stored else "file"

    def add(self, sections: Mapping[str, Keys], source: Path) -> list[ServiceConfig]:
        """Take on new services, all of them or, raising ConfigError, none. `source` is where they come from."""
        taken: list[ServiceConfig] = []
        try:
            for name, keys in sections.items():
                if name in self.misfits:
                    raise ConfigError(
                        f"{source}: there is a service {name} already: {self.misfits[name].message}",
                        hint=f"remove it first: jitsu service rm {name}",
                    )
                taken.append(self._take(name, keys, source))
            check_dependencies(source, self._services)
        except ConfigError:
            for service in taken:
                self.remove(service.name)
            raise
        return taken

    def replace(self, name: str, keys: Keys, source: Path) -> ServiceConfig:
        """Give an added service these keys. Raises ConfigError, and it is as it was then."""
        old = self._services[name]
        service = define(name, keys, self.config, source)
        check_dependencies(source, {**self._services, name: service})
        self._claims.remove(old)
        try:
            self._claims.add(service, source)
        except ConfigError:
            self._claims.add(old, source)
            raise
        # In its place: a listing does not change its order.
        self._services[name], self._stored[name] = service, keys
        return service

    def keys(self, name: str) -> Keys:
        """The keys of an added service. Raises ConfigError for one that cannot be edited."""
        self._check_added(name, "edited")
        return self._stored[name]

    def check_removable(self, name: str) -> None:
        """Raises ConfigError for a service of the file, or of nowhere, or that another one depends on."""
        if name in self.misfits:
            return
        self._check_added(name, "removed")
        for service in self._services.values():
            if name in service.depends:
                raise ConfigError(
                    f"service {service.name} depends on {name}, which cannot be removed before it",
                    hint=f"remove {service.name} too, or edit its depends",
                )

    def remove(self, name: str) -> None:
        """Let go of an added service, or of a misfit."""
        if self.misfits.pop(name, None) is None:
            self._claims.remove(self._services.pop(name))
            del self._stored[name]

    def set_aside(self, name: str, error: JitsuError) -> None:
        """An added service cannot be served after all."""
        self.remove(name)
        self.misfits[name] = error

    def difference(self, other: "Roster") -> Difference:
        """What must be done to come from this roster to the other one."""
        mine, theirs = self._services, other.services
        return Difference(
            added=tuple(service for name, service in theirs.items() if name not in mine),
            changed=tuple(service for name, service in theirs.items() if name in mine and mine[name] != service),
            removed=tuple(name for name in mine if name not in theirs),
        )

    def _misfit(self, name: str, error: ConfigError, succeeds: "Roster | None") -> None:
        """Put an added service aside, or raise the error if it fitted so far."""
        if succeeds is not None and name not in succeeds.misfits:
            raise error
        self.misfits[name] = error

    def _unfulfilled(self) -> tuple[str, ConfigError] | None:
        """An added service whose dependencies cannot be, if there is one; the file's depend on each other only."""
        try:
            check_dependencies(self._source, self._services)
        except ConfigError as error:
            for name in self._stored:
                if not set(self._services[name].depends) <= self._services.keys():
                    return name, error
            # Any of a circle will do; whoever is left of it depends on one that is gone then.
            return circle_in(self._services)[0], error
        return None

    def _check_added(self, name: str, what: str) -> None:
        if name not in self._services:
            raise ConfigError(f"there is no service {name}", hint="list them with: jitsu service ls")
        if name not in self._stored:
            raise ConfigError(
                f"service {name} is one of {self.config.path} and cannot be {what} here",
                hint="edit that file, then: jitsu reload",
            )

    def _take(self, name: str, keys: Keys, source: Path) -> ServiceConfig:
        if name in self._services:
            raise ConfigError(
                f"{source}: there is a service {name} already", hint="choose another name, or: jitsu service edit"
            )
        service = define(name, keys, self.config, source)
        self._claims.add(service, source)
        self._services[name] = service
        self._stored[name] = keys
        return service


def check_changeable(running: Config, wanted: Config) -> None:
    """Raises ConfigError for a key that a daemon takes on only when it starts."""
    for section in ("daemon", "libvirt", "xenstore", "dns", "network", "limits", "warm", "metrics"):
        for key in _different(getattr(running, section), getattr(wanted, section)):
            if key not in _CHANGEABLE.get(section, ()):
                raise ConfigError(
                    f"{wanted.path}: [{section}] {key} cannot change while the daemon runs",
                    hint="put it back, or restart: systemctl restart jitsu",
                )


def _different(one: Any, other: Any) -> Iterator[str]:
    return (field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name))
