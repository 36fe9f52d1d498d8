"""Handing a held SYN to the guest it was held for."""

from ipaddress import IPv4Address

from jitsu.config import NetworkConfig
from jitsu.network.frames import arp_request
from jitsu.summon.tenant import Tenant
from jitsu.synjitsu.embryonic import Embryo


def deliver(tenant: Tenant, embryo: Embryo, network: NetworkConfig) -> None:
    """Put the SYN, as it came, into the guest's own port, and before it an ARP request.

    The request tells the guest where its answer must go: to the client, or for a client elsewhere to the gateway, by
    the MAC that the SYN came from. If the domain dies under our hands the SYN is on hold again, and the domain's end,
    which is about to be reported, finds it there.
    """
    segment = embryo.segment
    local = IPv4Address(segment.source) in network.address.network
    neighbour = segment.source if local else network.gateway.packed
    holding = tenant.holding
    try:
        if holding is None or holding.channel is None:
            raise OSError("the domain is gone")
        holding.connections.see(segment, to_guest=True)
        holding.channel.send(arp_request(segment.source_mac, neighbour, tenant.mac, segment.target))
        holding.channel.send(embryo.frame)
    except OSError:
        tenant.embryos.domain_ended()
        tenant.embryos.hold(segment, embryo.frame, embryo.arrived)
