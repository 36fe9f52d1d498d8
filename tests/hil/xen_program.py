"""Runs in dom0: does with a `XenDriver` what the JSON on stdin says, step by step, and prints JSON.

    {"instance": NAME, "bridge": NAME, "spec": {kernel, memory (MiB), mac, machine, vcpus ...}, "steps": [STEP ...],
     "consoled": whether a consoled keeps consoles, in CONSOLES, "spoiled": {ENDING: VALUE}}

`spoiled` nodes, known by how their paths end, get another value than the driver's.

A STEP is a list: ["launch", DOMID], ["prepare", DOMID], ["pause", DOMID], ["resume", DOMID],
["destroy", DOMID, SECONDS] (which may be left out), ["adopt"], ["half", DOMID] (an empty domain), ["console", DOMID]
(wait for its terminal), ["shared", DOMID] (wait until consoled keeps its console), ["shell", COMMAND],
["usage", DOMID], ["event", DOMID] (wait for one), ["together", [STEP ...]], ["fail", STEP] (must raise), ["die"]
(kill -9, of this program). Times are in milliseconds.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jitsu.daemon.console_link import ConsoleLink
from jitsu.domains import xen_build
from jitsu.domains.console_kinds import Console
from jitsu.domains.driver import Domain, DomainEvent, DomainSpec
from jitsu.domains.xen import XenDriver
from jitsu.domains.xen_bindings import Xen
from jitsu.domains.xen_keys import Node, tty_of, vif_of
from jitsu.domains.xen_shell import Kind, make_shell, mark_of
from jitsu.errors import JitsuError
from jitsu.network.netlink import Netlink, PortFlags
from jitsu.trace import Traces
from jitsu.xenstore.client import StoreClient

OPEN_PORT = PortFlags(learning=True, flood=True, locked=False)
PATIENCE = 60.0
CONSOLES = Path("/run/jitsu-hil")


class Bridge:
    """Guests are ports that nobody guards."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.netlink = Netlink()

    def plug(self, domid: int) -> None:
        bridge, interface = self.netlink.link(self.name), self.netlink.link(vif_of(domid))
        if bridge is None or interface is None:
            raise OSError(19, f"there is no bridge {self.name}")
        self.netlink.plug(interface.ifindex, bridge.ifindex, OPEN_PORT)

    def unplug(self, domid: int) -> None:
        """With its interface goes the port."""


class NoConsoles:
    """Nobody keeps them."""

    def began(self, console: Console) -> None:
        pass

    def ended(self, console: Console, why: str) -> None:
        console.unlink()


class Program:
    def __init__(self, order: dict[str, Any]) -> None:
        self.spec = order["spec"]
        self.traces = Traces()
        self.events: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self.domains: dict[int, Domain] = {}
        if spoiled := order.get("spoiled"):
            _spoil(spoiled)
        bridge = Bridge(order.get("bridge", "xenbr0"))
        self.instance = order.get("instance", "hil")
        self.link = ConsoleLink(CONSOLES, CONSOLES) if order.get("consoled") else None
        self.driver = XenDriver(
            self.instance, CONSOLES / "domains", self.link or NoConsoles(), self.events.put_nowait, bridge, self.traces
        )

    async def step(self, step: list[Any]) -> Any:
        began = time.monotonic()
        said = await getattr(self, f"do_{step[0]}")(*step[1:])
        return {"step": step[0], "ms": round((time.monotonic() - began) * 1000, 1), "said": said}

    async def do_launch(self, domid: int) -> Any:
        return await self._built(domid, self.driver.launch)

    async def do_prepare(self, domid: int) -> Any:
        return await self._built(domid, self.driver.prepare)

    async def do_half(self, domid: int) -> int:
        """A shell, as it stands when a daemon is killed just then."""
        spec, kind = self._spec(domid), Kind.PVH if os.uname().machine == "x86_64" else Kind.ARM
        mark = mark_of(self.instance)
        return make_shell(Xen(), spec, kind, mark).number

    async def do_pause(self, domid: int) -> None:
        await self.driver.pause(self.domains[domid])

    async def do_resume(self, domid: int) -> None:
        await self.driver.resume(self.domains[domid])

    async def do_destroy(self, domid: int, patience: float = 0.0) -> str:
        return await self.driver.destroy(self.domains[domid], patience)

    async def do_adopt(self) -> list[list[Any]]:
        found = await self.driver.adopt()
        self.domains |= {domain.domid: domain for domain in found}
        return [[domain.domid, domain.service, domain.fingerprint, domain.paused] for domain in found]

    async def do_console(self, domid: int) -> str:
        return await self._terminal(domid, "/")

    async def do_shared(self, domid: int) -> str:
        return await self._terminal(domid, str(CONSOLES))

    async def _terminal(self, domid: int, beginning: str) -> str:
        store = await StoreClient.connect()
        path = tty_of(domid)
        async with store, asyncio.timeout(PATIENCE), await store.watch(path) as changes:
            async for _ in changes:
                if await store.exists(path) and (value := (await store.read(path)).decode()).startswith(beginning):
                    return value
        return ""

    async def do_usage(self, domid: int) -> list[float]:
        usage = self.driver.usage(domid)
        return [usage.cpu, usage.resident] if usage is not None else []

    async def do_shell(self, command: str) -> str:
        ran = await asyncio.create_subprocess_shell(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return (await ran.communicate())[0].decode(errors="replace")

    async def do_event(self, domid: int) -> list[str]:
        async with asyncio.timeout(PATIENCE):
            event = await self.events.get()
        assert event.domain.domid == domid, event
        return [event.happening, event.detail]

    async def do_together(self, steps: list[Any]) -> list[Any]:
        return await asyncio.gather(*(self.step(step) for step in steps))

    async def do_fail(self, step: list[Any]) -> list[str]:
        try:
            said = await self.step(step)
        except JitsuError as error:
            return [type(error).__name__, error.message, error.hint]
        raise AssertionError(f"{step} did not fail: {said}")

    async def do_die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def _spec(self, domid: int) -> DomainSpec:
        return DomainSpec(
            service=self.spec.get("service", "talker"),
            domid=domid,
            kernel=Path(self.spec["kernel"]),
            memory=self.spec["memory"] << 20,
            cmdline=self.spec.get("cmdline", ""),
            mac=self.spec.get("mac", ""),
            vcpus=self.spec.get("vcpus", 1),
            machine=self.spec.get("machine", ""),
            fingerprint="f1",
            initrd=Path(self.spec["initrd"]) if self.spec.get("initrd") else None,
        )

    async def _built(self, domid: int, build: Any) -> dict[str, list[float]]:
        began = time.monotonic()
        self.domains[domid] = await build(self._spec(domid), [])
        spans = self.traces.last(1)[0].spans
        return {
            each.name: [round((at - began) * 1000, 1) for at in (each.start, each.end or each.start)] for each in spans
        }


def _spoil(spoiled: dict[str, str]) -> None:
    made = xen_build.domain_nodes

    def domain_nodes(*arguments: Any, **options: Any) -> list[Node]:
        nodes = made(*arguments, **options)
        for ending, value in spoiled.items():
            nodes = [node._replace(value=value.encode()) if node.path.endswith(ending) else node for node in nodes]
        return nodes

    xen_build.domain_nodes = domain_nodes


async def main(order: dict[str, Any]) -> None:
    program = Program(order)
    if program.link is not None:
        program.link.start()
    await program.driver.open()
    for step in order["steps"]:
        print(json.dumps(await program.step(step)), flush=True)
    await program.driver.close()
    if program.link is not None:
        await program.link.close()


asyncio.run(main(json.load(sys.stdin)))
