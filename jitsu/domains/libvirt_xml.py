"""A domain as libvirt wants it described, as a pure function, and the identity that it carries in its metadata.

The domain gets the machine that the direct driver would give it. Three things libvirt's language has no words for, and
they go straight to QEMU (its namespace for that is documented in docs/drvqemu, "Pass-through of arbitrary qemu
commands"): what a microvm is spared (timer chip, clock, option ROMs), virtio-mmio as the modern device, and a nic whose
tap comes later, as a descriptor. libvirt makes taps itself, or opens those that lie about under a name and then outlive
their guest; it takes no descriptor of one. So the nic hangs on an empty hub, and `plug_commands` are what puts our tap
into the hub, by QEMU's monitor, before the guest runs: the tap is then the monitor's own and dies with it.
"""

import re
from collections.abc import Iterator, Sequence
from string import ascii_lowercase
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from jitsu.domains.disk_images import DiskImage
from jitsu.domains.driver import DomainSpec
from jitsu.domains.kernel import Kernel
from jitsu.domains.qemu_arguments import MIB, READY_PORT, STORE_PORT, Identity, machine_for, nic_mac
from jitsu.domains.qemu_process import DomainFiles

METADATA = "urn:jitsu:domain:1"
"""The namespace of our element in a domain's <metadata>; its text is the identity."""

RESTING = "urn:jitsu:rest:1"
"""The namespace of the element that a domain of ours has once it was paused on purpose."""

_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"

DOMAIN_TYPES = {"kvm": "kvm", "tcg": "qemu"}
"""What libvirt calls the accelerators."""

_TRANSLATED_MIB = 64
"""MiB for translated code: QEMU would let it grow to 1 GiB in a guest that runs for long."""


def domain_name(identity: Identity) -> str:
    """What virsh shows. None of the parts has a dot in it, so no two identities of an instance meet."""
    return f"jitsu.{identity.instance}.{identity.service}.{identity.domid}"


