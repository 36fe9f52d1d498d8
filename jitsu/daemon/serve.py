"""`jitsu serve`: wires directory, summoner, sentinel, network and driver together, and takes them apart again.

What a configuration may do without is imported where it asks for it: a slow board takes 10 ms for a module.
"""

import asyncio
import gc
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from jitsu.config import Config, ServiceConfig
from jitsu.daemon.caretaker import Caretaker, Premises
from jitsu.daemon.console_link import ConsoleLink
from jitsu.daemon.control import ControlServer
from jitsu.daemon.drivers import judge, machines_store, open_driver
from jitsu.daemon.gatekeeper import Gatekeeper
from jitsu.daemon.housekeeping import Housekeeping, first_roster
from jitsu.daemon.lock import runtime_folder
from jitsu.daemon.requests import Requests
from jitsu.daemon.sockets import CONTROL
from jitsu.daemon.store import SqliteStore, intending
from jitsu.daemon.systemd import Systemd
from jitsu.daemon.xenstore_link import XenstoreLink
from jitsu.daemon.zones import BoardZones
from jitsu.directory.enquiries import Limits
from jitsu.directory.server import DirectoryServer, listen
from jitsu.domains.console import erase
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import GUEST_PORTS, DomainEvent, Verdict
from jitsu.errors import HostError, JitsuError
from jitsu.events import Kind
from jitsu.network.bridge import BridgeSettings
from jitsu.network.capability import missing_capabilities
from jitsu.network.host import HostNetwork
from jitsu.summon.admission import Budget
from jitsu.summon.doorman import Doorman
from jitsu.summon.summoner import Summoner
from jitsu.summon.tenant import spec_of
from jitsu.synjitsu.sentinel import Sentinel

log = logging.getLogger(__name__)


def bridge_settings(config: Config, *, begun: bool = False) -> BridgeSettings:
    """The bridge that a configuration asks for; see `BridgeSettings` for `begun`."""
    network = config.network
    return BridgeSettings(
        network.bridge,
        network.address,
        config.daemon.instance,
        uplink=network.uplink,
        existing=network.existing,
        address6=network.ipv6.address if network.ipv6 is not None else None,
        begun=begun,
    )


