"""The ARM images on QEMU's own virt machine, without Xen: the same service."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from boards.definition import read
from boards.lan import Lan, lay
from jitsu import artifacts
from tests.hil.hello_guest import arguments, ask, await_truth, crash, kernel

LARGEST_IMAGE = 256 << 10
BOARD = read("qemu-virt-armv7")
MACHINES = {
    "armhf": ["qemu-system-arm", "-M", "virt,highmem=off", "-cpu", "cortex-a7"],
    "arm64-gicv2": ["qemu-system-aarch64", "-M", "virt,gic-version=2", "-cpu", "cortex-a57"],
    "arm64-gicv3": ["qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "cortex-a57"],
}


@contextmanager
def booted(machine: str, lan: Lan, console: Path, disks: Sequence[Path] = ()) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [
            *MACHINES[machine],
            *["-m", "16", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
            *["-kernel", str(kernel(machine.partition("-")[0])), "-append", arguments(BOARD)],
            *["-serial", f"file:{console}", "-netdev", f"tap,id=n0,fd={lan.tap}"],
            *["-device", "virtio-net-device,netdev=n0"],
            *[word for number, disk in enumerate(disks) for word in _disk(number, disk)],
        ],
        pass_fds=(lan.tap,),
    ) as running:
        try:
            yield running
        finally:
            running.terminate()


def _disk(number: int, image: Path) -> list[str]:
    return [
        *["-drive", f"if=none,id=d{number},format=raw,readonly=on,file={image}"],
        *["-device", f"virtio-blk-device,drive=d{number}"],
    ]


@pytest.mark.parametrize("machine", MACHINES)
def test_it_serves_and_ends(machine: str, tmp_path: Path) -> None:
    console, body = tmp_path / "console", os.urandom(60_000)
    with lay(BOARD.wire) as lan, booted(machine, lan, console) as running:
        await_truth(lambda: console.exists() and "ready" in console.read_text(), "a line that says ready")
        assert ask(lan, "GET", "/")[0] == 200
        assert ask(lan, "POST", "/echo", body) == (200, body)
        before = json.loads(ask(lan, "GET", "/status")[1])
        assert ask(lan, "GET", "/slow?ms=1500")[0] == 200
        after = json.loads(ask(lan, "GET", "/status")[1])
        assert 1_500_000 <= after["uptime_us"] - before["uptime_us"] < 60_000_000
        crash(lan)
        await_truth(lambda: running.poll() is not None, "a machine that has ended")

    assert running.returncode == 0
    assert "crashing, as asked" in console.read_text()


@pytest.mark.parametrize("machine", ["armhf", "arm64-gicv3"])
def test_it_serves_its_disks(machine: str, tmp_path: Path) -> None:
    console, disks = tmp_path / "console", [tmp_path / "first", tmp_path / "second"]
    for disk, sectors in zip(disks, (300, 7), strict=True):
        disk.write_bytes(os.urandom(512 * sectors))
    with lay(BOARD.wire) as lan, booted(machine, lan, console, disks):
        await_truth(lambda: console.exists() and "ready" in console.read_text(), "a line that says ready")
        said = [json.loads(ask(lan, "GET", f"/disk?disk={number}")[1]) for number in (0, 1)]
        first = [ask(lan, "GET", f"/disk?sector={at}&count=100")[1] for at in (0, 100, 200)]
        second = ask(lan, "GET", "/disk?disk=1&sector=0&count=7")[1]
        none = ask(lan, "GET", "/disk?disk=2")[0]

    assert [each["sectors"] for each in said] == [300, 7]
    assert b"".join(first) == disks[0].read_bytes()
    assert second == disks[1].read_bytes()
    assert none == 404


@pytest.mark.parametrize("architecture", ["armhf", "arm64"])
def test_the_image_is_small_and_two_builds_are_the_same(architecture: str, tmp_path: Path) -> None:
    image = kernel(architecture)
    out, work = tmp_path / "out", tmp_path / "work"
    out.mkdir()
    work.mkdir()
    environment = os.environ | {
        "OUT": str(out),
        "WORK": str(work),
        "VARIANT": architecture,
        "NEED_LWIP_SOURCE": str(artifacts.build("lwip-source")),
    }
    subprocess.run(["./build"], cwd=artifacts.RECIPES / "hello-arm", env=environment, check=True, capture_output=True)

    assert image.stat().st_size < LARGEST_IMAGE
    assert sha256((out / "hello.bin").read_bytes()).digest() == sha256(image.read_bytes()).digest()
