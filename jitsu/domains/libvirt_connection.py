"""A connection to libvirt: calls in threads, news from its event loop, and a new connection when it is lost.

Every call of libvirt's blocks, up to seconds where a domain is destroyed, so none is made on the event loop. News come
in a thread of libvirt's own, of which there is one in a process, and are carried over to the loop. A connection may be
lost at any time, most often because the daemon behind it is started again: its guests live on, calls fail meanwhile,
and as soon as it answers again there is a new connection.
"""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from jitsu.errors import DomainError, HostError

log = logging.getLogger(__name__)

CALLS_AT_ONCE = 8

OLDEST = 8_002_000
"""libvirt 8.2.0: the first that hands a descriptor to QEMU's monitor (virDomainQemuMonitorCommandWithFiles)."""

KEEPALIVE = 5
"""Seconds without a word after which libvirt is asked whether it is there; the third question without an answer ends
the connection, and with it the calls under way."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two attempts to have a lost connection back."""

_STOPPED_DETAILS = {
    "SHUTDOWN": "shut down, says libvirt",
    "DESTROYED": "destroyed through libvirt, and not by jitsu",
    "CRASHED": "crashed, says libvirt",
    "MIGRATED": "migrated through libvirt",
    "SAVED": "saved through libvirt",
    "FAILED": "killed or failed, says libvirt",
}
"""Why a domain stopped, by the names of libvirt's VIR_DOMAIN_EVENT_STOPPED_*."""

T = TypeVar("T")

Told = Callable[[str, str], None]
"""Called on the event loop with a domain's uuid and why it ends: QEMU's own word where the guest did it, such as
`guest-reset`, or one of libvirt's in `_STOPPED_DETAILS`."""


def versions(uri: str) -> str:
    """Ask the libvirt daemon at `uri` who it is, as in `libvirt 9.0.0, QEMU 7.2.22`. Blocks; raises `HostError`."""
    libvirt = import_libvirt()
    connection = _connected(libvirt, uri)
    try:
        return f"libvirt {_number(connection.getLibVersion())}, QEMU {_number(connection.getVersion())}"
    except libvirt.libvirtError as error:
        raise HostError(f"libvirt at {uri}: {_message(error)}", hint="apt install qemu-system-x86") from None
    finally:
        connection.close()


def import_libvirt() -> Any:
    """The library. Raises `HostError` where it is not installed."""
    try:
        import libvirt
        import libvirt_qemu  # noqa: F401 - its absence must be found now and not at the first summon
    except ImportError as error:
        raise HostError(
            f"the libvirt driver needs the Python package libvirt-python: {error}",
            hint="pip install 'jitsu[libvirt]' (it is built: apt install libvirt-dev python3-dev pkg-config gcc)",
        ) from None
    # It prints errors to stderr unless it is told to leave that to its caller.
    libvirt.registerErrorHandler(lambda _, __: None, None)
    return libvirt


