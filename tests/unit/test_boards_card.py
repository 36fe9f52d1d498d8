"""SD cards, as far as none has to be made: where things lie, and for what there is none."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from boards import card
from boards.card import BOOT_AT, ROOT_AT, SIZE, Marks, make_card, new_marks, partition_table
from boards.definition import Card, read
from jitsu.errors import ArtifactError, ConfigError, HostError, JitsuError, ResourceBusy

MARKS = Marks(0x12345678, 0x6A170510, UUID("0c61ac42-431a-4fa6-8f13-c9475f68c61f"))


@pytest.fixture(autouse=True)
def nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, say: object = None) -> Path:
        raise AssertionError(f"{name} would have been built")

    monkeypatch.setattr("jitsu.artifacts.build", refuse)


def test_the_partitions_lie_one_behind_the_other() -> None:
    assert partition_table(MARKS).splitlines() == [
        "label: dos",
        "label-id: 0x12345678",
        "unit: sectors",
        "",
        "start=2048, size=262144, type=e, bootable",
        "start=264192, size=1308672, type=83",
    ]
    assert (BOOT_AT, ROOT_AT, SIZE) == (2048 * 512, 264192 * 512, (264192 + 1308672) * 512)


def test_a_card_of_a_gigabyte_is_large_enough() -> None:
    assert SIZE < 10**9


def test_the_mark_of_a_fat_is_written_as_everybody_does() -> None:
    assert MARKS.boot_uuid == "6A17-0510"
    assert Marks(0, 0xA, MARKS.root).boot_uuid == "0000-000A"


def test_marks_are_new_each_time() -> None:
    assert len({new_marks() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("board", "message"),
    [
        ("raspberrypi4", "the firmware that starts it, start4.elf and fixup4.dat, is only in raspi-firmware"),
        ("qemu-virt-armv7", "no SD card is made for qemu-virt-armv7: it is emulated"),
        ("x86-xen", "no SD card is made for x86-xen: it has a disk and a system of its own"),
        ("x86-kvm", "no SD card is made for x86-kvm: it has a disk and a system of its own"),
    ],
)
def test_boards_without_a_card_say_why(board: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        make_card(read(board), tmp_path / "card.img")

    assert message in caught.value.message
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "card.img"
    target.write_text("dear to me")

    with pytest.raises(ResourceBusy) as caught:
        make_card(read("cubietruck"), target)

    assert caught.value.message == f"{target} is there already"
    assert "--force" in caught.value.hint
    assert target.read_text() == "dear to me"


@pytest.mark.parametrize("force", [False, True])
def test_a_device_is_never_written(force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_block_device", lambda self: True)

    with pytest.raises(ConfigError) as caught:
        make_card(read("cubietruck"), tmp_path / "sdx", force=force)

    assert "is a device" in caught.value.message
    assert f"of={tmp_path}/sdx" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [("folder", "is no file"), ("pipe", "is no file"), ("nowhere/card.img", "there is no folder")],
)
def test_a_target_that_can_be_no_file(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ConfigError, match=message) as caught:
        make_card(read("cubietruck"), tmp_path / name, force=True)

    assert caught.value.hint


def test_a_program_that_is_missing_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program, path="": None if program == "mkimage" else f"/bin/{program}")

    with pytest.raises(HostError) as caught:
        make_card(read("cubietruck"), tmp_path / "card.img")

    assert caught.value.message == "an SD card needs mkimage, which is not in PATH"
    assert caught.value.hint == "apt install u-boot-tools"


@pytest.mark.parametrize(("at", "size"), [(8192, BOOT_AT - 8191), (0, 1000), (BOOT_AT, 1)])
def test_u_boot_must_fit_between_the_table_and_the_first_partition(at: int, size: int, tmp_path: Path) -> None:
    (tmp_path / "u-boot").write_bytes(bytes(size))

    with pytest.raises(
        ArtifactError, match=f"U-Boot has {size} bytes, and there is no room for them from byte {at} on"
    ):
        card._begin(tmp_path / "image", tmp_path / "u-boot", Card("sdcard-cubietruck", at), MARKS)


def test_what_a_program_complained_of_is_told(tmp_path: Path) -> None:
    with pytest.raises(JitsuError) as caught:
        card._run("tar", "-xf", str(tmp_path / "nothing"))

    assert caught.value.message.startswith("tar failed: ")
    assert caught.value.hint == f"it was: tar -xf {tmp_path}/nothing"


def test_zeros_are_not_written(tmp_path: Path) -> None:
    part, image = tmp_path / "part", tmp_path / "image"
    part.write_bytes(b"a" + bytes((3 << 20) - 1) + b"b")
    with image.open("wb") as file:
        file.truncate(8 << 20)

    card._lay(part, image, 1 << 20)

    assert image.read_bytes() == bytes(1 << 20) + part.read_bytes() + bytes((4 << 20) - 1)
    assert image.stat().st_blocks * 512 < 3 << 20
