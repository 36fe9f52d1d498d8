"""A whole jitsu.toml."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jitsu.config.dependencies import check_dependencies
from jitsu.config.names import NAME
from jitsu.config.schema import Config, DaemonConfig, DnsConfig, NetworkConfig, ServiceConfig
from jitsu.config.sections import read_daemon, read_dns, read_libvirt, read_limits, read_network, read_warm
from jitsu.config.service import read_service
from jitsu.config.table import Setting, Table, parse
from jitsu.errors import ConfigError

DEFAULT_PATH = Path("/etc/jitsu/jitsu.toml")
_NAME_ONE = "name a readable file with: -c jitsu.toml"


def load(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError."""
    return _Reader(path, parse(path, _NAME_ONE)).config()


def settings(path: Path) -> list[Setting]:
    """Every key that is in effect, section by section, defaults included. Raises ConfigError where `load` does."""
    found: list[Setting] = []
    _Reader(path, parse(path, _NAME_ONE), found).config()
    return found


class _Reader:
    """Turns parsed TOML into a Config. `data` is used up; what is in effect is appended to `settings`."""

    def __init__(self, path: Path, data: dict[str, Any], settings: list[Setting] | None = None) -> None:
        self._path, self._data, self._settings = path, data, settings

    def config(self) -> Config:
        known = ("daemon", "libvirt", "dns", "network", "limits", "warm", "service")
        for key in self._data:
            if key not in known:
                raise ConfigError(
                    f"{self._path}: there is no section [{key}]",
                    hint="the sections are: [daemon] [libvirt] [dns] [network] [limits] [warm] [service.NAME]",
                )
        daemon = read_daemon(self._table("daemon"))
        libvirt = read_libvirt(self._table("libvirt"))
        network = read_network(self._table("network"))
        dns = read_dns(self._table("dns"), network)
        limits = read_limits(self._table("limits"), daemon)
        warm = read_warm(self._table("warm"))
        services = {service.name: service for service in self._services(daemon, network, dns)}
        if not services:
            raise ConfigError(f"{self._path}: no service is defined", hint="add a section [service.NAME] with a kernel")
        self._check_apart(services, network, dns)
        check_dependencies(self._path, services)
        return Config(self._path, daemon, dns, network, limits, warm, services, libvirt)

    def _table(self, name: str) -> Table:
        return Table(self._path, name, self._data.get(name, {}), self._settings)

    def _services(self, daemon: DaemonConfig, network: NetworkConfig, dns: DnsConfig) -> Iterator[ServiceConfig]:
        sections = self._data.get("service", {})
        if not isinstance(sections, dict):
            raise ConfigError(f"{self._path}: service is not a table", hint="write sections: [service.NAME]")
        for name in list(sections):
            # Taken out as it is read, so that ten thousand of them are not there twice.
            table = Table(self._path, f"service.{name}", sections.pop(name), self._settings)
            if not NAME.fullmatch(name):
                table.wrong("", "has a name that cannot be", "use lower-case letters, digits and hyphens, 63 at most")
            yield read_service(name, table, daemon, network, dns)

    def _check_apart(self, services: Mapping[str, ServiceConfig], network: NetworkConfig, dns: DnsConfig) -> None:
        """No two services, and no service and the host, may share what must be their own."""
        taken = {
            f"address {network.gateway}": "[network] gateway",
            f"address {network.address.ip}": "[network] address",
            f"address {network.probe}": "[network] probe",
            f"name {dns.name}": "the zone's own name server",
        }
        if network.ipv6 is not None:
            taken[f"address {network.ipv6.gateway}"] = "[network] gateway6"
            taken[f"address {network.ipv6.address.ip}"] = "[network] address6"
            taken[f"address {network.ipv6.probe}"] = "[network] probe6"
        for name, _ in dns.nameservers:
            taken[f"name {'@' if name == dns.zone else name.removesuffix(f'.{dns.zone}')}"] = "[dns] nameservers"
        for service in services.values():
            own = [f"address {address}" for address in service.addresses]
            own += [f"mac {service.mac}", *(f"name {label}" for label in service.names)]
            for thing in own:
                if thing in taken:
                    raise ConfigError(
                        f"{self._path}: [service.{service.name}] has the same {thing} as {taken[thing]}",
                        hint="give each its own",
                    )
                taken[thing] = f"[service.{service.name}]"
