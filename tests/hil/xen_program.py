"""Runs in dom0: does with a `XenDriver` what the JSON on stdin says, step by step, and prints JSON.

    {"instance": NAME, "bridge": NAME, "spec": {kernel, memory (MiB), mac, machine, vcpus ...}, "steps": [STEP ...]}

A STEP is a list: ["launch", DOMID], ["prepare", DOMID], ["pause", DOMID], ["resume", DOMID], ["destroy", DOMID],
["adopt"], ["half", DOMID] (an empty domain), ["console", DOMID] (wait for its terminal), ["shell", COMMAND],
["event", DOMID] (wait for one), ["together", [STEP ...]], ["fail", STEP] (must raise), ["die"] (kill -9, of this
program). Times are in milliseconds.
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

from jitsu.domains.driver import Domain, DomainEvent, DomainSpec
from jitsu.domains.xen import XenDriver
from jitsu.domains.xen_bindings import Xen
from jitsu.domains.xen_keys import tty_of, vif_of
from jitsu.domains.xen_shell import Kind, make_shell, mark_of
from jitsu.errors import JitsuError
from jitsu.network.netlink import Netlink, PortFlags
from jitsu.trace import Traces
from jitsu.xenstore.client import StoreClient

OPEN_PORT = PortFlags(learning=True, flood=True, locked=False)
PATIENCE = 60.0


class Ports:
    """Interfaces are plugged into a bridge that is there or not."""

    def __init__(self, bridge: str) -> None:
        self._bridge = bridge
        self._netlink = Netlink()

    def plug(self, domid: int) -> None:
        bridge, vif = self._netlink.link(self._bridge), self._netlink.link(vif_of(domid))
        if bridge is None or vif is None:
            raise OSError(19, f"there is no bridge {self._bridge}")
        self._netlink.plug(vif.ifindex, bridge.ifindex, OPEN_PORT)

    def unplug(self, domid: int) -> None:
        """Nothing is kept of a port that goes."""


class Program:
    def __init__(self, order: dict[str, Any]) -> None:
        self.spec = order["spec"]
        bridge = order.get("bridge", "xenbr0")
        self.traces = Traces()
        self.events: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self.domains: dict[int, Domain] = {}

        self.instance = order.get("instance", "hil")
        self.driver = XenDriver(self.instance, self.events.put_nowait, Ports(bridge), self.traces)

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

    async def do_destroy(self, domid: int) -> str:
        return await self.driver.destroy(self.domains[domid])

    async def do_adopt(self) -> list[list[Any]]:
        found = await self.driver.adopt()
        self.domains |= {domain.domid: domain for domain in found}
        return [[domain.domid, domain.service, domain.fingerprint, domain.paused] for domain in found]

    async def do_console(self, domid: int) -> str:
        store = await StoreClient.connect()
        path = tty_of(self.domains[domid].handle)
        async with store, asyncio.timeout(PATIENCE), await store.watch(path) as changes:
            async for _ in changes:
                if await store.exists(path) and (value := await store.read(path)):
                    return value.decode()
        return ""

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


async def main(order: dict[str, Any]) -> None:
    program = Program(order)
    await program.driver.open()
    for step in order["steps"]:
        print(json.dumps(await program.step(step)), flush=True)
    await program.driver.close()


asyncio.run(main(json.load(sys.stdin)))
