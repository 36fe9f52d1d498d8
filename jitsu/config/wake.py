"""What wakes a service: `tcp`, `udp/53`, `icmp`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TRIGGER = re.compile(r"(tcp|udp)(?:/([1-9][0-9]{0,4}))?|icmp")


@dataclass(frozen=True, slots=True)
class Trigger:
    """`protocol` is `tcp` (SYNs), `udp` (datagrams) or `icmp` (echo requests, of ICMPv6 as well); `port` 0 is any."""

    protocol: str
    port: int = 0


TCP = (Trigger("tcp"),)


def wakes(triggers: Iterable[Trigger], protocol: str, port: int) -> bool:
    """Does a packet of that protocol to that port (0 where there are none) wake the service?"""
    return any(each.protocol == protocol and each.port in (0, port) for each in triggers)


def read_trigger(text: str) -> Trigger:
    """The trigger that `text` names. Raises ValueError with the way out, for people."""
    match = _TRIGGER.fullmatch(text)
    if match is None or int(match[2] or 0) > 65535:
        raise ValueError("write tcp, udp or icmp, and with the first two a port if only that counts, as in udp/53")
    return Trigger(match[1] or "icmp", int(match[2] or 0))
