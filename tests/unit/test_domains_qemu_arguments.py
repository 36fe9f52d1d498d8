"""QEMU's command line, word by word, and the identity in it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.config import Disk
from jitsu.domains.disk_images import DiskImage
from jitsu.domains.driver import DomainSpec
from jitsu.domains.kernel import Kernel, KernelFormat
from jitsu.domains.qemu_arguments import Descriptors, Identity, machine_for, qemu_arguments
from jitsu.errors import DomainError

CONSOLE = Path("/run/a,b/12.console.hello")
QEMU = "/usr/bin/qemu-system-x86_64"
SPEC = DomainSpec(
    service="hello",
    domid=12,
    kernel=Path("/srv/hello.elf"),
    memory=16 << 20,
    cmdline="name=hello ip=10.0.9.2/24 gw=10.0.9.1",
    mac="52:54:00:00:09:02",
    fingerprint="a1b2c3",
)


def kernel(format_: KernelFormat) -> Kernel:
    return Kernel(SPEC.kernel, format_, 0)


def test_unikernel() -> None:
    fds = Descriptors(qmp=7, ready=9, taps=(10,))
    arguments = qemu_arguments(QEMU, SPEC, kernel(KernelFormat.PVH_ELF), "edge", "tcg", fds, CONSOLE, attended=True)
    assert arguments == [
        *(QEMU, "-name", "guest=jitsu/edge/hello/12/a1b2c3"),
        "-M",
        "microvm,acpi=off,pit=off,pic=off,rtc=off,isa-serial=on,auto-kernel-cmdline=off,x-option-roms=off,"
        "mem-merge=off,dump-guest-core=off",
        *("-accel", "tcg,tb-size=64", "-cpu", "max", "-smp", "1", "-m", "16M"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-kernel", "/srv/hello.elf", "-append", "name=hello ip=10.0.9.2/24 gw=10.0.9.1"),
        *("-global", "virtio-mmio.force-legacy=false"),
        *("-chardev", "socket,id=qmp,fd=7,server=on,wait=off", "-qmp", "chardev:qmp"),
        *("-chardev", "pipe,id=console,path=/run/a,,b/12.console.hello", "-serial", "chardev:console"),
        *("-netdev", "tap,id=net0,fd=10"),
        *("-device", "virtio-net-device,netdev=net0,mac=52:54:00:00:09:02"),
        *("-chardev", "socket,id=ready,fd=9,server=on,wait=on"),
        *("-device", "virtio-serial-device,max_ports=2"),
        *("-device", "virtserialport,chardev=ready,name=org.jitsu.ready"),
    ]


def test_a_port_to_the_store_is_one_port_more_and_nobody_is_waited_for() -> None:
    def ports(descriptors: Descriptors) -> list[str]:
        arguments = qemu_arguments(
            QEMU, SPEC, kernel(KernelFormat.PVH_ELF), "edge", "tcg", descriptors, str(CONSOLE), attended=True
        )
        return arguments[arguments.index("chardev:console") + 1 :]

    assert ports(Descriptors(7)) == []
    assert ports(Descriptors(7, 8, store=9)) == [
        *("-chardev", "socket,id=ready,fd=8,server=on,wait=on", "-chardev", "socket,id=store,fd=9,server=on,wait=off"),
        *("-device", "virtio-serial-device,max_ports=3"),
        *("-device", "virtserialport,chardev=ready,name=org.jitsu.ready"),
        *("-device", "virtserialport,chardev=store,name=org.jitsu.xenstore"),
    ]
    assert ports(Descriptors(7, store=9)) == [
        *("-chardev", "socket,id=store,fd=9,server=on,wait=off"),
        *("-device", "virtio-serial-device,max_ports=2"),
        *("-device", "virtserialport,chardev=store,name=org.jitsu.xenstore"),
    ]


def test_disks_are_in_their_order_with_whatever_is_in_a_path() -> None:
    images = [
        DiskImage(Disk(Path('/srv/a, "b".img')), 512, False, (1, 1)),
        DiskImage(Disk(Path("/dev/vg/c"), writable=True), 512, True, (0, 2)),
    ]

    def disks(form: KernelFormat) -> list[str]:
        arguments = qemu_arguments(
            QEMU, SPEC, kernel(form), "edge", "tcg", Descriptors(7), str(CONSOLE), images=images, paused=True
        )
        return arguments[arguments.index("chardev:console") + 1 : -1]

    first, first_device, second, second_device = disks(KernelFormat.PVH_ELF)[1::2]
    assert json.loads(first) == {
        "driver": "raw",
        "node-name": "disk0",
        "read-only": True,
        "file": {"driver": "file", "filename": '/srv/a, "b".img', "locking": "on"},
    }
    assert json.loads(second) == {
        "driver": "raw",
        "node-name": "disk1",
        "read-only": False,
        "file": {"driver": "host_device", "filename": "/dev/vg/c", "locking": "on"},
    }
    assert (first_device, second_device) == ("virtio-blk-device,drive=disk0", "virtio-blk-device,drive=disk1")
    assert disks(KernelFormat.BZIMAGE)[3::4] == ["virtio-blk-pci,drive=disk0", "virtio-blk-pci,drive=disk1"]


def test_stock_linux() -> None:
    spec = replace(SPEC, memory=(256 << 20) + 1, vcpus=2, initrd=Path("/srv/initrd"), cmdline="console=ttyS0")
    fds = Descriptors(qmp=7, taps=(10, 11))
    arguments = qemu_arguments(QEMU, spec, kernel(KernelFormat.BZIMAGE), "edge", "kvm", fds, CONSOLE, paused=True)
    assert arguments == [
        *(QEMU, "-name", "guest=jitsu/edge/hello/12/a1b2c3"),
        *("-M", "q35,usb=off,sata=off,smbus=off,vmport=off,mem-merge=off,dump-guest-core=off"),
        *("-accel", "kvm", "-cpu", "max", "-smp", "2", "-m", "257M"),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-kernel", "/srv/hello.elf", "-append", "console=ttyS0", "-initrd", "/srv/initrd"),
        *("-chardev", "socket,id=qmp,fd=7,server=on,wait=off", "-qmp", "chardev:qmp"),
        *("-chardev", "pipe,id=console,path=/run/a,,b/12.console.hello", "-serial", "chardev:console"),
        *("-netdev", "tap,id=net0,fd=10"),
        *("-device", "virtio-net-pci,netdev=net0,mac=52:54:00:00:09:02,romfile="),
        *("-netdev", "tap,id=net1,fd=11"),
        *("-device", "virtio-net-pci,netdev=net1,mac=52:54:00:00:09:03,romfile="),
        "-S",
    ]


@pytest.mark.parametrize(
    ("format_", "machine", "starts"),
    [
        (KernelFormat.PVH_ELF, "", "microvm,acpi=off,pit=off"),
        (KernelFormat.PVH_ELF, "q35", "q35,"),
        (KernelFormat.VMLINUX, "", "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on,auto-kernel-cmdline=on"),
        (KernelFormat.VMLINUX, "q35", "q35,"),
        (KernelFormat.BZIMAGE, "", "q35,"),
        (KernelFormat.BZIMAGE, "microvm", "microvm,acpi=off,pit=on"),
    ],
)
def test_machine(format_: KernelFormat, machine: str, starts: str) -> None:
    assert machine_for(replace(SPEC, machine=machine), kernel(format_)).startswith(starts)


def test_machines_that_do_not_fit() -> None:
    with pytest.raises(DomainError) as caught:
        machine_for(SPEC, kernel(KernelFormat.ARM64_IMAGE))
    assert caught.value.message == (
        "service hello: kernel /srv/hello.elf is an arm64 Image, and this driver builds x86 domains"
    )
    with pytest.raises(DomainError) as caught:
        machine_for(replace(SPEC, machine="pc,accel=kvm"), kernel(KernelFormat.PVH_ELF))
    assert caught.value.message == "service hello: no machine is called 'pc,accel=kvm'"
    with pytest.raises(DomainError) as caught:
        machine_for(SPEC, kernel(KernelFormat.PV_ELF))
    assert caught.value.message == (
        "service hello: kernel /srv/hello.elf is an x86 ELF with a PV entry, which Xen alone can start"
    )


@pytest.mark.parametrize(
    "identity",
    [
        Identity("default", "hello", 1, ""),
        Identity("a/b,c=d", "web-1", 4_294_967_296, "sha256:äß%2f/, "),
        Identity("", "x" * 63, 0, "../.."),
    ],
)
def test_an_identity_comes_back_and_is_no_option(identity: Identity) -> None:
    text = identity.encode()
    assert Identity.decode(text) == identity
    assert text.isascii()
    assert "," not in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jitsu",
        "jitsu/a/b/1",
        "jitsu/a/b/1/f/g",
        "jitsu/a/b/x/f",
        "jitsu/a/b/-1/f",
        "jitsu/a/b/01/f",
        "jitsu/a/b/\u0661/f",
        "jitsu/%61/b/1/f",
        "libvirt/a/b/1/f",
        "jitsu/a/b/1/f,debug-threads=on",
        f"jitsu/a/b/{'9' * 5000}/f",
    ],
)
def test_what_encode_did_not_write_is_no_identity(text: str) -> None:
    assert Identity.decode(text) is None
