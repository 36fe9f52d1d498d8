"""Loads for a stage: clients that each find a service asleep and leave it so, and visitors who come and go."""

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue

from jitsu.demo.client import Client, SynCounter, Visit
from jitsu.demo.stage import ZONE, Stage
from jitsu.errors import JitsuError
from jitsu.trace import TraceRecord

Job = tuple[str, bool, int]
"""A visit to be made: of which service, whether by DNS or else by a bare SYN, and over which IP version."""


def jobs(names: Sequence[str], count: int, seeded: random.Random, *, versions: Sequence[int] = (4,)) -> "Queue[Job]":
    """`count` visits, the services in rotation, half of them by DNS and half by a bare SYN, the IP versions in equal
    parts, in random order."""
    kinds = [(by_dns, version) for by_dns in (True, False) for version in versions]
    ways = kinds * (count // len(kinds))
    seeded.shuffle(ways)
    queue: Queue[Job] = Queue()
    for number, way in enumerate(ways):
        queue.put((names[number % len(names)], *way))
    return queue


@dataclass
class Load:
    """Visits to be made by several clients at a time: each finds its service asleep and leaves it so.

    `leave` is how a service is left, which is to stop it unless the test has something else in mind.
    """

    stage: Stage
    client: Client
    jobs: "Queue[Job]"
    clients: int
    leave: Callable[[str], None] | None = None
    visits: list[tuple[Visit, TraceRecord]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run(self) -> None:
        locks = {name: threading.Lock() for name in self.stage.config.services}
        threads = [threading.Thread(target=self._work, args=(locks,)) for _ in range(self.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, locks: dict[str, threading.Lock]) -> None:
        while True:
            try:
                name, by_dns, version = self.jobs.get_nowait()
            except Empty:
                return
            with locks[name]:
                try:
                    self._visit(name, by_dns, version)
                except Exception as error:
                    self.errors.append(f"{name} by {'dns' if by_dns else 'syn'} over IPv{version}: {error!r}")

    def _visit(self, name: str, by_dns: bool, version: int) -> None:
        try:
            if by_dns:
                visit = self.client.by_name(f"{name}.{ZONE}", kind="A" if version == 4 else "AAAA")
            else:
                visit = self.client.by_address(address_of(self.stage, name, version))
            trace: TraceRecord = self.stage.ask("trace", service=name, last=1)[0]
            assert trace["cause"] == ("dns" if by_dns else "syn")
            self.visits.append((visit, trace))
        finally:
            # Also after a failure: the next visitor is to find nobody awake, or it would fail as well.
            if self.leave is None:
                self.stage.ask("stop", service=name)
            else:
                self.leave(name)


def load_until_killed(stage: Stage, counter: SynCounter, seeded: random.Random, names: Sequence[str]) -> None:
    """One visitor for each of `names`, guests summoned and dismissed, until the daemon is killed in the midst of it."""
    over = threading.Event()
    visitors = [
        threading.Thread(target=_visit_on, args=(stage, Client(stage.client, counter, patience=2.0), name, over))
        for name in names
    ]
    for visitor in visitors:
        visitor.start()
    threading.Event().wait(seeded.uniform(0.0, 0.5))
    stage.kill_daemon()
    over.set()
    for visitor in visitors:
        visitor.join()


def _visit_on(stage: Stage, client: Client, name: str, over: threading.Event) -> None:
    turn = 0
    while not over.is_set():
        turn += 1
        with suppress(OSError, JitsuError):
            if turn % 2:
                client.by_name(f"{name}.{ZONE}")
            else:
                client.by_address(address_of(stage, name))
            if turn % 3:
                stage.ask("stop", service=name)


def address_of(stage: Stage, name: str, version: int = 4) -> str:
    service = stage.config.services[name]
    return str(service.address if version == 4 else service.address6)
