"""Boards that have booted, kept: what takes a quarter of a minute, or several, is done once.

A snapshot is a disk in the cache of artifacts. Its key is everything that it depends on: the image, and QEMU's release
and whole command line, for a state goes on in the very machine that it was saved in. Each restored board has a copy of
its own.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from boards.arguments import Parts, find_qemu, qemu_arguments
from boards.definition import Board
from boards.emulator import EmulatedBoard, started
from boards.lan import BOARD_MAC
from jitsu import artifacts
from jitsu.errors import DomainError, HostError

_DISK = "disk.qcow2"

Say = Callable[[str], None]


def image(board: Board, say: Say = lambda line: None) -> Path:
    """The folder with the board's image, built now if need be. Raises ConfigError, ArtifactError."""
    return artifacts.build(board.domain0().image, say)


@contextmanager
def booted(board: Board, xenstored: str, say: Say = lambda line: None) -> Iterator[EmulatedBoard]:
    """The board, from power. Raises as `image` and `emulator.started` do."""
    find_qemu(board)
    root = image(board, say)
    with tempfile.TemporaryDirectory(prefix="jitsu-disk-") as folder:
        disk = Path(folder, _DISK)
        _make_disk(disk, root)
        with started(board, root, disk, xenstored, restored=False) as running:
            yield running


@contextmanager
def restored(board: Board, xenstored: str, say: Say = lambda line: None) -> Iterator[EmulatedBoard]:
    """The board as it was when it had booted, with a disk of its own. Raises as `booted` does."""
    find_qemu(board)
    root = image(board, say)
    kept = _keep(board, root, xenstored, say)
    with tempfile.TemporaryDirectory(prefix="jitsu-disk-") as folder:
        disk = shutil.copyfile(kept / _DISK, Path(folder, _DISK))
        with started(board, root, disk, xenstored, restored=True) as running:
            yield running


def snapshot(board: Board, xenstored: str, say: Say = lambda line: None) -> Path:
    """The folder with the board's snapshot, made now if need be. Raises as `booted` does."""
    find_qemu(board)
    return _keep(board, image(board, say), xenstored, say)


def _keep(board: Board, root: Path, xenstored: str, say: Say) -> Path:
    def make(out: Path, work: Path) -> None:
        disk = work / _DISK
        _make_disk(disk, root)
        say(f"booting {board.name} with {xenstored}")
        with started(board, root, disk, xenstored, restored=False) as running:
            running.save()
        disk.rename(out / _DISK)

    return artifacts.keep(f"{board.name}-{xenstored}-{_key(board, root, xenstored)}", make)


def _key(board: Board, root: Path, xenstored: str) -> str:
    """16 hexadecimal digits."""
    qemu = find_qemu(board)
    nowhere = Path("-")
    parts = Parts(nowhere, nowhere, nowhere, nowhere, nowhere, agent=0, tap=0)
    arguments = qemu_arguments(qemu, board, parts, xenstored, BOARD_MAC, restored=True)
    release = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout
    return sha256("\0".join([root.name, release, *arguments]).encode()).hexdigest()[:16]


def _make_disk(disk: Path, root: Path) -> None:
    """A disk on which nothing has been written: what is not there is read from the image."""
    size = (root / "root.ext4").stat().st_size
    try:
        made = subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", str(disk), str(size)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise HostError(f"qemu-img cannot be run: {error.strerror}", hint="apt install qemu-utils") from error
    if made.returncode != 0:
        raise DomainError(f"no disk could be made: {made.stderr.strip()}", hint="is the disk full?")
