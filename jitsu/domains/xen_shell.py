"""Domains of Xen as libxenctrl and libxenguest make them: a shell first, then what is in it.

Every function here runs in a thread, with that thread's handle. The order of calls is libxl's (tools/libs/light/
libxl_create.c, libxl_dom.c, Xen 4.17). Memory is left as it is where a call fails halfway: ending the shell frees all.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from jitsu.domains.driver import DomainSpec
from jitsu.domains.kernel import Kernel, KernelFormat, recognise
from jitsu.domains.xen_acpi import acpi_tables
from jitsu.domains.xen_bindings import PAGE, Xen
from jitsu.domains.xen_devicetree import LARGEST_BANK, RAM_BASE, SEED_BYTES, Machine, device_tree
from jitsu.domains.xen_keys import Ring
from jitsu.errors import DomainError

MIB = 1 << 20

Stage = Callable[[str], AbstractContextManager[None]]
"""Times a block under a name."""


class Kind(StrEnum):
    """What a domain is to Xen."""

    ARM = "arm"
    PVH = "pvh"
    PV = "pv"


SLACK_KIB = 1024
"""Beside the guest's memory: pages that it shares with dom0's daemons."""

_FLAGS = {Kind.ARM: 3, Kind.PVH: 3, Kind.PV: 0}
"""XEN_DOMCTL_CDF_hvm and _hap: what ARM wants too."""
_GRANTS_V1 = 1
_MOST_EVENT_CHANNELS = 1023
_XENS_DEFAULT = -1
_EMULATED_LAPIC = 1
_GIC_VERSIONS = {1: 2, 2: 3}
"""XEN_DOMCTL_CONFIG_GIC_V2 and _V3, which Xen writes in the place of 0, the native one."""

_CALLBACK_IRQ, _CALLBACK_PPI = 0, 2 << 56 | 2 << 8 | 31
"""HVM_PARAM_CALLBACK_IRQ (xen/include/public/hvm/params.h): the PPI of the device tree, level, low."""

FORETOLD = {Kind.ARM: (0x39000, 0x39001), Kind.PVH: (0xFEFFF, 0xFEFFC)}
"""Frames of console and store, which are the same for every guest: GUEST_MAGIC_BASE of xen/include/public/arch-arm.h,
and special pages 7 and 4 below X86_HVM_END_SPECIAL_REGION of xenguest.h. A PV guest's are frames of the machine."""

_SPECIAL_PAGES, _SPECIAL_SIZE = 0xFEFF8000, 0x8000
_MMIO_START, _MMIO_SIZE = 0xFC000000, 0x4000000
_ACPI_TABLES = _MMIO_START
_E820_RAM, _E820_RESERVED, _E820_ACPI = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Shell:
    """A domain that exists and is empty: Xen's number of it, its handle, and its two event channels. `gic` is the
    version of the interrupt controller that Xen gave an ARM domain: the machine's own."""

    number: int
    kind: Kind
    uuid: str
    console_port: int
    store_port: int
    gic: int = 0


@dataclass(frozen=True, slots=True)
class Frames:
    """The pages that the guest shares with xenconsoled and xenstored."""

    console: Ring
    store: Ring


def foretold(shell: Shell) -> Frames | None:
    """Where the rings are going to be; None where only the finished image tells."""
    if shell.kind not in FORETOLD:
        return None
    console, store = FORETOLD[shell.kind]
    return Frames(Ring(console, shell.console_port), Ring(store, shell.store_port))


def mark_of(instance: str) -> bytes:
    """What the uuids of an instance's domains begin with: by it even one is found that has no nodes yet."""
    return sha256(f"jitsu {instance}".encode()).digest()[:8]


