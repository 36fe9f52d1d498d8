"""The accelerator's verdict: how it is reached, said and remembered."""

import json
import stat
from pathlib import Path

import pytest

from jitsu.domains import accelerator
from jitsu.domains.accelerator import EXIT_STATUS, LONGEST_PROBE, choose_accelerator, find_qemu, probe
from jitsu.domains.driver import Verdict
from jitsu.errors import HostError


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in QEMU's place, to be written by `play`, and a /dev/kvm that opens."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(accelerator, "KVM", tmp_path / "kvm")
    (tmp_path / "kvm").touch()
    return tmp_path / "qemu-system-x86_64"


def play(qemu: Path, *, tcg: str, kvm: str) -> None:
    """Let the program run this shell text for either accelerator, and count its runs beside itself."""
    qemu.write_text(f'#!/bin/sh\necho run >> {qemu}.runs\ncase "$*" in *"-accel kvm"*) {kvm};; *) {tcg};; esac\n')
    qemu.chmod(qemu.stat().st_mode | stat.S_IXUSR)


def runs(qemu: Path) -> int:
    counter = Path(f"{qemu}.runs")
    return len(counter.read_text().splitlines()) if counter.exists() else 0


RIGHT = f"exit {EXIT_STATUS}"


def test_kvm_wins_when_it_runs_well(qemu: Path) -> None:
    play(qemu, tcg=f"sleep 0.1; {RIGHT}", kvm=RIGHT)
    verdict = probe(str(qemu))
    assert verdict.accelerator == "kvm"
    assert verdict.reason.startswith("a probe guest ran in ")


@pytest.mark.parametrize(
    ("kvm", "reason"),
    [
        ("echo no MSR for you >&2; exit 1", "failed: no MSR for you"),
        ("exit 0", "failed: status 0"),
        (f"sleep 1; {RIGHT}", "did not finish in "),
        ("kill -ABRT $$", "failed: status -6"),
    ],
)
def test_kvm_loses_when_it_does_not(qemu: Path, kvm: str, reason: str) -> None:
    play(qemu, tcg=f"sleep 0.1; {RIGHT}", kvm=kvm)
    verdict = probe(str(qemu))
    assert verdict.accelerator == "tcg"
    assert verdict.reason.startswith(f"{qemu.parent}/kvm opens, but a probe guest on it {reason}")


@pytest.mark.parametrize(("kvm", "chosen"), [(0.15, "kvm"), (0.249, "kvm"), (0.251, "tcg"), (0.35, "tcg")])
def test_a_quarter_slower_is_the_limit(monkeypatch: pytest.MonkeyPatch, kvm: float, chosen: str) -> None:
    """By numbers: by the clock, a busy machine decides."""

    def run(qemu: str, name: str, guest: Path, limit: float) -> accelerator._Run:
        seconds = {"tcg": 0.2, "kvm": kvm}[name]
        return accelerator._Run("" if seconds <= limit else "did not finish", seconds)

    monkeypatch.setattr(accelerator, "_run", run)
    assert probe("qemu").accelerator == chosen


def test_a_probe_is_bounded(qemu: Path) -> None:
    play(qemu, tcg="exec sleep 60", kvm="exec sleep 60")
    assert probe(str(qemu)).accelerator == "tcg"
    assert LONGEST_PROBE * 4 <= 3


def test_a_verdict_is_remembered_for_this_boot_and_this_qemu(
    qemu: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(qemu, tcg=f"sleep 0.1; {RIGHT}", kvm=RIGHT)
    cache = tmp_path / "state" / "jitsu"
    first = choose_accelerator(cache)
    assert first.accelerator == "kvm"
    assert runs(qemu) == 4
    assert choose_accelerator(cache) == first
    assert runs(qemu) == 4

    boot_id = tmp_path / "boot_id"
    boot_id.write_text("another boot\n")
    monkeypatch.setattr(accelerator, "_BOOT_ID", boot_id)
    choose_accelerator(cache)
    assert runs(qemu) == 8

    play(qemu, tcg=f"sleep 0.11; {RIGHT}", kvm="exit 1")
    assert choose_accelerator(cache).accelerator == "tcg"
    assert runs(qemu) == 12
    assert [path.name for path in cache.iterdir()] == ["accelerator.json"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"verdict": {"accelerator": "rm -rf", "reason": ""}}'])
def test_a_damaged_cache_is_probed_again(qemu: Path, tmp_path: Path, damage: str) -> None:
    play(qemu, tcg=f"sleep 0.1; {RIGHT}", kvm="exit 1")
    choose_accelerator(tmp_path)
    file = tmp_path / "accelerator.json"
    if damage.startswith('{"'):
        damage = json.dumps(json.loads(file.read_text()) | json.loads(damage))
    file.write_text(damage)
    assert choose_accelerator(tmp_path).accelerator == "tcg"
    assert runs(qemu) == 8


def test_a_cache_that_cannot_be_written_is_no_error(qemu: Path, tmp_path: Path) -> None:
    play(qemu, tcg=RIGHT, kvm="exit 1")
    (tmp_path / "file").touch()
    assert choose_accelerator(tmp_path / "file" / "below").accelerator == "tcg"


def test_without_kvm_nothing_is_probed(qemu: Path, tmp_path: Path) -> None:
    play(qemu, tcg=RIGHT, kvm=RIGHT)
    (tmp_path / "kvm").unlink()
    assert choose_accelerator(tmp_path) == Verdict("tcg", f"{tmp_path}/kvm: no such file or directory")
    assert runs(qemu) == 0


def test_without_qemu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError) as caught:
        find_qemu()
    assert caught.value.message == "qemu-system-x86_64 is not in PATH"
    assert caught.value.hint == "apt install qemu-system-x86"
