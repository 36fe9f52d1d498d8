"""What the state file keeps of rings: where each connection stands, and what is set on it.

    machine    the boot of which the rest tells
    rings      of each domain that is served: how many bytes were taken from it, and of these the requests that were not
               executed; how many were put, and the answers and events that were still to be put; its transactions
    watches    of each domain, as it asked for them, in their order among all

A ring's other side knows nothing of the daemon's life: a kernel sets its watches once, and waits for the answer to each
request. So a successor goes on in the middle of a message, if need be. That can be done exactly, because what a turn of
the loop took from a ring is given free after it was saved, with all that followed from it, and what it put is put after
that (`xen_rings.py`). From a row here and the page's own indices follows what came and was not executed, and what was
not handed over; nothing is executed twice, or lost.

What a transaction had asked is not kept. It goes on, and its end is EAGAIN, as if others had been faster.
"""

import sqlite3
from typing import NamedTuple

from jitsu.xenstore.watches import Watch

_TABLES = (
    "CREATE TABLE IF NOT EXISTS machine (boot TEXT NOT NULL) STRICT",
    """CREATE TABLE IF NOT EXISTS rings (
        domid INTEGER PRIMARY KEY, taken INTEGER NOT NULL, unread BLOB NOT NULL, made INTEGER NOT NULL,
        unsent BLOB NOT NULL, last_transaction INTEGER NOT NULL, transactions TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS watches (
        number INTEGER PRIMARY KEY, domid INTEGER NOT NULL, payload BLOB NOT NULL
    ) STRICT""",
)


class RingRecord(NamedTuple):
    """Where a connection stands. Counts are modulo 2**32; `unsent` begins where `made` bytes had been put."""

    taken: int = 0
    unread: bytes = b""
    made: int = 0
    unsent: bytes = b""
    last_transaction: int = 0
    transactions: tuple[int, ...] = ()


Watched = dict[tuple[str, bytes], Watch]
"""The watches of a connection."""

_NONE: Watched = {}


class RingRecords:
    """The tables of rings in a state file. `boot` names this boot of the machine. The journal says when to load and to
    save; both raise sqlite3.Error."""

    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._changed: dict[int, tuple[RingRecord, Watched] | None] = {}
        self._saved: dict[int, dict[Watch, int]] = {}
        """The number in the file of each watch that is in it."""
        self._stale: dict[int, set[int]] = {}
        """Those of an earlier life of the daemon that were not set again yet."""
        self.left: dict[int, RingRecord] = {}
        """What there was when the file was opened."""
        self.watches: list[tuple[int, int, bytes]] = []
        """The watches at that time: number, domain and payload of the request."""

    # For who serves rings

    def keep(self, domid: int, record: RingRecord, watches: Watched) -> None:
        """A connection stands there now; `watches` are all that it has."""
        self._changed[domid] = record, watches

    def drop(self, domid: int) -> None:
        """A domain has no connection any longer."""
        self._changed[domid] = None

    def resumed(self, domid: int, number: int, watch: Watch) -> None:
        """A watch of the file is set again."""
        self._stale[domid].discard(number)
        self._saved.setdefault(domid, {})[watch] = number

    # For the journal

    @property
    def changed(self) -> bool:
        return bool(self._changed)

    def load(self, database: sqlite3.Connection) -> None:
        """Raises ValueError for a file of another boot: none of its domains is there any longer."""
        for table in _TABLES:
            database.execute(table)
        boots = [boot for (boot,) in database.execute("SELECT boot FROM machine")]
        if not boots:
            database.execute("INSERT INTO machine VALUES (?)", (self._boot,))
        elif boots != [self._boot]:
            raise ValueError("it is of an earlier boot of this machine, whose domains are gone")
        for domid, taken, unread, made, unsent, last, transactions in database.execute("SELECT * FROM rings"):
            numbers = tuple(int(number) for number in transactions.split())
            self.left[domid] = RingRecord(taken, unread, made, unsent, last, numbers)
        self.watches = list(database.execute("SELECT number, domid, payload FROM watches ORDER BY number"))
        for number, domid, _ in self.watches:
            self._stale.setdefault(domid, set()).add(number)

    def save(self, database: sqlite3.Connection) -> None:
        for domid, kept in self._changed.items():
            if kept is None:
                database.execute("DELETE FROM rings WHERE domid = ?", (domid,))
                self._save_watches(database, domid, _NONE)
                continue
            record, watches = kept
            numbers = " ".join(str(number) for number in record.transactions)
            database.execute("REPLACE INTO rings VALUES (?, ?, ?, ?, ?, ?, ?)", (domid, *record[:5], numbers))
            self._save_watches(database, domid, watches)
        self._changed.clear()

    def _save_watches(self, database: sqlite3.Connection, domid: int, watches: Watched) -> None:
        for number in self._stale.pop(domid, ()):
            database.execute("DELETE FROM watches WHERE number = ?", (number,))
        saved = self._saved.setdefault(domid, {})
        # Watches are added at the end: if there are as many, and the last is the same, all are.
        if len(saved) == len(watches) and (not saved or next(reversed(saved)) is watches[next(reversed(watches))]):
            return
        now = dict.fromkeys(watches.values())
        for watch in [watch for watch in saved if watch not in now]:
            database.execute("DELETE FROM watches WHERE number = ?", (saved.pop(watch),))
        for watch in now:
            if watch not in saved:
                row = database.execute("INSERT INTO watches (domid, payload) VALUES (?, ?)", (domid, watch.payload()))
                saved[watch] = row.lastrowid or 0
        if not saved:
            del self._saved[domid]
