"""The zones that this board serves, made of its configuration."""

from jitsu.config import Config
from jitsu.directory.records import Record, Srv, Txt
from jitsu.directory.reverse import reverse_zone
from jitsu.directory.zone import Host, Zone


def zones_of(config: Config) -> tuple[Zone, Zone]:
    """The zones that a configuration describes: of its names, whose hosts are the services, and of its addresses. This
    board is the first name server of both."""
    dns, network = config.dns, config.network
    this_board = f"{dns.name}.{dns.zone}"
    nameservers = ((this_board, str(network.address.ip)), *dns.nameservers)
    hosts: dict[str, Host] = {}
    records: dict[str, list[Record]] = {}
    addresses = {network.address.ip: this_board}
    for service in config.services.values():
        names = [dns.zone if label == "@" else f"{label}.{dns.zone}" for label in service.names]
        for name in names:
            hosts[name] = Host(service.name, str(service.address), service.ttl)
            records[name] = [Txt(text) for text in service.txt]
            for owner, port in service.srv:
                records.setdefault(f"{owner}.{name}", []).append(Srv(port, names[0]))
        if names:
            addresses[service.address] = names[0]
    forward = Zone(
        dns.zone,
        # Glue is for names inside the zone; others have their addresses in zones of their own.
        tuple((name, address if f".{name}".endswith(f".{dns.zone}") else None) for name, address in nameservers),
        hosts,
        records=records,
        ttl=dns.ttl,
    )
    servers = [name for name, _ in nameservers]
    hostmaster = f"hostmaster.{dns.zone}"
    return forward, reverse_zone(network.address.network, servers, addresses, hostmaster, dns.ttl)