def make_shell(xen: Xen, spec: DomainSpec, kind: Kind, mark: bytes) -> Shell:
    """A new domain of the spec's domid, empty and paused. Raises `DomainError`; nothing is left then."""
    ffi = xen.ffi
    identity = mark + os.urandom(8)
    config = ffi.new("struct xen_domctl_createdomain *")
    config.handle = identity
    config.flags = _FLAGS[kind]
    config.max_vcpus = spec.vcpus
    config.max_evtchn_port = _MOST_EVENT_CHANNELS
    config.max_grant_frames = config.max_maptrack_frames = _XENS_DEFAULT
    config.grant_opts = _GRANTS_V1
    if kind is Kind.PVH:
        config.arch.emulation_flags = _EMULATED_LAPIC
    number = spec.domid
    if exists(xen, number):
        raise DomainError(
            f"there is a domain {number} already, and another toolstack made it", hint="try again: see xl list"
        )
    xen.call("xc_domain_create", ffi.new("uint32_t *", number), config)
    try:
        xen.call("xc_domain_max_vcpus", number, spec.vcpus)
        xen.call("xc_domain_setmaxmem", number, spec.memory // 1024 + SLACK_KIB)
        store = xen.call("xc_evtchn_alloc_unbound", number, 0)
        console = xen.call("xc_evtchn_alloc_unbound", number, 0)
    except DomainError:
        xen.call("xc_domain_destroy", number)
        raise
    gic = _GIC_VERSIONS[config.arch.gic_version] if kind is Kind.ARM else 0
    return Shell(number, kind, identity.hex(), console, store, gic)


def fill(xen: Xen, shell: Shell, spec: DomainSpec, stage: Stage) -> Frames:
    """Give the domain its memory, kernel and first processor's state. Raises `DomainError`."""
    image = xen.image("" if shell.kind is Kind.ARM else spec.cmdline)
    try:
        return _filled(xen, image, shell, spec, stage)
    finally:
        xen.lib.xc_dom_release(image)


def _filled(xen: Xen, image: Any, shell: Shell, spec: DomainSpec, stage: Stage) -> Frames:
    lib, mib = xen.lib, spec.memory // MIB
    image.container_type = lib.XC_DOM_PV_CONTAINER if shell.kind is Kind.PV else lib.XC_DOM_HVM_CONTAINER
    image.flags = 0
    image.console_evtchn, image.xenstore_evtchn = shell.console_port, shell.store_port
    image.max_vcpus = spec.vcpus
    image.target_pages = spec.memory // PAGE
    if shell.kind is Kind.PVH:
        image.mmio_start, image.mmio_size = _MMIO_START, _MMIO_SIZE
        image.lowmem_end = spec.memory
    with stage("kernel"):
        xen.image_call("xc_dom_kernel_file", image, os.fsencode(spec.kernel))
        if spec.initrd is not None:
            xen.image_call("xc_dom_module_file", image, os.fsencode(spec.initrd), xen.ffi.NULL)
        xen.image_call("xc_dom_boot_xen_init", image, xen.handle, shell.number)
        if shell.kind is Kind.ARM:
            xen.image_call("xc_dom_rambase_init", image, RAM_BASE)
        xen.image_call("xc_dom_parse_image", image)
    # The library keeps pointers to these.
    tree = _Tree(xen, image, shell, spec) if shell.kind is Kind.ARM else None
    if tree is not None:
        xen.call("xc_hvm_param_set", shell.number, _CALLBACK_IRQ, _CALLBACK_PPI)
    with stage("memory"):
        if shell.kind is Kind.PV:
            xen.call("xc_domain_set_memmap_limit", shell.number, spec.memory // 1024)
        else:
            # A page for each MiB is twice what its page tables take. On ARM nothing else is paid from it but tables for
            # what the guest maps of others; the 256 for each processor, which libxl reserves there too, are x86's.
            pages = mib + (128 if shell.kind is Kind.ARM else 256 * spec.vcpus)
            xen.call("xc_set_paging_mempool_size", shell.number, pages * PAGE)
        xen.image_call("xc_dom_mem_init", image, mib)
        xen.image_call("xc_dom_boot_mem_init", image)
    if tree is not None:
        tree.complete(image)
    kept = _described(xen, image, shell, spec) if shell.kind is Kind.PVH else None
    with stage("load"):
        xen.image_call("xc_dom_build_image", image)
        xen.image_call("xc_dom_boot_image", image)
        xen.image_call("xc_dom_gnttab_init", image)
    del kept
    console, store = (lib.xc_dom_p2m(image, page) for page in (image.console_pfn, image.xenstore_pfn))
    return Frames(Ring(console, shell.console_port), Ring(store, shell.store_port))


class _Tree:
    """The device tree of an image. Where the initrd lies shows once there is memory; the length is the same."""

    def __init__(self, xen: Xen, image: Any, shell: Shell, spec: DomainSpec) -> None:
        self._spec, self._gic = spec, shell.gic
        self._seed = os.urandom(SEED_BYTES)
        self._ffi = xen.ffi
        text = self._text((0, 0))
        self._buffer = xen.ffi.new("char[]", text)
        xen.image_call("xc_dom_devicetree_mem", image, self._buffer, len(text))

    def complete(self, image: Any) -> None:
        if self._spec.initrd is not None:
            segment = image.modules[0].seg
            text = self._text((segment.vstart, segment.vend))
            self._ffi.memmove(self._buffer, text, len(text))

    def _text(self, initrd: tuple[int, int]) -> bytes:
        spec = self._spec
        wide = recognise(spec.kernel).format is KernelFormat.ARM64_IMAGE
        place = initrd if spec.initrd is not None else None
        return device_tree(Machine(spec.memory, spec.cmdline, self._seed, spec.vcpus, wide, self._gic, place))


def _described(xen: Xen, image: Any, shell: Shell, spec: DomainSpec) -> tuple[Any, Any]:
    """Tell a PVH guest of its memory and processors; gives what the image points to."""
    text = acpi_tables(_ACPI_TABLES, spec.vcpus)
    tables = xen.ffi.new("uint8_t[]", text)
    module = image.acpi_modules[0]
    module.data, module.length, module.guest_addr_out = tables, len(text), _ACPI_TABLES
    areas = (
        (0, spec.memory, _E820_RAM),
        (_ACPI_TABLES, PAGE, _E820_ACPI),
        (_SPECIAL_PAGES, _SPECIAL_SIZE, _E820_RESERVED),
    )
    entries = xen.ffi.new("struct e820entry[]", len(areas))
    for entry, (address, size, type_) in zip(entries, areas, strict=True):
        entry.addr, entry.size, entry.type = address, size, type_
    xen.call("xc_domain_set_memory_map", shell.number, entries, len(areas))
    xen.lib.set_e820(image, entries, len(areas))
    return tables, entries


_KINDS = {
    ("x86_64", KernelFormat.PVH_ELF): Kind.PVH,
    ("x86_64", KernelFormat.VMLINUX): Kind.PVH,
    ("x86_64", KernelFormat.BZIMAGE): Kind.PVH,
    ("x86_64", KernelFormat.PV_ELF): Kind.PV,
    ("armv7l", KernelFormat.ARM_ZIMAGE): Kind.ARM,
    ("armv8l", KernelFormat.ARM_ZIMAGE): Kind.ARM,
    ("aarch64", KernelFormat.ARM_ZIMAGE): Kind.ARM,
    ("aarch64", KernelFormat.ARM64_IMAGE): Kind.ARM,
}
"""By the kind of machine and the kernel's format. libxenguest unpacks a bzImage, and looks only then what is in it."""

_LARGEST = {Kind.ARM: LARGEST_BANK, Kind.PVH: _MMIO_START, Kind.PV: 512 << 30}
SMALLEST = 3 * MIB
"""Bytes: with 2 MiB an ARM guest's device tree finds no room."""


def kind_of(spec: DomainSpec, machine: str) -> Kind:
    """What a domain by this spec is on a machine of that kind (`uname -m`). Raises `DomainError` if it cannot be."""
    kernel = recognise(spec.kernel)
    kind = _KINDS.get((machine, kernel.format))
    if kind is None:
        raise DomainError(
            f"service {spec.service}: kernel {spec.kernel} is an {kernel.format}, which Xen does not start here",
            hint=f"this is {machine}: x86 wants an ELF with a PVH or a PV entry, ARM a zImage or a 64-bit Image",
        )
    if spec.machine:
        kind = _wanted(spec, kernel, kind)
    smallest = max(SMALLEST, kernel.end)
    if not smallest <= spec.memory <= _LARGEST[kind]:
        raise DomainError(
            f"service {spec.service}: {spec.memory / MIB:g} MiB of memory are too "
            + ("few" if spec.memory < smallest else "many"),
            hint=f"between {-(-smallest // MIB)} and {_LARGEST[kind] // MIB} MiB",
        )
    if spec.initrd is not None and not os.access(spec.initrd, os.R_OK):
        raise DomainError(
            f"service {spec.service}: initrd {spec.initrd} is missing or cannot be read",
            hint="build it, or mend `initrd` in jitsu.toml",
        )
    if spec.disks:
        raise DomainError(
            f"service {spec.service}: this driver gives its domains no disks",
            hint="leave out `disks`, or use the qemu or the libvirt driver",
        )
    return kind


def _wanted(spec: DomainSpec, kernel: Kernel, kind: Kind) -> Kind:
    """The kind that the service's `machine` says, where the kernel would be of this one without it."""
    if kind is Kind.ARM or spec.machine not in (Kind.PVH, Kind.PV):
        raise DomainError(
            f"service {spec.service}: there is no machine {spec.machine} on Xen here",
            hint="leave out the line machine" + ("" if kind is Kind.ARM else ", or say pvh or pv"),
        )
    wanted = Kind(spec.machine)
    unknown = kernel.format is KernelFormat.BZIMAGE
    if not unknown and wanted is not kind and not (wanted is Kind.PV and kernel.pv):
        raise DomainError(
            f"service {spec.service}: kernel {kernel.path} is an {kernel.format}, and has no {wanted.upper()} entry",
            hint="leave out the line machine, or use a kernel with one (Linux: CONFIG_PVH=y, CONFIG_XEN_PV=y)",
        )
    return wanted


class State(StrEnum):
    """What a domain does, as far as its end is concerned."""

    ALIVE = "alive"
    SHUT_DOWN = "shut down"
    CRASHED = "crashed"
    DYING = "dying"


_MOST_DOMAINS = 1024
"""Listed at once."""

_DYING, _SHUTDOWN, _PAUSED = 1 << 0, 1 << 2, 1 << 3
_REASON_SHIFT, _REASON_MASK = 16, 255
_CRASH_REASONS = (3, 4)
_REASONS = {0: "powered off", 1: "rebooted", 2: "suspended", 3: "crashed", 4: "ended by its watchdog"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A domain as Xen lists it; `why` says why it ended, in words for people."""

    number: int
    uuid: str
    state: State
    paused: bool
    why: str
    cpu: float
    """Seconds of processor time so far."""
    memory: int
    """Bytes."""


def seen(xen: Xen, first: int, most: int = 1) -> list[Seen]:
    """Domains from number `first` on, in order. Raises `DomainError`."""
    found = xen.ffi.new("xc_domaininfo_t[]", most)
    count = xen.call("xc_domain_getinfolist", first, most, found)
    return [_seen(found[position]) for position in range(count)]


def everything(xen: Xen) -> list[Seen]:
    """All domains of Xen's but the first. Raises `DomainError`."""
    return seen(xen, 1, _MOST_DOMAINS)


def exists(xen: Xen, number: int) -> bool:
    """Is there a domain of that number? Raises `DomainError`."""
    return any(each.number == number for each in seen(xen, number))


def look(xen: Xen, number: int, identity: str) -> Seen | None:
    """The domain of that number and uuid; None when there is none any more."""
    found = seen(xen, number)
    return found[0] if found and (found[0].number, found[0].uuid) == (number, identity) else None


def _seen(info: Any) -> Seen:
    reason = info.flags >> _REASON_SHIFT & _REASON_MASK
    state = State.ALIVE
    if info.flags & _DYING:
        state = State.DYING
    elif info.flags & _SHUTDOWN:
        state = State.CRASHED if reason in _CRASH_REASONS else State.SHUT_DOWN
    why = _REASONS.get(reason, f"ended with reason {reason}") if info.flags & _SHUTDOWN else ""
    memory = info.tot_pages * PAGE
    return Seen(
        info.domain, bytes(info.handle).hex(), state, bool(info.flags & _PAUSED), why, info.cpu_time / 1e9, memory
    )
