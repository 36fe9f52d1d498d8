"""Ways to build a domain of Xen: jitsu's, with each of its optimisations switched off, and xl's. Runs in dom0.

Each has `build` and `end`; what they take is measured by who calls them.
"""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jitsu.domains.console_kinds import Console
from jitsu.domains.driver import Domain, DomainSpec
from jitsu.domains.xen import XenDriver
from jitsu.domains.xen_build import Ports, XenBuilder
from jitsu.domains.xen_keys import Identity, Node, backend_of, domain_nodes, home_of, vif_of
from jitsu.domains.xen_shell import Kind, Shell, fill, foretold, kind_of, make_shell, mark_of
from jitsu.network.arrivals import Arrivals
from jitsu.network.netlink import GUEST_PORT, Netlink
from jitsu.trace import Trace, Traces
from jitsu.xenstore.client import StoreClient

BRIDGE = "xenbr0"
KERNEL = "/tmp/guest"
RUNTIME = Path("/run/jitsu-bench")
MAC = "00:16:3e:00:00:01"
FIRST_DOMID = 1000
"""Ours count from there on; xl takes what Xen gives it."""

STOCK, MINIMAL = "vif-bridge", "/tmp/vif-minimal"
SCRIPTS = {"stock": STOCK, "minimal": MINIMAL}
MINIMAL_TEXT = f"""#!/bin/sh
# What a hotplug script must do, and nothing else.
case $1 in
online)
    ip link set "$vif" master {BRIDGE} up
    xenstore-write "$XENBUS_PATH/hotplug-status" connected
    ;;
esac
"""


class Way(Protocol):
    """How domains come and go."""

    async def build(self, memory: int) -> int:
        """A domain with console and interface; `memory` in MiB. Gives a number to end it by."""

    async def end(self, number: int) -> None:
        """Nothing of it is left."""

    async def close(self) -> None:
        """After the last."""


class NetlinkPorts:
    """Interfaces go into the bridge by netlink."""

    def __init__(self) -> None:
        self.netlink = Netlink()
        self.bridge = socket.if_nametoindex(BRIDGE)

    def plug(self, domid: int) -> None:
        self.netlink.plug(socket.if_nametoindex(vif_of(domid)), self.bridge, GUEST_PORT)

    def unplug(self, domid: int) -> None:
        """netback takes it away."""


@dataclass(frozen=True)
class ScriptedPorts:
    """They go there by a hotplug script, as libxl runs it."""

    script: str

    def plug(self, domid: int) -> None:
        path = self.script if "/" in self.script else f"/etc/xen/scripts/{self.script}"
        told = {"script": path, "XENBUS_TYPE": "vif", "XENBUS_PATH": f"backend/vif/{domid}/0", "vif": vif_of(domid)}
        command = [path, "online", "type_if=vif"]
        subprocess.run(command, env=os.environ | told, check=True, capture_output=True, timeout=60)

    def unplug(self, domid: int) -> None:
        """netback takes it away."""


def spec_of(domid: int, memory: int) -> DomainSpec:
    return DomainSpec(
        service="bench", domid=domid, kernel=Path(KERNEL), memory=memory << 20, cmdline="", mac=MAC, fingerprint="f"
    )


class Silence:
    """Nobody keeps the consoles."""

    def began(self, console: Console) -> None:
        pass

    def ended(self, console: Console, why: str) -> None:
        console.unlink()


class Driven:
    """By the driver of a daemon that stays. `prepared` beforehand, a domain is only let go."""

    def __init__(self, driver: XenDriver, *, pooled: bool = False) -> None:
        self.driver = driver
        self._pooled = pooled
        self._next = FIRST_DOMID
        self._domains: dict[int, Domain] = {}
        self._pool: dict[int, list[Domain]] = {}

    @classmethod
    async def open(cls, *, pooled: bool = False) -> "Driven":
        driver = XenDriver("bench", RUNTIME, Silence(), lambda event: None, NetlinkPorts(), Traces())
        await driver.open()
        return cls(driver, pooled=pooled)

    async def stock(self, memory: int) -> None:
        """Put one into the pool."""
        self._next += 1
        self._pool.setdefault(memory, []).append(await self.driver.prepare(spec_of(self._next, memory), []))

    async def build(self, memory: int) -> int:
        if self._pooled:
            domain = self._pool[memory].pop()
            await self.driver.resume(domain)
        else:
            self._next += 1
            domain = await self.driver.launch(spec_of(self._next, memory), [])
        self._domains[domain.domid] = domain
        return domain.domid

    async def end(self, number: int) -> None:
        await self.driver.destroy(self._domains.pop(number))

    async def close(self) -> None:
        await self.driver.close()


