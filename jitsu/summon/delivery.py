"""Handing a held SYN to the guest it was held for."""

from ipaddress import ip_address

from jitsu.config import NetworkConfig
from jitsu.network.neighbours import enquiry
from jitsu.summon.tenant import Tenant
from jitsu.synjitsu.embryonic import Embryo


def deliver(tenant: Tenant, embryo: Embryo, network: NetworkConfig) -> None:
    """Put the SYN, as it came, into the guest's own port, and before it an ARP request or a neighbour solicitation.

    The request tells the guest where its answer must go: to the client, or for a client elsewhere to the gateway, by
    the MAC that the SYN came from. If the domain dies under our hands the SYN is on hold again, and the domain's end,
    which is about to be reported, finds it there.
    """
    segment = embryo.segment
    neighbour = _next_hop(segment.source, network)
    holding = tenant.holding
    try:
        if holding is None or holding.channel is None:
            raise OSError("the domain is gone")
        holding.connections.see(segment, to_guest=True)
        holding.channel.send(enquiry(segment.source_mac, neighbour, segment.target, tenant.mac))
        holding.channel.send(embryo.frame)
    except OSError:
        tenant.embryos.domain_ended()
        tenant.embryos.hold(segment, embryo.frame, embryo.arrived)


def _next_hop(client: bytes, network: NetworkConfig) -> bytes:
    """The neighbour through which a guest reaches this client: itself, or the gateway."""
    address = ip_address(client)
    half = network.half(address.version)
    # Every IPv6 neighbour has a link-local address as well; one of IPv4 is as foreign as any other.
    local = address in half.address.network or (address.version == 6 and address.is_link_local)
    return client if local else half.gateway.packed
