"""What stands in a XenStore, as a mapping from nodes to values."""

import time
from pathlib import Path

from jitsu.xenstore.client import StoreClient, Transaction


async def nodes(path: Path, *roots: str) -> dict[str, str]:
    """Every node below these, with its value, as they are in one moment."""
    found: dict[str, str] = {}

    async def walk(moment: Transaction, node: str) -> None:
        if await moment.exists(node):
            found[node] = (await moment.read(node)).decode()
            for name in await moment.list(node):
                await walk(moment, f"{node}/{name}")

    async with await StoreClient.connect(path) as client, await client.begin() as moment:
        for root in roots:
            await walk(moment, root)
    return found


async def until_nodes(path: Path, expected: dict[str, str], *roots: str) -> None:
    """Wait until these and no others are there, for ten seconds at most."""
    give_up = time.monotonic() + 10
    while (found := await nodes(path, *roots)) != expected:
        assert time.monotonic() < give_up, found


def below(root: str, values: dict[str, str]) -> dict[str, str]:
    """Nodes with values, and those above them up to `root`, which have none."""
    found = {root: ""}
    for name, value in values.items():
        parts = name.split("/")
        for depth in range(1, len(parts)):
            found.setdefault("/".join([root, *parts[:depth]]), "")
        found[f"{root}/{name}"] = value
    return found
