"""The wire of an emulated board: a tap in a network namespace of its own.

Whoever is in the namespace is at the other end of the wire, as a machine beside the board would be.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from boards.definition import Wire
from jitsu.errors import HostError
from jitsu.network.namespace import inside, new_network
from jitsu.network.tap import open_tap

TAP = "board"
BOARD_MAC, OUTER_MAC = "52:54:00:78:00:02", "52:54:00:78:00:01"
"""The same for all, each in its own namespace: a board that was restored knows its neighbour."""


class Lan:
    """`namespace` is a descriptor of the network namespace, `tap` of the board's end of the wire. Made by `lay`."""

    def __init__(self, namespace: int, tap: int) -> None:
        self.namespace, self.tap = namespace, tap

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Be at the other end of the wire: sockets made in the block, and programs started in it, stay there."""
        with inside(self.namespace):
            yield


@contextmanager
def lay(wire: Wire) -> Iterator[Lan]:
    """A wire whose outer end has the gateway's address. Raises HostError where namespaces or taps are not to be had."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    namespace = new_network()
    try:
        with inside(namespace):
            tap = open_tap(TAP)
            try:
                with IPRoute() as ip:
                    index = ip.link_lookup(ifname=TAP)[0]
                    ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")
                    ip.link("set", index=index, address=OUTER_MAC, state="up")
                    ip.addr("add", index=index, address=str(wire.gateway), prefixlen=wire.address.network.prefixlen)
            except NetlinkError as error:
                os.close(tap)
                raise HostError(
                    f"the wire of a board cannot be laid: {error.args[-1]}", hint="run as root, or with CAP_NET_ADMIN"
                ) from error
        try:
            yield Lan(namespace, tap)
        finally:
            os.close(tap)
    finally:
        os.close(namespace)
