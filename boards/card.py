"""SD cards for real boards: an image that is written to a card as it is.

    0           the partition table, in DOS's form
    8 KiB       U-Boot, where the machine looks for it
    1 MiB       FAT: Xen, dom0's kernel and initrd, the device tree, the script, and what people edit
    129 MiB     ext4: dom0's root

Nothing is mounted, and root is not needed. What programs do here is what they are for: the table is sfdisk's, the file
systems are those of mkfs.vfat, mtools and mke2fs, the script's form is mkimage's.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from boards.boot_script import INITRD, KERNEL, XEN, boot_script
from boards.definition import MIB, SECTOR, Board, Card
from jitsu import artifacts
from jitsu.errors import ArtifactError, ConfigError, HostError, ResourceBusy

Say = Callable[[str], None]

SIZE = 768 * MIB
"""Of the image, in bytes: there is no card that is smaller."""

BOOT_AT, ROOT_AT = MIB, 129 * MIB
"""Where the partitions begin, in bytes. There is room for U-Boot before the first; the second goes to the end."""

LABELS = "JITSU", "jitsu"
"""Of the file systems, as whoever puts the card into a computer sees them."""

_PACKAGES = {
    "mcopy": "mtools",
    "mke2fs": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mkimage": "u-boot-tools",
    "sfdisk": "fdisk",
    "tar": "tar",
}
"""What is run, and the Debian packages that it is in."""


@dataclass(frozen=True, slots=True)
class Marks:
    """By what a card is known from all others: the disk's signature, and the UUIDs of the file systems."""

    disk: int
    boot: int
    root: UUID

    @property
    def boot_uuid(self) -> str:
        """FAT's 32 bits as everybody writes them, such as 6A17-5510."""
        return f"{self.boot >> 16:04X}-{self.boot & 0xFFFF:04X}"


def new_marks() -> Marks:
    """Such as no other card has."""
    return Marks(
        int.from_bytes(os.urandom(4), "little"),
        int.from_bytes(os.urandom(4), "little"),
        UUID(bytes=os.urandom(16), version=4),
    )


def partition_table(marks: Marks) -> str:
    """The table as sfdisk(8) reads it. The first partition is the one that U-Boot looks at."""
    boot, root, end = BOOT_AT // SECTOR, ROOT_AT // SECTOR, SIZE // SECTOR
    return (
        f"label: dos\nlabel-id: {marks.disk:#010x}\nunit: sectors\n\n"
        f"start={boot}, size={root - boot}, type=e, bootable\nstart={root}, size={end - root}, type=83\n"
    )


def make_card(board: Board, target: Path, *, force: bool = False, say: Say = lambda line: None) -> None:
    """Write the image of a card for the board to `target`, as a sparse file, and say what is being done.

    Raises ConfigError for a board for which there is none, or a target that is no file, ResourceBusy for a file that is
    there (without `force`), HostError for a program that is missing or a target that cannot be written, and
    ArtifactError if something cannot be built.
    """
    card = _card_of(board)
    _check_target(target, force)
    for program in _PACKAGES:
        _find(program)
    parts = artifacts.build(card.recipe, say)
    bindings = artifacts.build(f"xen-bindings@{board.architecture}", say)
    hello = artifacts.build(f"hello-arm@{board.architecture}", say)
    tree = artifacts.build("jitsu-tree", say)
    marks = new_marks()
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as folder:
            work = Path(folder)
            image = work / "image"
            say("the partition table, and U-Boot before the first partition")
            _begin(image, parts / "u-boot", card, marks)
            say(f"the first partition: Xen, dom0's kernel, jitsu.toml; {(ROOT_AT - BOOT_AT) // MIB} MiB")
            _fill_boot(image, parts, hello / "hello.bin", board, marks, work)
            say(f"the second partition: dom0's root, with jitsu; {(SIZE - ROOT_AT) // MIB} MiB")
            _fill_root(image, parts / "root", bindings, tree / "jitsu.tar.gz", marks, work)
            image.rename(target)
    except OSError as error:
        raise HostError(
            f"{target} cannot be written: {error.strerror}", hint="name a file in a folder of yours that has room"
        ) from error


def _card_of(board: Board) -> Card:
    if board.card is not None:
        return board.card
    if board.lacking:
        raise ConfigError(f"no SD card is made for {board.name}: {board.lacking}", hint="boards/README.md says more")
    if board.emulated:
        raise ConfigError(
            f"no SD card is made for {board.name}: it is emulated", hint=f"start it with: jitsu board boot {board.name}"
        )
    raise ConfigError(
        f"no SD card is made for {board.name}: it has a disk and a system of its own", hint="install jitsu there"
    )


