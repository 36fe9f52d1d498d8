"""What survives a restart: the same of both stores, and of the file also when it is damaged, full, or of the future."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jitsu.daemon.database import FILE_NAME, SCHEMA
from jitsu.daemon.store import MemoryStore, SqliteStore, Store, intending
from jitsu.errors import HostError

KEYS = {"kernel": "/boot/hello.elf", "address": "10.77.0.20", "idle": 2.5, "names": ["shop", "@"]}


@pytest.fixture(params=[MemoryStore, SqliteStore])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    make: Callable[..., Store] = request.param
    with closing(make() if make is MemoryStore else make(tmp_path / "state")) as store:
        yield store


def broken_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{FILE_NAME}.broken-*"))


class TestEveryStore:
    def test_services_come_back_as_they_were_put_and_in_their_order(self, store: Store) -> None:
        store.put_services({"shop": KEYS, "api": {"kernel": "k"}})
        store.put_services({"zoo": {"kernel": "z"}})
        store.put_services({"shop": {"kernel": "new"}})
        assert list(store.services().items()) == [
            ("shop", {"kernel": "new"}),
            ("api", {"kernel": "k"}),
            ("zoo", {"kernel": "z"}),
        ]

    def test_a_service_is_dropped_and_one_that_is_not_there_may_be(self, store: Store) -> None:
        store.put_services({"shop": KEYS})
        store.drop_service("nobody")
        assert list(store.services()) == ["shop"]
        store.drop_service("shop")
        assert store.services() == {}

    def test_an_intent_is_there_until_it_is_settled(self, store: Store) -> None:
        store.intend("bridge a")
        store.intend("bridge a")
        store.intend("bridge b")
        store.settle("bridge a")
        assert store.intents() == {"bridge b"}

    def test_intending_tells_who_was_killed_in_the_midst_of_it(self, store: Store) -> None:
        with intending(store, "bridge a", wanted=True) as begun:
            assert not begun
            assert store.intents() == {"bridge a"}
        assert store.intents() == set()
        store.intend("bridge a")
        with intending(store, "bridge a", wanted=False) as begun:
            assert begun
        assert store.intents() == set()

    def test_an_intent_that_came_to_nothing_is_settled_too(self, store: Store) -> None:
        with pytest.raises(HostError), intending(store, "bridge a", wanted=True):
            raise HostError("the bridge belongs to somebody else")
        assert store.intents() == set()


class TestTheFile:
    def test_it_is_there_for_the_next_daemon(self, tmp_path: Path) -> None:
        with closing(SqliteStore(tmp_path)) as store:
            store.put_services({"shop": KEYS})
        with closing(SqliteStore(tmp_path)) as store:
            assert store.services() == {"shop": KEYS}

    def test_what_was_put_survives_a_kill_of_who_put_it(self, tmp_path: Path) -> None:
        program = (
            "import os, signal, sys\nfrom pathlib import Path\nfrom jitsu.daemon.store import SqliteStore\n"
            "store = SqliteStore(Path(sys.argv[1]))\nstore.put_services({'shop': {'kernel': 'k'}})\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
        assert done.returncode == -signal.SIGKILL
        with closing(SqliteStore(tmp_path)) as store:
            assert store.services() == {"shop": {"kernel": "k"}}

    def test_it_is_kept_as_sqlite_should_keep_it(self, tmp_path: Path) -> None:
        with closing(SqliteStore(tmp_path)) as store:
            store.put_services({"shop": KEYS})
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
            assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA,)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda path: path.write_bytes(b"this is no database, but it is long enough to be looked at" * 40),
            lambda path: path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000),
            lambda path: altered(path, f"PRAGMA user_version = {SCHEMA + 1}"),
            lambda path: altered(path, "DROP TABLE intents"),
            lambda path: altered(path, "INSERT INTO services VALUES ('x', 'no json')"),
            lambda path: altered(path, "INSERT INTO services VALUES ('x', '[1]')"),
        ],
        ids=["text", "garbage", "of-the-future", "table-missing", "no-json", "no-table"],
    )
    def test_one_that_is_of_no_use_is_kept_aside_and_said_aloud(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
    ) -> None:
        with closing(SqliteStore(tmp_path)) as store:
            store.put_services({"shop": KEYS})
        spoil(tmp_path / FILE_NAME)
        was = (tmp_path / FILE_NAME).read_bytes()
        with closing(SqliteStore(tmp_path)) as store:
            assert store.services() == {}
            store.put_services({"api": KEYS})
        [aside] = [path for path in broken_files(tmp_path) if path.suffix[-4:] not in ("-wal", "-shm")]
        assert aside.read_bytes() == was
        assert str(aside) in caplog.text
        with closing(SqliteStore(tmp_path)) as store:
            assert list(store.services()) == ["api"]

    def test_a_folder_that_cannot_be_written_is_said_in_two_lines(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("a file")
        with pytest.raises(HostError) as raised:
            SqliteStore(tmp_path / "state").services()
        assert raised.value.message == f"{tmp_path}/state/{FILE_NAME} cannot be used: File exists"
        assert raised.value.hint

    def test_nothing_is_half_written_where_there_is_no_room(self, tmp_path: Path) -> None:
        store = SqliteStore(tmp_path)
        store.put_services({"shop": KEYS})
        # As large as it is now, and no larger: what a full disk is to SQLite.
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
            [pages] = database.execute("PRAGMA page_count").fetchone()
        with store._database.use() as connection:
            connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(HostError, match="database or disk is full"):
            store.put_services({f"s{number}": {"cmdline": "x" * 900} for number in range(50)})
        assert store.services() == {"shop": KEYS}
        store.close()

    def test_a_store_that_cannot_be_used_hinders_nobody_who_only_wants_to_note_an_intent(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "state").write_text("a file")
        with intending(SqliteStore(tmp_path / "state"), "bridge a", wanted=True) as begun:
            assert not begun
        assert "cannot be used" in caplog.text


def altered(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(statement)
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            os.unlink(beside)