class Built:
    """By a builder, as the driver has it or one that does without one of its optimisations."""

    def __init__(self, store: StoreClient, builder: XenBuilder) -> None:
        self._store = store
        self._builder = builder
        self._next = 2 * FIRST_DOMID
        self._uuids: dict[int, str] = {}

    async def build(self, memory: int) -> int:
        self._next += 1
        spec = spec_of(self._next, memory)
        kind = kind_of(spec, os.uname().machine)
        shell = await self._builder.build(spec, kind, Trace("bench", "build"), run=True)
        self._uuids[shell.number] = shell.uuid
        return shell.number

    async def end(self, number: int) -> None:
        await self._builder.end(number, self._uuids.pop(number))

    async def close(self) -> None:
        self._builder.close()
        await self._store.close()


def _number_of(nodes: list[Node]) -> int:
    """Whose nodes these are: the first is /local/domain/NUMBER/jitsu."""
    return int(nodes[0].path.split("/")[3])


class OneKeyAtATime(XenBuilder):
    """Each request waits for the answer to the one before."""

    async def _write(self, nodes: list[Node]) -> None:
        for asked in [each for node in nodes for each in node.requests()]:
            asked.result((await self.store.answers([asked]))[0])


class InATransaction(XenBuilder):
    """All of them are one transaction."""

    async def _write(self, nodes: list[Node]) -> None:
        pipeline = self.store.pipeline()
        for node in nodes:
            if node.value is not None:
                pipeline.write(node.path, node.value)
            if node.perms:
                pipeline.set_perms(node.path, node.perms)
        await pipeline.commit()


class AsManyKeysAsLibxl(XenBuilder):
    """And those that libxl writes beside them (tools/libs/light/libxl_create.c, libxl_dom.c, libxl_nic.c, Xen 4.17)."""

    async def _write(self, nodes: list[Node]) -> None:
        number = _number_of(nodes)
        home, back = home_of(number), backend_of(number)
        more = [Node(f"{home}/{name}", b"", (f"n{number}",)) for name in _GUESTS_OWN]
        more += [Node(f"{home}/{name}", b"0") for name in _TOLD]
        more += [Node(f"/libxl/{number}/device/vif/0/{name}", b"0") for name in _COPIED]
        more += [Node(f"{back}/{name}", b"0") for name in ("bridge", "type")]
        *most, state = nodes
        await super()._write([*most, *more, state])


_GUESTS_OWN = (
    *(f"control/{name}" for name in ("shutdown", "feature-poweroff", "feature-reboot", "feature-suspend", "sysrq")),
    *("device/suspend/event-channel", "drivers", "feature", "attr", "error"),
)
_TOLD = (
    *("vm", "cpu", "memory", "memory/static-max", "memory/target", "memory/videoram", "store/port", "store/ring-ref"),
    *("cpu/0/availability", "console/backend", "console/backend-id", "console/type", "console/output", "console/tty"),
    *("control/platform-feature-multiprocessor-suspend", "control/platform-feature-xs_reset_watches"),
    *("device/vif/0/handle", "device/vif/0/trusted"),
)
_COPIED = ("frontend", "backend", "frontend-id", "online", "state", "script", "mac", "bridge", "handle", "type")
"""By these libxl finds its own devices again."""


class Scripted(XenBuilder):
    """Its ports are a script's, which looks for its bridge in the store."""

    async def _write(self, nodes: list[Node]) -> None:
        number = _number_of(nodes)
        *most, state = nodes
        await super()._write([*most, Node(f"{backend_of(number)}/bridge", BRIDGE.encode()), state])