class Daemon:
    """One `jitsu serve`. `run` returns after SIGTERM or SIGINT, with everything it made taken away again."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._summoner: Summoner | None = None
        self._stop = asyncio.Event()
        self._reread = asyncio.Event()
        self._verdict = Verdict("none", "")

    async def run(self) -> None:
        """Serve. Raises JitsuError if that cannot begin, and leaves nothing behind then."""
        config = self._config
        # Before anything is started that could inherit what is meant for us.
        systemd = Systemd()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reread.set)
        async with AsyncExitStack() as stack:
            runtime = stack.enter_context(runtime_folder(config.daemon.runtime))
            self._verdict = await asyncio.to_thread(judge, config)
            log.info("accelerator %s: %s", self._verdict.accelerator, self._verdict.reason)
            domains = runtime / "domains"
            consoles = ConsoleLink(runtime, config.daemon.state)
            on_xen = config.daemon.driver == "xen"
            domain_store = DomainStore(homes=not on_xen)
            xenstore = XenstoreLink(config.daemon, machines_store(config), domain_store)
            network = HostNetwork(bridge_settings(config), vifs=on_xen)
            limits = config.limits
            driver = await open_driver(config, domains, consoles, domain_store, network, self._verdict, self._happened)
            stack.callback(_remove_if_empty, domains)
            stack.callback(_remove_if_empty, domains / GUEST_PORTS)
            stack.push_async_callback(consoles.close)
            stack.push_async_callback(xenstore.close)
            stack.push_async_callback(driver.close)

            def check(service: ServiceConfig) -> None:
                driver.check(spec_of(service, self._config.network))

            store = SqliteStore(config.daemon.state)
            stack.callback(store.close)
            roster = first_roster(config, store, check)
            config = roster.everybody
            zones = BoardZones(config)

            bridge = config.network.bridge
            unmade = not config.network.existing and bridge not in (name for _, name in socket.if_nameindex())
            with intending(store, f"bridge {bridge}", unmade) as begun:
                stack.push_async_callback(network.stop)
                port = await network.start(begun=begun)
            overhead = driver.capabilities().overhead
            budget = Budget(limits.memory, limits.guests, limits.vcpus, overhead)
            doorman = Doorman(limits, overhead)
            summoner = Summoner(
                config.services,
                config.network,
                network,
                driver,
                domain_store,
                budget,
                doorman,
                boot_limit=limits.boot,
                warm=config.warm,
            )
            self._summoner = summoner
            sentinel = Sentinel(port, summoner)
            summoner.sentinel = sentinel
            caretaker = Caretaker(network, sentinel, summoner, port, config.daemon.state)
            stack.callback(caretaker.leave)
            for service in config.services.values():
                sentinel.guard(service.name, service.addresses, service.mac)

            # Bound before anybody is adopted, so that a port that is taken ends the start early; served only after,
            # or a question could summon a guest that is about to be adopted. The stack unwinds from the end: whoever
            # could summon is silenced before everybody is dismissed.
            if systemd.dns:
                log.info("[dns] listen is ignored: %d sockets were handed over", len(systemd.dns))
            sockets = systemd.dns or [sock for endpoint in config.dns.listen for sock in listen(*endpoint)]
            guestbook = None
            if config.dns.keys:
                from jitsu.daemon.record_store import SqliteRecordStore
                from jitsu.directory.guestbook import Guestbook

                written = SqliteRecordStore(config.daemon.state)
                stack.callback(written.close)
                guestbook = Guestbook(config.dns.keys, written)
            forwarder = None
            if config.dns.forward:
                from jitsu.directory.forwarder import Forwarder

                forwarder = Forwarder(config.dns.forward, config.dns.forward_for)
            directory = DirectoryServer(
                zones.all,
                summoner.question,
                sockets=sockets,
                limits=Limits(summons=limits.summons, answers=limits.answers),
                awake=summoner.awake,
                forwarder=forwarder,
                guestbook=guestbook,
            )
            stack.push_async_callback(summoner.close)
            consoles.start()
            xenstore.start()
            alive = await driver.adopt()
            await summoner.adopt(alive)
            domain_store.recalled = summoner.recalled
            domain_store.adopted(domain.domid for domain in alive)
            stack.push_async_callback(directory.stop)
            await directory.start()
            sentinel.start()
            stack.callback(sentinel.stop)
            logs = config.daemon.state / "console"

            async def forget(service: str) -> None:
                await consoles.heard_out(service)
                await asyncio.to_thread(erase, logs, service)

            housekeeping = Housekeeping(roster, store, summoner, zones, directory, check=check, erase=forget)

            async def reload(by: str) -> dict[str, int]:
                systemd.notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
                try:
                    counts = await housekeeping.reload(by)
                    self._config = housekeeping.config
                    return counts
                finally:
                    systemd.notify("READY=1", f"STATUS={self._status_line()}")

            if config.metrics.listen is not None:
                from jitsu.daemon.metrics import Metrics, MetricsServer

                metrics = Metrics(summoner, doorman, directory, sentinel, lambda: self._config.limits)
                scraped = MetricsServer(config.metrics.listen, metrics.exposition)
                stack.push_async_callback(scraped.stop)
                await scraped.start()
            control = ControlServer(
                runtime / CONTROL,
                Requests(summoner, driver, housekeeping, consoles, xenstore, self._verdict, reload).handlers(),
                gatekeeper=Gatekeeper(config.daemon.operators, config.daemon.group),
                events=summoner.events,
                group=config.daemon.group,
                ready_made=systemd.control,
            )
            await control.start()
            stack.push_async_callback(control.stop)
            # What stands now stays: the collector need not walk through ten thousand services while somebody waits.
            gc.freeze()
            systemd.notify("READY=1", f"STATUS={self._status_line()}")
            for pastime in (
                network.announce(),
                sentinel.announce(),
                summoner.watch_idleness(),
                summoner.keep_warm(),
                caretaker.walk(Premises(runtime, domains, control)),
                systemd.stay_alive(),
                systemd.report(self._status_line),
                self._reload_when_told(reload),
            ):
                stack.callback(asyncio.create_task(pastime).cancel)
            summoner.events.add(Kind.STARTED, detail=f"{len(config.services)} services of {config.dns.zone}")
            where = ", ".join(
                f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
                for address, number in directory.listening
            )
            log.info("serving %d services of %s on %s", len(config.services), config.dns.zone, where)
            await self._stop.wait()
            systemd.notify("STOPPING=1", "STATUS=dismissing all guests")
            log.info("stopping")

    async def _reload_when_told(self, reload: Callable[[str], Awaitable[object]]) -> None:
        """At every SIGHUP, for ever."""
        while True:
            await self._reread.wait()
            self._reread.clear()
            try:
                await reload("SIGHUP")
            except JitsuError as error:
                log.error("not reloaded, nothing changed: %s", error.message)
                log.error("hint: %s", error.hint)

    def _happened(self, event: DomainEvent) -> None:
        if self._summoner is not None:
            self._summoner.happened(event)

    def _status_line(self) -> str:
        serving, all_of_them = (
            (self._summoner.register.serving, len(self._summoner.register)) if self._summoner else (0, 0)
        )
        return f"{serving} of {all_of_them} services of {self._config.dns.zone} awake"


def _remove_if_empty(folder: Path) -> None:
    """A start that fails must not touch the sockets of guests that an earlier daemon left alive."""
    if folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def serve(config: Config) -> None:
    """Run the daemon in the foreground until it is told to stop. Raises JitsuError."""
    missing = missing_capabilities()
    if missing:
        raise HostError(
            f"jitsu serve makes bridges and taps, and may not here: {' and '.join(missing)} is missing",
            hint="run it as root: sudo jitsu serve (or look at `jitsu demo`, which needs no root)",
        )

    async def main() -> None:
        await Daemon(config).run()

    asyncio.run(main())
