"""What no two services, and no service and the host, may share, and who has it: addresses, MACs, names, and disks that
somebody writes."""

from collections.abc import Iterator
from pathlib import Path

from jitsu.config.schema import DnsConfig, NetworkConfig, ServiceConfig
from jitsu.errors import ConfigError

Thing = tuple[str, object]
"""A kind of thing, and which one, as in `("mac", "52:54:00:12:34:56")`."""


class Claims:
    """What is taken. One service more or less costs no look at the others."""

    def __init__(self, network: NetworkConfig, dns: DnsConfig) -> None:
        # Only references to what is there anyway: there may be ten thousand services.
        self._disks: dict[Path, list[tuple[str, bool]]] = {}
        """Who has a disk, and whether they write it."""
        self._owners: dict[str, dict[object, str]] = {
            "address": {
                network.gateway: "[network] gateway",
                network.address.ip: "[network] address",
                network.probe: "[network] probe",
            },
            "mac": {},
            "name": {dns.name: "the zone's own name server"},
        }
        if network.ipv6 is not None:
            self._owners["address"] |= {
                network.ipv6.gateway: "[network] gateway6",
                network.ipv6.address.ip: "[network] address6",
                network.ipv6.probe: "[network] probe6",
            }
        for name, _ in dns.nameservers:
            label = "@" if name == dns.zone else name.removesuffix(f".{dns.zone}")
            self._owners["name"][label] = "[dns] nameservers"

    def add(self, service: ServiceConfig, source: Path) -> None:
        """Claim everything that is the service's own. Raises ConfigError, and nothing is claimed then.

        `source` is where the service is defined, for the error.
        """
        self._check_disks(service, source)
        claimed: list[Thing] = []
        for kind, thing in _own(service):
            if (owner := self._owners[kind].get(thing)) is not None:
                for earlier, own in claimed:
                    del self._owners[earlier][own]
                # Those that are not services are written as they are.
                told = owner if " " in owner else f"[service.{owner}]"
                raise ConfigError(
                    f"{source}: [service.{service.name}] has the same {kind} {thing} as {told}",
                    hint="give each its own",
                )
            self._owners[kind][thing] = service.name
            claimed.append((kind, thing))
        for disk in service.disks:
            self._disks.setdefault(disk.path, []).append((service.name, disk.writable))

    def remove(self, service: ServiceConfig) -> None:
        """What a service that was added claims is free again."""
        for kind, thing in _own(service):
            del self._owners[kind][thing]
        for disk in service.disks:
            self._disks[disk.path].remove((service.name, disk.writable))
            if not self._disks[disk.path]:
                del self._disks[disk.path]

    def _check_disks(self, service: ServiceConfig, source: Path) -> None:
        """Many may read a disk, but none while another writes it. Raises ConfigError.

        These are names: whether two of them mean the same disk is seen when guests are started.
        """
        for disk in service.disks:
            for other, writes in self._disks.get(disk.path, ()):
                if disk.writable or writes:
                    raise ConfigError(
                        f"{source}: [service.{service.name}] has the same disk {disk.path} as [service.{other}], "
                        f"and {service.name if disk.writable else other} writes it",
                        hint='only those who read can share one: leave out "rw:", or give each its own',
                    )


def _own(service: ServiceConfig) -> Iterator[Thing]:
    for address in service.addresses:
        yield "address", address
    yield "mac", service.mac
    for label in service.names:
        yield "name", label
