"""Records that stand beside the hosts' addresses. They are answered at once, and summon nobody."""

from dataclasses import dataclass

from jitsu.directory.name import parse_name
from jitsu.errors import ConfigError

LONGEST_TEXT = 255
"""Octets of a TXT record's character-string (RFC 1035 section 3.3)."""


@dataclass(frozen=True, slots=True)
class Ptr:
    """The name of an address (RFC 1035 section 3.3.12), written in full. Raises ConfigError if it is malformed."""

    target: str

    def __post_init__(self) -> None:
        parse_name(self.target)


@dataclass(frozen=True, slots=True)
class Txt:
    """A text, which is one character-string of UTF-8 (RFC 1035 section 3.3.14). Raises ConfigError if it is longer
    than that can be."""

    text: str

    def __post_init__(self) -> None:
        octets = len(self.text.encode())
        if octets > LONGEST_TEXT:
            raise ConfigError(
                f"the text {self.text[:20]!r}... is {octets} octets long",
                hint=f"a text has at most {LONGEST_TEXT}; several make several records",
            )


@dataclass(frozen=True, slots=True)
class Srv:
    """Where a service is offered (RFC 2782): at a TCP or UDP port of `target`, written in full.

    Priority and weight choose among several targets; there is one, and they are 0. Raises ConfigError for a port out
    of range and a target that is malformed.
    """

    port: int
    target: str

    def __post_init__(self) -> None:
        parse_name(self.target)
        if not 1 <= self.port <= 65535:
            raise ConfigError(f"the port of {self.target} is {self.port}", hint="it lies between 1 and 65535")


@dataclass(frozen=True, slots=True)
class Written:
    """A record that the guest of `service` wrote (RFC 2136): its type, its data as on the wire without compression, and
    its TTL in seconds."""

    rtype: int
    data: bytes
    ttl: int
    service: str


Record = Ptr | Txt | Srv | Written
