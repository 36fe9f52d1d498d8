"""Handing what is on hold to the guest it was held for."""

import logging
from ipaddress import ip_address

from jitsu.config import NetworkConfig
from jitsu.network.datagrams import Datagram
from jitsu.network.frames import Segment
from jitsu.network.neighbours import enquiry
from jitsu.summon.tenant import Tenant
from jitsu.synjitsu.datagrams import HeldDatagram
from jitsu.synjitsu.embryonic import Embryo

log = logging.getLogger(__name__)


def deliver(tenant: Tenant, embryo: Embryo, network: NetworkConfig) -> None:
    """Put the SYN, as it came, into the guest's own port, and before it an ARP request or a neighbour solicitation.

    The request tells the guest where its answer must go: to the client, or for a client elsewhere to the gateway, by
    the MAC that the SYN came from. If the domain dies under our hands the SYN is on hold again, and the domain's end,
    which is about to be reported, finds it there.
    """
    segment = embryo.segment
    if tenant.holding is not None:
        tenant.holding.connections.see(segment, to_guest=True)
    try:
        _put(tenant, segment, embryo.frame, network)
    except OSError:
        tenant.embryos.domain_ended()
        tenant.embryos.hold(segment, embryo.frame, embryo.arrived)


def deliver_datagram(tenant: Tenant, held: HeldDatagram, network: NetworkConfig) -> None:
    """The same for a datagram, which is lost if the domain dies under our hands, as datagrams are."""
    try:
        _put(tenant, held.datagram, held.frame, network)
    except OSError as error:
        log.debug("%s: a datagram was lost: %s", tenant.name, error)


def _put(tenant: Tenant, packet: Segment | Datagram, frame: bytes, network: NetworkConfig) -> None:
    """Raises OSError if the guest's port is gone."""
    holding = tenant.holding
    if holding is None or holding.channel is None:
        raise OSError("the domain is gone")
    neighbour = _next_hop(packet.source, network)
    holding.channel.send(enquiry(packet.source_mac, neighbour, packet.target, tenant.mac))
    holding.channel.send(frame)


def _next_hop(client: bytes, network: NetworkConfig) -> bytes:
    """The neighbour through which a guest reaches this client: itself, or the gateway."""
    address = ip_address(client)
    half = network.half(address.version)
    # Every IPv6 neighbour has a link-local address as well; one of IPv4 is as foreign as any other.
    local = address in half.address.network or (address.version == 6 and address.is_link_local)
    return client if local else half.gateway.packed
