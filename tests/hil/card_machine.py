"""A machine that starts from an SD card: QEMU's virt with U-Boot for it, and as much of a Cubietruck's as it can be.

Processors and memory are the board's; the card is a virtio disk, and the wire a virtio network device.
"""

import asyncio
import re
import select
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from boards.card import BOOT_AT
from boards.definition import MIB, Board
from boards.lan import BOARD_MAC, Lan, lay
from jitsu.domains.qmp import QmpClient

U_BOOT = Path("/usr/lib/u-boot/qemu_arm/u-boot.bin")
"""Of Debian's u-boot-qemu."""

PATIENCE = 300.0
"""Seconds for whatever is waited for: a whole boot takes some twenty on a quiet machine."""


class CardMachine:
    """Made by `powered`. `lan` is the other end of its wire."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]", lan: Lan) -> None:
        self.lan = lan
        self._folder, self._process = folder, process

    def console(self) -> str:
        """All that it has said on its serial console."""
        log = self._folder / "console.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def await_words(self, pattern: str) -> str:
        """What the console said that fits the pattern, waited for."""
        return self._until(pattern, lambda: time.sleep(0.1))

    def type(self, line: str, answer: str) -> str:
        """Type a line on its serial console, and wait for what fits the pattern."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
            console.connect(str(self._folder / "serial"))
            console.sendall(line.encode() + b"\n")
            # QEMU takes the line as slowly as the machine does, and stands still while nobody reads what is said to it.
            return self._until(answer, lambda: select.select([console], [], [], 0.1)[0] and console.recv(1 << 16))

    def _until(self, pattern: str, meanwhile: Callable[[], object]) -> str:
        give_up = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.console())) is None:
            assert self._process.poll() is None, f"it has ended without {pattern!r}: {self._end()}"
            assert time.monotonic() < give_up, f"never said {pattern!r}: {self._end()}"
            meanwhile()
        return found[0]

    def await_power_off(self) -> None:
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it is still on: {self._end()}") from None

    def memory(self, at: int, size: int) -> bytes:
        """What is in its memory from address `at` on."""
        asyncio.run(self._save_memory(at, size))
        return (self._folder / "memory").read_bytes()

    def tree(self, at: int) -> bytes:
        """The device tree at that address. Its second word is its length, most significant byte first."""
        magic, size = struct.unpack(">II", self.memory(at, 8))
        assert magic == 0xD00DFEED
        return self.memory(at, size)

    async def _save_memory(self, at: int, size: int) -> None:
        client = await QmpClient.connect(str(self._folder / "monitor"), lambda event, data: None, PATIENCE)
        try:
            wanted = {"val": at, "size": size, "filename": str(self._folder / "memory")}
            await client.execute("pmemsave", wanted, timeout=PATIENCE)
        finally:
            await client.close()

    def _end(self) -> str:
        return self.console()[-1500:]


@contextmanager
def powered(board: Board, card: Path) -> Iterator[CardMachine]:
    """The machine with this card in it, which it may write. Nothing of it outlives the block."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jitsu-card-")))
        lan = stack.enter_context(lay(board.wire))
        serial = f"socket,id=serial,path={folder}/serial,server=on,wait=off,logfile={folder}/console.log"
        arguments = [
            *("setpriv", "--pdeathsig", "TERM", "qemu-system-arm"),
            *("-M", "virt,virtualization=on,gic-version=2,highmem=off", "-accel", "tcg,tb-size=256"),
            *("-cpu", board.machine.cpu, "-smp", str(board.machine.cpus), "-m", f"{board.machine.memory // MIB}M"),
            *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-bios", str(U_BOOT)),
            *("-drive", f"file={card},format=raw,if=none,id=card", "-device", "virtio-blk-device,drive=card"),
            *("-netdev", f"tap,id=wire,fd={lan.tap}", "-device", f"virtio-net-device,netdev=wire,mac={BOARD_MAC}"),
            *("-chardev", serial, "-serial", "chardev:serial"),
            *("-qmp", f"unix:{folder}/monitor,server=on,wait=off"),
        ]
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, pass_fds=(lan.tap,), start_new_session=True)
        try:
            yield CardMachine(folder, process, lan)
        finally:
            process.kill()
            process.wait()


def partition(card: Path) -> str:
    """The first partition, as mtools are told."""
    return f"{card}@@{BOOT_AT}"


def read(card: Path, name: str) -> bytes:
    """A file of the first partition."""
    return subprocess.run(["mtype", "-i", partition(card), f"::{name}"], capture_output=True, check=True).stdout


def write(card: Path, name: str, content: bytes) -> None:
    """Put a file there in its place, as a user does with an editor."""
    subprocess.run(["mcopy", "-o", "-i", partition(card), "-", f"::{name}"], input=content, check=True)


def remove(card: Path, name: str) -> None:
    subprocess.run(["mdel", "-i", partition(card), f"::{name}"], check=True)


def write_script(card: Path, text: str, folder: Path) -> None:
    """Another text for U-Boot's script."""
    (folder / "boot.cmd").write_text(text)
    made = ["mkimage", "-A", "arm", "-T", "script", "-C", "none", "-d", str(folder / "boot.cmd")]
    subprocess.run([*made, str(folder / "boot.scr")], check=True, capture_output=True)
    write(card, "boot.scr", (folder / "boot.scr").read_bytes())