class OneAfterTheOther(XenBuilder):
    """As xl: memory, kernel, then keys, introduction, interface; nothing at the same time."""

    async def _furnish(self, shell: Shell, spec: DomainSpec, trace: Trace, *, run: bool) -> None:
        identity = Identity(self._instance, spec.service, spec.fingerprint, shell.uuid)
        frames = await self.xen(lambda xen: fill(xen, shell, spec, trace.span))
        assert frames == foretold(shell)
        await self._write(
            domain_nodes(
                shell.number, identity, shell.console_port, frames.console.frame, mac=spec.mac, config=spec.config
            )
        )
        await self.store.introduce(shell.number, frames.store.frame, frames.store.port)
        await self._interface(shell.number)
        self._plug(shell.number)
        await self.xen(lambda xen: xen.call("xc_domain_unpause", shell.number))


class WaitingForTheConsole(XenBuilder):
    """As libxl, it returns when xenconsoled has attached the console."""

    async def build(self, spec: DomainSpec, kind: Kind, trace: Trace, *, run: bool) -> Shell:
        shell = await super().build(spec, kind, trace, run=run)
        await self._attached(shell.number, shell.uuid)
        return shell


class EverythingInThreads(XenBuilder):
    """Each hypercall is handed to a thread, however short it is."""

    async def build(self, spec: DomainSpec, kind: Kind, trace: Trace, *, run: bool) -> Shell:
        mark = mark_of(self._instance)
        shell = await self.xen(lambda xen: make_shell(xen, spec, kind, mark))
        await self._furnish(shell, spec, trace, run=False)
        await self.xen(lambda xen: xen.call("xc_domain_unpause", shell.number))
        return shell


SWITCHES: dict[str, tuple[type[XenBuilder], Callable[[], Ports]]] = {
    "keys in a transaction": (InATransaction, NetlinkPorts),
    "keys one at a time": (OneKeyAtATime, NetlinkPorts),
    "as many keys as libxl": (AsManyKeysAsLibxl, NetlinkPorts),
    "one after the other": (OneAfterTheOther, NetlinkPorts),
    "console waited for": (WaitingForTheConsole, NetlinkPorts),
    "all hypercalls in threads": (EverythingInThreads, NetlinkPorts),
    "a minimal script": (Scripted, lambda: ScriptedPorts(MINIMAL)),
    "the stock script": (Scripted, lambda: ScriptedPorts(STOCK)),
}
"""What is done instead."""


async def switched(name: str) -> Built:
    builder, ports = SWITCHES[name]
    store = await StoreClient.connect()
    return Built(store, builder("bench", store, Arrivals(), ports()))


class Fresh:
    """By a process of its own for each domain: Python starts, imports, connects."""

    def __init__(self) -> None:
        self._next = 3 * FIRST_DOMID

    async def build(self, memory: int) -> int:
        self._next += 1
        number = self._next
        await _run(sys.executable, "-m", "tests.bench.xen_once", str(number), str(memory))
        return number

    async def end(self, number: int) -> None:
        await _run("xl", "destroy", str(number))

    async def close(self) -> None:
        """Nothing stays open."""


class Xl:
    """xl with a script of that name in SCRIPTS."""

    def __init__(self, script: str) -> None:
        self._script = SCRIPTS[script]
        self._next = 0

    async def build(self, memory: int) -> int:
        self._next += 1
        number = self._next
        await _run("xl", "create", "-q", self._settings(number, memory))
        return number

    async def end(self, number: int) -> None:
        await _run("xl", "destroy", f"bench-{number}")

    async def close(self) -> None:
        """Nothing stays open."""

    def _settings(self, number: int, memory: int) -> str:
        """The path of the file that xl is to read."""
        lines = [
            f'name = "bench-{number}"',
            f'kernel = "{KERNEL}"',
            f"memory = {memory}",
            f'vif = ["bridge={BRIDGE},script={self._script}"]',
            *(['type = "pvh"'] if os.uname().machine == "x86_64" else []),
        ]
        path = Path(f"/tmp/bench-{number}.cfg")
        path.write_text("\n".join(lines) + "\n")
        return str(path)


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said.decode()}")
