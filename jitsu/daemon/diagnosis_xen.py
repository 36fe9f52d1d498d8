"""What the doctor looks for in dom0, where the driver `xen` is to build domains."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from jitsu.config import Config
from jitsu.daemon.drivers import machines_store
from jitsu.daemon.finding import Finding, checked
from jitsu.domains.xen_host import RELEASE, Room, room
from jitsu.xenstore.client import StoreClient, default_socket

_HYPERVISOR = Path("/sys/hypervisor")
_NETBACK = Path("/sys/module/xen_netback")
_PROC = Path("/proc")

_GUESTS_LOGGED = ("--log=guest", "--log=all")
_MIB = 1 << 20


def diagnose_xen(config: Config) -> Iterator[Finding]:
    """Is this dom0 of a Xen that we can use, with all of its daemons?"""
    yield _hypervisor()
    yield checked("xen memory", lambda: _memory(room(config.daemon.instance), config.limits.memory))
    yield checked("xenstored", lambda: _xenstored(machines_store(config) or default_socket()))
    yield _xenconsoled()
    yield _netback()


def _hypervisor() -> Finding:
    try:
        kind = (_HYPERVISOR / "type").read_text().strip()
        major, minor = ((_HYPERVISOR / "version" / word).read_text().strip() for word in ("major", "minor"))
    except OSError:
        kind = major = minor = ""
    if kind != "xen":
        cure = 'boot Linux as dom0 of Xen, or have guests run on QEMU: [daemon] driver = "qemu"'
        return Finding("hypervisor", "bad", "Linux does not run on Xen here", cure)
    if f"{major}.{minor}" != RELEASE:
        cure = f"install Debian's Xen {RELEASE}, for which the module jitsu_xen is made"
        return Finding("hypervisor", "bad", f"Xen {major}.{minor} is not the one that we know", cure)
    return Finding("hypervisor", "ok", f"Xen {major}.{minor}")


def _memory(room: Room, limit: int) -> Finding:
    """Is there as much as guests may have?"""
    there = room.free + room.ours
    if there < limit:
        message = f"guests may have {limit // _MIB} MiB, and Xen has {there // _MIB} for them"
        return Finding("xen memory", "note", message, "lower [limits] memory, or give dom0 less: dom0_mem= of Xen")
    return Finding("xen memory", "ok", f"{room.free // _MIB} MiB are free")


def _xenstored(path: Path) -> Finding:
    async def ask() -> None:
        async with await StoreClient.connect(path) as client:
            await client.domain_path(0)

    asyncio.run(ask())
    return Finding("xenstored", "ok", f"one answers on {path}")


def _xenconsoled() -> Finding:
    for directory in _PROC.iterdir():
        try:
            if not directory.name.isdecimal() or (directory / "comm").read_text() != "xenconsoled\n":
                continue
            words = (directory / "cmdline").read_text().split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(word in _GUESTS_LOGGED for word in words):
            message = "it writes all that guests print to /var/log/xen/console as well, without bound"
            return Finding("xenconsoled", "note", message, "start it without --log=guest: jitsu logs has the newest")
        return Finding("xenconsoled", "ok", f"process {directory.name} has the guests' consoles")
    cure = "start it: systemctl start xen; what guests print is lost until then"
    return Finding("xenconsoled", "bad", "there is none", cure)


def _netback() -> Finding:
    if not _NETBACK.is_dir():
        return Finding("netback", "bad", "dom0's kernel makes no interfaces for guests", "modprobe xen-netback")
    return Finding("netback", "ok", "xen-netback is loaded")
