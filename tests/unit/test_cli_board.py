"""`jitsu board`, as far as no board has to run."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from boards.definition import names
from jitsu.cli.main import cli
from jitsu.errors import ArtifactError, ConfigError, HostError


def test_the_boards_are_listed() -> None:
    result = CliRunner().invoke(cli, ["board", "list"])

    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == names()
    assert "qemu-virt-armv7  armhf  xen  emulated" in result.output


def test_the_boards_are_listed_for_programs() -> None:
    result = CliRunner().invoke(cli, ["board", "ls", "-o", "json"])

    rows = {row["name"]: row for row in json.loads(result.output)}
    assert list(rows) == names()
    assert rows["qemu-virt-arm64"]["emulated"] is True
    assert rows["qemu-virt-arm64"]["image"] == "dom0@arm64"
    assert rows["cubietruck"]["emulated"] is False
    assert rows["cubietruck"]["device_tree"] == "sun7i-a20-cubietruck.dtb"
    assert rows["x86-kvm"]["hypervisor"] == "kvm"


def test_a_board_is_inspected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITSU_CACHE", str(tmp_path))
    monkeypatch.setattr("jitsu.artifacts._version", lambda package: "1")

    shown = CliRunner().invoke(cli, ["board", "inspect", "raspberrypi4"])
    told = CliRunner().invoke(cli, ["board", "inspect", "raspberrypi4", "-o", "json"])

    assert "dom0 memory:    512 MiB" in shown.output
    assert json.loads(told.output)["image_cached"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nokia3310", "--", "true"], "there is no board nokia3310"),
        (["build", "qemu-virt-armv7", "nokia3310"], "there is no board nokia3310"),
        (["sdcard", "nokia3310", "-o", "/nowhere/card.img"], "there is no board nokia3310"),
        (["sdcard", "cubietruck", "-o", "/nowhere/card.img"], "there is no folder /nowhere"),
        (["build", "x86-kvm"], "board x86-kvm has no dom0: its hypervisor is kvm"),
    ],
)
def test_what_cannot_be_is_told(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["board", *arguments])

    assert isinstance(result.exception, ConfigError)
    assert result.exception.message == message
    assert result.exception.hint


@pytest.mark.parametrize("command", [["boot"], ["shell"], ["snapshot"], ["run"]])
def test_a_real_board_does_not_run_here(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITSU_CACHE", str(tmp_path))
    more = ["true"] if command == ["run"] else []

    result = CliRunner().invoke(cli, ["board", *command, "cubietruck", *more])

    assert isinstance(result.exception, ConfigError)
    assert result.exception.message == "board cubietruck is a real one"
    assert list(tmp_path.iterdir()) == [], "nothing was built for it"


def test_a_missing_qemu_is_told_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITSU_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))

    result = CliRunner().invoke(cli, ["board", "run", "qemu-virt-armv7", "--", "true"])

    assert isinstance(result.exception, HostError)
    assert result.exception.hint == "apt install qemu-system-arm"


def test_a_missing_package_of_the_image_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JITSU_CACHE", str(tmp_path))

    def version(package: str) -> str:
        raise ArtifactError(f"package {package} is not installed", hint=f"apt-get install {package}")

    monkeypatch.setattr("jitsu.artifacts._version", version)

    result = CliRunner().invoke(cli, ["board", "build", "qemu-xen-x86"])

    assert isinstance(result.exception, ArtifactError)
    assert "is not installed" in result.exception.message


@pytest.mark.parametrize("pair", ["file", ":to", "from:"])
def test_a_copy_wants_two_paths(pair: str) -> None:
    result = CliRunner().invoke(cli, ["board", "run", "qemu-virt-armv7", "--put", pair, "--", "true"])

    assert result.exit_code == 2
    assert "two paths with a colon" in result.output
