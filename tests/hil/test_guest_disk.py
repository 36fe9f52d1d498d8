"""hello with a disk: blkback's device in dom0, read sector by sector by a machine beside the board."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest

from boards.emulator import EmulatedBoard
from tests.hil.hello_guest import NAME, ask, await_truth, created

# An image is built and a board booted the first time.
pytestmark = pytest.mark.timeout(1800)

SECTOR, MOST = 512, 88
SIZE = 1 << 20
READERS = 12


def test_it_serves_its_disk_and_lives_on_without_it(board: EmulatedBoard) -> None:
    content = os.urandom(SIZE)
    sectors = SIZE // SECTOR
    board.put(content, "/tmp/disk")
    board.check("losetup", "/dev/loop0", "/tmp/disk")

    def read(sector: int, count: int = 1) -> tuple[int, bytes]:
        return ask(board.lan, "GET", f"/disk?sector={sector}&count={count}")

    with created(board, disk="/dev/loop0") as guest:
        guest.await_ready()
        said = json.loads(ask(board.lan, "GET", "/disk")[1])
        with ThreadPoolExecutor(READERS) as readers:
            whole = list(readers.map(lambda at: read(at, min(MOST, sectors - at)), range(0, sectors, MOST)))
        pieces = {(at, count): read(at, count) for at, count in [(0, 1), (7, 2), (1001, 23), (sectors - 1, 1)]}
        beyond = [read(sectors)[0], read(sectors - 1, 2)[0], read(0, MOST + 1)[0], read(0, 0)[0]]
        noted = board.check("dmesg")
        board.check("xl", "block-detach", NAME, "xvda")
        await_truth(lambda: read(0)[0] == 500, "a disk that cannot be read")
        alive = ask(board.lan, "GET", "/")[0]

    assert said == {"sectors": sectors, "sector_size": SECTOR, "most": MOST}
    assert {status for status, _ in whole} == {200}
    assert sha256(b"".join(body for _, body in whole)).digest() == sha256(content).digest()
    for (at, count), answer in pieces.items():
        assert answer == (200, content[at * SECTOR : (at + count) * SECTOR])
    assert beyond == [404, 404, 400, 400]
    assert "persistent grants" in noted
    assert alive == 200


def test_without_a_disk_there_is_none(armv7: EmulatedBoard) -> None:
    with created(armv7) as guest:
        guest.await_ready()
        assert ask(armv7.lan, "GET", "/disk?sector=0")[0] == 404
