"""QEMU's command line for emulated boards."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from boards.arguments import Parts, find_qemu, qemu_arguments
from boards.definition import read
from jitsu.errors import ConfigError, HostError

IMAGE, OWN = Path("/cache/dom0"), Path("/run/b,1")
PARTS = Parts(IMAGE, OWN / "disk", OWN / "monitor", OWN / "serial", OWN / "log", agent=7, tap=8)


def arguments(name: str, *, restored: bool = False) -> list[str]:
    return qemu_arguments("qemu", read(name), PARTS, "oxenstored", "52:54:00:00:00:01", restored=restored)


def values(vector: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(vector) if name == option]


def test_an_arm_board_is_loaded_by_the_guest_loader() -> None:
    vector = arguments("qemu-virt-armv7")

    assert values(vector, "-M") == ["virt,virtualization=on,gic-version=2,highmem=off"]
    assert values(vector, "-cpu") == ["cortex-a7"]
    assert values(vector, "-m") == ["1024M"]
    assert values(vector, "-kernel") == ["/cache/dom0/xen"]
    kernel, initrd = [value for value in values(vector, "-device") if value.startswith("guest-loader")]
    assert kernel.startswith("guest-loader,addr=0x49000000,kernel=/cache/dom0/kernel,bootargs=console=hvc0 ")
    assert "xenstored=oxenstored" in kernel
    assert initrd == "guest-loader,addr=0x47000000,initrd=/cache/dom0/initrd"
    assert "virtio-net-device,netdev=wire,mac=52:54:00:00:00:01" in vector


def test_an_x86_board_is_loaded_by_multiboot() -> None:
    vector = arguments("qemu-xen-x86")

    assert values(vector, "-M") == ["q35"]
    [modules] = values(vector, "-initrd")
    assert modules.startswith("/cache/dom0/kernel console=hvc0 ")
    assert modules.endswith(",/cache/dom0/initrd")
    assert modules.count(",") == 1
    assert values(vector, "-append")[0].startswith(
        "dom0_mem=768M,max:768M dom0_max_vcpus=1 console=com1 com1=115200,8n1"
    )
    assert "virtio-net-pci,netdev=wire,mac=52:54:00:00:00:01,romfile=" in vector


def test_a_counted_board_has_another_clock_and_nothing_else_changes() -> None:
    board = read("qemu-virt-armv7")
    counted = replace(board, machine=replace(board.machine, counted=True))
    vector = qemu_arguments("qemu", counted, PARTS, "oxenstored", "52:54:00:00:00:01", restored=False)

    assert vector == [*arguments("qemu-virt-armv7"), "-icount", "shift=1,sleep=on"]


@pytest.mark.parametrize("name", ["qemu-virt-armv7", "qemu-virt-arm64", "qemu-xen-x86"])
def test_the_image_is_shared_and_commas_in_paths_end_nothing(name: str) -> None:
    vector = arguments(name)

    image, disk = values(vector, "-blockdev")
    assert "read-only=on" in image
    assert disk.endswith("backing=image,file.driver=file,file.filename=/run/b,,1/disk")
    assert values(vector, "-netdev") == ["tap,id=wire,fd=8"]
    assert "socket,id=agent,fd=7,server=on,wait=off" in vector
    assert "socket,id=serial,path=/run/b,,1/serial,server=on,wait=off,logfile=/run/b,,1/log" in vector


def test_a_restored_board_is_the_same_machine() -> None:
    assert arguments("qemu-virt-arm64", restored=True) == [*arguments("qemu-virt-arm64"), "-loadvm", "booted"]


def test_a_real_board_is_not_emulated() -> None:
    with pytest.raises(ConfigError, match="board cubietruck is a real one"):
        find_qemu(read("cubietruck"))


def test_a_qemu_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(HostError) as caught:
        find_qemu(read("qemu-virt-arm64"))

    assert caught.value.message == "board qemu-virt-arm64 needs qemu-system-aarch64, which is not in PATH"
    assert caught.value.hint == "apt install qemu-system-arm"
