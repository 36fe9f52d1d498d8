"""Runs in dom0: kills a process with -9 at a point of the life of the only domain, or of the next that anybody makes.

`build_killer.py PID POINT [COUNT]` prints `looking` when it looks, and when it has killed, what it had seen. Points:

    shell       Xen has the domain
    dying       Xen was told to destroy it; with a store that maps its ring it lives on for as long
    node        COUNT changes were made to nodes of domains: a build makes more than forty, an end two
    introduced  the store knows the domain
    interface   netback has made its interface
    port        which is plugged into the bridge
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from jitsu.domains.xen_bindings import Xen
from jitsu.domains.xen_keys import HOMES
from jitsu.domains.xen_shell import State, everything
from jitsu.xenstore.client import StoreClient


def vifs() -> list[str]:
    return [name for _, name in socket.if_nameindex() if name.startswith("vif")]


def ports() -> list[str]:
    return [name for name in vifs() if Path(f"/sys/class/net/{name}/master").exists()]


def look_until(there: Callable[[], object]) -> str:
    """Nobody tells of it within the moment in which it counts."""
    while not (seen := there()):
        os.sched_yield()
    return str(seen)


async def hear(count: int, path: str) -> str:
    """Kill at the last of so many events of this path, which is told once at the beginning."""
    async with await StoreClient.connect() as store, await store.watch(path) as events:
        await anext(events)
        print("looking", flush=True)
        told = [(await anext(events)).path for _ in range(count)]
        os.kill(victim, signal.SIGKILL)
        return told[-1]


victim, point = int(sys.argv[1]), sys.argv[2]
if point in ("node", "introduced"):
    count, path = (int(sys.argv[3]), HOMES) if point == "node" else (1, "@introduceDomain")
    print(asyncio.run(hear(count, path)))
else:
    xen = Xen()
    print("looking", flush=True)
    looks: dict[str, Callable[[], object]] = {
        "shell": lambda: everything(xen),
        "dying": lambda: [each for each in everything(xen) if each.state is State.DYING],
        "interface": vifs,
        "port": ports,
    }
    said = look_until(looks[point])
    os.kill(victim, signal.SIGKILL)
    print(said)
