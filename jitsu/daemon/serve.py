"""`jitsu serve`: wires directory, summoner, sentinel, network and driver together, and takes them apart again."""

import asyncio
import gc
import logging
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from jitsu.config import Config
from jitsu.daemon.console_link import ConsoleLink
from jitsu.daemon.control import SOCKET_NAME, ControlServer, Request
from jitsu.daemon.drivers import open_driver
from jitsu.daemon.lock import runtime_folder
from jitsu.daemon.record_store import SqliteRecordStore
from jitsu.daemon.systemd import Systemd
from jitsu.daemon.zones import BoardZones
from jitsu.directory.enquiries import Limits
from jitsu.directory.forwarder import Forwarder
from jitsu.directory.guestbook import Guestbook
from jitsu.directory.server import DirectoryServer, listen
from jitsu.domains.accelerator import Verdict, choose_accelerator
from jitsu.domains.driver import DomainEvent
from jitsu.errors import HostError
from jitsu.network.bridge import BridgeSettings
from jitsu.network.capability import missing_capabilities
from jitsu.network.host import HostNetwork
from jitsu.summon.admission import Budget
from jitsu.summon.doorman import Doorman
from jitsu.summon.summoner import Summoner
from jitsu.summon.tenant import spec_of
from jitsu.synjitsu.sentinel import Sentinel

log = logging.getLogger(__name__)


def bridge_settings(config: Config) -> BridgeSettings:
    """The bridge that a configuration asks for."""
    network = config.network
    return BridgeSettings(
        network.bridge,
        network.address,
        config.daemon.instance,
        uplink=network.uplink,
        existing=network.existing,
        address6=network.ipv6.address if network.ipv6 is not None else None,
    )


class Daemon:
    """One `jitsu serve`. `run` returns after SIGTERM or SIGINT, with everything it made taken away again."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._zones = BoardZones(config)
        self._summoner: Summoner | None = None
        self._stop = asyncio.Event()
        self._verdict = Verdict("none", "")

    async def run(self) -> None:
        """Serve. Raises JitsuError if that cannot begin, and leaves nothing behind then."""
        config = self._config
        # Before anything is started that could inherit what is meant for us.
        systemd = Systemd()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with AsyncExitStack() as stack:
            runtime = stack.enter_context(runtime_folder(config.daemon.runtime))
            self._verdict = await asyncio.to_thread(choose_accelerator, config.daemon.state)
            log.info("accelerator %s: %s", self._verdict.accelerator, self._verdict.reason)
            domains = runtime / "domains"
            consoles = ConsoleLink(runtime, config.daemon.state)
            limits = config.limits
            driver = await open_driver(config, domains, consoles, self._verdict, self._happened)
            stack.callback(_remove_if_empty, domains)
            stack.push_async_callback(consoles.close)
            stack.push_async_callback(driver.close)
            for service in config.services.values():
                driver.check(spec_of(service, config.network))

            network = HostNetwork(bridge_settings(config))
            stack.push_async_callback(network.stop)
            port = await network.start()
            stack.callback(os.close, port)
            budget = Budget(limits.memory, limits.guests, limits.vcpus)
            doorman = Doorman(limits)
            summoner = Summoner(
                config.services,
                config.network,
                network,
                driver,
                budget,
                doorman,
                boot_limit=limits.boot,
                warm=config.warm,
            )
            self._summoner = summoner
            sentinel = Sentinel(port, summoner)
            summoner.sentinel = sentinel
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
                store = SqliteRecordStore(config.daemon.state)
                stack.callback(store.close)
                guestbook = Guestbook(config.dns.keys, store)
            directory = DirectoryServer(
                self._zones.all,
                summoner.question,
                sockets=sockets,
                limits=Limits(summons=limits.summons, answers=limits.answers),
                awake=summoner.awake,
                forwarder=Forwarder(config.dns.forward, config.dns.forward_for) if config.dns.forward else None,
                guestbook=guestbook,
            )
            stack.push_async_callback(summoner.close)
            consoles.start()
            await summoner.adopt(await driver.adopt())
            stack.push_async_callback(directory.stop)
            await directory.start()
            sentinel.start()
            stack.callback(sentinel.stop)
            control = ControlServer(
                runtime / SOCKET_NAME, self._handlers(summoner, consoles), ready_made=systemd.control
            )
            await control.start()
            stack.push_async_callback(control.stop)
            # What stands now stays: the collector need not walk through ten thousand services while somebody waits.
            gc.freeze()
            systemd.notify("READY=1", f"STATUS={self._status_line()}")
            for pastime in (
                sentinel.announce(),
                summoner.watch_idleness(),
                summoner.keep_warm(),
                systemd.stay_alive(),
                systemd.report(self._status_line),
            ):
                stack.callback(asyncio.create_task(pastime).cancel)
            where = ", ".join(
                f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
                for address, number in directory.listening
            )
            log.info("serving %d services of %s on %s", len(config.services), config.dns.zone, where)
            await self._stop.wait()
            systemd.notify("STOPPING=1", "STATUS=dismissing all guests")
            log.info("stopping")

    def _happened(self, event: DomainEvent) -> None:
        if self._summoner is not None:
            self._summoner.happened(event)

    def _status_line(self) -> str:
        serving = self._summoner.serving if self._summoner is not None else 0
        return f"{serving} of {len(self._config.services)} services of {self._config.dns.zone} awake"

    def _handlers(self, summoner: Summoner, consoles: ConsoleLink) -> dict[str, Any]:
        async def ps(request: Request) -> Any:
            return await summoner.rows()

        async def trace(request: Request) -> Any:
            service = str(request.get("service") or "")
            if service:
                summoner.tenant(service)
            return [trace.record() for trace in summoner.traces.last(int(request.get("last", 1)), service)]

        async def start(request: Request) -> None:
            await summoner.start(str(request["service"]))

        async def stop(request: Request) -> None:
            await summoner.stop(str(request["service"]))

        async def status(request: Request) -> Any:
            return {
                "pid": os.getpid(),
                "consoled": consoles.pid,
                "driver": self._config.daemon.driver,
                "accelerator": self._verdict.accelerator,
                "accelerator_reason": self._verdict.reason,
                "zone": self._config.dns.zone,
            }

        return {"ps": ps, "trace": trace, "start": start, "stop": stop, "status": status}


def _remove_if_empty(folder: Path) -> None:
    """A start that fails must not touch the sockets of guests that an earlier daemon left alive."""
    if not any(folder.iterdir()):
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
