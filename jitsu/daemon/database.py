"""The SQLite file of the state folder, in which everything is kept that must survive a restart of the machine.

    services   those that were added at run time, as the keys of [service.NAME] have them (store.py)
    intents    what is about to be made that nobody could find again by its name (store.py)
    records    the DNS records that guests wrote (record_store.py)

A file that cannot be used is kept, out of the way, and a new one begun: what is in jitsu.toml is served all the same.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jitsu.errors import HostError

log = logging.getLogger(__name__)

FILE_NAME = "jitsu.db"

SCHEMA = 1
"""PRAGMA user_version of the files that this version reads and writes."""

_CREATE = f"""
BEGIN;
CREATE TABLE services (name TEXT PRIMARY KEY, keys TEXT NOT NULL) STRICT;
CREATE TABLE intents (what TEXT PRIMARY KEY) STRICT;
CREATE TABLE records (
    name TEXT, type INTEGER, data BLOB, ttl INTEGER, service TEXT, PRIMARY KEY (name, type, data)
) STRICT;
PRAGMA user_version = {SCHEMA};
COMMIT;
"""
_TABLES = {"services", "intents", "records"}


class Database:
    """A connection to the file FILE_NAME in `folder`; both are made when they are first needed. For one thread at a
    time; who works in another has a connection of its own.

    WAL and synchronous NORMAL: what was written survives the death of this process at any instant; after a power cut
    the last writes may be missing, but never half of one.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all that is done in it, or nothing. Raises HostError where that is not possible."""
        try:
            if self._connection is None:
                self._connection = _opened_or_new(self.path)
            with self._connection:
                yield self._connection
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise HostError(
                f"{self.path} cannot be used: {reason}",
                hint="look at the room on its disk, and at its owner and rights",
            ) from error


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
    # Of one thread at a time, which the daemon sees to. What another connection writes just now is waited for.
    database = sqlite3.connect(path, timeout=1.0, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        [version] = database.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if version == 0 and not tables:
            database.executescript(_CREATE)
        elif version != SCHEMA or not tables >= _TABLES:
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
