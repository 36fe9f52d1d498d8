"""Definitions of boards: those that there are, and what is said of wrong ones."""

from pathlib import Path

import pytest

from boards import definition
from boards.definition import Board, Card, load, names, read
from jitsu import artifacts
from jitsu.errors import ConfigError

EMULATED = {"qemu-virt-armv7", "qemu-virt-arm64", "qemu-xen-x86"}
REAL = {"cubietruck", "raspberrypi4", "x86-kvm", "x86-xen"}

GOOD = """
[board]
description = "a board"
architecture = "armhf"
hypervisor = "xen"

[machine]
cpu = "cortex-a7"
cpus = 2
memory = "1024 MiB"
emulation = "virt,virtualization=on"

[boot]
method = "guest-loader"

[console]
xen = "dtuart"
port = "/pl011@9000000"

[dom0]
image = "dom0@armhf"
memory = "256 MiB"
"""


REAL_ONE = GOOD.replace('emulation = "virt,virtualization=on"', "").replace(
    'method = "guest-loader"',
    'method = "u-boot"\ndevice-tree = "x.dtb"\ncard = "sdcard-cubietruck"\nu-boot-at = "16 KiB"',
)


def made(folder: Path, text: str) -> Board:
    path = folder / "some-board.toml"
    path.write_text(text)
    return load(path)


def test_the_boards_are_those_that_the_issue_asks_for() -> None:
    boards = {name: read(name) for name in names()}

    assert set(boards) == EMULATED | REAL
    assert {name for name, board in boards.items() if board.emulated} == EMULATED


@pytest.mark.parametrize("name", sorted(EMULATED | REAL))
def test_the_image_of_a_board_is_for_its_architecture(name: str) -> None:
    board = read(name)

    assert board.name == name
    if board.hypervisor == "xen":
        assert artifacts.read(board.domain0().image).variant == board.architecture


def test_a_board_that_is_not_there() -> None:
    with pytest.raises(ConfigError) as caught:
        read("qemu-virt-armv8")

    assert caught.value.message == "there is no board qemu-virt-armv8"
    assert "qemu-virt-armv7" in caught.value.hint


def test_a_definition_is_read_whole(tmp_path: Path) -> None:
    board = made(tmp_path, GOOD)

    assert (board.name, board.architecture, board.boot) == ("some-board", "armhf", "guest-loader")
    assert board.machine.memory == 1 << 30
    assert board.domain0().cpus == 1
    assert str(board.wire.address) == "10.78.0.2/24"


def test_the_command_lines_of_xen_and_dom0(tmp_path: Path) -> None:
    more = 'cpus = 2\narguments = "audit=0"\n[network]\nbridge = "br0"\naddress = "10.9.0.5/16"\ngateway = "10.9.1.1"\n'
    board = made(tmp_path, GOOD + more)

    assert board.xen_line() == "dom0_mem=256M,max:256M dom0_max_vcpus=2 console=dtuart dtuart=/pl011@9000000"
    assert board.dom0_line("oxenstored") == (
        "console=hvc0 panic=1 bridge=br0 address=10.9.0.5/16 gateway=10.9.1.1 xenstored=oxenstored audit=0"
    )


def test_what_a_card_is_made_of(tmp_path: Path) -> None:
    assert made(tmp_path, REAL_ONE).card == Card("sdcard-cubietruck", 16 << 10)
    assert made(tmp_path, REAL_ONE.replace('u-boot-at = "16 KiB"', "")).card == Card("sdcard-cubietruck", 8 << 10)
    assert made(tmp_path, GOOD).card is None
    assert {name for name in names() if read(name).card is not None} == {"cubietruck"}


def test_a_board_with_kvm_has_no_dom0() -> None:
    with pytest.raises(ConfigError, match="board x86-kvm has no dom0"):
        read("x86-kvm").domain0()


