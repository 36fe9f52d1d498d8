"""What must survive a restart of the machine, in one SQLite file of the state folder.

    services   those that were added at run time, as the keys of [service.NAME] have them
    intents    what is about to be made that nobody could find again by its name, written before and removed after

`SqliteStore` keeps a file that it cannot use, out of the way, and begins a new one: what is in jitsu.toml is served all
the same. `MemoryStore` is the same without a file. All methods block for the time of a small write.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from jitsu.errors import HostError

log = logging.getLogger(__name__)

FILE_NAME = "jitsu.db"

SCHEMA = 1
"""PRAGMA user_version of the files that this version reads and writes."""

_CREATE = f"""
BEGIN;
CREATE TABLE services (name TEXT PRIMARY KEY, keys TEXT NOT NULL) STRICT;
CREATE TABLE intents (what TEXT PRIMARY KEY) STRICT;
PRAGMA user_version = {SCHEMA};
COMMIT;
"""

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
    """The file FILE_NAME in `folder`; both are made when they are first needed. For one thread at a time.

    WAL and synchronous NORMAL: what was written survives the death of this process at any instant; after a power cut
    the last writes may be missing, but never half of one.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._database: sqlite3.Connection | None = None

    def services(self) -> dict[str, Keys]:
        with self._use() as database:
            rows = database.execute("SELECT name, keys FROM services ORDER BY rowid").fetchall()
        return {name: json.loads(keys) for name, keys in rows}

    def put_services(self, services: Mapping[str, Keys]) -> None:
        rows = [(name, json.dumps(keys)) for name, keys in services.items()]
        upsert = "INSERT INTO services (name, keys) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET keys = excluded.keys"
        with self._use() as database:
            database.executemany(upsert, rows)

    def drop_service(self, name: str) -> None:
        with self._use() as database:
            database.execute("DELETE FROM services WHERE name = ?", (name,))

    def intents(self) -> set[str]:
        with self._use() as database:
            return {what for (what,) in database.execute("SELECT what FROM intents")}

    def intend(self, what: str) -> None:
        with self._use() as database:
            database.execute("INSERT OR IGNORE INTO intents (what) VALUES (?)", (what,))

    def settle(self, what: str) -> None:
        with self._use() as database:
            database.execute("DELETE FROM intents WHERE what = ?", (what,))

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all that is done in it, or nothing."""
        try:
            if self._database is None:
                self._database = _opened_or_new(self.path)
            with self._database:
                yield self._database
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise HostError(
                f"{self.path} cannot be used: {reason}",
                hint="look at the room on its disk, and at its owner and rights",
            ) from error


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


def _opened_or_new(path: Path) -> sqlite3.Connection:
    """The file, or a new one in place of one that is damaged. Raises sqlite3.Error or OSError."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        return _opened(path)
    except sqlite3.OperationalError:
        # A disk that is full, a right that is missing: nothing is wrong with the file.
        raise
    except sqlite3.DatabaseError as error:
        _put_aside(path, error)
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    """The file as a database of ours; a new one where there is none. Raises sqlite3.Error."""
    # Of one thread at a time, which the daemon sees to. A row that is being written by another process (there is
    # none; the lock of the runtime folder keeps it out) is not waited for long.
    database = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        [version] = database.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if version == 0 and not tables:
            database.executescript(_CREATE)
        elif version != SCHEMA or not tables >= {"services", "intents"}:
            raise sqlite3.DatabaseError(f"its schema is {version}, this jitsu writes {SCHEMA}")
        [verdict] = database.execute("PRAGMA quick_check(1)").fetchone()
        rows = database.execute("SELECT keys FROM services").fetchall()
        if verdict != "ok" or not all(_is_table(keys) for (keys,) in rows):
            raise sqlite3.DatabaseError("it is damaged")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _is_table(keys: str) -> bool:
    try:
        return isinstance(json.loads(keys), dict)
    except ValueError:
        return False


def _put_aside(path: Path, error: sqlite3.Error) -> None:
    """Rename the file, and the parts of it that SQLite keeps beside it, under which it would find them again."""
    aside = path.with_name(f"{path.name}.broken-{time.time_ns()}")
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    log.error("%s is of no use (%s) and is kept as %s; services that were added are missing", path, error, aside)
