"""The records that guests wrote, in an SQLite file of the state folder."""

import sqlite3
from collections.abc import Collection, Iterable
from pathlib import Path

from jitsu.directory.guestbook import Entry
from jitsu.directory.records import Written
from jitsu.errors import HostError

FILE_NAME = "records.db"

_CREATE = """
CREATE TABLE IF NOT EXISTS records (
    name TEXT, type INTEGER, data BLOB, ttl INTEGER, service TEXT, PRIMARY KEY (name, type, data)
) STRICT
"""


class SqliteRecordStore:
    """The file FILE_NAME in `folder`. WAL and synchronous NORMAL: what was written survives the death of this process
    at any instant. Raises HostError if it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=1.0)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_CREATE)
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        self._database.close()

    def entries(self) -> Iterable[Entry]:
        try:
            rows = self._database.execute("SELECT name, type, data, ttl, service FROM records").fetchall()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return [Entry(tuple(name.encode().split(b".")), Written(*rest)) for name, *rest in rows]

    def change(self, removed: Collection[Entry], added: Collection[Entry]) -> None:
        gone = [(_text(entry), entry.record.rtype, entry.record.data) for entry in removed]
        new = [
            (_text(entry), entry.record.rtype, entry.record.data, entry.record.ttl, entry.record.service)
            for entry in added
        ]
        try:
            with self._database:
                self._database.executemany("DELETE FROM records WHERE name = ? AND type = ? AND data = ?", gone)
                self._database.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", new)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error | OSError) -> HostError:
        reason = error.strerror if isinstance(error, OSError) else error
        return HostError(
            f"{self.path} cannot be used: {reason}",
            hint="look at the room on its disk, and at its owner and rights; remove it if it is damaged",
        )


def _text(entry: Entry) -> str:
    # Labels are letters, digits, hyphens and underscores: others are not taken from guests.
    return b".".join(entry.name).decode("ascii")
