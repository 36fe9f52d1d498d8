"""The SD card of a Cubietruck: what is on it, and that a machine which starts from it serves.

Started is QEMU's machine, by U-Boot made for that; the card is the very card. What only the board itself can show is in
boards/README.md.
"""

import json
import re
import shutil
import struct
import subprocess
import time
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from boards.card import BOOT_AT, ROOT_AT, SIZE, make_card
from boards.definition import SECTOR
from boards.definition import read as read_board
from boards.lan import Lan
from jitsu import artifacts
from tests.hil import card_machine
from tests.hil.card_machine import PATIENCE, powered
from tests.hil.hello_guest import ask

# The recipe stands on dom0's, and both are made the first time.
pytestmark = pytest.mark.timeout(1800)

BOARD = read_board("cubietruck")
KERNEL_AT, INITRD_AT, XEN_AT, TREE_AT = 0x48000000, 0x46000000, 0x45000000, 0x44000000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("sdcard") / "made.img"
    make_card(BOARD, target, say=print)
    return target


@pytest.fixture
def card(made: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    subprocess.run(["cp", "--sparse=always", made, tmp_path / "card.img"], check=True)
    return tmp_path / "card.img"


def said(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_partition_table_is_what_others_read(made: Path) -> None:
    table = json.loads(said("sfdisk", "--json", made))["partitiontable"]

    assert (table["label"], table["unit"]) == ("dos", "sectors")
    boot, root = table["partitions"]
    assert (boot["start"] * SECTOR, boot["type"], boot["bootable"]) == (BOOT_AT, "e", True)
    assert (root["start"] * SECTOR, root["type"]) == (ROOT_AT, "83")
    assert boot["start"] + boot["size"] == root["start"]
    assert (root["start"] + root["size"]) * SECTOR == SIZE == made.stat().st_size


def test_the_file_is_sparse(made: Path) -> None:
    assert made.stat().st_blocks * 512 < SIZE / 4


def test_the_file_systems_are_clean_and_found_by_what_the_script_says(made: Path, tmp_path: Path) -> None:
    boot = tmp_path / "boot"
    subprocess.run(
        ["dd", f"if={made}", f"of={boot}", "bs=1M", f"skip={BOOT_AT >> 20}", f"count={(ROOT_AT - BOOT_AT) >> 20}"],
        check=True,
        capture_output=True,
    )
    script = card_machine.read(made, "boot.cmd").decode()

    said("fsck.fat", "-n", boot)
    said("e2fsck", "-fn", f"{made}?offset={ROOT_AT}")
    root_uuid = said("blkid", "-p", "-O", str(ROOT_AT), "-s", "UUID", "-o", "value", made).strip()
    boot_uuid = said("blkid", "-p", "-s", "UUID", "-o", "value", boot).strip()
    assert f" root=UUID={root_uuid} boot=UUID={boot_uuid} " in script


def test_two_cards_are_told_apart(made: Path, tmp_path: Path) -> None:
    make_card(BOARD, tmp_path / "other.img")

    signatures = [
        json.loads(said("sfdisk", "--json", card))["partitiontable"]["id"] for card in (made, tmp_path / "other.img")
    ]
    assert signatures[0] != signatures[1]
    assert card_machine.read(made, "boot.cmd") != card_machine.read(tmp_path / "other.img", "boot.cmd")


def test_the_board_finds_the_first_stage_of_u_boot(made: Path) -> None:
    """What the A20's boot ROM looks at: the magic words at 8 KiB, a length, and a sum over as many bytes."""
    with made.open("rb") as file:
        file.seek(8192)
        content = file.read(BOOT_AT - 8192)
    magic, total, length = content[4:12], *struct.unpack_from("<II", content, 12)
    words = list(struct.unpack_from(f"<{length // 4}I", content))
    # Where the sum is, this is when it is made.
    words[3] = 0x5F0A6C39

    assert magic == b"eGON.BT0"
    assert sum(words) & 0xFFFFFFFF == total
    assert length <= 32 << 10  # the SRAM that the ROM fills
    assert content.startswith((artifacts.build("sdcard-cubietruck") / "u-boot").read_bytes())


def test_u_boot_of_the_board_looks_for_the_script_and_brings_no_tree(made: Path) -> None:
    """Its variables, as they are built in."""
    u_boot = (artifacts.build("sdcard-cubietruck") / "u-boot").read_bytes()
    variables = dict(re.findall(rb"\0([a-z_0-9]+)=([^\0]*)", u_boot))

    assert b"mmc0" in variables[b"boot_targets"]
    assert b"boot.scr" in variables[b"boot_scripts"].split()
    assert b"-bootable" in variables[b"scan_dev_for_boot_part"]
    assert variables[b"fdtfile"].decode() == BOARD.device_tree
    assert b"fdt_addr" not in variables


def test_the_script_is_whole(made: Path, tmp_path: Path) -> None:
    (tmp_path / "boot.scr").write_bytes(card_machine.read(made, "boot.scr"))
    listed = said("mkimage", "-l", tmp_path / "boot.scr")
    with_header = (tmp_path / "boot.scr").read_bytes()

    assert "Image Type:   ARM Linux Script (uncompressed)" in listed
    # The header has 64 bytes, and two words say how long each file behind it is.
    assert with_header[72:] == card_machine.read(made, "boot.cmd")


@pytest.mark.parametrize("node", ["mmc@1c0f000", "ethernet@1c50000"])
def test_the_card_has_the_drivers_of_the_board(made: Path, node: str) -> None:
    """Of the two devices without which nothing is served, and whose drivers are modules."""
    parts = artifacts.build("sdcard-cubietruck")
    wanted = said("fdtget", parts / "device-tree", f"/soc/{node}", "compatible").split()
    initrd = subprocess.run(["gzip", "-dc", parts / "initrd"], capture_output=True, check=True).stdout
    modules = initrd if node.startswith("mmc") else b"".join(path.read_bytes() for path in parts.rglob("root/**/*.ko"))

    assert any(f"alias=of:N*T*C{name}\0".encode() in modules for name in wanted)


def test_u_boot_tells_xen_of_dom0_in_the_tree_of_the_board(card: Path, tmp_path: Path) -> None:
    """The card's own script, run by U-Boot as far as the start of Xen, on a machine that brings no tree."""
    script = card_machine.read(card, "boot.cmd").decode()
    start = f"bootz {XEN_AT:#x} - ${{tree}}"
    assert script.count(start) == 1
    asked = script.replace(start, 'echo "the tree is" "made"')
    card_machine.write_script(card, f"setenv fdt_addr\n{asked}", tmp_path)

    with powered(BOARD, card) as machine:
        machine.await_words("the tree is made")
        tree = machine.tree(TREE_AT)
        modules = {at: machine.memory(at, 64 << 20) for at in (KERNEL_AT, INITRD_AT, XEN_AT)}

    path = tmp_path / "tree.dtb"
    path.write_bytes(tree)
    for name, at, kind in (("kernel", KERNEL_AT, "multiboot,kernel"), ("initrd", INITRD_AT, "multiboot,ramdisk")):
        node, content = f"/chosen/module@{at:x}", card_machine.read(card, name)
        assert said("fdtget", path, node, "compatible").split() == [kind, "multiboot,module"]
        assert said("fdtget", "-t", "x", path, node, "reg").split() == [f"{at:x}", f"{len(content):x}"]
        assert modules[at].startswith(content)
    assert modules[XEN_AT].startswith(card_machine.read(card, "xen"))
    assert said("fdtget", path, "/chosen", "xen,xen-bootargs").strip() == BOARD.xen_line()
    assert f'"{said("fdtget", path, "/chosen", "xen,dom0-bootargs").strip()}"' in script
    assert rest_of(path) == rest_of(artifacts.build("sdcard-cubietruck") / "device-tree", tmp_path / "original.dtb")


def rest_of(path: Path, copy: Path | None = None) -> str:
    """The tree as text, without what a script says in /chosen."""
    tree = path if copy is None else Path(shutil.copy(path, copy))
    if copy is None:
        said("fdtput", "-r", tree, f"/chosen/module@{KERNEL_AT:x}", f"/chosen/module@{INITRD_AT:x}")
        said("fdtput", "-d", tree, "/chosen", "xen,xen-bootargs", "xen,dom0-bootargs")
    return said("dtc", "-q", "-s", "-I", "dtb", "-O", "dts", tree)


def test_u_boot_stops_where_something_is_missing(card: Path) -> None:
    card_machine.remove(card, "initrd")

    with powered(BOARD, card) as machine:
        machine.await_words("Xen is not started")
        console = machine.console()

    assert "Failed to load 'initrd'" in console
    assert "Starting kernel" not in console


def test_a_machine_that_starts_from_the_card_serves(card: Path) -> None:
    """Edited as a user does, for the network that it is in; powered off in order at the end."""
    wire = BOARD.wire
    settings = card_machine.read(card, "jitsu.toml").decode()
    for old, new in (
        ('address = "10.77.0.1/24"', f'address = "{wire.address}"'),
        ('# gateway = "10.77.0.254"', f'gateway = "{wire.gateway}"'),
        ('address = "10.77.0.10"', 'address = "10.78.0.10"'),
    ):
        assert settings.count(old) == 1
        settings = settings.replace(old, new)
    card_machine.write(card, "jitsu.toml", settings.encode())

    with powered(BOARD, card) as machine:
        machine.await_words(r"Found U-Boot script /boot\.scr")
        machine.await_words(r"\(XEN\) Xen version 4\.17")
        address = answer(machine.lan, "hello.jitsu.test.", str(wire.address.ip))
        status, page = ask(machine.lan, "GET", "/", timeout=PATIENCE)
        listed = machine.type("xl list; jitsu ps; ip route; hostname", r"(?s)Domain-0 .*\ncubietruck\r?\n")
        open_ports = machine.type("netstat -ltnu; hostname", r"(?s)Proto .*\ncubietruck\r?\n")
        machine.type("poweroff", "init: poweroff")
        machine.await_power_off()

    assert address == "10.78.0.10"
    assert (status, b"hello" in page) == (200, True)
    assert re.search(r"\n\S*hello", listed)
    assert f"default via {wire.gateway} dev" in listed
    # Nobody else listens.
    assert set(re.findall(r"^(?:tcp|udp) +\d+ +\d+ (\S+)", open_ports, re.MULTILINE)) == {f"{wire.address.ip}:53"}
    # The file systems were left in order: no journal is waiting.
    said("e2fsck", "-fn", f"{card}?offset={ROOT_AT}")
    assert "needs_recovery" not in said("dumpe2fs", "-h", f"{card}?offset={ROOT_AT}")


def answer(lan: Lan, name: str, server: str) -> str:
    """The address that the board says is the name's, asked until there is somebody to answer."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            with lan.inside():
                told = dns.query.udp(dns.message.make_query(name, "A"), server, timeout=5)
            break
        except (OSError, dns.exception.Timeout):
            assert time.monotonic() < give_up, f"{server} has never answered"
            time.sleep(0.5)
    assert told.rcode() == dns.rcode.NOERROR, told
    return str(told.answer[0][0])
