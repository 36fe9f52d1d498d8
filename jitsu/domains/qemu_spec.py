"""What a QEMU can be asked for, whoever starts it: the driver that does so itself, or libvirt."""

import os

from jitsu.domains.disk_images import DiskImage, examine
from jitsu.domains.driver import DomainSpec
from jitsu.domains.kernel import recognise
from jitsu.domains.qemu_arguments import MIB, machine_for
from jitsu.errors import DomainError

LEAST_MEMORY = 2 * MIB
"""Bytes below which QEMU's microvm does not start a guest at all."""


def check_spec(spec: DomainSpec) -> None:
    """Say what stands against this spec: kernel, machine, initrd, memory or disks. Raises `DomainError`."""
    kernel = recognise(spec.kernel)
    machine_for(spec, kernel)
    if spec.initrd is not None and not os.access(spec.initrd, os.R_OK):
        raise DomainError(
            f"service {spec.service}: initrd {spec.initrd} is missing or cannot be read",
            hint="build it, or mend `initrd` in jitsu.toml",
        )
    if spec.memory < max(LEAST_MEMORY, kernel.end):
        raise DomainError(
            f"service {spec.service}: {spec.memory / MIB:g} MiB of memory are too few",
            hint=f"kernel {spec.kernel} wants {-(-max(LEAST_MEMORY, kernel.end) // MIB)} MiB at the very least",
        )
    host = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if spec.memory > host:
        raise DomainError(
            f"service {spec.service}: {spec.memory // MIB} MiB of memory are more than this host has",
            hint=f"the host has {host // MIB} MiB",
        )
    if "\0" in spec.cmdline:
        raise DomainError(f"service {spec.service}: the command line has a NUL character in it")
    images_of(spec)


def check_saved_disks(spec: DomainSpec) -> None:
    """A saved guest remembers what it read: its disks must be what they were. Raises `DomainError`."""
    for image in images_of(spec):
        if image.device:
            raise DomainError(
                f"service {spec.service}: disk {image.disk.path}: is a block device, and nobody can tell whether it is "
                "what a saved guest remembers",
                hint="use a file, or another mode than snapshot",
            )


def images_of(spec: DomainSpec) -> list[DiskImage]:
    """The images of the spec's disks, as they are now. Raises `DomainError` for one that cannot be a disk."""
    return [examine(spec.service, disk) for disk in spec.disks]
