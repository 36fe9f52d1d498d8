"""Which accelerator QEMU shall use: KVM where a guest really runs well on it, else TCG, and why.

That /dev/kvm opens says little. In a cloud machine it may be a KVM that emulates every instruction in software
(about 1 us each, where TCG needs some ns), or one that lacks what QEMU needs of it. So a probe guest runs once on
each accelerator, on the machine that real guests get, and KVM has to show that it is not the slower one.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from jitsu.domains.driver import Verdict
from jitsu.domains.probe_guest import EXIT_PORT, EXIT_STATUS, probe_guest
from jitsu.domains.qemu_arguments import ACCELERATORS, MICROVM_BARE
from jitsu.errors import HostError

QEMU = "qemu-system-x86_64"

PROBE_TURNS = 200_000
"""Turns of the probe's loop of two instructions: 1 ms on TCG, 0.1 ms on a processor, 0.4 s in a software KVM."""

LONGEST_PROBE = 0.7
"""Seconds that one run may take on TCG; a run on KVM is cut off as soon as it has lost."""

MOST_SLOWER = 1.25
"""KVM is chosen although it took up to this many times TCG's time: starting QEMU dominates both and varies."""

_CACHE_FILE = "accelerator.json"
KVM = Path("/dev/kvm")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def find_qemu() -> str:
    """The path of `qemu-system-x86_64`. Raises `HostError` when it is not installed."""
    path = shutil.which(QEMU)
    if path is None:
        raise HostError(f"{QEMU} is not in PATH", hint="apt install qemu-system-x86")
    return path


def choose_accelerator(cache: Path) -> Verdict:
    """Choose by probing, or by what an earlier probe under this boot and with this QEMU found.

    `cache` is a directory for the verdict, made when it is missing; one that cannot be written costs a probe every
    time. Blocks for about 0.2 s where KVM is good, and never longer than 3 s. Raises `HostError` without a QEMU.
    """
    qemu = find_qemu()
    try:
        os.close(os.open(KVM, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return Verdict("tcg", f"{KVM}: {(error.strerror or str(error)).lower()}")
    key = _key(qemu)
    verdict = _remembered(cache / _CACHE_FILE, key)
    if verdict is None:
        verdict = probe(qemu)
        _remember(cache / _CACHE_FILE, key, verdict)
    return verdict


def probe(qemu: str) -> Verdict:
    """Run the probe guest on both accelerators, twice each, and compare the better times."""
    with tempfile.TemporaryDirectory(prefix="jitsu-probe-") as directory:
        guest = Path(directory) / "probe.elf"
        guest.write_bytes(probe_guest(PROBE_TURNS))
        tcg = min(_run(qemu, "tcg", guest, LONGEST_PROBE), _run(qemu, "tcg", guest, LONGEST_PROBE))
        limit = LONGEST_PROBE if tcg.failure else min(tcg.seconds * MOST_SLOWER, LONGEST_PROBE)
        kvm = min(_run(qemu, "kvm", guest, limit), _run(qemu, "kvm", guest, limit))
    if kvm.failure:
        return Verdict("tcg", f"{KVM} opens, but a probe guest on it {kvm.failure}")
    return Verdict("kvm", f"a probe guest ran in {kvm.seconds * 1e3:.0f} ms on KVM")


@dataclass(frozen=True, slots=True, order=True)
class _Run:
    """How a probe went; the least is the best. `failure` is empty when the guest came through."""

    failure: str
    seconds: float


def _run(qemu: str, accelerator: str, guest: Path, limit: float) -> _Run:
    """Run the probe guest once, for `limit` seconds at most."""
    arguments = [qemu, "-M", MICROVM_BARE, "-accel", ACCELERATORS[accelerator], "-cpu", "max", "-m", "16M"]
    arguments += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-kernel", str(guest)]
    arguments += ["-device", f"isa-debug-exit,iobase={EXIT_PORT:#x},iosize=1"]
    start = time.monotonic()
    try:
        # In the probe's directory, so that a core file goes with it.
        done = subprocess.run(
            arguments, timeout=limit, capture_output=True, stdin=subprocess.DEVNULL, cwd=guest.parent, check=False
        )
    except subprocess.TimeoutExpired:
        return _Run(f"did not finish in {limit * 1e3:.0f} ms", limit)
    seconds = time.monotonic() - start
    if done.returncode == EXIT_STATUS:
        return _Run("", seconds)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return _Run(f"failed: {said[0] if said else f'status {done.returncode}'}", seconds)


def _key(qemu: str) -> dict[str, str | int]:
    """What a verdict holds for: this boot, and this QEMU by path, size and time (asking its version takes 20 ms)."""
    status = os.stat(qemu)
    return {
        "boot_id": _BOOT_ID.read_text().strip(),
        "qemu": os.path.realpath(qemu),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }


def _remembered(file: Path, key: dict[str, str | int]) -> Verdict | None:
    try:
        record = json.loads(file.read_text())
        verdict = Verdict(**record["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    known = verdict.accelerator in ACCELERATORS and isinstance(verdict.reason, str)
    return verdict if known and record.get("key") == key else None


def _remember(file: Path, key: dict[str, str | int], verdict: Verdict) -> None:
    fresh = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps({"key": key, "verdict": asdict(verdict)}))
        os.replace(fresh, file)
    except OSError:
        with suppress(OSError):
            fresh.unlink()
