"""A stage on which board, client and guests have addresses of both IP versions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from jitsu.demo.stage import CLIENT_LINK, Cast, Stage, Value
from jitsu.network.namespace import inside

BOARD6, CLIENT6 = "fd77::1", "fd77::c8"
_IFA_F_NODAD = 0x02


def with_ipv6(cast: Cast, number: int) -> Cast:
    """The same service with the `number`th IPv6 address as well."""
    return Cast(cast.name, cast.kernel, {**cast.options, "address6": f"fd77::{0x10 + number:x}"})


@contextmanager
def dual_stage(cast: Sequence[Cast], sections: Mapping[str, Mapping[str, Value]] | None = None) -> Iterator[Stage]:
    """Enter a stage for `cast`, whose members may have an `address6` in fd77::/64."""
    from pyroute2 import IPRoute

    network = {"address6": f"{BOARD6}/64", **(sections or {}).get("network", {})}
    with Stage(cast, sections={**(sections or {}), "network": network}) as stage:
        with inside(stage.client), IPRoute() as ip:
            index = ip.link_lookup(ifname=CLIENT_LINK)[0]
            ip.addr("add", index=index, address=CLIENT6, prefixlen=64, flags=_IFA_F_NODAD)
        yield stage