class LibvirtConnection:
    """A connection to the libvirt daemon at `uri`; made by `open`, had back by itself when it is lost.

    `told` hears why domains end, `back` that a lost connection is there again: what happened meanwhile was not told.
    Both are called on the event loop.
    """

    def __init__(self, uri: str, told: Told, back: Callable[[], None]) -> None:
        """Raises `HostError` without libvirt-python."""
        self.uri = uri
        self._libvirt = import_libvirt()
        _run_events(self._libvirt)
        self._told = told
        self._back = back
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(CALLS_AT_ONCE, "libvirt")
        self._connection: Any = None
        self._return: asyncio.Task[None] | None = None
        self._closed = False

    async def open(self) -> None:
        """Connect. Raises `HostError` if libvirt does not answer, or cannot do what is needed of it."""
        self._connection = await self._in_thread(self._open)

    async def call(self, subject: str, what: Callable[[Any], T]) -> T:
        """Run `what`, with libvirt's connection as its argument, in a thread.

        `subject` is what an error is about, as in `service www`. Raises `DomainError` with libvirt's reason. A call
        that nobody waits for any longer goes on in its thread.
        """
        connection = self._connection
        if connection is None:
            raise self._unanswered(subject)
        try:
            return await self._in_thread(lambda: what(connection))
        except self._libvirt.libvirtError as error:
            if not await self._in_thread(lambda: self._alive(connection)):
                raise self._unanswered(subject) from None
            raise DomainError(
                f"{subject}: libvirt: {_message(error)}", hint=f"ask it yourself: virsh -c {self.uri} list --all"
            ) from None

    async def close(self) -> None:
        """Hang up. Domains live on; calls under way are waited for."""
        self._closed = True
        if self._return is not None:
            self._return.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            await self._in_thread(lambda: self._hang_up(connection))
        await asyncio.to_thread(self._threads.shutdown)

    async def _in_thread(self, what: Callable[[], T]) -> T:
        return await self._loop.run_in_executor(self._threads, what)

    def _open(self) -> Any:
        """In a thread: a connection that is listened to. Raises `HostError`."""
        import libvirt_qemu

        libvirt = self._libvirt
        connection = _connected(libvirt, self.uri)
        try:
            connection.setKeepAlive(KEEPALIVE, 3)
            connection.registerCloseCallback(self._connection_lost, None)
            lifecycle = libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE
            connection.domainEventRegisterAny(None, lifecycle, self._domain_changed, None)
            libvirt_qemu.qemuMonitorEventRegister(connection, None, "SHUTDOWN", self._qemu_said, None)
        except libvirt.libvirtError as error:
            connection.close()
            raise HostError(f"libvirt at {self.uri}: {_message(error)}") from None
        return connection

    def _alive(self, connection: Any) -> bool:
        """In a thread: is there still somebody at the other end?"""
        try:
            return bool(connection.isAlive())
        except self._libvirt.libvirtError:
            # It was found lost already, and closed.
            return False

    def _hang_up(self, connection: Any) -> None:
        with suppress(self._libvirt.libvirtError):
            connection.unregisterCloseCallback()
        with suppress(self._libvirt.libvirtError):
            connection.close()

    def _unanswered(self, subject: str) -> DomainError:
        return DomainError(
            f"{subject}: libvirt at {self.uri} does not answer",
            hint="start it: systemctl start libvirtd (or virtqemud.socket); guests that run go on meanwhile",
        )

    # In libvirt's thread.

    def _domain_changed(self, _: Any, domain: Any, event: int, detail: int, __: Any) -> None:
        if event == self._libvirt.VIR_DOMAIN_EVENT_STOPPED:
            for name, reason in _STOPPED_DETAILS.items():
                if detail == getattr(self._libvirt, f"VIR_DOMAIN_EVENT_STOPPED_{name}"):
                    self._carry_over(self._told, domain.UUIDString(), reason)

    def _qemu_said(self, _: Any, domain: Any, __: str, ___: int, ____: int, details: str, _____: Any) -> None:
        """QEMU's own event SHUTDOWN: it alone tells a guest that shut down from one that reset itself. Why QEMU was
        ended from outside, libvirt knows better."""
        reason = json.loads(details or "{}").get("reason")
        if isinstance(reason, str) and reason.startswith("guest-"):
            self._carry_over(self._told, domain.UUIDString(), reason)

    def _connection_lost(self, connection: Any, _: int, __: Any) -> None:
        self._carry_over(self._lost, connection)

    def _carry_over(self, what: Callable[..., None], *arguments: Any) -> None:
        # The loop may have ended already: then nobody wants to know.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)

    # On the event loop again.

    def _lost(self, connection: Any) -> None:
        if self._closed or self._connection is None:
            return
        log.warning("libvirt at %s is lost; its guests go on", self.uri)
        self._connection = None
        self._return = asyncio.create_task(self._have_back(connection))

    async def _have_back(self, lost: Any) -> None:
        await self._in_thread(lambda: self._hang_up(lost))
        pause = SHORTEST_PAUSE
        while True:
            try:
                self._connection = await self._in_thread(self._open)
            except HostError as error:
                log.debug("%s", error.message)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                log.info("libvirt at %s answers again", self.uri)
                self._back()
                return


def _connected(libvirt: Any, uri: str) -> Any:
    """Connect to a libvirt that is new enough. Blocks; raises `HostError`."""
    try:
        connection = libvirt.open(uri)
    except libvirt.libvirtError as error:
        raise HostError(
            f"libvirt at {uri} does not answer: {_message(error)}",
            hint='start it: systemctl start libvirtd (or virtqemud.socket); or say [daemon] driver = "qemu"',
        ) from None
    version = connection.getLibVersion()
    if version < OLDEST:
        connection.close()
        raise HostError(
            f"libvirt at {uri} is {_number(version)}, too old to be handed a tap",
            hint=f"libvirt {_number(OLDEST)} or newer is needed",
        )
    return connection


def _number(version: int) -> str:
    """libvirt writes version 9.0.1 as 9000001."""
    return f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"


def _message(error: Any) -> str:
    """libvirt's message on one line. A QEMU that does not start makes it a page long, and the end is what counts."""
    lines = [line.strip() for line in str(error.get_error_message()).splitlines() if line.strip()]
    return ": ".join(dict.fromkeys((lines[0], lines[-1]))) if lines else "it does not say why"


_events_lock = threading.Lock()
_events: list[threading.Thread] = []


def _run_events(libvirt: Any) -> None:
    """Run libvirt's own event loop in a thread, once for all connections of the process: it can be registered but once,
    and before the first connection is opened."""
    with _events_lock:
        if _events:
            return
        libvirt.virEventRegisterDefaultImpl()

        def run() -> None:
            while True:
                libvirt.virEventRunDefaultImpl()

        thread = threading.Thread(target=run, name="libvirt events", daemon=True)
        thread.start()
        _events.append(thread)
