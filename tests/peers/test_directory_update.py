"""Guests that write their own records, with BIND's nsupdate, and dig that signs its questions."""

import asyncio
import base64
import shutil
import sqlite3
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jitsu.config import KeyConfig
from jitsu.daemon.database import FILE_NAME
from jitsu.daemon.record_store import SqliteRecordStore
from jitsu.directory.guestbook import Guestbook
from jitsu.directory.records import Srv, Txt
from jitsu.directory.zone import Host, Zone
from tests.peers.directories import Directory, dig, records, run, serving, status
from tests.unit.dns_clients import UdpClient

pytestmark = pytest.mark.skipif(shutil.which("nsupdate") is None, reason="nsupdate is not installed (bind9-dnsutils)")

SECRET = base64.b64encode(b"a secret of thirty-two octets...").decode()
OTHER = base64.b64encode(b"another secret, of thirty-two...").decode()
KEYS = (
    KeyConfig("web", "hmac-sha256", SECRET, ("web",)),
    KeyConfig("both.example", "hmac-sha512", OTHER, ("web", "mail")),
)
WEB = f"hmac-sha256:web:{SECRET}"


def zone() -> Zone:
    return Zone(
        "jitsu.test",
        (("ns.jitsu.test", "127.0.0.1"),),
        {
            "web.jitsu.test": Host("web", ("10.77.0.10",), 7),
            "mail.jitsu.test": Host("mail", ("10.77.0.11",), 7),
            "in.web.jitsu.test": Host("other", ("10.77.0.12",), 7),
        },
        records={"web.jitsu.test": [Txt("configured")], "_http._tcp.web.jitsu.test": [Srv(80, "web.jitsu.test")]},
        ttl=300,
    )


class Board(Directory):
    """A directory that takes updates, and nsupdate to send them."""

    async def update(self, *commands: str, key: str | None = WEB, options: tuple[str, ...] = ()) -> str:
        """What nsupdate says, which is nothing if all is well."""
        signer = ["-y", key] if key else []
        script = "\n".join(["server 127.0.0.1 " + str(self.port), *commands, "send", ""])
        command = ["nsupdate", "-t", "5", *signer, *options]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate(script.encode())
        text = output.decode().strip()
        assert bool(text) == bool(process.returncode), text
        return text

    async def found(self, name: str, rtype: str) -> set[str]:
        text = await dig(self.port, name, rtype, "+noauthority")
        return {line.split(" IN ", 1)[1] for line in records(text) if " SOA " not in line}


@asynccontextmanager
async def running(folder: Path, zone: Zone) -> AsyncIterator[Board]:
    store = SqliteRecordStore(folder)
    guestbook = Guestbook(KEYS, store)
    board = Board([zone], guestbook=guestbook)
    async with serving(board):
        yield board
    store.close()


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[Board]:
    async with running(tmp_path, zone()) as board:
        yield board


async def test_a_guest_adds_replaces_and_deletes_its_records(board: Board) -> None:
    serial = board.server.zones[0].serial
    added = "update add _acme-challenge.web.jitsu.test 30 TXT one"
    assert await board.update(added, "update add _acme-challenge.web.jitsu.test 60 TXT two") == ""
    text = await dig(board.port, "_acme-challenge.web.jitsu.test", "TXT")
    assert records(text) == {f'_acme-challenge.web.jitsu.test. 60 IN TXT "{text}"' for text in ("one", "two")}
    assert await board.update("update delete _acme-challenge.web.jitsu.test TXT one") == ""
    assert await board.found("_acme-challenge.web.jitsu.test", "TXT") == {'TXT "two"'}
    assert await board.update("update delete _acme-challenge.web.jitsu.test") == ""
    assert status(await dig(board.port, "_acme-challenge.web.jitsu.test", "TXT")) == "NXDOMAIN"
    assert board.server.zones[0].serial == serial + 3
    assert board.summoned == []


async def test_the_serial_is_seen_to_grow(board: Board) -> None:
    before = int((await dig(board.port, "jitsu.test", "SOA", "+short")).split()[2])
    assert await board.update("update add x.web.jitsu.test 30 TXT one") == ""
    assert int((await dig(board.port, "jitsu.test", "SOA", "+short")).split()[2]) == before + 1
    assert await board.update("update add x.web.jitsu.test 30 TXT one") == ""
    assert int((await dig(board.port, "jitsu.test", "SOA", "+short")).split()[2]) == before + 1, "nothing changed"


