"""The directory of a running daemon under 200,000 random and mutated packets (a twentieth in `make test`), and the
records that guests write through a restart of it."""

import random
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jitsu.demo.stage import BOARD, ZONE, Cast, Stage
from jitsu.network.namespace import inside
from tests.unit.dns_mutations import SECRET, framed, packets

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(900)]

KEYS = f'[key.web-key]\nsecret = "{SECRET}"\nservices = ["web"]\n'
DIRECTORY = (str(BOARD), 53)
BATCH = 50
"""Packets that a socket buffer has room for."""


@contextmanager
def staged(hello: Path, folder: Path, **limits: int) -> Iterator[Stage]:
    """A stage that takes updates, with a guest that runs."""
    keys = folder / "keys.toml"
    keys.write_text(KEYS)
    keys.chmod(0o600)
    sections: dict[str, dict[str, str | int | float]] = {"dns": {"keys": str(keys)}, "limits": {**limits}}
    with Stage([Cast("web", hello)], sections=sections) as stage:
        stage.ask("start", service="web")
        yield stage


def memory(stage: Stage) -> int:
    """KiB that the daemon has in RAM."""
    assert stage.daemon is not None
    status = Path(f"/proc/{stage.daemon.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


def dig(stage: Stage, name: str, rtype: str = "A") -> str:
    """What a real client is told, on whatever transport it comes to use."""
    with inside(stage.client):
        command = ["dig", f"@{BOARD}", f"{name}.{ZONE}", rtype, "+short", "+tries=3", "+time=2"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def pour(stage: Stage, some: list[bytes], source: random.Random) -> None:
    """Send packets over UDP, and one in ten over TCP, as fast as they are taken."""
    with inside(stage.client):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with udp:
        udp.setblocking(False)
        for packet in some:
            udp.sendto(packet, DIRECTORY)
        with suppress(BlockingIOError):
            while True:
                udp.recv(65535)
    with inside(stage.client):
        tcp = socket.create_connection(DIRECTORY, timeout=20)
    # The directory ends a connection at once on which something comes that is no question.
    with tcp, suppress(ConnectionError):
        tcp.sendall(b"".join(framed(source, packet) for packet in some[: len(some) // 10]))
        tcp.shutdown(socket.SHUT_WR)
        while tcp.recv(65535):
            pass


@pytest.mark.parametrize("answers", [0, 200])
def test_a_daemon_lives_through_mutated_packets_and_serves_a_real_client(
    hello: Path, tmp_path: Path, full: bool, seeded: random.Random, answers: int
) -> None:
    count = 200_000 if full else 10_000
    with staged(hello, tmp_path, answers=answers) as stage:
        address = str(stage.config.services["web"].address)
        flood = packets(seeded, count)
        first = 0
        for sent in range(0, count, BATCH):
            pour(stage, [packet for packet, _ in zip(flood, range(BATCH), strict=False)], seeded)
            if sent % (BATCH * 20) == 0:
                assert dig(stage, "web") == address, stage.last_words()
            if sent == BATCH * 40:
                # By now everything is imported, and every table has its first entries.
                first = memory(stage)
        grown = memory(stage) - first
        assert dig(stage, "web") == address
        assert [row["service"] for row in stage.ask("ps")] == ["web"]
        assert stage.complaints() == ""
        print(f"{count} packets, a tenth also over TCP: the daemon has {first} KiB, and {grown} more at the end")
        assert grown < 8192


def test_what_a_guest_wrote_is_there_after_a_restart(hello: Path, tmp_path: Path) -> None:
    with staged(hello, tmp_path) as stage:
        script = f"server {BOARD}\nzone {ZONE}\nupdate add note.web.{ZONE} 30 TXT kept\nsend\n"
        command = ["nsupdate", "-y", f"hmac-sha256:web-key:{SECRET}"]
        with inside(stage.client):
            subprocess.run(command, input=script, text=True, check=True, timeout=20)
        assert dig(stage, "note.web", "TXT") == '"kept"'
        stage.kill_daemon()
        stage.start_daemon()
        assert dig(stage, "note.web", "TXT") == '"kept"'
