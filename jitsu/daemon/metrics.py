"""Metrics for Prometheus: read off the parts when somebody asks, in the text format 0.0.4.

prometheus-client does the format and the histograms, and is loaded only when [metrics] asks for it (30 ms and 5 MB). It
has no server for an event loop, so the few lines of HTTP are here. No label has a service in it: there may be ten
thousand of them.
"""

import asyncio
import errno
from collections.abc import Callable, Iterator
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from jitsu import __version__
from jitsu.config import LimitsConfig
from jitsu.directory.server import DirectoryServer
from jitsu.errors import HostError, ResourceBusy
from jitsu.events import Event, Kind
from jitsu.summon.doorman import Doorman
from jitsu.summon.summoner import Summoner
from jitsu.synjitsu.sentinel import Sentinel

PATH = "/metrics"

PATIENCE = 10.0
"""Seconds in which a request must be there and its answer taken."""

MOST_CONNECTIONS = 16
LONGEST_HEAD = 8192

_BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: a gate opens in tens of microseconds, an emulated Linux boots in seconds."""


class Metrics:
    """What there is to measure. `limits` says what holds at the moment."""

    def __init__(
        self,
        summoner: Summoner,
        doorman: Doorman,
        directory: DirectoryServer,
        sentinel: Sentinel,
        limits: Callable[[], LimitsConfig],
    ) -> None:
        from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, disable_created_metrics

        # Times at which counters began are of OpenMetrics, and only noise in this format.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._summoner = summoner
        self._doorman = doorman
        self._directory = directory
        self._sentinel = sentinel
        self._limits = limits
        self._causes: dict[str, int] = {}
        self._registry = CollectorRegistry()
        self._stages = Histogram(
            "jitsu_boot_seconds",
            "What each stage of a summon took; total is from its packet until the guest served.",
            ["stage"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(self)
        summoner.events.listen(self._heard)

    def exposition(self) -> bytes:
        """Everything, as it is now."""
        from prometheus_client import generate_latest

        text: bytes = generate_latest(self._registry)
        return text

    def collect(self) -> Iterator[Any]:
        """Called by the registry: what is counted elsewhere."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("jitsu_build", "What runs here.", value={"version": __version__})
        vms = GaugeMetricFamily("jitsu_vms", "Services by the state of their VM.", labels=["state"])
        for phase, count in self._summoner.register.census().items():
            vms.add_metric([phase.value], count)
        yield vms
        queries = CounterMetricFamily(
            "jitsu_dns_queries", "DNS messages by transport and by what was answered.", labels=["transport", "rcode"]
        )
        for (transport, rcode), count in self._directory.stats.items():
            queries.add_metric([transport, rcode], count)
        yield queries
        summons = CounterMetricFamily("jitsu_summons", "Launches by what caused them.", labels=["cause"])
        for cause, count in self._causes.items():
            summons.add_metric([cause], count)
        yield summons
        events = CounterMetricFamily("jitsu_events", "What happened, as in jitsu events.", labels=["event"])
        for kind in Kind:
            events.add_metric([kind.value], self._summoner.events.counts[kind])
        yield events
        frames = CounterMetricFamily("jitsu_sentinel_frames", "Frames for sleeping services.", labels=["kind"])
        for name, count in asdict(self._sentinel.seen).items():
            frames.add_metric([name], count)
        yield frames
        refused = CounterMetricFamily("jitsu_syns_refused", "SYNs not listened to, by limit.", labels=["limit"])
        for limit, count in self._doorman.refused.items():
            refused.add_metric([limit], count)
        yield refused
        limits, budget = self._limits(), self._summoner.budget
        for name, told, value in (
            (
                "jitsu_memory_granted_bytes",
                "Memory of all guests and their monitors.",
                budget.memory_used,
            ),
            ("jitsu_memory_limit_bytes", "[limits] memory.", limits.memory),
            ("jitsu_guests_granted", "Guests that run.", budget.guests_used),
            ("jitsu_guests_limit", "[limits] guests.", limits.guests),
            ("jitsu_vcpus_granted", "Virtual processors of all guests.", budget.vcpus_used),
            ("jitsu_vcpus_limit", "[limits] vcpus.", limits.vcpus),
        ):
            yield GaugeMetricFamily(name, told, value)

    def _heard(self, event: Event) -> None:
        if event.kind is Kind.SUMMONED:
            cause = event.detail.removeprefix("by ")
            self._causes[cause] = self._causes.get(cause, 0) + 1
        trace = self._summoner.tenant(event.service).trace if event.kind is Kind.READY else None
        if trace is not None:
            record = trace.record()
            for span in record["spans"]:
                self._stages.labels(span["name"]).observe(span["ms"] / 1000)
            self._stages.labels("total").observe(record["total_ms"] / 1000)


class MetricsServer:
    """Serves `exposition` at PATH over HTTP/1.1, one request a connection."""

    def __init__(self, listen: tuple[str, int], exposition: Callable[[], bytes]) -> None:
        self._listen = listen
        self._exposition = exposition
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. Raises ResourceBusy for a port that is taken, HostError for whatever else stands against it."""
        address, port = self._listen
        try:
            self._server = await asyncio.start_server(self._connected, address, port, limit=LONGEST_HEAD)
        except OSError as error:
            where = f"[metrics] listen, {address} port {port}"
            if error.errno == errno.EADDRINUSE:
                hint = f"`ss -ltnp 'sport = :{port}'` shows what holds it"
                raise ResourceBusy(f"{where}: is taken", hint=hint) from error
            reason = _reason(error)
            raise HostError(
                f"{where}: {reason}", hint="use an address of this machine, as in 127.0.0.1:9100"
            ) from error

    async def stop(self) -> None:
        """Close the socket and whatever is connected to it."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        try:
            if task is None or len(self._connections) >= MOST_CONNECTIONS:
                return
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(head))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            # Gone, too slow, or no HTTP: nobody is there who could be told.
            return
        finally:
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b"\r\n")[0].partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"GET it.\n", "Allow: GET, HEAD\r\n")
        if path != PATH.encode():
            return _response(HTTPStatus.NOT_FOUND, "text/plain", f"There is only {PATH}.\n".encode())
        kind = "text/plain; version=0.0.4; charset=utf-8"
        answer = _response(HTTPStatus.OK, kind, self._exposition())
        return answer if method == b"GET" else answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def _response(status: HTTPStatus, kind: str, body: bytes, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"{more}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def _reason(error: OSError) -> str:
    """Why, in the system's words; asyncio puts its own around them."""
    return error.strerror.rpartition(": ")[2] if error.strerror else str(error)
