"""The zones that this board serves, made of its configuration."""

import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from jitsu.config import Config, ServiceConfig
from jitsu.directory.records import Ptr, Record, Srv, Txt
from jitsu.directory.reverse import reverse_zone
from jitsu.directory.zone import Host, Zone
from jitsu.errors import ConfigError

_Pointers = dict[IPv4Address | IPv6Address, str]
_Reverse = tuple[IPv4Network | IPv6Network, Zone]


class BoardZones:
    """The zones that a configuration describes: of its names, whose hosts are the services, and of the addresses of
    each IP version. This board is the first name server of all. Raises ConfigError as `Zone` does."""

    def __init__(self, config: Config) -> None:
        dns, network = config.dns, config.network
        self._origin = dns.zone
        this_board = f"{dns.name}.{dns.zone}"
        nameservers = ((this_board, *_own_addresses(config)), *dns.nameservers)
        hosts: dict[str, Host] = {}
        records: dict[str, list[Record]] = {}
        pointers: _Pointers = {network.address.ip: this_board}
        networks: list[IPv4Network | IPv6Network] = [network.address.network]
        if network.ipv6 is not None:
            pointers[network.ipv6.address.ip] = this_board
            networks.append(network.ipv6.address.network)
        for service in config.services.values():
            self._describe(service, hosts, records, pointers)
        # A number that grows from one start to the next, on boards that know the time.
        serial = int(time.time())
        self.forward = Zone(
            dns.zone,
            # Glue is for names inside the zone; others have their addresses in zones of their own.
            tuple((name, *own) if f".{name}".endswith(f".{dns.zone}") else (name,) for name, *own in nameservers),
            hosts,
            records=records,
            ttl=dns.ttl,
            serial=serial,
        )
        servers = [name for name, *_ in nameservers]
        hostmaster = f"hostmaster.{dns.zone}"
        self._reverse: list[_Reverse] = [
            (each, reverse_zone(each, servers, pointers, hostmaster, dns.ttl, serial)) for each in networks
        ]

    @property
    def all(self) -> tuple[Zone, ...]:
        return self.forward, *(zone for _, zone in self._reverse)

    def add(self, service: ServiceConfig) -> None:
        """Serve the names of one service more. Raises ConfigError, and changes nothing, if one is taken."""
        hosts: dict[str, Host] = {}
        records: dict[str, list[Record]] = {}
        pointers: _Pointers = {}
        self._describe(service, hosts, records, pointers)
        self.forward.change(hosts, records)
        added: list[_Reverse] = []
        try:
            for network, zone in self._reverse:
                zone.change({}, _pointers_within(network, pointers))
                added.append((network, zone))
        except ConfigError:
            self._forget(service, added)
            raise

    def remove(self, service: ServiceConfig) -> None:
        """Serve the names of a service no longer, nor the pointers from its addresses."""
        self._forget(service, self._reverse)

    def _forget(self, service: ServiceConfig, reverse: Iterable[_Reverse]) -> None:
        hosts: dict[str, Host] = {}
        records: dict[str, list[Record]] = {}
        pointers: _Pointers = {}
        self._describe(service, hosts, records, pointers)
        self.forward.change({}, without=[*hosts, *records])
        for network, zone in reverse:
            zone.change({}, without=_pointers_within(network, pointers))

    def _describe(
        self,
        service: ServiceConfig,
        hosts: dict[str, Host],
        records: dict[str, list[Record]],
        pointers: _Pointers,
    ) -> None:
        """Add what there is to say of a service."""
        names = [self._origin if label == "@" else f"{label}.{self._origin}" for label in service.names]
        # One for all its names, which is a matter of memory where there are thousands.
        host = Host(service.name, tuple(map(str, service.addresses)), service.ttl)
        for name in names:
            hosts[name] = host
            if service.txt:
                records[name] = [Txt(text) for text in service.txt]
            for owner, port in service.srv:
                records.setdefault(f"{owner}.{name}", []).append(Srv(port, names[0]))
        if names:
            pointers |= dict.fromkeys(service.addresses, names[0])


def _pointers_within(network: IPv4Network | IPv6Network, pointers: _Pointers) -> dict[str, list[Ptr]]:
    return {address.reverse_pointer: [Ptr(name)] for address, name in pointers.items() if address in network}


def _own_addresses(config: Config) -> list[str]:
    """Where this board is asked: at the bridge's address, and at that of IPv6 if it listens there."""
    own, ipv6 = [str(config.network.address.ip)], config.network.ipv6
    if ipv6 is not None and {str(ipv6.address.ip), "::"} & {address for address, _ in config.dns.listen}:
        own.append(str(ipv6.address.ip))
    return own
