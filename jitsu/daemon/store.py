"""Services that were added at run time, and intents: what is about to be made that nobody could find again by its name,
written before and removed after.

`SqliteStore` keeps them in the state folder, `MemoryStore` is the same without a file. All methods block for the time
of a small write.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from jitsu.daemon.database import Database
from jitsu.errors import HostError

log = logging.getLogger(__name__)

Keys = dict[str, Any]
"""The keys of one [service.NAME], as TOML has them; paths are absolute."""


class Store(Protocol):
    """Every method may raise HostError, and has changed nothing then."""

    def services(self) -> dict[str, Keys]:
        """The services that were added, by name, in the order in which they were."""

    def put_services(self, services: Mapping[str, Keys]) -> None:
        """Add services or replace their keys, all of them or none."""

    def drop_service(self, name: str) -> None: ...

    def intents(self) -> set[str]:
        """What was about to be made when a daemon ended, as in `bridge jitsu0`."""

    def intend(self, what: str) -> None: ...

    def settle(self, what: str) -> None:
        """It is made, or gone again: discovery finds it from here on."""

    def close(self) -> None: ...


class MemoryStore:
    """Forgets everything at its end."""

    def __init__(self) -> None:
        self._services: dict[str, Keys] = {}
        self._intents: set[str] = set()

    def services(self) -> dict[str, Keys]:
        return dict(self._services)

    def put_services(self, services: Mapping[str, Keys]) -> None:
        self._services |= services

    def drop_service(self, name: str) -> None:
        self._services.pop(name, None)

    def intents(self) -> set[str]:
        return set(self._intents)

    def intend(self, what: str) -> None:
        self._intents.add(what)

    def settle(self, what: str) -> None:
        self._intents.discard(what)

    def close(self) -> None:
        pass


class SqliteStore:
    """Kept in the state folder `folder`. For one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def close(self) -> None:
        self._database.close()

    def services(self) -> dict[str, Keys]:
        with self._database.use() as database:
            rows = database.execute("SELECT name, keys FROM services ORDER BY rowid").fetchall()
        return {name: json.loads(keys) for name, keys in rows}

    def put_services(self, services: Mapping[str, Keys]) -> None:
        rows = [(name, json.dumps(keys)) for name, keys in services.items()]
        upsert = "INSERT INTO services (name, keys) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET keys = excluded.keys"
        with self._database.use() as database:
            database.executemany(upsert, rows)

    def drop_service(self, name: str) -> None:
        with self._database.use() as database:
            database.execute("DELETE FROM services WHERE name = ?", (name,))

    def intents(self) -> set[str]:
        with self._database.use() as database:
            return {what for (what,) in database.execute("SELECT what FROM intents")}

    def intend(self, what: str) -> None:
        with self._database.use() as database:
            database.execute("INSERT OR IGNORE INTO intents (what) VALUES (?)", (what,))

    def settle(self, what: str) -> None:
        with self._database.use() as database:
            database.execute("DELETE FROM intents WHERE what = ?", (what,))


@contextmanager
def intending(store: Store, what: str, wanted: bool) -> Iterator[bool]:
    """Have it noted that `what` is being made for as long as the block runs, if it is `wanted`. Yields whether an
    earlier daemon was killed while it made it.

    A store that cannot be used is no reason not to begin: it is needed only by who is killed in that moment.
    """
    begun = False
    try:
        begun = what in store.intents()
        if wanted:
            store.intend(what)
    except HostError as error:
        log.warning("%s", error)
    try:
        yield begun
    finally:
        if begun or wanted:
            try:
                store.settle(what)
            except HostError as error:
                log.warning("%s", error)
