"""The state file of `jitsu xenstored --state FILE`: a store that outlives its daemon.

    nodes      each as it is now, by path; by `seq`, which only grows, parents come before children and siblings
               as they were made; `perms` as on the wire, and the mark of restricted directories
    domains    what INTRODUCE, SET_TARGET and SET_FEATURE said; `frame` and `port` are NULL before INTRODUCE
    quotas     those that were set; without `domid`, for all domains

On a Xen host there are three tables more (`ring_records.py`).

It is an SQLite file with a write-ahead log. What one turn of the daemon's loop changed is one transaction there,
committed before any answer of that turn is sent (server.py). So whatever was answered is in the file when the process
is killed, at any instant, and a request or a commit is in it whole or not at all. What cannot be saved is not answered:
the daemon ends with the error, and the next one begins with what was.

What survives beside the end of the process is for `sync` to say (PRAGMA synchronous of the same name):

    off        whatever ends the process. A power cut may leave a file that is of no use.
    normal     that, and after a power cut a whole file, in which the last changes may be missing. The disk is waited
               for once in four megabytes of log, not at every commit: the domains that the store tells of did not
               survive the power cut either, so this is what is used if nothing is said.
    full       every answered change survives a power cut too: each turn that changed something waits for the disk.

Measured (`make bench-xenstore`): with off and with normal a plain write takes twice the processor time that it takes
without a file if one client writes, 1.25 times with 32, whose writes share turns, and a transaction that builds a
domain 1.1 to 1.25 times. With full the disk says how long a lone write takes: 12 to 60 times as long as without, with 7
to 12 times the processor; with 32 clients twice as long and 1.5 times the processor, a transaction 1.1 to 1.9 times.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from jitsu.errors import HostError, JitsuError, ResourceBusy
from jitsu.xenstore.domains import Introduced
from jitsu.xenstore.permissions import Permissions, parse
from jitsu.xenstore.ring_records import RingRecords
from jitsu.xenstore.store import Store
from jitsu.xenstore.tree import Node
from jitsu.xenstore.wire import StoreError, strings

APPLICATION = 0x4A78656E
"""PRAGMA application_id: "Jxen", by which the file is known as ours."""

SCHEMA = 1
"""PRAGMA user_version of the files that this version reads and writes."""

PAGE = 1024
"""Bytes. A change of one value writes one page: small ones are cheaper."""

PAGES_OF_LOG = 4096
"""From which on the write-ahead log is copied into the file, and begun again."""

LARGEST_LOG = 2 * PAGES_OF_LOG * PAGE
"""Bytes to which it is cut then, should one transaction have made it larger."""

PAGES_WORTH_IT = 1024
"""Unused pages from which on a file that is mostly unused is made small when it is opened."""

_TABLES = (
    """CREATE TABLE nodes (
        path TEXT PRIMARY KEY, seq INTEGER NOT NULL, value BLOB NOT NULL, perms BLOB NOT NULL,
        restricted INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE domains (
        domid INTEGER PRIMARY KEY, frame INTEGER, port INTEGER, target INTEGER, features INTEGER
    ) STRICT""",
    "CREATE TABLE quotas (domid INTEGER, name TEXT NOT NULL, value INTEGER NOT NULL) STRICT",
)

_PUT = """INSERT INTO nodes VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE
    SET value = excluded.value, perms = excluded.perms, restricted = excluded.restricted"""
_REMOVE = "DELETE FROM nodes WHERE path = ?"
_REMOVE_BELOW = "DELETE FROM nodes WHERE path > ? AND path < ?"
_KNOW = "INSERT INTO domains VALUES (?, ?, ?, ?, ?)"


class Journal:
    """Keeps a store's nodes, domains and quotas in a file. It is open, and locked, until `close`."""

    def __init__(self, path: Path, store: Store, *, sync: str = "normal", rings: RingRecords | None = None) -> None:
        """Fills the store with what is in the file, or a new file with what is in the store; from now on `save` keeps
        them the same. The store is as it was made, and has no connections yet.

        Raises `ResourceBusy` if another process has the file, `HostError` for a file that is not ours, is damaged or
        cannot be opened: it is left as it is.
        """
        self.path = path
        self._store = store
        self._rings = rings
        self._seq = 0
        before = os.umask(0o077)
        try:
            self._database = sqlite3.connect(path, timeout=1.0, isolation_level=None)
            try:
                self._open(sync)
            except BaseException:
                self._database.close()
                raise
        except (sqlite3.Error, ValueError) as error:
            raise self._explained(error) from error
        finally:
            os.umask(before)

    def save(self) -> None:
        """Put into the file what changed since the last time. When this returns it is safe, to the extent of `sync`.

        Raises `HostError` where that is not possible; then the store is ahead of the file, and nothing may be told of
        it.
        """
        store = self._store
        log, domids, limits = store.tree.log or [], store.domains.changed or set(), store.quotas.changed or set()
        rings = self._rings if self._rings is not None and self._rings.changed else None
        if not (log or domids or limits or rings):
            return
        try:
            if len(log) == 1 and log[0][1] is not None and not (domids or limits or rings):
                # One row that is put is a transaction by itself, and so are most plain writes.
                self._save_nodes(log)
            else:
                self._database.execute("BEGIN")
                self._save_nodes(log)
                self._save_domains(domids)
                self._save_quotas(limits)
                if rings is not None:
                    rings.save(self._database)
                self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise HostError(
                f"{self.path} cannot be written: {error}; what was not saved was not answered",
                hint="make room on its disk, or look at its owner and rights, then start again",
            ) from error
        for saved in (log, domids, limits):
            saved.clear()

    def close(self) -> None:
        """Let go of the file. What was not saved is not in it."""
        self._database.close()

    # Opening

    def _open(self, sync: str) -> None:
        """Raises sqlite3.Error; ValueError for what is not ours or not whole."""
        database, store = self._database, self._store
        # The lock of this mode is what keeps a second daemon out.
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        is_new = self._is_new()
        database.execute(f"PRAGMA page_size = {PAGE}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA wal_autocheckpoint = {PAGES_OF_LOG}")
        database.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG}")
        database.execute(f"PRAGMA synchronous = {sync}")
        if is_new:
            database.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                database.execute(table)
            database.execute(f"PRAGMA application_id = {APPLICATION}")
            database.execute(f"PRAGMA user_version = {SCHEMA}")
            self._save_nodes(store.tree.everything())
            database.execute("COMMIT")
        else:
            self._shrink()
            self._load()
        if self._rings is not None:
            self._rings.load(database)
        store.tree.log = []
        store.domains.changed = set()
        store.quotas.changed = set()

    def _is_new(self) -> bool:
        """Is there nothing in the file? Nothing is written here."""
        [application] = self._database.execute("PRAGMA application_id").fetchone()
        [version] = self._database.execute("PRAGMA user_version").fetchone()
        [tables] = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if not application and not version and not tables:
            return True
        if application != APPLICATION:
            raise ValueError("it is of another program")
        if version != SCHEMA:
            raise ValueError(f"its schema is {version}, and this jitsu knows {SCHEMA}")
        [verdict] = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise ValueError(f"it is damaged: {' '.join(verdict.split())}")
        return False

    def _shrink(self) -> None:
        """Give back room that is mostly unused. What is freed while the daemon runs is used again by the file itself:
        it grows to what was needed at one time, and no further."""
        [unused] = self._database.execute("PRAGMA freelist_count").fetchone()
        [pages] = self._database.execute("PRAGMA page_count").fetchone()
        if unused > PAGES_WORTH_IT and 2 * unused > pages:
            self._database.execute("VACUUM")

    def _load(self) -> None:
        """Raises sqlite3.Error; ValueError for what cannot be."""
        database, store = self._database, self._store
        try:
            store.tree.restore(self._nodes())
            for domid, frame, port, target, features in database.execute(
                "SELECT domid, frame, port, target, features FROM domains ORDER BY domid"
            ):
                introduced = None if frame is None else Introduced(frame, port, target)
                store.domains.restore(domid, introduced, features)
            for domid, name, value in database.execute("SELECT domid, name, value FROM quotas"):
                store.quotas.set(name, value, domid)
        except StoreError as error:
            raise ValueError(f"it is damaged: {error.message}") from error
        [last] = database.execute("SELECT max(seq) FROM nodes").fetchone()
        self._seq = last
        store.retarget()

    def _nodes(self) -> Iterator[tuple[str, bytes, Permissions]]:
        rows = self._database.execute("SELECT path, value, perms, restricted FROM nodes ORDER BY seq")
        for path, value, perms, restricted in rows:
            yield path, value, _decoded(perms, restricted)

    def _explained(self, error: sqlite3.Error | ValueError) -> JitsuError:
        if isinstance(error, sqlite3.OperationalError):
            if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                return ResourceBusy(
                    f"another daemon has its state in {self.path}", hint="stop it, or choose another --state"
                )
            return HostError(
                f"state file {self.path} cannot be opened: {error}",
                hint="look at the room on its disk, at its folder, owner and rights",
            )
        return HostError(
            f"{self.path} is no state file that can be used: {error}",
            hint="it was left as it is; choose another --state, or move it away to begin with an empty store",
        )

    # Saving. All of these raise sqlite3.Error.

    def _save_nodes(self, log: Sequence[tuple[str, Node | None]]) -> None:
        execute = self._database.execute
        # What was written several times since a removal is put once.
        put: dict[str, Node] = {}
        for path, node in log:
            if node is not None:
                put[path] = node
                continue
            self._put(put)
            put.clear()
            execute(_REMOVE, (path,))
            # "0" is the next after "/".
            execute(_REMOVE_BELOW, (f"{path}/", f"{path}0"))
        self._put(put)

    def _put(self, nodes: dict[str, Node]) -> None:
        seq = self._seq
        self._seq += len(nodes)
        self._database.executemany(
            _PUT,
            (
                (path, seq + number, node.value, _encoded(node.perms), node.perms.restricted)
                for number, (path, node) in enumerate(nodes.items(), 1)
            ),
        )

    def _save_domains(self, changed: set[int]) -> None:
        domains, execute = self._store.domains, self._database.execute
        for domid in changed:
            execute("DELETE FROM domains WHERE domid = ?", (domid,))
            features = domains.features.get(domid)
            if domains.is_introduced(domid):
                said = domains.get(domid)
                execute(_KNOW, (domid, said.frame, said.port, said.target, features))
            elif features is not None:
                execute(_KNOW, (domid, None, None, None, features))

    def _save_quotas(self, changed: set[int | None]) -> None:
        quotas, execute = self._store.quotas, self._database.execute
        for domid in changed:
            execute("DELETE FROM quotas WHERE domid IS ?", (domid,))
            for name, value in quotas.set_for(domid).items():
                execute("INSERT INTO quotas VALUES (?, ?, ?)", (domid, name, value))


@lru_cache(4096)
def _encoded(perms: Permissions) -> bytes:
    return perms.encode()


@lru_cache(4096)
def _decoded(words: bytes, restricted: int) -> Permissions:
    perms = parse(tuple(strings(words)))
    return perms._replace(restricted=True) if restricted else perms
