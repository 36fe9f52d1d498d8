"""Debian's own kernel as a domain of a board: what of it is to be brought there, and initrds with another /init."""

from pathlib import Path
from typing import Any

from boards.emulator import EmulatedBoard
from jitsu import artifacts
from tests.hil.hello_guest import ADDRESS

KERNEL, PACKED, INITRD = "/tmp/vmlinux", "/tmp/vmlinuz", "/tmp/initrd"
MEMORY = 128
"""MiB."""

CMDLINE = f"console=hvc0 ip={ADDRESS}/24 gw=10.78.0.1 name=stock"
SPEC: dict[str, Any] = {"service": "stock", "kernel": KERNEL, "initrd": INITRD, "memory": MEMORY, "cmdline": CMDLINE}


def bring(board: EmulatedBoard, *, packed: bool = False, init: Path | None = None) -> None:
    """Put the kernel and its initrd on the board: on x86 the ELF that is in Debian's file, unless that one is wanted
    as it is (`packed`)."""
    architecture = board.board.architecture
    stock = artifacts.build(f"stock-linux-xen@{architecture}", print)
    if packed or architecture != "amd64":
        board.put(stock / "vmlinuz", PACKED if packed else KERNEL)
    else:
        # dom0's own.
        board.put(artifacts.build("dom0@amd64", print) / "kernel", KERNEL)
    initrd = (stock / "initrd").read_bytes()
    # Linux unpacks one archive after the other, and a later file takes an earlier one's place.
    board.put(initrd if init is None else initrd + _archive("init", init.read_bytes()), INITRD)


def _archive(name: str, content: bytes) -> bytes:
    """A cpio archive of one executable file, in the form "newc" (Linux's driver-api/early-userspace/buffer-format)."""
    return _member(name, content, 0o100755) + _member("TRAILER!!!", b"", 0)


def _member(name: str, content: bytes, mode: int) -> bytes:
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
    return _aligned(header) + _aligned(content)


def _aligned(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // 4) * 4, b"\0")
