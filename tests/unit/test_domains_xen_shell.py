"""What can be built on Xen at all, and what is said where Xen is not."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.domains.driver import DomainSpec
from jitsu.domains.probe_guest import pvh_elf
from jitsu.domains.xen_bindings import load
from jitsu.domains.xen_shell import Kind, Shell, foretold, kind_of, mark_of
from jitsu.errors import DomainError, HostError
from tests.hil.talking_guests import talking_guest
from tests.unit.test_domains_kernel import elf64, placed

MIB = 1 << 20


@pytest.fixture
def pvh(tmp_path: Path) -> DomainSpec:
    kernel = tmp_path / "pvh"
    kernel.write_bytes(pvh_elf(b"\xf4"))
    return DomainSpec(service="www", domid=1, kernel=kernel, memory=16 * MIB, cmdline="", mac="")


@pytest.fixture
def zimage(tmp_path: Path, pvh: DomainSpec) -> DomainSpec:
    kernel = tmp_path / "zImage"
    kernel.write_bytes(talking_guest("armhf", "hello"))
    return replace(pvh, kernel=kernel)


def test_the_kernel_and_the_machine_decide(pvh: DomainSpec, zimage: DomainSpec) -> None:
    assert kind_of(pvh, "x86_64") is Kind.PVH
    assert kind_of(zimage, "armv7l") is Kind.ARM
    assert kind_of(zimage, "aarch64") is Kind.ARM


def test_a_kernel_with_two_entries_is_started_as_the_service_says(pvh: DomainSpec) -> None:
    kernels = {
        "both": elf64((b"Xen", 1), (b"Xen", 18), (b"Linux", 1)),
        "pv": elf64((b"Xen", 1)),
        "bzimage": placed(0x800, (0x1FE, b"\x55\xaa"), (0x202, b"HdrS")),
    }
    found = {}
    for name, image in kernels.items():
        kernel = pvh.kernel.with_name(name)
        kernel.write_bytes(image)
        for machine in ("", "pvh", "pv"):
            with suppress(DomainError):
                found[name, machine] = kind_of(
                    replace(pvh, kernel=kernel, memory=32 * MIB, machine=machine), "x86_64"
                ).value
    assert found == {
        ("both", ""): "pvh",
        ("both", "pvh"): "pvh",
        ("both", "pv"): "pv",
        ("pv", ""): "pv",
        ("pv", "pv"): "pv",
        ("bzimage", ""): "pvh",
        ("bzimage", "pvh"): "pvh",
        ("bzimage", "pv"): "pv",
    }


def test_what_does_not_fit_is_refused(pvh: DomainSpec, zimage: DomainSpec) -> None:
    large = pvh.kernel.with_name("large")
    large.write_bytes(elf64((b"Xen", 18)))
    for spec, machine, said in (
        (pvh, "armv7l", "which Xen does not start here"),
        (zimage, "x86_64", "which Xen does not start here"),
        (replace(pvh, machine="q35"), "x86_64", "no machine q35"),
        (replace(pvh, machine="pv"), "x86_64", "has no PV entry"),
        (replace(zimage, machine="pvh"), "armv7l", "no machine pvh"),
        (replace(pvh, kernel=large), "x86_64", "16 MiB of memory are too few"),
        (replace(pvh, memory=2 * MIB), "x86_64", "2 MiB of memory are too few"),
        (replace(zimage, memory=4096 * MIB), "armv7l", "4096 MiB of memory are too many"),
        (replace(pvh, initrd=Path("/nowhere")), "x86_64", "initrd /nowhere is missing"),
    ):
        with pytest.raises(DomainError, match=said) as failed:
            kind_of(spec, machine)
        assert failed.value.hint


def test_rings_are_foretold() -> None:
    def rings(kind: Kind) -> list[int]:
        frames = foretold(Shell(7, kind, "", console_port=2, store_port=1))
        assert frames is not None
        return [*frames.console, *frames.store]

    assert rings(Kind.ARM) == [0x39000, 2, 0x39001, 1]
    assert rings(Kind.PVH) == [0xFEFFF, 2, 0xFEFFC, 1]
    assert foretold(Shell(7, Kind.PV, "", console_port=2, store_port=1)) is None


def test_instances_have_marks_of_their_own() -> None:
    assert mark_of("edge") == mark_of("edge") != mark_of("hil")
    assert len(mark_of("edge")) == 8


def test_without_the_module_there_is_a_way_out() -> None:
    with pytest.raises(HostError, match="needs the module jitsu_xen") as failed:
        load()
    assert "jitsu image build xen-bindings" in failed.value.hint
