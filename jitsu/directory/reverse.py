"""The reverse zone of a network: from addresses back to names (RFC 1035 section 3.5, RFC 3596 section 2.5)."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from jitsu.directory.records import Ptr
from jitsu.directory.zone import Zone

_SUFFIX = 2
"""Labels of `in-addr.arpa` and `ip6.arpa`."""


def reverse_zone(
    network: IPv4Network | IPv6Network,
    nameservers: Sequence[str],
    names: Mapping[IPv4Address | IPv6Address, str],
    hostmaster: str,
    ttl: int,
    serial: int = 1,
) -> Zone:
    """The zone with a PTR record for each of `names` whose address is of `network`; it has no hosts, so nothing in it
    summons. `nameservers` and `hostmaster` are names, `ttl` is in seconds, `serial` a number, all as in `Zone`.

    Zones end between the parts of an address, octets in IPv4 and half octets in IPv6, and not every network does. The
    zone of one that does not is that of the parts it has whole, `77.10.in-addr.arpa` for 10.77.16.0/20: the apex is
    ours to speak for, but the addresses of other networks in there are not, neither with a name nor with a denial, and
    are refused. Raises ConfigError as `Zone` does.
    """
    bits, base, part = (8, 10, "{:d}") if network.version == 4 else (4, 16, "{:x}")
    first, last = (
        address.reverse_pointer.split(".") for address in (network.network_address, network.broadcast_address)
    )
    own = len(first) - _SUFFIX - network.prefixlen // bits
    elsewhere: frozenset[bytes] = frozenset()
    if network.prefixlen % bits:
        ours = range(int(first[own - 1], base), int(last[own - 1], base) + 1)
        elsewhere = frozenset(part.format(value).encode() for value in range(1 << bits) if value not in ours)
    return Zone(
        ".".join(first[own:]),
        tuple((name,) for name in nameservers),
        {},
        records={address.reverse_pointer: [Ptr(name)] for address, name in names.items() if address in network},
        elsewhere=elsewhere,
        hostmaster=hostmaster,
        ttl=ttl,
        serial=serial,
    )