WRONG = {
    "a section that is none": (GOOD + "[cpu]\ncount = 1\n", "there is no section [cpu]"),
    "a key that is none": (GOOD + "colour = 1\n", "[dom0] colour is not a key that exists"),
    "no description": (GOOD.replace('description = "a board"', ""), "[board] description is missing"),
    "an architecture": (GOOD.replace('"armhf"', '"armv7"', 1), "[board] architecture cannot be 'armv7'"),
    "a hypervisor": (GOOD.replace('"xen"', '"bhyve"', 1), "[board] hypervisor cannot be 'bhyve'"),
    "no processor": (GOOD.replace("cpus = 2", "cpus = 0"), "[machine] cpus cannot be 0"),
    "no memory": (GOOD.replace('memory = "1024 MiB"', ""), "[machine] memory is missing"),
    "memory without a unit": (GOOD.replace("1024 MiB", "1024"), "[machine] memory cannot be '1024'"),
    "a method of a real board": (GOOD.replace("guest-loader", "u-boot"), "[boot] method cannot be 'u-boot'"),
    "a device tree that is made": (
        GOOD.replace('"guest-loader"', '"guest-loader"\ndevice-tree = "x.dtb"'),
        "[boot] device-tree is not a key that exists",
    ),
    "a real board without a device tree": (
        GOOD.replace('emulation = "virt,virtualization=on"', "").replace("guest-loader", "u-boot"),
        "[boot] device-tree is missing",
    ),
    "a card of nothing": (REAL_ONE.replace("sdcard-cubietruck", "sdcard"), "[boot] card cannot be 'sdcard'"),
    "a place on the card": (REAL_ONE.replace("16 KiB", "16"), "[boot] u-boot-at cannot be '16'"),
    "a place on no card": (
        REAL_ONE.replace('card = "sdcard-cubietruck"', ""),
        "[boot] u-boot-at is not a key that exists",
    ),
    "a console": (GOOD.replace('"dtuart"', '"serial"'), "[console] xen cannot be 'serial'"),
    "no port": (GOOD.replace('port = "/pl011@9000000"', ""), "[console] port is missing"),
    "an image that is none": (GOOD.replace("dom0@armhf", "dom0@sparc"), "[dom0] image cannot be 'dom0@sparc'"),
    "an image for another machine": (GOOD.replace("dom0@armhf", "dom0@arm64"), "[dom0] image cannot be 'dom0@arm64'"),
    "more memory than there is": (GOOD.replace("256 MiB", "1 GiB"), "[dom0] memory is all that the machine has"),
    "more processors than there are": (GOOD + "cpus = 3\n", "[dom0] cpus cannot be 3"),
    "an address": (GOOD + '[network]\naddress = "10.78.0"\n', "[network] address is not an IPv4 address"),
    "a gateway elsewhere": (GOOD + '[network]\ngateway = "10.79.0.1"\n', "[network] gateway cannot be 10.79.0.1"),
    "a gateway that is dom0": (GOOD + '[network]\ngateway = "10.78.0.2"\n', "[network] gateway cannot be 10.78.0.2"),
    "a bridge's name": (GOOD + '[network]\nbridge = "a bridge"\n', "[network] bridge cannot be 'a bridge'"),
    "emulated without Xen": (GOOD.replace('"xen"', '"kvm"', 1), "[machine] emulation does not go with kvm"),
    "dom0 without Xen": (
        GOOD.replace('"xen"', '"kvm"', 1)
        .replace('emulation = "virt,virtualization=on"', "")
        .replace('"guest-loader"', '"grub"')
        .replace('xen = "dtuart"', ""),
        "[dom0] image is not a key that exists",
    ),
    "no TOML": ("[board\n", "is not TOML"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, case: str) -> None:
    text, message = WRONG[case]

    with pytest.raises(ConfigError) as caught:
        made(tmp_path, text)

    assert message in caught.value.message
    assert str(tmp_path / "some-board.toml") in caught.value.message
    assert caught.value.hint


def test_definitions_are_part_of_an_installation() -> None:
    pyproject = (Path(definition.__file__).parents[1] / "pyproject.toml").read_text()

    assert 'boards = ["*.toml"]' in pyproject
