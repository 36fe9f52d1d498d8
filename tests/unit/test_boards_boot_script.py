"""The script that U-Boot runs from an SD card, as a text."""

import re
import shlex

import pytest

from boards.boot_script import boot_script
from boards.definition import MIB, read
from jitsu.errors import ConfigError

ROOT, BOOT = "0c61ac42-431a-4fa6-8f13-c9475f68c61f", "91D8-9DC1"


@pytest.fixture
def script() -> str:
    return boot_script(read("cubietruck"), ROOT, BOOT)


def commands(script: str, name: str) -> list[list[str]]:
    """The words of all commands of that name, as U-Boot takes them apart, without what follows a failure."""
    lines = (line.strip().removesuffix(" || setenv failed 1") for line in script.splitlines())
    return [shlex.split(line) for line in lines if line.startswith(f"{name} ")]


def test_xen_and_dom0_are_told_of_each_other(script: str) -> None:
    told = {(words[2], words[3]): words[4:] for words in commands(script, "fdt") if words[1] == "set"}

    assert told["/chosen/module@48000000", "compatible"] == ["multiboot,kernel", "multiboot,module"]
    assert told["/chosen/module@48000000", "reg"] == ["<0x48000000", "0x${filesize}>"]
    assert told["/chosen/module@46000000", "compatible"] == ["multiboot,ramdisk", "multiboot,module"]
    assert told["/chosen/module@46000000", "reg"] == ["<0x46000000", "0x${filesize}>"]
    assert told["/chosen", "#address-cells"] == told["/chosen", "#size-cells"] == ["<1>"]
    assert told["/chosen", "xen,xen-bootargs"] == ["${xen_line}"]
    [line] = told["/chosen", "xen,dom0-bootargs"]
    assert line == f"console=hvc0 panic=10 root=UUID={ROOT} boot=UUID={BOOT} board=cubietruck"


def test_a_module_is_described_when_its_size_is_known(script: str) -> None:
    """`filesize` is that of the last file that was loaded."""
    events = re.findall(r"load \S+ (0x4[0-9a-f]+) |reg <(0x4[0-9a-f]+) 0x\$\{filesize\}>", script)

    sizes = [index for index, (loaded, described) in enumerate(events) if described]
    assert [events[index - 1][0] for index in sizes] == [events[index][1] for index in sizes]
    assert len(sizes) == 2


def test_what_is_loaded_lies_apart(script: str) -> None:
    """The largest Linux and its initrd have their room, and so has U-Boot's script."""
    places = sorted(int(words[2], 16) for words in commands(script, "load") if words[2].startswith("0x"))
    tree = int(re.findall(r"setenv tree (0x\w+)", script)[0], 16)

    assert tree < places[0]
    assert all(later - earlier >= 16 * MIB for earlier, later in zip([tree, *places], places, strict=False))
    assert all(at % (2 * MIB) == 0 for at in [tree, *places])
    assert tree > 0x43100000


def test_the_console_is_the_definitions_where_the_tree_has_it(script: str) -> None:
    with_port, without = re.findall(r'setenv xen_line "(.*)"', script)

    assert with_port == read("cubietruck").xen_line()
    assert with_port == f"{without} dtuart=serial0"
    assert "dom0_mem=512M,max:512M" in without


def test_every_command_that_can_fail_is_watched(script: str) -> None:
    for line in (line.strip() for line in script.splitlines()):
        if line.startswith(("load ", "fdt ")):
            assert line.endswith(" || setenv failed 1"), line
    assert script.splitlines()[-1] == (
        'if test -n "${failed}"; then echo "Xen is not started: see above"; else bootz 0x45000000 - ${tree}; fi'
    )


def test_a_board_without_a_dom0_has_no_script() -> None:
    with pytest.raises(ConfigError, match="board x86-kvm has no dom0"):
        boot_script(read("x86-kvm"), ROOT, BOOT)
