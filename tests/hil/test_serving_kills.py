"""`kill -9` of `jitsu serve` in the middle of a build, or of an end: the next one has to make sense of the pieces."""

import json
import random
import socket
from collections.abc import Iterator

import pytest
from dnslib import DNSRecord

from boards.definition import read
from boards.snapshots import restored
from jitsu.domains.xen_keys import BACKENDS
from tests.hil.serving_board import ASK, BOARD, ZONE, ServingBoard, prepared, service

pytestmark = pytest.mark.timeout(7200)

WWW, SHOP = "10.78.0.20", "10.78.0.21"

BUILD, END = 40, 2
"""Changes of nodes that a build makes at least, and an end."""


@pytest.fixture(scope="module")
def serving() -> Iterator[ServingBoard]:
    """The slowest board: each moment lasts longest there."""
    with restored(read("qemu-virt-armv7"), "xenstored") as board:
        serving = prepared(board, service("www", WWW), service("shop", SHOP, idle=600.0))
        serving.start()
        yield serving


def wake(serving: ServingBoard) -> None:
    """Ask for www, and wait for no answer: there will be none."""
    with serving.board.lan.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.sendto(DNSRecord.question(f"www.{ZONE}").pack(), (BOARD, 53))


def stop(serving: ServingBoard) -> None:
    """Have shop end. Nobody says that it has."""
    serving.board.run("python3", "-c", ASK, json.dumps({"do": "stop", "service": "shop"}))


def test_the_next_daemon_makes_good_what_a_killed_one_began(
    serving: ServingBoard, full: bool, seeded: random.Random
) -> None:
    before = serving.belongings()
    points = [("shell", 1), ("node", seeded.randint(1, BUILD))]
    if full:
        points += [("introduced", 1), ("interface", 1), ("port", 1)]
        points += [("node", seeded.randint(1, BUILD)) for _ in range(30)]
    adopted = 0
    for point, count in points:
        with serving.killed(point, count) as seen:
            wake(serving)
        serving.start()
        adopted += serving.row("www")["state"] != "asleep"
        assert serving.get(WWW)[0] == 200, (point, count, seen)
        serving.asleep("www")
        serving.nothing_is_left(before)
    print(f"{len(points)} kills, {adopted} guests adopted")


def test_the_next_daemon_removes_the_nodes_of_a_domain_that_was_dying(serving: ServingBoard) -> None:
    """The store has not looked yet at what the dead one asked for, and drops it."""
    before = serving.belongings()
    assert serving.get(SHOP)[0] == 200
    store = serving.board.check("cat", "/run/xen/xenstored.pid").strip()
    with serving.killed("dying"):
        serving.board.check("kill", "-STOP", store)
        stop(serving)
    serving.board.check("kill", "-CONT", store)
    assert "/0/frontend" in serving.board.check("xenstore-ls", "-f", BACKENDS), "or nothing is tested here"
    serving.start()
    serving.nothing_is_left(before)


@pytest.mark.soak
def test_the_next_daemon_goes_on_with_an_end(serving: ServingBoard, seeded: random.Random) -> None:
    before = serving.belongings()
    for count in [seeded.randint(1, END) for _ in range(10)]:
        assert serving.get(SHOP)[0] == 200
        with serving.killed("node", count) as seen:
            stop(serving)
        serving.start()
        assert serving.row("shop")["state"] == "asleep", seen
        serving.nothing_is_left(before)
