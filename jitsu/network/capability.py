"""Whether this process may change the network. Being root is neither needed nor enough: the capability is."""

from pathlib import Path

CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
"""Bits of a capability set (linux/capability.h): bridges and taps; raw sockets."""


def missing_capabilities() -> list[str]:
    """The names of the capabilities that `jitsu serve` needs and this process does not have in effect."""
    fields = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    effective = int(fields["CapEff"], 16)
    needed = {"CAP_NET_ADMIN": CAP_NET_ADMIN, "CAP_NET_RAW": CAP_NET_RAW}
    return [name for name, bit in needed.items() if not effective >> bit & 1]
