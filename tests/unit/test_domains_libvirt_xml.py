"""What libvirt is told, word for word, and the identity that it gives back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jitsu.config import Disk
from jitsu.domains.console_files import ConsoleFiles
from jitsu.domains.disk_images import DiskImage
from jitsu.domains.driver import DomainSpec
from jitsu.domains.kernel import Kernel, KernelFormat
from jitsu.domains.libvirt_xml import domain_name, domain_xml, identity_in, plug_commands
from jitsu.domains.qemu_arguments import Identity
from jitsu.domains.qemu_process import DomainFiles
from jitsu.errors import DomainError
from tests.unit.golden import expect_golden

SPEC = DomainSpec(
    service="hello",
    domid=12,
    kernel=Path("/srv/hello.elf"),
    memory=16 << 20,
    cmdline="name=hello ip=10.0.9.2/24 gw=10.0.9.1",
    mac="52:54:00:00:09:02",
    fingerprint="a1b2c3",
)
STOCK = replace(
    SPEC, memory=(256 << 20) + 1, vcpus=2, initrd=Path("/srv/<initrd>"), cmdline='say="a & b"', tells_ready=False
)

IMAGES = (
    DiskImage(Disk(Path("/srv/a <&> b.img")), 512, False, (1, 1)),
    DiskImage(Disk(Path("/dev/vg/state"), writable=True), 512, True, (0, 2)),
)

CASES: dict[str, tuple[Any, ...]] = {
    "unikernel": (SPEC, KernelFormat.PVH_ELF, "tcg", 1),
    "unikernel-on-kvm": (SPEC, KernelFormat.PVH_ELF, "kvm", 1),
    "unikernel-with-the-store": (replace(SPEC, store_port=True), KernelFormat.PVH_ELF, "kvm", 1),
    "vmlinux": (replace(SPEC, initrd=Path("/srv/initrd")), KernelFormat.VMLINUX, "tcg", 0),
    "stock-linux": (STOCK, KernelFormat.BZIMAGE, "kvm", 2),
    "stock-linux-that-tells": (replace(STOCK, tells_ready=True), KernelFormat.BZIMAGE, "tcg", 1),
    "unikernel-with-disks": (SPEC, KernelFormat.PVH_ELF, "tcg", 1, IMAGES),
    "stock-linux-with-disks": (STOCK, KernelFormat.BZIMAGE, "kvm", 1, IMAGES),
}


def described(
    spec: DomainSpec, form: KernelFormat, accelerator: str, nics: int, images: Sequence[DiskImage] = ()
) -> str:
    domains = Path("/run/edge/domains")
    files, console = DomainFiles(domains, spec.domid), ConsoleFiles(domains, spec.domid, spec.service).prefix
    kernel = Kernel(spec.kernel, form, 0)
    return domain_xml("/usr/bin/qemu-system-x86_64", spec, kernel, "edge", accelerator, files, console, nics, images)


@pytest.mark.parametrize("case", CASES)
def test_a_domain_is_described(case: str) -> None:
    expect_golden(f"libvirt/{case}.xml", described(*CASES[case]))


def test_a_kernel_for_another_machine_is_refused() -> None:
    with pytest.raises(DomainError, match="is an arm64 Image"):
        described(SPEC, KernelFormat.ARM64_IMAGE, "tcg", 1)


def test_the_identity_comes_back_from_the_metadata() -> None:
    identity = Identity("edge", "hello", 12, "f,/<1>&")
    given_back = f'<domain xmlns="urn:jitsu:domain:1">{identity.encode()}</domain>\n'
    assert identity_in(given_back) == identity


@pytest.mark.parametrize(
    "metadata",
    ["", "<domain/>", '<domain xmlns="urn:jitsu:domain:1"></domain>', "<domain>jitsu/edge/hello/12</domain>", "<a>b"],
)
def test_what_holds_no_identity_of_ours_has_none(metadata: str) -> None:
    assert identity_in(metadata) is None


def test_no_two_services_of_two_instances_share_a_name() -> None:
    names = {domain_name(Identity(*parts, 1, "f")) for parts in (("a-b", "c"), ("a", "b-c"), ("a", "b"))}
    assert names == {"jitsu.a-b.c.1", "jitsu.a.b-c.1", "jitsu.a.b.1"}


def test_a_tap_is_plugged_into_the_hub_of_its_nic() -> None:
    fetch, tap, plug = plug_commands(1, "fd7")
    assert fetch == {"execute": "getfd", "arguments": {"fdname": "fd7"}}
    assert tap["arguments"] == {"type": "tap", "id": "tap1", "fd": "fd7"}
    assert plug["arguments"] == {"type": "hubport", "id": "plug1", "hubid": 1, "netdev": "tap1"}