@pytest.mark.parametrize("options", [(), ("-v",)])
async def test_either_transport_will_do_and_every_type_that_may_be_written(
    board: Board, options: tuple[str, ...]
) -> None:
    lines = [
        "_game._udp.web.jitsu.test 30 SRV 1 2 7777 web.jitsu.test.",
        'web.jitsu.test 30 HTTPS 1 . alpn="h2"',
        'web.jitsu.test 30 CAA 0 issue "example.org"',
        "web.jitsu.test 30 SSHFP 4 2 " + "AB" * 32,
        "_443._tcp.web.jitsu.test 30 TLSA 3 1 1 " + "CD" * 32,
        'web.jitsu.test 30 TXT "several" "texts \\"quoted\\"" ' + '"' + "x" * 255 + '"',
    ]
    assert await board.update(*(f"update add {line}" for line in lines), options=options) == ""
    for line in lines:
        name, _, rtype, data = line.split(" ", 3)
        found = await board.found(name, rtype)
        assert f"{rtype} {data}".replace(" ", "") in {each.replace(" ", "") for each in found}


async def test_what_a_guest_adds_stands_beside_what_is_configured(board: Board) -> None:
    assert await board.update("update add web.jitsu.test 30 TXT mine") == ""
    assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"', 'TXT "mine"'}
    assert await board.update("update add web.jitsu.test 30 TXT configured") == ""
    assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"', 'TXT "mine"'}
    assert await board.update("update delete web.jitsu.test TXT mine") == ""
    assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"'}


@pytest.mark.parametrize(
    "commands",
    [
        ["update add web.jitsu.test 30 A 192.0.2.1"],
        ["update delete web.jitsu.test A"],
        ["update delete web.jitsu.test"],
        ["update delete web.jitsu.test TXT"],
        ["update delete web.jitsu.test TXT configured"],
        ["update delete _http._tcp.web.jitsu.test SRV"],
        ["update add web.jitsu.test 30 CNAME example.org."],
        ["update add sub.web.jitsu.test 30 NS ns.example.org."],
        ["update add mail.jitsu.test 30 TXT foreign"],
        ["update add x.in.web.jitsu.test 30 TXT foreign"],
        ["update add nobody.jitsu.test 30 TXT foreign"],
        ["update add jitsu.test 30 TXT foreign"],
        ["update add ns.jitsu.test 30 TXT foreign"],
        ["update add *.web.jitsu.test 30 TXT wild"],
        ["update add web.jitsu.test 30 TXT good", "update add mail.jitsu.test 30 TXT foreign"],
        [f"update add web.jitsu.test 30 TXT {number}" for number in range(65)],
        [f"update add web.jitsu.test 30 TXT {number}{'x' * 250}" for number in range(33)],
    ],
    ids=lambda commands: commands[-1][7:60].replace(" ", "_"),
)
async def test_what_is_not_its_own_is_refused_and_nothing_of_it_is_done(board: Board, commands: list[str]) -> None:
    assert await board.update("zone jitsu.test", *commands) == "update failed: REFUSED"
    assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"'}
    assert board.server.zones[0].serial == 1


async def test_a_key_for_two_services_writes_for_both(board: Board) -> None:
    lines = ("update add web.jitsu.test 30 TXT one", "update add x.mail.jitsu.test 30 TXT two")
    assert await board.update(*lines, key=f"hmac-sha512:both.example:{OTHER}") == ""
    assert 'TXT "one"' in await board.found("web.jitsu.test", "TXT")
    assert await board.found("x.mail.jitsu.test", "TXT") == {'TXT "two"'}


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (f"hmac-sha256:web:{OTHER}", "BADSIG"),
        (f"hmac-sha256:nobody:{SECRET}", "BADKEY"),
        (f"hmac-sha512:web:{SECRET}", "BADKEY"),
        (None, "update failed: REFUSED"),
    ],
)
async def test_who_is_not_known_changes_nothing(board: Board, key: str | None, words: str) -> None:
    said = await board.update("zone jitsu.test", "update add web.jitsu.test 30 TXT bad", key=key)
    assert words in said
    assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"'}


