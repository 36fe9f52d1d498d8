"""The reverse zone of a network: from addresses back to names (RFC 1035 section 3.5)."""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from jitsu.directory.records import Ptr
from jitsu.directory.zone import Zone


def reverse_zone(
    network: IPv4Network,
    nameservers: Sequence[str],
    names: Mapping[IPv4Address, str],
    hostmaster: str,
    ttl: int,
    serial: int = 1,
) -> Zone:
    """The zone with a PTR record for each of `names`, which are addresses of `network`; it has no hosts, so nothing
    in it summons. `nameservers` and `hostmaster` are names, `ttl` is in seconds, `serial` a number, all as in `Zone`.

    Zones end between octets, and not every network does. The zone of one that does not is that of the octets it has
    whole, `77.10.in-addr.arpa` for 10.77.16.0/20: the apex is ours to speak for, but the addresses of other networks
    in there are not, neither with a name nor with a denial, and are refused. Raises ConfigError as `Zone` does.
    """
    whole = network.prefixlen // 8
    origin = ".".join([*map(str, reversed(network.network_address.packed[:whole])), "in-addr.arpa"])
    elsewhere: frozenset[bytes] = frozenset()
    if network.prefixlen % 8:
        first, last = network.network_address.packed[whole], network.broadcast_address.packed[whole]
        elsewhere = frozenset(b"%d" % octet for octet in range(256) if not first <= octet <= last)
    return Zone(
        origin,
        tuple((name, None) for name in nameservers),
        {},
        records={address.reverse_pointer: [Ptr(name)] for address, name in names.items()},
        elsewhere=elsewhere,
        hostmaster=hostmaster,
        ttl=ttl,
        serial=serial,
    )
