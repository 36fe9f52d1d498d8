"""Services that come and go under a real daemon: its death at any instant, other users, broken files, DNS."""

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from dnslib import DNSRecord

from jitsu.daemon.client import ask, follow
from jitsu.daemon.database import FILE_NAME
from jitsu.demo.stage import BOARD, ZONE, Cast, Stage
from jitsu.domains.probe_guest import pvh_elf
from jitsu.errors import DaemonError
from jitsu.network.namespace import inside

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(600)]

PATIENCE = 20.0
GROUP, OPERATOR, LOOKER = "games", "daemon", "nobody"
"""Accounts that every Debian has."""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A guest that runs, and never gets ready."""
    path = tmp_path / "guest.elf"
    path.write_bytes(pvh_elf(b"\xf4\xeb\xfd"))
    return path


@pytest.fixture
def stage(kernel: Path) -> Iterator[Stage]:
    with Stage([Cast("www", kernel)]) as stage:
        yield stage


def services(stage: Stage) -> dict[str, str]:
    """Names and addresses of what is served."""
    return {row["service"]: row["address"] for row in stage.ask("ps")}


def add(stage: Stage, name: str, last: int, kernel: Path, **keys: Any) -> None:
    section = {"kernel": str(kernel), "address": f"10.77.0.{last}", "memory": "8 MiB", **keys}
    stage.ask("service-add", services={name: section}, source="command line")


def command(stage: Stage, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "jitsu.cli.main", *words, "-c", str(stage.path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def asked_of_dns(stage: Stage, name: str, kind: str) -> str:
    """The rcode, and of the records in the answer what they say."""
    with inside(stage.client):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.settimeout(PATIENCE)
        sock.connect((str(BOARD), 53))
        sock.send(DNSRecord.question(f"{name}.{ZONE}", kind).pack())
        answer = DNSRecord.parse(sock.recv(4096))
    return " ".join([str(answer.header.rcode), *(str(record.rdata) for record in answer.rr)])


def wait_until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def test_services_are_kept_over_a_kill_at_any_instant_whole_or_not_at_all(
    stage: Stage, kernel: Path, full: bool, seeded: random.Random
) -> None:
    kills = 100 if full else 12
    known = services(stage)
    fixed = dict(known)
    for _ in range(kills):
        possible = _change_until_killed(stage, kernel, seeded, known)
        stage.start_daemon()
        known = services(stage)
        assert known in possible
        assert fixed.items() <= known.items()
        for row in stage.ask("service-ls"):
            assert row["problem"] == ""
            assert row["kernel"] == str(kernel)
    assert list(stage.folder.glob("state/*.broken*")) == []


def _change_until_killed(
    stage: Stage, kernel: Path, seeded: random.Random, known: dict[str, str]
) -> list[dict[str, str]]:
    """Add, edit and remove services until the daemon dies of it; gives what may be there afterwards: what was answered
    for is, and the last change, for which there was no answer, is or is not."""
    before, after = dict(known), dict(known)
    killer = threading.Timer(seeded.uniform(0.0, 0.15), stage.kill_daemon)
    killer.start()
    with suppress(DaemonError):
        while True:
            before, after = after, dict(after)
            number = seeded.randrange(20)
            name, last = f"s{number}", seeded.randrange(20, 24) + 5 * number
            if name not in after:
                after[name] = f"10.77.0.{last}"
                add(stage, name, last, kernel)
            elif seeded.random() < 0.5:
                after[name] = f"10.77.0.{last}"
                changes = {"address": after[name]}
                stage.ask("service-edit", service=name, changes=changes, source="command line")
            else:
                del after[name]
                stage.ask("service-rm", service=name)
    killer.join()
    return [before, after]


def test_names_follow_at_once(stage: Stage, kernel: Path) -> None:
    assert asked_of_dns(stage, "shop", "TXT") == "3"
    assert command(stage, "service", "add", "shop", f"kernel={kernel}", "address=10.77.0.20", "txt=hello") == (
        3,
        "",
        "error: command line: [service.shop] txt is not a list of texts\n"
        ' hint: write it in brackets: txt = ["...", "..."]\n',
    )
    code, out, err = command(
        stage, "service", "add", "shop", f"kernel={kernel}", "address=10.77.0.20", "txt=['hello']", "memory=8 MiB"
    )
    assert (code, out, err) == (0, "shop: added\n", "")
    assert asked_of_dns(stage, "shop", "TXT") == '0 "hello"'
    assert asked_of_dns(stage, "shop", "A") == "0 10.77.0.20"
    assert command(stage, "service", "edit", "shop", 'names=["store"]')[0] == 0
    assert asked_of_dns(stage, "shop", "TXT") == "3"
    assert asked_of_dns(stage, "store", "TXT") == '0 "hello"'
    # Its guest boots, and never gets ready.
    assert stage.ask("ps")[1]["state"] in ("starting", "booting")
    assert command(stage, "service", "rm", "shop") == (0, "shop: removed\n", "")
    assert asked_of_dns(stage, "store", "A") == "3"
    assert services(stage) == {"www": "10.77.0.10"}
    assert not [path for path in (stage.folder / "run" / "domains").iterdir() if path.suffix != ".lock"]


def test_a_hangup_reads_the_file_again_and_a_broken_one_changes_nothing(stage: Stage, kernel: Path) -> None:
    add(stage, "shop", 20, kernel)
    good = stage.path.read_text()
    stream = follow(stage.config.daemon.runtime, "events", since=time.time(), follow=True)
    assert stage.daemon is not None
    stage.path.write_text(good.replace("service.www", "service.web") + 'idle = "soon"\n')
    stage.daemon.send_signal(signal.SIGHUP)
    event = next(stream)
    assert (event["event"], event["by"]) == ("reloaded", "SIGHUP")
    assert "idle cannot be 'soon'" in event["detail"]
    assert services(stage) == {"www": "10.77.0.10", "shop": "10.77.0.20"}
    stage.path.write_text(good.replace("service.www", "service.web"))
    stage.daemon.send_signal(signal.SIGHUP)
    happened = [next(stream) for _ in range(3)]
    assert [(event["event"], event["service"]) for event in happened] == [
        ("removed", "www"),
        ("added", "web"),
        ("reloaded", ""),
    ]
    stream.close()
    assert services(stage) == {"shop": "10.77.0.20", "web": "10.77.0.10"}
    assert asked_of_dns(stage, "www", "TXT") == "3"
    stage.path.write_text(good.replace('bridge = "jitsu0"', 'bridge = "jitsu7"'))
    assert command(stage, "reload") == (
        3,
        "",
        f"error: {stage.path}: [network] bridge cannot change while the daemon runs\n"
        " hint: put it back, or restart: systemctl restart jitsu\n",
    )
    assert services(stage) == {"shop": "10.77.0.20", "web": "10.77.0.10"}


def test_a_store_that_is_spoilt_is_kept_and_the_file_is_served(stage: Stage, kernel: Path) -> None:
    add(stage, "shop", 20, kernel)
    stage.kill_daemon()
    (stage.folder / "state" / FILE_NAME).write_bytes(b"a disk that dies writes what it likes" * 300)
    (stage.folder / "state" / f"{FILE_NAME}-wal").unlink()
    stage.start_daemon()
    assert services(stage) == {"www": "10.77.0.10"}
    [aside] = [path for path in (stage.folder / "state").glob(f"{FILE_NAME}.broken-*") if "-shm" not in path.name]
    assert str(aside) in stage.complaints()
    add(stage, "shop", 20, kernel)


def test_a_bridge_whose_maker_was_killed_before_it_bore_his_name_is_taken_over(stage: Stage) -> None:
    stage.kill_daemon()
    subprocess.run(["ip", "link", "set", "jitsu0", "alias", ""], check=True)
    with pytest.raises(DaemonError, match="exists already, and this jitsu did not make it"):
        stage.start_daemon()
    with closing(sqlite3.connect(stage.folder / "state" / FILE_NAME)) as database:
        database.execute("INSERT INTO intents VALUES ('bridge jitsu0')")
        database.commit()
    stage.start_daemon()
    with closing(sqlite3.connect(stage.folder / "state" / FILE_NAME)) as database:
        assert database.execute("SELECT * FROM intents").fetchall() == []


def test_clients_that_knew_the_bridge_find_the_one_that_a_restart_made(stage: Stage) -> None:
    assert asked_of_dns(stage, "www", "TXT") == "0"
    stage.stop_daemon()
    stage.start_daemon()
    assert asked_of_dns(stage, "www", "TXT") == "0"


class TestOtherUsers:
    """Real users, as the kernel tells them apart. Member or not is decided by the rights of the socket's file."""

    @pytest.fixture
    def stage(self, kernel: Path) -> Iterator[Stage]:
        daemon = {"group": GROUP, "operators": [OPERATOR]}
        with Stage([Cast("www", kernel)], sections={"daemon": daemon}) as stage:
            stage.folder.chmod(0o755)
            yield stage

    def test_members_look_and_operators_change(self, stage: Stage) -> None:
        runtime = stage.config.daemon.runtime
        looks, changes = ("ps", {}), ("stop", {"service": "www"})
        assert self.ask_as(LOOKER, True, runtime, *looks) == "done"
        assert self.ask_as(LOOKER, True, runtime, *changes) == (
            f"7 stop is not for {LOOKER}: members of group {GROUP} may only look"
        )
        assert self.ask_as(OPERATOR, True, runtime, *changes) == "done"
        assert self.ask_as(LOOKER, False, runtime, *looks) == f"7 no permission to use {runtime}/control.sock"
        told = [(event["event"], event["by"]) for event in stage.ask("events") if event["by"]]
        assert told == [("denied", LOOKER), ("ordered", OPERATOR)]
        assert f"{LOOKER} (process" in stage.complaints()

    @staticmethod
    def ask_as(user: str, member: bool, runtime: Path, do: str, fields: dict[str, Any]) -> str:
        """What a user is answered, as a process of its own: the interpreter may lie where only root can execute it."""
        import grp
        import pwd

        account, group = pwd.getpwnam(user), grp.getgrnam(GROUP)
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            answer = "a fault of this test"
            try:
                os.setgroups([group.gr_gid] if member else [])
                os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
                os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
                ask(runtime, do, **fields)
                answer = "done"
            except DaemonError as error:
                answer = f"{error.exit_code} {error.message}"
            finally:
                os.write(said, answer.encode())
                os._exit(0)
        os.close(said)
        with os.fdopen(heard) as stream:
            answer = stream.read()
        os.waitpid(child, 0)
        return answer