async def test_a_client_whose_clock_is_wrong_is_told_so_under_our_signature(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is our clock that goes wrong, which for two who compare is the same.
    monkeypatch.setattr("jitsu.directory.guestbook.CLOCK", lambda: 1_000_000_000)
    said = await board.update("zone jitsu.test", "update add web.jitsu.test 30 TXT late")
    assert "clocks are unsynchronized" in said or "BADTIME" in said
    assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"'}


@pytest.mark.parametrize(
    ("zone", "words"), [("example.org", "NOTAUTH"), ("web.jitsu.test", "NOTAUTH"), ("jitsu.test", "NOTZONE")]
)
async def test_another_zone_is_not_ours(board: Board, zone: str, words: str) -> None:
    said = await board.update(f"zone {zone}", "update add x.example.org 30 TXT bad")
    assert said == f"update failed: {words}"


@pytest.mark.parametrize(
    ("prerequisite", "outcome"),
    [
        ("yxdomain web.jitsu.test", ""),
        ("yxdomain x.web.jitsu.test", "NXDOMAIN"),
        ("yxdomain _tcp.web.jitsu.test", "NXDOMAIN"),
        ("nxdomain x.web.jitsu.test", ""),
        ("nxdomain _tcp.web.jitsu.test", ""),
        ("nxdomain web.jitsu.test", "YXDOMAIN"),
        ("yxrrset web.jitsu.test A", ""),
        ("yxrrset web.jitsu.test TXT", ""),
        ("yxrrset jitsu.test SOA", ""),
        ("yxrrset web.jitsu.test AAAA", "NXRRSET"),
        ("nxrrset web.jitsu.test AAAA", ""),
        ("nxrrset web.jitsu.test A", "YXRRSET"),
        ("yxrrset web.jitsu.test TXT configured", ""),
        ("yxrrset web.jitsu.test TXT another", "NXRRSET"),
        ("yxrrset web.jitsu.test A 10.77.0.10", ""),
        ("yxrrset _http._tcp.web.jitsu.test SRV 0 0 80 WEB.jitsu.test.", ""),
        ("yxdomain x.example.org", "NOTZONE"),
    ],
)
async def test_prerequisites_are_honoured(board: Board, prerequisite: str, outcome: str) -> None:
    said = await board.update("zone jitsu.test", f"prereq {prerequisite}", "update add new.web.jitsu.test 30 TXT yes")
    assert said == (f"update failed: {outcome}" if outcome else "")
    assert await board.found("new.web.jitsu.test", "TXT") == (set() if outcome else {'TXT "yes"'})


async def test_an_update_that_cannot_be_read_is_said_to_be_none(board: Board) -> None:
    header = struct.pack("!HHHHHH", 0xBEEF, 5 << 11, 1, 0, 1, 0)
    for body in (b"", b"\x05jitsu\x04test\x00\x00\x06\x00\x01\x03web"):
        with UdpClient(("127.0.0.1", board.port)) as client:
            client.send(header + body)
            answer = await asyncio.get_running_loop().sock_recv(client.sock, 512)
        assert answer[:4] == struct.pack("!HH", 0xBEEF, 0x8000 | 5 << 11 | 1)


async def test_the_zone_is_found_without_being_told(board: Board) -> None:
    # nsupdate asks for the SOA above the name, signs that question, and wants the answer signed.
    assert await board.update("update add deep.below.web.jitsu.test 30 TXT found") == ""


async def test_answers_to_signed_questions_are_signed(board: Board) -> None:
    for arguments in (("web.jitsu.test", "A"), ("nope.jitsu.test", "A", "+tcp"), ("web.jitsu.test", "TXT")):
        text = await dig(board.port, *arguments, "-y", WEB)
        assert "TSIG" in text
        assert "verify" not in text.lower()
    wrong = ("-y", f"hmac-sha256:web:{OTHER}")
    assert "BADSIG" in await run("dig", "-p", str(board.port), "@127.0.0.1", "web.jitsu.test", *wrong)


async def test_records_survive_a_restart_and_vanish_with_their_service(tmp_path: Path) -> None:
    async with running(tmp_path, zone()) as board:
        lines = ("update add web.jitsu.test 30 TXT kept", "update add x.mail.jitsu.test 40 TXT too")
        assert await board.update(*lines, key=f"hmac-sha512:both.example:{OTHER}") == ""
    async with running(tmp_path, zone()) as board:
        assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"', 'TXT "kept"'}
        assert await board.found("x.mail.jitsu.test", "TXT") == {'TXT "too"'}
    without = zone()
    without.change({}, without=["mail.jitsu.test"])
    async with running(tmp_path, without) as board:
        assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"', 'TXT "kept"'}
        assert status(await dig(board.port, "x.mail.jitsu.test", "TXT")) == "NXDOMAIN"
    async with running(tmp_path, zone()) as board:
        assert await board.found("x.mail.jitsu.test", "TXT") == set(), "a service of the same name begins anew"


async def test_records_stay_when_their_service_is_edited_and_go_when_it_goes(board: Board) -> None:
    assert await board.update("update add web.jitsu.test 30 TXT mine", "update add x.web.jitsu.test 30 TXT too") == ""
    [served] = board.server.zones
    served.change({"web.jitsu.test": Host("web", ("10.77.0.99",), 7)}, without=["web.jitsu.test"])
    board.server.zones = [served]
    assert await board.found("web.jitsu.test", "TXT") == {'TXT "mine"'}
    assert await board.found("x.web.jitsu.test", "TXT") == {'TXT "too"'}
    served.change({"web.jitsu.test": Host("another", ("10.77.0.99",), 7)}, without=["web.jitsu.test"])
    board.server.zones = [served]
    for name in ("web.jitsu.test", "x.web.jitsu.test"):
        assert await board.found(name, "TXT") == set()


async def test_a_disk_that_takes_nothing_is_servfail_and_nothing_is_changed(board: Board, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as other:
        other.execute("DROP TABLE records")
    assert await board.update("update add web.jitsu.test 30 TXT lost") == "update failed: SERVFAIL"
    assert await board.found("web.jitsu.test", "TXT") == {'TXT "configured"'}


def test_dnspython_is_only_loaded_by_who_needs_it() -> None:
    code = "import sys, jitsu.daemon.serve; print([name for name in sys.modules if name.split('.')[0] == 'dns'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
