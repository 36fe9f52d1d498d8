"""The records that guests wrote, kept in the state folder."""

from collections.abc import Collection, Iterable
from pathlib import Path

from jitsu.daemon.database import Database
from jitsu.directory.guestbook import Entry
from jitsu.directory.records import Written


class SqliteRecordStore:
    """Kept in the state folder `folder`. Every method but `close` may raise HostError, and has changed nothing then."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(folder)

    def close(self) -> None:
        self._database.close()

    def entries(self) -> Iterable[Entry]:
        with self._database.use() as database:
            rows = database.execute("SELECT name, type, data, ttl, service FROM records").fetchall()
        return [Entry(tuple(name.encode().split(b".")), Written(*rest)) for name, *rest in rows]

    def change(self, removed: Collection[Entry], added: Collection[Entry]) -> None:
        gone = [(_text(entry), entry.record.rtype, entry.record.data) for entry in removed]
        new = [
            (_text(entry), entry.record.rtype, entry.record.data, entry.record.ttl, entry.record.service)
            for entry in added
        ]
        with self._database.use() as database:
            database.executemany("DELETE FROM records WHERE name = ? AND type = ? AND data = ?", gone)
            database.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", new)


def _text(entry: Entry) -> str:
    # Labels are letters, digits, hyphens and underscores: others are not taken from guests.
    return b".".join(entry.name).decode("ascii")
