"""Services by the thousand, and the network that has room for them."""

from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

from jitsu.demo.stage import BOARD, Cast

BIG_NETWORK: Mapping[str, Mapping[str, str | int | float]] = {"network": {"address": f"{BOARD}/16"}}
FIRST = IPv4Address("10.77.16.1")


def crowd(kernel: Path, count: int, **options: str | int | float) -> list[Cast]:
    """Services `s0`, `s1` and so on, at addresses that follow one another."""
    return [Cast(f"s{number}", kernel, {"address": str(FIRST + number), **options}) for number in range(count)]
