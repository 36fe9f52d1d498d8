"""Building and ending domains of Xen as a graph: what needs nothing of each other is done at the same time.

    shell -> { keys                   all requests at once
             | kernel, memory, load   in a thread
             } -> introduce -> unpause      a PV domain's console is where the load put it: one node more before that
             keys -> vif              netback makes the interface, which is plugged in here; at the latest the guest's
                                      driver waits for that

Each is a span of the domain's trace. Ending: Xen's part in a thread, the keys meanwhile.

The keys are no transaction, which brings nothing (`make bench-xen`: between 3 % less and 6 % more; for the backend's
alone, which dom0's kernel looks at one by one, between 1 % less and 4 % more), and two at once would be a conflict to C
xenstored. To introduce a domain before its keys are answered does not help either: what takes the time is the work of
one processor, and not waiting. Nobody looks at the nodes of a domain that is not introduced but netback, and it waits
for the last of them. Who finds an unfinished domain ends it by its uuid.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar

from jitsu.domains.driver import DomainSpec
from jitsu.domains.xen_bindings import Handles, Xen
from jitsu.domains.xen_keys import (
    CONNECTED,
    Identity,
    Node,
    backend_of,
    backends_of,
    console_node,
    domain_nodes,
    ends,
    tty_of,
    vif_of,
)
from jitsu.domains.xen_refusals import Refusals
from jitsu.domains.xen_shell import MIB, Frames, Kind, Shell, fill, foretold, look, make_shell, mark_of
from jitsu.errors import DomainError, HostError, JitsuError
from jitsu.network.arrivals import Arrivals, is_there
from jitsu.trace import Trace
from jitsu.xenstore import request
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable
from jitsu.xenstore.wire import StoreError

THREADS = 4

VIF_PATIENCE = 30.0
"""Seconds in which netback must have made an interface, and removed it. It takes milliseconds; a dom0 whose processor
is busy elsewhere took ten seconds once."""

END_PATIENCE = 10.0
"""Seconds in which a domain that was destroyed must be gone. It lives on as long as somebody maps pages of it."""

STORE_PATIENCE = 10.0
"""Seconds in which the store must have answered a request."""

CONSOLE_PATIENCE = 2.0
"""Seconds for which a domain's end waits until xenconsoled has attached its console, which otherwise writes to nodes
that were just removed. It takes it some hundredths; and there may be none."""

_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.1
"""Seconds between two looks whether a domain is gone: twice as long each time, for many may be ending at once."""

T = TypeVar("T")


class Ports(Protocol):
    """Dom0's ends of the guests' interfaces."""

    def plug(self, domid: int) -> object:
        """Make the interface that netback made for a domain a locked port of the bridge. Raises JitsuError, OSError."""

    def unplug(self, domid: int) -> None:
        """Take it off the bridge, and its gate with it; one that is gone is no error. Raises OSError."""


class XenBuilder:
    """Builds and ends domains, many at once. `store` is a client of the machine's own XenStore.

    Every method raises `DomainError`, `HostError` or `StoreUnreachable`; what failed halfway leaves nothing.
    """

    def __init__(self, instance: str, store: StoreClient, arrivals: Arrivals, ports: Ports) -> None:
        self._instance = instance
        self.store = store
        """Replaced by the owner when the connection was lost."""
        self.refusals = Refusals()
        """The owner connects it to the store, and follows what is built."""
        self._arrivals = arrivals
        self._ports = ports
        self._handles = Handles()
        self._threads = ThreadPoolExecutor(THREADS, "xen")

    def close(self) -> None:
        """When nothing is under way any more."""
        self._threads.shutdown()
        self._handles.close()

    async def xen(self, what: Callable[[Xen], T]) -> T:
        """Run `what` in a thread, with that thread's handle."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: what(self._handles.mine()))

    async def build(self, spec: DomainSpec, kind: Kind, trace: Trace, *, run: bool) -> Shell:
        """A domain by this spec; paused unless it is to `run`. A caller that stops waiting holds none, and none is
        left: it waits until that is so."""
        shell = None
        try:
            if spec.mac and is_there(vif_of(spec.domid)):
                raise DomainError(
                    f"there is an interface {vif_of(spec.domid)} already, and it is not this domain's",
                    hint="try again: the next domain has another number",
                )
            with trace.span("shell"):
                # A few hypercalls, shorter than it takes to hand them to a thread.
                shell = make_shell(self._handles.mine(), spec, kind, mark_of(self._instance))
            await self._furnish(shell, spec, trace, run=run)
        except BaseException as error:
            if shell is not None:
                with suppress(JitsuError):
                    await self._finished(self.end(shell.number, shell.uuid))
            raise _explained(error, spec) from None
        return shell

    async def end(self, number: int, uuid: str) -> None:
        """End a domain that may be gone already, and remove all of it. Returns when nothing is left."""
        self.refusals.leave(number)
        await self._attached(number, uuid)
        removing = self._remove(number, ends(number))
        results = await asyncio.gather(self._destroy(number, uuid), removing, return_exceptions=True)
        for result in results:
            if result is not None:
                raise result

    async def disconnect(self, number: int) -> None:
        """Remove dom0's end of an interface whose domain is gone, and nothing else: somebody else has the number."""
        await self._remove(number, [backends_of(number)])

    async def connected(self, number: int) -> None:
        """Wait until netback is connected to the guest, if it has an interface: before that its end has no carrier, and
        loses what is sent there."""
        path = f"{backend_of(number)}/state"
        async with await self.store.watch(path, limit=1) as changes:
            async for _ in changes:
                try:
                    if await self.store.read(path) == CONNECTED:
                        return
                except StoreError:
                    # It has no interface.
                    return

    async def _furnish(self, shell: Shell, spec: DomainSpec, trace: Trace, *, run: bool) -> None:
        """All that lies between a shell and a domain that runs, or could."""
        identity = Identity(self._instance, spec.service, spec.fingerprint, shell.uuid)
        expected = foretold(shell)

        def filled(xen: Xen) -> Frames:
            return fill(xen, shell, spec, trace.span)

        async def enter() -> None:
            nodes = domain_nodes(
                shell.number,
                identity,
                shell.console_port,
                expected.console.frame if expected is not None else None,
                pv=shell.kind is Kind.PV,
                mac=spec.mac,
                config=spec.config,
            )
            with trace.span("keys"):
                await self._write(nodes)

        async def start() -> None:
            frames = await filling
            if expected is not None and frames != expected:
                raise DomainError(f"the rings are at {frames}, and not at {expected}: this is another Xen than 4.17")
            await asyncio.shield(entering)
            with trace.span("introduce"):
                async with _answering():
                    if expected is None:
                        await self._write([console_node(shell.number, frames.console.frame)])
                    await self.store.introduce(shell.number, frames.store.frame, frames.store.port)
            if run:
                with trace.span("unpause"):
                    self._handles.mine().call("xc_domain_unpause", shell.number)

        async def arrive() -> None:
            await asyncio.shield(entering)
            if spec.mac:
                with trace.span("vif"):
                    await self._interface(shell.number)

        async def wire() -> None:
            await asyncio.shield(arriving)
            if spec.mac:
                with trace.span("plug"):
                    self._plug(shell.number)

        # The requests go out first: the store and netback work on them while Xen makes the memory.
        entering = asyncio.ensure_future(enter())
        filling = asyncio.ensure_future(self.xen(filled))
        arriving = asyncio.ensure_future(arrive())
        try:
            await _both(start(), wire())
        finally:
            # Until then nodes cannot be removed for good: we would write them nevertheless, and so would netback.
            await self._finished(asyncio.gather(entering, arriving, return_exceptions=True))

    async def _write(self, nodes: list[Node]) -> None:
        requests = [each for node in nodes for each in node.requests()]
        async with _answering():
            for asked, answer in zip(requests, await self.store.answers(requests), strict=True):
                asked.result(answer)

    async def _attached(self, number: int, uuid: str) -> None:
        """Wait until the console of a domain that was introduced has its terminal, or there will be none."""
        # Without a store there is nothing to wait for, and the domain has to end all the same.
        with suppress(TimeoutError, StoreError, StoreUnreachable):
            async with asyncio.timeout(CONSOLE_PATIENCE):
                if not await self.store.is_introduced(number):
                    return
                if await self.xen(lambda xen: look(xen, number, uuid)) is None:
                    return
                async with await self.store.watch(tty_of(number)) as changes:
                    async for _ in changes:
                        with suppress(StoreError):
                            if await self.store.read(tty_of(number)):
                                return

    def _plug(self, number: int) -> None:
        """What a hotplug script does: netback's interface into the bridge."""
        try:
            self._ports.plug(number)
        except OSError as error:
            raise DomainError(
                f"{vif_of(number)} cannot be plugged into the bridge: {error.strerror}",
                hint="is the bridge still there? (ip -br link)",
            ) from None

    async def _interface(self, number: int) -> None:
        """Wait for netback's interface. Raises `DomainError` with netback's reason, if it gives one."""
        name = vif_of(number)
        refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def refuse(said: str) -> None:
            if not refused.done():
                refused.set_result(said)

        self.refusals.follow(number, refuse)
        coming = asyncio.ensure_future(self._arrivals.come(name, VIF_PATIENCE))
        try:
            await asyncio.wait((coming, refused), return_when=asyncio.FIRST_COMPLETED)
            if refused.done():
                raise DomainError(
                    f"{name}: dom0's kernel refuses to make it: {refused.result()}",
                    hint="see what else it says of it: dmesg",
                )
            await coming
        except TimeoutError:
            raise DomainError(
                f"{name}: dom0's kernel made no such interface within {VIF_PATIENCE:g} s",
                hint="is xen-netback loaded? (modprobe xen-netback)",
            ) from None
        except OSError as error:
            raise DomainError(f"{name} cannot be looked for: {error.strerror}") from None
        finally:
            coming.cancel()

    async def _destroy(self, number: int, uuid: str) -> None:
        def destroy(xen: Xen) -> bool:
            if look(xen, number, uuid) is None:
                return False
            xen.call("xc_domain_destroy", number)
            return True

        if not await self.xen(destroy):
            return
        loop = asyncio.get_running_loop()
        limit = loop.time() + END_PATIENCE
        pause = _FIRST_LOOK
        while look(self._handles.mine(), number, uuid) is not None:
            if loop.time() > limit:
                raise DomainError(
                    f"domain {number} of Xen is dying for {END_PATIENCE:g} s: somebody maps pages of it",
                    hint="see who: xl debug-keys g; xl dmesg",
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK)

    async def _remove(self, number: int, paths: list[str]) -> None:
        async with _answering():
            # What is not there need not be removed.
            await self.store.answers([request.rm(path) for path in paths])
        with suppress(TimeoutError):
            await self._arrivals.gone(vif_of(number), VIF_PATIENCE)

    async def _finished(self, work: Awaitable[T]) -> T:
        """The result of work that goes on when its caller is cancelled: then wait for it all the same."""
        task = asyncio.ensure_future(work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait((task,))
            raise


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """A block in which the store must answer. Raises `HostError`; what it was asked for it does later, if it lives."""
    try:
        async with asyncio.timeout(STORE_PATIENCE):
            yield
    except TimeoutError:
        raise HostError(
            f"the XenStore does not answer within {STORE_PATIENCE:g} s", hint="look whether xenstored still runs"
        ) from None


async def _both(first: Coroutine[Any, Any, None], second: Coroutine[Any, Any, None]) -> None:
    """Wait for both. The first goes on whatever happens, for a thread cannot be stopped; the second ends when the first
    failed or the caller is cancelled. Raises what the first raised, else the second."""
    tasks = asyncio.ensure_future(first), asyncio.ensure_future(second)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        if tasks[0].done() and tasks[0].exception() is not None:
            tasks[1].cancel()
    except asyncio.CancelledError:
        tasks[1].cancel()
        raise
    finally:
        await asyncio.wait(tasks)
    tasks[0].result()
    tasks[1].result()


def _explained(error: BaseException, spec: DomainSpec) -> BaseException:
    """What went wrong, as the driver's callers know it."""
    match error:
        case StoreUnreachable() | HostError():
            return HostError(f"service {spec.service}: {error.message}", hint=error.hint)
        case DomainError() | StoreError():
            hint = error.hint
            if "memory" in error.message.lower():
                hint = hint or f"it wants {spec.memory // MIB} MiB; what Xen has left, says: xl info (free_memory)"
            return DomainError(f"service {spec.service}: {error.message}", hint=hint)
    return error
