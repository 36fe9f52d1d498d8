"""The zones that this board serves, made of its configuration."""

import time
from ipaddress import IPv4Address

from jitsu.config import Config, ServiceConfig
from jitsu.directory.records import Ptr, Record, Srv, Txt
from jitsu.directory.reverse import reverse_zone
from jitsu.directory.zone import Host, Zone
from jitsu.errors import ConfigError


class BoardZones:
    """The zones that a configuration describes: of its names, whose hosts are the services, and of its addresses.
    This board is the first name server of both. Raises ConfigError as `Zone` does."""

    def __init__(self, config: Config) -> None:
        dns, network = config.dns, config.network
        self._origin = dns.zone
        this_board = f"{dns.name}.{dns.zone}"
        nameservers = ((this_board, str(network.address.ip)), *dns.nameservers)
        hosts: dict[str, Host] = {}
        records: dict[str, list[Record]] = {}
        pointers = {network.address.ip: this_board}
        for service in config.services.values():
            self._describe(service, hosts, records, pointers)
        # A number that grows from one start to the next, on boards that know the time.
        serial = int(time.time())
        self.forward = Zone(
            dns.zone,
            # Glue is for names inside the zone; others have their addresses in zones of their own.
            tuple((name, address if f".{name}".endswith(f".{dns.zone}") else None) for name, address in nameservers),
            hosts,
            records=records,
            ttl=dns.ttl,
            serial=serial,
        )
        servers = [name for name, _ in nameservers]
        hostmaster = f"hostmaster.{dns.zone}"
        self.reverse = reverse_zone(network.address.network, servers, pointers, hostmaster, dns.ttl, serial)

    @property
    def all(self) -> tuple[Zone, ...]:
        return self.forward, self.reverse

    def add(self, service: ServiceConfig) -> None:
        """Serve the names of one service more. Raises ConfigError, and changes nothing, if one is taken."""
        hosts: dict[str, Host] = {}
        records: dict[str, list[Record]] = {}
        pointers: dict[IPv4Address, str] = {}
        self._describe(service, hosts, records, pointers)
        self.forward.change(hosts, records)
        try:
            self.reverse.change({}, {address.reverse_pointer: [Ptr(name)] for address, name in pointers.items()})
        except ConfigError:
            self.remove(service, pointer=False)
            raise

    def remove(self, service: ServiceConfig, *, pointer: bool = True) -> None:
        """Serve the names of a service no longer, nor, usually, the pointer from its address."""
        hosts: dict[str, Host] = {}
        records: dict[str, list[Record]] = {}
        pointers: dict[IPv4Address, str] = {}
        self._describe(service, hosts, records, pointers)
        self.forward.change({}, without=[*hosts, *records])
        if pointer:
            self.reverse.change({}, without=[address.reverse_pointer for address in pointers])

    def _describe(
        self,
        service: ServiceConfig,
        hosts: dict[str, Host],
        records: dict[str, list[Record]],
        pointers: dict[IPv4Address, str],
    ) -> None:
        """Add what there is to say of a service."""
        names = [self._origin if label == "@" else f"{label}.{self._origin}" for label in service.names]
        # One for all its names, which is a matter of memory where there are thousands.
        host = Host(service.name, str(service.address), service.ttl)
        for name in names:
            hosts[name] = host
            if service.txt:
                records[name] = [Txt(text) for text in service.txt]
            for owner, port in service.srv:
                records.setdefault(f"{owner}.{name}", []).append(Srv(port, names[0]))
        if names:
            pointers[service.address] = names[0]
