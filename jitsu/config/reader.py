"""A whole jitsu.toml, and single services that are defined elsewhere."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jitsu.config.claims import Claims
from jitsu.config.dependencies import check_dependencies
from jitsu.config.names import NAME
from jitsu.config.schema import Config, DaemonConfig, DnsConfig, NetworkConfig, ServiceConfig
from jitsu.config.sections import (
    read_daemon,
    read_dns,
    read_libvirt,
    read_limits,
    read_metrics,
    read_network,
    read_warm,
    read_xenstore,
)
from jitsu.config.service import absolute, read_service
from jitsu.config.table import Setting, Table, parse, parse_text, text_of
from jitsu.errors import ConfigError

DEFAULT_PATH = Path("/etc/jitsu/jitsu.toml")
_NAME_ONE = "name a readable file with: -c jitsu.toml"

_SERVICES = re.compile(r"^[ \t]*\[[ \t]*service[ \t]*\..*\n(?:(?![ \t]*\[).*\n?)*", re.MULTILINE)
"""Sections of services, each up to the next line that begins with a bracket."""


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError."""
    return _Reader(path, parse(path, _NAME_ONE)).config()


def settings(path: Path) -> list[Setting]:
    """Every key that is in effect, section by section, defaults included. Raises ConfigError where `load` does."""
    found: list[Setting] = []
    _Reader(path, parse(path, _NAME_ONE), found).config()
    return found


def load_daemon(path: Path) -> DaemonConfig:
    """Only [daemon], for those who want to ask the daemon and nothing else: ten thousand services are stepped over.

    Raises ConfigError for what stands against the file as far as it was read.
    """
    text = text_of(path, _NAME_ONE)
    if '"""' not in text and "'''" not in text:
        # What a line means is then plain without the lines before it. Should it be no TOML, the whole file says why.
        with suppress(ValueError, RecursionError):
            return _Reader(path, tomllib.loads(_SERVICES.sub("", text))).daemon()
    return _Reader(path, parse_text(path, text)).daemon()


def define(name: str, keys: Mapping[str, Any], config: Config, source: Path) -> ServiceConfig:
    """A service that is not in the file, from the keys that [service.NAME] has there. `source` is where they come
    from, for errors. Raises ConfigError; what it must not share with others is not looked at."""
    return _defined(name, Table(source, f"service.{name}", dict(keys)), config.daemon, config.network, config.dns)


def read_sections(path: Path) -> dict[str, dict[str, Any]]:
    """The sections [service.NAME] of a file that has no others, as they stand but for the paths, which are absolute.

    Raises ConfigError; what the keys say is not looked at.
    """
    data = parse(path, "name a readable file with: --file")
    sections = data.pop("service", {})
    if data or not isinstance(sections, dict) or not sections:
        raise ConfigError(f"{path}: has more in it than services, or none", hint="write sections: [service.NAME]")
    found = {}
    for name, keys in sections.items():
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: service.{name} is not a table", hint=f"write it as a section: [service.{name}]")
        found[name] = absolute(keys, path.parent)
    return found


class _Reader:
    """Turns parsed TOML into a Config. `data` is used up; what is in effect is appended to `settings`."""

    def __init__(self, path: Path, data: dict[str, Any], settings: list[Setting] | None = None) -> None:
        self._path, self._data, self._settings = path, data, settings

    def daemon(self) -> DaemonConfig:
        """[daemon] alone."""
        self._check_sections()
        return read_daemon(self._table("daemon"))

    def config(self) -> Config:
        self._check_sections()
        daemon = read_daemon(self._table("daemon"))
        libvirt = read_libvirt(self._table("libvirt"))
        xenstore = read_xenstore(self._table("xenstore"))
        network = read_network(self._table("network"))
        dns = read_dns(self._table("dns"), network)
        limits = read_limits(self._table("limits"), daemon)
        warm = read_warm(self._table("warm"))
        metrics = read_metrics(self._table("metrics"))
        claims = Claims(network, dns)
        services = {}
        for service in self._services(daemon, network, dns):
            claims.add(service, self._path)
            services[service.name] = service
        check_dependencies(self._path, services)
        return Config(self._path, daemon, dns, network, limits, warm, metrics, services, libvirt, xenstore)

    def _check_sections(self) -> None:
        known = ("daemon", "libvirt", "xenstore", "dns", "network", "limits", "warm", "metrics")
        for key in self._data:
            if key not in (*known, "service"):
                sections = " ".join(f"[{name}]" for name in (*known, "service.NAME"))
                raise ConfigError(f"{self._path}: there is no section [{key}]", hint=f"the sections are: {sections}")

    def _table(self, name: str) -> Table:
        return Table(self._path, name, self._data.get(name, {}), self._settings)

    def _services(self, daemon: DaemonConfig, network: NetworkConfig, dns: DnsConfig) -> Iterator[ServiceConfig]:
        sections = self._data.get("service", {})
        if not isinstance(sections, dict):
            raise ConfigError(f"{self._path}: service is not a table", hint="write sections: [service.NAME]")
        for name in list(sections):
            # Taken out as it is read, so that ten thousand of them are not there twice.
            table = Table(self._path, f"service.{name}", sections.pop(name), self._settings)
            yield _defined(name, table, daemon, network, dns)


def _defined(name: str, table: Table, daemon: DaemonConfig, network: NetworkConfig, dns: DnsConfig) -> ServiceConfig:
    if not NAME.fullmatch(name):
        table.wrong("", "has a name that cannot be", "use lower-case letters, digits and hyphens, 63 at most")
    return read_service(name, table, daemon, network, dns)
