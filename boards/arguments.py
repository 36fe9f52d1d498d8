"""QEMU's command line for an emulated board, as a pure function.

Options are those of QEMU 7.2. On ARM QEMU's guest loader puts dom0's kernel and initrd into memory and names them in
the device tree as Xen wants them (docs/system/guest-loader.rst, Xen's docs/misc/arm/device-tree/booting.txt); on x86
they are Xen's multiboot modules. Neither needs firmware.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from boards.agent import PORT
from boards.definition import MIB, Board
from jitsu.errors import ConfigError, HostError

PROGRAMS = {
    "armhf": ("qemu-system-arm", "qemu-system-arm"),
    "arm64": ("qemu-system-aarch64", "qemu-system-arm"),
    "amd64": ("qemu-system-x86_64", "qemu-system-x86"),
}
"""QEMU for an architecture, and the Debian package that it is in."""

SNAPSHOT = "booted"
"""The name of the snapshot in a board's disk."""

# In RAM, which begins at 1 GiB. QEMU puts the device tree 128 MiB into it, Xen itself before that.
_INITRD_AT, _KERNEL_AT = 0x47000000, 0x49000000


@dataclass(frozen=True, slots=True)
class Parts:
    """What a board is started with: the image's folder, its own disk, sockets and log, and inherited descriptors.

    `monitor` and `serial` are paths at which QEMU listens; `agent` is a listening socket, `tap` the end of the wire.
    """

    image: Path
    disk: Path
    monitor: Path
    serial: Path
    log: Path
    agent: int
    tap: int


def find_qemu(board: Board) -> str:
    """The path of the QEMU for the board. Raises ConfigError for a real board, HostError if it is not installed."""
    if not board.emulated:
        raise ConfigError(
            f"board {board.name} is a real one", hint="emulated are those that `jitsu board list` shows with a machine"
        )
    program, package = PROGRAMS[board.architecture]
    path = shutil.which(program)
    if path is None:
        raise HostError(f"board {board.name} needs {program}, which is not in PATH", hint=f"apt install {package}")
    return path


def qemu_arguments(qemu: str, board: Board, parts: Parts, xenstored: str, mac: str, *, restored: bool) -> list[str]:
    """The argument vector, program first, of the QEMU that is to be the board.

    `xenstored` is which one dom0 starts. With `restored` the board goes on from the snapshot in its disk, for which all
    else must be as it was. Raises ConfigError for a board that cannot be emulated.
    """
    machine = board.machine
    # virtio devices sit on PCI in a q35, and in virtio-mmio slots in an ARM board.
    bus = "pci" if board.architecture == "amd64" else "device"
    # Translated code is bounded: QEMU would let it grow to 1 GiB, and several boards may run at once.
    arguments = [qemu, "-name", f"guest={board.name}", "-M", machine.emulation, "-accel", "tcg,tb-size=256"]
    arguments += ["-cpu", machine.cpu, "-smp", str(machine.cpus), "-m", f"{machine.memory // MIB}M"]
    arguments += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    arguments += ["-kernel", str(parts.image / "xen"), "-append", board.xen_line()]
    arguments += _modules(board, parts.image, board.dom0_line(xenstored))
    # The image is everybody's. It is named here and not in the disk, so that the cache can be anywhere.
    image = f"driver=raw,node-name=image,read-only=on,file.driver=file,file.filename={_path(parts.image / 'root.ext4')}"
    disk = f"driver=qcow2,node-name=disk,backing=image,file.driver=file,file.filename={_path(parts.disk)}"
    arguments += ["-blockdev", image, "-blockdev", disk, "-device", f"virtio-blk-{bus},drive=disk"]
    arguments += ["-netdev", f"tap,id=wire,fd={parts.tap}"]
    arguments += ["-device", f"virtio-net-{bus},netdev=wire,mac={mac}" + (",romfile=" if bus == "pci" else "")]
    arguments += ["-chardev", f"socket,id=agent,fd={parts.agent},server=on,wait=off"]
    arguments += ["-device", f"virtio-serial-{bus}", "-device", f"virtserialport,chardev=agent,name={PORT}"]
    serial = f"socket,id=serial,path={_path(parts.serial)},server=on,wait=off,logfile={_path(parts.log)}"
    arguments += ["-chardev", serial, "-serial", "chardev:serial"]
    arguments += [
        "-chardev",
        f"socket,id=monitor,path={_path(parts.monitor)},server=on,wait=off",
        "-qmp",
        "chardev:monitor",
    ]
    if machine.counted:
        # 2 ns each, about as a Cortex-A7 at 1 GHz. While the board waits for the host, its clock goes on.
        arguments += ["-icount", "shift=1,sleep=on"]
    if restored:
        arguments += ["-loadvm", SNAPSHOT]
    return arguments


def _modules(board: Board, image: Path, line: str) -> list[str]:
    """dom0's kernel, its command line, and its initrd."""
    kernel, initrd = _path(image / "kernel"), _path(image / "initrd")
    if board.boot == "multiboot":
        # The list is split at commas, and each module from its arguments at the first blank.
        return ["-initrd", f"{kernel} {_comma(line)},{initrd}"]
    return [
        *("-device", f"guest-loader,addr={_KERNEL_AT:#x},kernel={kernel},bootargs={_comma(line)}"),
        *("-device", f"guest-loader,addr={_INITRD_AT:#x},initrd={initrd}"),
    ]


def _path(path: Path) -> str:
    return _comma(str(path))


def _comma(text: str) -> str:
    """Text inside an option: a comma ends it unless it is doubled."""
    return text.replace(",", ",,")
