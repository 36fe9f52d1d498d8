"""The nodes of the XenStore without which a domain of Xen, its console and its network interface do not work.

As few as that: each costs a round of the store's daemon, and each of a backend's two more, by which dom0's kernel looks
what it is. A node that is made takes over the permissions of the one above it, so only the topmost ones say theirs: as
soon as there is one below, which made them, and stays as private as what is around them.

Sources: Xen's docs/misc/xenstore-paths.pandoc, tools/console/daemon/io.c (what xenconsoled reads), Linux's
drivers/net/xen-netback/xenbus.c, drivers/xen/xenbus/xenbus_probe.c and xen/include/public/io/netif.h.

    /local/domain/D             name, domid; the guest may read all of it
        console                 port, ring-ref, limit; xenconsoled adds tty
        data                    the guest's own; data/jitsu/config is what it is told
        device/vif/0            the frontend: the guest's
        jitsu                   whose domain this is, for a daemon that finds it; not the guest's to read
    /local/domain/0/backend/vif/D/0
        jitsu                   whose it is, once more: `xl destroy` removes all of the above, and not this
    /local/domain/0/error/backend/vif/D/0/error     netback's, when it refuses
    /libxl/D/type               pv or pvh, as ARM's are too: else `xl console` looks for a device model's console
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import NamedTuple

from jitsu.domains.xen_console import CONSOLE_LIMIT
from jitsu.xenstore import request
from jitsu.xenstore.request import Request

HOMES = "/local/domain"

BACKENDS = f"{HOMES}/0/backend/vif"

REFUSALS = f"{HOMES}/0/error/backend/vif"
"""What netback complains of (Linux's drivers/xen/xenbus/xenbus_client.c); nobody but us removes it."""

INITIALISING, CONNECTED = b"1", b"4"
"""States of a device's two ends (xen/include/public/io/xenbus.h)."""


class Node(NamedTuple):
    """One node to write. `perms` is what SET_PERMS takes, and empty where the node above it decides. Without a `value`
    it is there already: the node before it, which lies below, made it."""

    path: str
    value: bytes | None
    perms: tuple[str, ...] = ()

    def requests(self) -> list[Request]:
        """What is asked of the store."""
        written = [] if self.value is None else [request.write(self.path, self.value)]
        return written + ([request.set_perms(self.path, self.perms)] if self.perms else [])


class Ring(NamedTuple):
    """A page that the guest shares with a daemon in dom0: its frame, and the event channel's port."""

    frame: int
    port: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose a domain is: written beside it, and read by a daemon that adopts it. `uuid` is 32 hexadecimal digits: a
    domain of Xen's with another one only has the number of ours."""

    instance: str
    service: str
    fingerprint: str
    uuid: str

    def encode(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def decode(cls, value: bytes) -> "Identity | None":
        """None for what no jitsu wrote."""
        try:
            read = json.loads(value)
            return cls(
                str(read["instance"]),
                str(read["service"]),
                str(read["fingerprint"]),
                str(read["uuid"]),
            )
        except (ValueError, TypeError, KeyError):
            return None


def domain_nodes(
    number: int,
    identity: Identity,
    console_port: int,
    console_frame: int | None,
    *,
    pv: bool = False,
    mac: str = "",
    config: Iterable[tuple[str, str]] = (),
) -> list[Node]:
    """All nodes of Xen's domain `number`, in the order in which they are to be written.

    While the frame of the console is not known, its node is left to `console_node`. Without a `mac` there is no
    interface. A domain of that number may not have left anything.
    """
    home = home_of(number)
    nodes = [
        Node(identity_of(number), identity.encode()),
        Node(home, None, ("n0", f"r{number}")),
        # `xl` wants names that differ, and a service may have two domains for a moment.
        Node(f"{home}/name", f"{identity.service}-{number}".encode()),
        Node(f"{home}/domid", b"%d" % number),
        Node(f"{home}/console/port", b"%d" % console_port),
        Node(f"{home}/console/limit", b"%d" % CONSOLE_LIMIT),
        Node(f"/libxl/{number}/type", b"pv" if pv else b"pvh"),
        Node(f"{home}/data", b"", (f"n{number}",)),
    ]
    if console_frame is not None:
        nodes.append(console_node(number, console_frame))
    told = [Node(f"{home}/data/jitsu/config/{key}", value.encode()) for key, value in config]
    if told:
        nodes.append(Node(f"{home}/data/jitsu/config", b"", ("n0", f"r{number}")))
    return nodes + told + (_vif(number, mac, identity) if mac else [])


def console_node(number: int, frame: int) -> Node:
    """Where the console's ring is: to be there before the domain is introduced."""
    return Node(f"{home_of(number)}/console/ring-ref", b"%d" % frame)


def places() -> list[str]:
    """What the nodes of all domains lie in, and stays."""
    return [HOMES, "/libxl", BACKENDS, REFUSALS]


def ends(number: int) -> list[str]:
    """What to remove of a domain: with these all of its nodes are gone. Not all need be there. Last is what says whose
    they are: who is killed in between leaves what his successor knows."""
    return [f"/libxl/{number}", refusals_of(number), backends_of(number), home_of(number)]


def home_of(number: int) -> str:
    return f"{HOMES}/{number}"


def identity_of(number: int) -> str:
    return f"{home_of(number)}/jitsu"


def resting_of(number: int) -> str:
    """There while a domain is paused on purpose; one that is paused without it was never finished."""
    return f"{identity_of(number)}/resting"


def shutdown_of(number: int) -> str:
    """Where a guest is asked to shut down, by `poweroff`; it removes the word when it has read it."""
    return f"{home_of(number)}/control/shutdown"


def told_of(number: int, word: str) -> str:
    """Where a guest is told a word of jitsu's: wake, stop."""
    return f"{home_of(number)}/data/jitsu/control/{word}"


def tty_of(number: int) -> str:
    """Where xenconsoled says which pseudo-terminal the console has."""
    return f"{home_of(number)}/console/tty"


def backends_of(number: int) -> str:
    return f"{BACKENDS}/{number}"


def backend_of(number: int) -> str:
    """Dom0's end of the interface."""
    return f"{backends_of(number)}/0"


def backend_identity_of(number: int) -> str:
    """Whose domain it is the interface of."""
    return f"{backend_of(number)}/jitsu"


def refusals_of(number: int) -> str:
    return f"{REFUSALS}/{number}"


def refusal_of(number: int) -> str:
    """Where netback says why it does not serve this domain: an errno and words, as in `2 reading script`."""
    return f"{refusals_of(number)}/0/error"


def vif_of(number: int) -> str:
    """The name that netback gives to dom0's end of the interface."""
    return f"vif{number}.0"


def _vif(number: int, mac: str, identity: Identity) -> list[Node]:
    front, back = f"{home_of(number)}/device/vif/0", backend_of(number)
    return [
        Node(f"{front}/backend", back.encode()),
        Node(front, None, (f"n{number}", "r0")),
        Node(f"{front}/backend-id", b"0"),
        Node(f"{front}/state", INITIALISING),
        Node(f"{front}/mac", mac.encode()),
        Node(backend_identity_of(number), identity.encode()),
        Node(back, None, ("n0", f"r{number}")),
        Node(f"{back}/frontend", front.encode()),
        Node(f"{back}/frontend-id", b"%d" % number),
        Node(f"{back}/online", b"1"),
        Node(f"{back}/handle", b"0"),
        Node(f"{back}/mac", mac.encode()),
        # netback does not begin without it, and nobody runs it: udev's rules for Xen are libxl's own affair.
        Node(f"{back}/script", b""),
        # netback may connect at once: the interface is plugged in before any guest can have booted, and opened later.
        Node(f"{back}/hotplug-status", b"connected"),
        # By this one netback begins.
        Node(f"{back}/state", INITIALISING),
    ]