def _check_target(target: Path, force: bool) -> None:
    if target.is_block_device():
        raise ConfigError(
            f"{target} is a device, and a wrong one would lose what is on it: only files are written",
            hint=f"write a file, and copy that when you are sure: dd if=FILE of={target} bs=4M conv=fsync",
        )
    if target.exists() and not target.is_file():
        raise ConfigError(f"{target} is no file", hint="name the file that is to be made")
    if target.exists() and not force:
        raise ResourceBusy(f"{target} is there already", hint="name another file, or replace it with --force")
    if not target.parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent}", hint="make it, or name a file in another one")


def _begin(image: Path, u_boot: Path, card: Card, marks: Marks) -> None:
    """An empty card with the table and U-Boot."""
    loader = u_boot.read_bytes()
    if card.u_boot_at < SECTOR or card.u_boot_at + len(loader) > BOOT_AT:
        raise ArtifactError(
            f"U-Boot has {len(loader)} bytes, and there is no room for them from byte {card.u_boot_at} on",
            hint=f"they lie between the partition table and the first partition, which begins at byte {BOOT_AT}",
        )
    with image.open("wb") as file:
        file.truncate(SIZE)
    _run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(image), said=partition_table(marks))
    with image.open("r+b") as file:
        file.seek(card.u_boot_at)
        file.write(loader)


def _fill_boot(image: Path, parts: Path, hello: Path, board: Board, marks: Marks, work: Path) -> None:
    text, script = work / "boot.cmd", work / "boot.scr"
    text.write_text(boot_script(board, str(marks.root), marks.boot_uuid))
    _run("mkimage", "-A", "arm", "-T", "script", "-C", "none", "-n", board.name, "-d", str(text), str(script))
    partition = work / "boot"
    with partition.open("wb") as empty:
        empty.truncate(ROOT_AT - BOOT_AT)
    _run("mkfs.vfat", "-F", "16", "-n", LABELS[0], "-i", f"{marks.boot:08x}", str(partition))
    files = {
        XEN: parts / "xen",
        KERNEL: parts / "kernel",
        INITRD: parts / "initrd",
        board.device_tree: parts / "device-tree",
        "boot.cmd": text,
        "boot.scr": script,
        "jitsu.toml": parts / "jitsu.toml",
        "hello.bin": hello,
    }
    for name, file in files.items():
        _run("mcopy", "-i", str(partition), str(file), f"::{name}")
    _lay(partition, image, BOOT_AT)


def _lay(partition: Path, image: Path, at: int) -> None:
    """Copy what is no zeros, so that the image stays sparse."""
    with partition.open("rb") as source, image.open("r+b") as file:
        for piece in iter(lambda: source.read(MIB), b""):
            if any(piece):
                file.seek(at)
                file.write(piece)
            at += len(piece)


def _fill_root(image: Path, root: Path, bindings: Path, jitsu: Path, marks: Marks, work: Path) -> None:
    mine = work / "root"
    shutil.copytree(root, mine, symlinks=True)
    _run("tar", "-xzf", str(jitsu), "-C", str(mine / "opt/jitsu"))
    for library in bindings.glob("*.so"):
        shutil.copy(library, mine / "usr/local/lib/python3.11/dist-packages")
    _run(
        *("mke2fs", "-q", "-F", "-t", "ext4", "-L", LABELS[1], "-U", str(marks.root), "-m", "0", "-d", str(mine)),
        *("-E", f"offset={ROOT_AT},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1"),
        *(str(image), f"{(SIZE - ROOT_AT) // 1024}k"),
    )


def _find(program: str) -> str:
    # Where Debian has programs of the administrator's, which may not be in everybody's path.
    found = shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if found is None:
        raise HostError(f"an SD card needs {program}, which is not in PATH", hint=f"apt install {_PACKAGES[program]}")
    return found


def _run(program: str, *arguments: str, said: str = "") -> None:
    ended = subprocess.run(
        [_find(program), *arguments], input=said, capture_output=True, text=True, errors="replace", check=False
    )
    if ended.returncode != 0:
        last = (ended.stderr or ended.stdout).strip().splitlines()[-1:] or ["it said nothing"]
        raise ArtifactError(f"{program} failed: {last[0]}", hint=f"it was: {shlex.join([program, *arguments])}")