def domain_xml(
    emulator: str,
    spec: DomainSpec,
    kernel: Kernel,
    instance: str,
    accelerator: str,
    files: DomainFiles,
    console: str,
    nics: int,
    images: Sequence[DiskImage] = (),
) -> str:
    """The description of a transient domain that runs `spec` with `nics` network cards.

    `files` says where its ports listen, `console` is the prefix of the console's pipes, `images` are the spec's disks
    as they were found. Raises `DomainError` as `machine_for` does.
    """
    register_namespace("qemu", _QEMU)
    register_namespace("jitsu", METADATA)
    machine, *properties = machine_for(spec, kernel).split(",")
    pci = machine == "q35"
    identity = Identity(instance, spec.service, spec.domid, spec.fingerprint)

    domain = Element("domain", type=DOMAIN_TYPES[accelerator])
    SubElement(domain, "name").text = domain_name(identity)
    SubElement(SubElement(domain, "metadata"), f"{{{METADATA}}}domain").text = identity.encode()
    SubElement(domain, "memory", unit="MiB").text = str(-(-spec.memory // MIB))
    SubElement(domain, "vcpu").text = str(spec.vcpus)
    _system(domain, spec, machine)
    features = SubElement(domain, "features")
    if pci:
        SubElement(features, "acpi")
    if accelerator == "tcg":
        SubElement(SubElement(features, "tcg"), "tb-cache", unit="MiB").text = str(_TRANSLATED_MIB)
    SubElement(domain, "cpu", mode="maximum")
    for occasion in ("on_poweroff", "on_reboot", "on_crash"):
        SubElement(domain, occasion).text = "destroy"
    devices = SubElement(domain, "devices")
    _devices(devices, emulator, spec, files, console, pci=pci)
    _disks(devices, images, pci=pci)
    commandline = SubElement(domain, f"{{{_QEMU}}}commandline")
    for argument in _beyond_libvirt(spec, properties, nics, pci=pci):
        SubElement(commandline, f"{{{_QEMU}}}arg", value=argument)
    indent(domain)
    return tostring(domain, encoding="unicode") + "\n"


def plug_commands(nic: int, descriptor: str) -> tuple[dict[str, Any], ...]:
    """The QMP commands that connect a nic to a tap. The first must carry the tap's descriptor; QEMU keeps it under the
    name `descriptor` until the second takes it."""
    return (
        {"execute": "getfd", "arguments": {"fdname": descriptor}},
        {"execute": "netdev_add", "arguments": {"type": "tap", "id": f"tap{nic}", "fd": descriptor}},
        {
            "execute": "netdev_add",
            "arguments": {"type": "hubport", "id": f"plug{nic}", "hubid": nic, "netdev": f"tap{nic}"},
        },
    )


def identity_in(metadata: str) -> Identity | None:
    """The identity in our element, as libvirt gives it back, or None where it holds none that is ours."""
    found = re.search(r">([^<>]*)</", metadata)
    return Identity.decode(found[1].strip()) if found is not None else None


def _system(domain: Element, spec: DomainSpec, machine: str) -> None:
    system = SubElement(domain, "os")
    SubElement(system, "type", arch="x86_64", machine=machine).text = "hvm"
    SubElement(system, "kernel").text = str(spec.kernel)
    if spec.initrd is not None:
        SubElement(system, "initrd").text = str(spec.initrd)
    SubElement(system, "cmdline").text = spec.cmdline


def _devices(devices: Element, emulator: str, spec: DomainSpec, files: DomainFiles, console: str, *, pci: bool) -> None:
    """The console, the ports, and none of what libvirt would add by itself."""
    SubElement(devices, "emulator").text = emulator
    SubElement(devices, "controller", type="usb", model="none")
    serial = SubElement(devices, "serial", type="pipe")
    SubElement(serial, "source", path=str(console))
    SubElement(serial, "target", type="isa-serial", port="0")
    wanted = ((READY_PORT, files.ready, spec.tells_ready), (STORE_PORT, files.store, spec.store_port))
    ports = [(name, path) for name, path, has in wanted if has]
    if ports:
        # The device's first port is kept for a console.
        controller = SubElement(devices, "controller", type="virtio-serial", index="0", ports=str(1 + len(ports)))
        if pci:
            # On the root bus: where libvirt chooses, it adds a bridge for hot plugging.
            SubElement(controller, "address", type="pci", domain="0", bus="0", slot="2", function="0")
        else:
            SubElement(controller, "address", type="virtio-mmio")
    for number, (name, path) in enumerate(ports, start=1):
        channel = SubElement(devices, "channel", type="unix")
        SubElement(channel, "source", mode="bind", path=path)
        SubElement(channel, "target", type="virtio", name=name)
        SubElement(channel, "address", type="virtio-serial", controller="0", bus="0", port=str(number))
    SubElement(devices, "memballoon", model="none")


def _disks(devices: Element, images: Sequence[DiskImage], *, pci: bool) -> None:
    for index, image in enumerate(images):
        kind, source = ("block", "dev") if image.device else ("file", "file")
        disk = SubElement(devices, "disk", type=kind, device="disk")
        SubElement(disk, "driver", name="qemu", type="raw")
        SubElement(disk, "source", {source: str(image.disk.path)})
        SubElement(disk, "target", dev=f"vd{ascii_lowercase[index]}", bus="virtio")
        if not image.disk.writable:
            SubElement(disk, "readonly")
        if pci:
            # Behind the ports, on the root bus.
            SubElement(disk, "address", type="pci", domain="0", bus="0", slot=str(3 + index), function="0")
        else:
            SubElement(disk, "address", type="virtio-mmio")


def _beyond_libvirt(spec: DomainSpec, properties: list[str], nics: int, *, pci: bool) -> Iterator[str]:
    yield from ("-machine", ",".join(properties))
    if not pci:
        yield from ("-global", "virtio-mmio.force-legacy=false")
    bus, rom = ("pci", ",romfile=") if pci else ("device", "")
    for nic in range(nics):
        yield from ("-netdev", f"hubport,id=net{nic},hubid={nic}")
        yield from ("-device", f"virtio-net-{bus},netdev=net{nic},mac={nic_mac(spec.mac, nic)}{rom}")
