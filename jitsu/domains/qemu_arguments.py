"""QEMU's command line for a domain, as a pure function, and the identity that a running QEMU carries in it.

Options are those of QEMU 7.2 (`qemu-system-x86_64 -M microvm,help`, docs/system/i386/microvm.rst). Three machines:

    microvm, bare   a unikernel: no firmware tables, no timer chip, no clock; it probes the virtio-mmio slots itself
    microvm, Linux  a vmlinux without ACPI: wants the PIT and the RTC, and its virtio-mmio slots on the command line
    q35             a stock kernel: PCI, ACPI, SeaBIOS; about 60 ms slower to the guest's first instruction
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from jitsu.domains.disk_images import DiskImage
from jitsu.domains.driver import DomainSpec
from jitsu.domains.kernel import Kernel, KernelFormat
from jitsu.errors import DomainError

READY_PORT = "org.jitsu.ready"
"""Name of the virtio-serial port on which a guest says that it listens."""

STORE_PORT = "org.jitsu.xenstore"
"""Name of the virtio-serial port on which a guest speaks to the XenStore."""

MICROVM_BARE = (
    "microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=on,auto-kernel-cmdline=off,x-option-roms=off,"
    "mem-merge=off,dump-guest-core=off"
)
MICROVM_LINUX = (
    "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on,auto-kernel-cmdline=on,x-option-roms=off,"
    "mem-merge=off,dump-guest-core=off"
)
Q35 = "q35,usb=off,sata=off,smbus=off,vmport=off,mem-merge=off,dump-guest-core=off"

ACCELERATORS = {
    "kvm": "kvm",
    # Translated code is bounded: QEMU would let it grow to 1 GiB in a guest that runs for long.
    "tcg": "tcg,tb-size=64",
}

_SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose domain a QEMU process runs: written into `-name`, read back from /proc/PID/cmdline.

    `jitsu/INSTANCE/SERVICE/DOMID/FINGERPRINT`, each part percent-encoded, so that it has neither `/` nor the `,`
    at which QEMU splits an option. A blank monitor has no service yet; once it becomes a domain, whose it is stands in
    the same form in a file beside its sockets.
    """

    instance: str
    service: str
    domid: int
    fingerprint: str

    def encode(self) -> str:
        return "/".join(
            ("jitsu", *(quote(p, safe="") for p in (self.instance, self.service, str(self.domid), self.fingerprint)))
        )

    @classmethod
    def decode(cls, text: str) -> "Identity | None":
        """The identity in `text`, or None where it holds none that `encode` could have written."""
        parts = text.split("/")
        if len(parts) != 5 or parts[0] != "jitsu" or not re.fullmatch(r"[0-9]{1,18}", parts[3]):
            return None
        identity = cls(unquote(parts[1]), unquote(parts[2]), int(parts[3]), unquote(parts[4]))
        return identity if identity.encode() == text else None


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The open files that QEMU inherits under these numbers: listening Unix sockets, and one tap a nic.

    `ready` is None for a guest that does not say `ready`, `store` for one that has no port to the XenStore.
    """

    qmp: int
    ready: int | None = None
    taps: tuple[int, ...] = ()
    store: int | None = None


def machine_for(spec: DomainSpec, kernel: Kernel) -> str:
    """The `-M` argument for this kernel. Raises `DomainError` where the two do not go together."""
    if kernel.format in (KernelFormat.ARM64_IMAGE, KernelFormat.ARM_ZIMAGE):
        raise DomainError(
            f"service {spec.service}: kernel {kernel.path} is an {kernel.format}, and this driver builds x86 domains",
            hint="build the guest for x86, or use an ARM board with the xen driver",
        )
    if kernel.format is KernelFormat.PV_ELF:
        raise DomainError(
            f"service {spec.service}: kernel {kernel.path} is an {kernel.format}, which Xen alone can start",
            hint="use the xen driver, or a kernel with a PVH entry (Linux: CONFIG_PVH=y)",
        )
    if spec.machine == "q35" or (not spec.machine and kernel.format is KernelFormat.BZIMAGE):
        return Q35
    if spec.machine not in ("", "microvm"):
        raise DomainError(
            f"service {spec.service}: no machine is called {spec.machine!r}",
            hint="say microvm, q35, or leave it out; pvh and pv are the xen driver's",
        )
    return MICROVM_BARE if kernel.format is KernelFormat.PVH_ELF else MICROVM_LINUX


def qemu_arguments(
    qemu: str,
    spec: DomainSpec,
    kernel: Kernel,
    instance: str,
    accelerator: str,
    fds: Descriptors,
    console: str,
    *,
    images: Sequence[DiskImage] = (),
    paused: bool = False,
    attended: bool = False,
    incoming: bool = False,
) -> list[str]:
    """The argument vector, program first, of the QEMU that is to run `spec`.

    `accelerator` is `kvm` or `tcg`. `console` is the path of its two pipes without `.in` and `.out`. `images` are the
    spec's disks as they were found. With `paused` the guest does not run before a `cont` by QMP. With `attended`
    somebody has connected to the ready port already: QEMU takes that connection before it starts the guest; without, it
    drops what is said while nobody listens.
    With `incoming` QEMU waits for a guest's saved state. What a microvm boots is part of that state, so it is not told
    a kernel; a q35 has firmware tables and option ROMs that depend on it.
    Raises `DomainError` as `machine_for` does.
    """
    machine = machine_for(spec, kernel)
    # virtio devices sit on PCI in a q35 and in virtio-mmio slots in a microvm.
    bus = "pci" if machine is Q35 else "device"
    identity = Identity(instance, spec.service, spec.domid, spec.fingerprint)
    arguments = [qemu, "-name", f"guest={identity.encode()}", "-M", machine]
    arguments += ["-accel", ACCELERATORS[accelerator], "-cpu", "max", "-smp", str(spec.vcpus)]
    arguments += ["-m", f"{-(-spec.memory // MIB)}M"]
    arguments += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-sandbox", _SANDBOX]
    if not incoming or machine is Q35:
        arguments += ["-kernel", str(spec.kernel), "-append", spec.cmdline]
        if spec.initrd is not None:
            arguments += ["-initrd", str(spec.initrd)]
    if bus == "device":
        arguments += ["-global", "virtio-mmio.force-legacy=false"]
    arguments += ["-chardev", f"socket,id=qmp,fd={fds.qmp},server=on,wait=off", "-qmp", "chardev:qmp"]
    # A comma ends the path unless it is doubled.
    arguments += ["-chardev", "pipe,id=console,path=" + str(console).replace(",", ",,"), "-serial", "chardev:console"]
    for index, tap in enumerate(fds.taps):
        # No offloads to turn off: a plain tap (no IFF_VNET_HDR) makes QEMU withdraw them all from the guest.
        nic = f"virtio-net-{bus},netdev=net{index},mac={nic_mac(spec.mac, index)}"
        # An empty romfile keeps SeaBIOS from loading a network boot ROM.
        nic += ",romfile=" if bus == "pci" else ""
        arguments += ["-netdev", f"tap,id=net{index},fd={tap}", "-device", nic]
    arguments += _ports(bus, fds, attended=attended)
    arguments += _disks(bus, images)
    if paused:
        arguments.append("-S")
    if incoming:
        arguments += ["-incoming", "defer"]
    return arguments


def _ports(bus: str, fds: Descriptors, *, attended: bool) -> Iterator[str]:
    """The virtio-serial device, if the guest has any port. QEMU keeps the device's first port for a console."""
    ports = [
        (f"virtserialport,chardev={name},name={port}", f"socket,id={name},fd={fd},server=on,wait={wait}")
        # The store's server comes when it is told of the domain, and it may be away: nobody waits for it.
        for name, port, fd, wait in (
            ("ready", READY_PORT, fds.ready, "on" if attended else "off"),
            ("store", STORE_PORT, fds.store, "off"),
        )
        if fd is not None
    ]
    for _, stream in ports:
        yield from ("-chardev", stream)
    if ports:
        yield from ("-device", f"virtio-serial-{bus},max_ports={1 + len(ports)}")
    for port, _ in ports:
        yield from ("-device", port)


def _disks(bus: str, images: Sequence[DiskImage]) -> Iterator[str]:
    """The disks. All guests that read an image share what the host has of it in memory: no caching of QEMU's, and the
    host's is not passed by. QEMU's locks keep out who writes what others have, us or not (fcntl(2), open file
    description locks); those who read do not mind each other."""
    for index, image in enumerate(images):
        file = {
            "driver": "host_device" if image.device else "file",
            "filename": str(image.disk.path),
            "locking": "on",
        }
        options = {"driver": "raw", "node-name": f"disk{index}", "read-only": not image.disk.writable, "file": file}
        yield from ("-blockdev", json.dumps(options))
        yield from ("-device", f"virtio-blk-{bus},drive=disk{index}")


def nic_mac(first: str, index: int) -> str:
    """The address of nic number `index`: the spec's own for the first, its last octet counted on for the others."""
    head, _, last = first.rpartition(":")
    return f"{head}:{(int(last, 16) + index) % 256:02x}"
