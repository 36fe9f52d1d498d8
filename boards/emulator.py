"""An emulated board that runs: QEMU, the wire, the command channel, the serial console.

It ends with the block it was started for, and with the thread that started it, whatever becomes of that: the kernel
sees to it (prctl(2), PR_SET_PDEATHSIG).
"""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from boards.arguments import SNAPSHOT, Parts, find_qemu, qemu_arguments
from boards.channel import PATIENCE, Channel, Outcome
from boards.definition import Board
from boards.lan import BOARD_MAC, Lan, lay
from jitsu import artifacts
from jitsu.domains.qemu_process import connect, listen
from jitsu.domains.qmp import QmpClient
from jitsu.errors import DomainError, HostError

XENSTOREDS = ("xenstored", "oxenstored", "none")
"""Xen's own in C, the one in OCaml, or none: the board is then as it is before a XenStore is started on it."""

BOOT_PATIENCE = 600.0
"""Seconds from power to dom0's first word. A quarter of a minute on a machine with nothing else to do."""

RESTORE_PATIENCE = 120.0

_SAVE_PATIENCE = 120.0
_LAST_LINES = 3


class EmulatedBoard:
    """A board whose dom0 answers. Made by `started`.

    `lan` is the other end of its wire, `log` the file with all that its serial console said, `serial` the path of a
    socket that is that console for whoever connects.
    """

    def __init__(
        self, board: Board, parts: Parts, lan: Lan, process: subprocess.Popen[bytes], channel: Channel
    ) -> None:
        self.board, self.lan = board, lan
        self.log, self.serial = parts.log, parts.serial
        self._monitor = parts.monitor
        self._process, self._channel = process, channel

    def run(self, *command: str, input: str = "", timeout: float = PATIENCE) -> Outcome:  # noqa: A002
        """Run a program in dom0; see `Channel.run`. Raises DomainError."""
        return self._channel.run(command, input=input, timeout=timeout)

    def check(self, *command: str, input: str = "", timeout: float = PATIENCE) -> str:  # noqa: A002
        """Run a program in dom0, and return what it printed. Raises DomainError if it fails, too."""
        outcome = self.run(*command, input=input, timeout=timeout)
        if outcome.rc != 0:
            said = (outcome.err or outcome.out).strip() or "it said nothing"
            raise DomainError(f"board {self.board.name}: {' '.join(command)} ended with {outcome.rc}: {said}")
        return outcome.out

    def put(self, local: Path | bytes, path: str, mode: int = 0o644) -> None:
        """Copy a file, or these bytes, to `path` in dom0. Raises DomainError, and OSError for the file."""
        self._channel.put(local, path, mode)

    def get(self, path: str) -> bytes:
        """What is in the file at `path` in dom0. Raises DomainError."""
        return self._channel.get(path)

    def wake(self, timeout: float) -> float:
        """Wait for dom0, and give it the time and fresh randomness. The seconds that it has run. Raises DomainError."""
        return self._channel.wake(timeout)

    def install_jitsu(self) -> None:
        """Bring jitsu of this checkout to the board: `jitsu` is a command there. Raises ArtifactError, DomainError."""
        packed = "/opt/jitsu/jitsu.tar.gz"
        self.put(artifacts.build("jitsu-tree") / "jitsu.tar.gz", packed)
        self.check("tar", "-xzf", packed, "-C", "/opt/jitsu")
        self.check("rm", packed)

    def save(self) -> None:
        """Save its state into its disk, as it is now, and power it off. Raises DomainError."""
        said = asyncio.run(self._command("human-monitor-command", {"command-line": f"savevm {SNAPSHOT}"}))
        if said:
            raise DomainError(f"board {self.board.name} cannot be saved: {said.strip()}")
        asyncio.run(self._command("quit"))
        self._process.wait()

    def last_words(self) -> str:
        """What QEMU complained of, or the end of the serial console."""
        return _last_words(self._process, self.log)

    async def _command(self, name: str, arguments: dict[str, str] | None = None) -> str:
        client = await QmpClient.connect(str(self._monitor), lambda event, data: None, _SAVE_PATIENCE)
        try:
            return str(await client.execute(name, arguments, timeout=_SAVE_PATIENCE) or "")
        finally:
            await client.close()


@contextmanager
def started(board: Board, image: Path, disk: Path, xenstored: str, *, restored: bool) -> Iterator[EmulatedBoard]:
    """The board on this disk, from power or from the snapshot in it; dom0 has answered and been told the time.

    Raises ConfigError for a board that is not emulated, HostError without QEMU, DomainError with the end of its console
    if it does not come up.
    """
    qemu = find_qemu(board)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jitsu-board-")))
        lan = stack.enter_context(lay(board.wire))
        # Our end is closed once QEMU has it: when QEMU ends, so does the channel.
        with listen(str(folder / "agent")) as listener:
            parts = Parts(
                image=image,
                disk=disk,
                monitor=folder / "monitor",
                serial=folder / "serial",
                log=folder / "console.log",
                agent=listener.fileno(),
                tap=lan.tap,
            )
            channel = Channel(board.name, connect(str(folder / "agent")))
            stack.callback(channel.close)
            arguments = qemu_arguments(qemu, board, parts, xenstored, BOARD_MAC, restored=restored)
            process = _spawn(arguments, (parts.agent, parts.tap), folder / "complaints")
        stack.callback(_end, process)
        running = EmulatedBoard(board, parts, lan, process, channel)
        try:
            running.wake(RESTORE_PATIENCE if restored else BOOT_PATIENCE)
        except DomainError as error:
            raise DomainError(
                f"board {board.name} did not come up: {running.last_words()}", hint=error.message
            ) from error
        yield running


def _spawn(arguments: Sequence[str], inherited: tuple[int, ...], complaints: Path) -> subprocess.Popen[bytes]:
    with complaints.open("wb") as said:
        try:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                pass_fds=inherited,
                start_new_session=True,
            )
        except OSError as error:
            raise HostError(f"setpriv cannot be run: {error.strerror}", hint="apt install util-linux") from error


def _end(process: subprocess.Popen[bytes]) -> None:
    """Power it off; its disk is nobody's any more."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(process: subprocess.Popen[bytes], log: Path) -> str:
    complaints = log.with_name("complaints").read_text(errors="replace").strip()
    if process.poll() is not None and complaints:
        return complaints.splitlines()[-1]
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return " / ".join(line.strip() for line in lines[-_LAST_LINES:]) or "its console is silent"
