"""What the doctor says in dom0, of files in the kernel's places; each finding that is not good has its cure."""

import shutil
from pathlib import Path

import pytest

from jitsu.daemon import diagnosis_xen
from jitsu.daemon.diagnosis import diagnose
from jitsu.daemon.finding import Finding
from jitsu.domains.xen_host import Room
from jitsu.errors import HostError
from tests.unit.store_process import StoreProcess

MIB = 1 << 20


class Dom0:
    """The files of a kernel that is dom0's, a configuration, and what the doctor says of them."""

    def __init__(self, folder: Path) -> None:
        self.hypervisor, self.netback, self.proc = folder / "hypervisor", folder / "xen_netback", folder / "proc"
        self.path = folder / "jitsu.toml"
        self.path.write_text(
            f'[daemon]\ndriver = "xen"\nruntime = "{folder}/run"\nstate = "{folder}/state"\n'
            f'[xenstore]\nsocket = "{folder}/store"\n[limits]\nmemory = "512 MiB"\n'
            '[service.www]\nkernel = "hello.elf"\naddress = "10.77.0.10"\n'
        )
        self.version("4", "17")
        self.netback.mkdir()
        self.process(7, "xenconsoled", "xenconsoled", "--pid-file=/run/xenconsoled.pid")
        self.process(8, "sh", "sh", "-c", "xenconsoled --log=all")
        (self.proc / "meminfo").touch()

    def version(self, major: str, minor: str) -> None:
        (self.hypervisor / "version").mkdir(parents=True, exist_ok=True)
        (self.hypervisor / "type").write_text("xen\n")
        (self.hypervisor / "version" / "major").write_text(f"{major}\n")
        (self.hypervisor / "version" / "minor").write_text(f"{minor}\n")

    def process(self, pid: int, name: str, *words: str) -> None:
        directory = self.proc / str(pid)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "comm").write_text(f"{name}\n")
        (directory / "cmdline").write_text("".join(f"{word}\0" for word in words))

    def finding(self, subject: str) -> Finding:
        return next(finding for finding in diagnose(self.path) if finding.subject == subject)


@pytest.fixture
def dom0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dom0:
    dom0 = Dom0(tmp_path)
    monkeypatch.setattr(diagnosis_xen, "_HYPERVISOR", dom0.hypervisor)
    monkeypatch.setattr(diagnosis_xen, "_NETBACK", dom0.netback)
    monkeypatch.setattr(diagnosis_xen, "_PROC", dom0.proc)
    monkeypatch.setattr(diagnosis_xen, "room", lambda instance: Room(free=300 * MIB, ours=212 * MIB))
    return dom0


def test_a_dom0_with_all_of_it_is_good(dom0: Dom0) -> None:
    found = {finding.subject: finding for finding in diagnose(dom0.path)}
    assert found["hypervisor"] == Finding("hypervisor", "ok", "Xen 4.17")
    assert found["xen memory"] == Finding("xen memory", "ok", "300 MiB are free")
    assert found["xenconsoled"] == Finding("xenconsoled", "ok", "process 7 has the guests' consoles")
    assert found["netback"] == Finding("netback", "ok", "xen-netback is loaded")
    assert not {"qemu", "accelerator", "users"} & found.keys()


@pytest.mark.parametrize(
    ("version", "found"),
    [
        (None, ("bad", "Linux does not run on Xen here")),
        (("4", "18"), ("bad", "Xen 4.18 is not the one that we know")),
    ],
)
def test_another_hypervisor_is_bad(dom0: Dom0, version: tuple[str, str] | None, found: tuple[str, str]) -> None:
    shutil.rmtree(dom0.hypervisor)
    if version is not None:
        dom0.version(*version)
    finding = dom0.finding("hypervisor")
    assert (finding.state, finding.message) == found
    assert finding.cure


def test_less_memory_than_guests_may_have_is_a_note(dom0: Dom0, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they have already counts."""
    monkeypatch.setattr(diagnosis_xen, "room", lambda instance: Room(free=300 * MIB, ours=211 * MIB))
    assert dom0.finding("xen memory") == Finding(
        "xen memory",
        "note",
        "guests may have 512 MiB, and Xen has 511 for them",
        "lower [limits] memory, or give dom0 less: dom0_mem= of Xen",
    )


def test_libraries_that_are_missing_are_bad(dom0: Dom0, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(instance: str) -> Room:
        raise HostError("the xen driver needs the module jitsu_xen", hint="build it")

    monkeypatch.setattr(diagnosis_xen, "room", nothing)
    found = Finding("xen memory", "bad", "the xen driver needs the module jitsu_xen", "build it")
    assert dom0.finding("xen memory") == found


def test_a_store_that_answers_is_good_and_one_that_is_missing_bad(dom0: Dom0) -> None:
    silent = dom0.finding("xenstored")
    assert silent.state == "bad"
    assert str(dom0.path.parent / "store") in silent.message
    assert silent.cure
    with StoreProcess(dom0.path.parent) as store:
        dom0.path.write_text(dom0.path.read_text().replace(f"{dom0.path.parent}/store", str(store.path)))
        assert dom0.finding("xenstored") == Finding("xenstored", "ok", f"one answers on {store.path}")


@pytest.mark.parametrize("words", [[], ["--log=none"], ["--log=hv"]])
def test_a_xenconsoled_that_does_not_log_guests_is_good(dom0: Dom0, words: list[str]) -> None:
    dom0.process(7, "xenconsoled", "xenconsoled", *words)
    assert dom0.finding("xenconsoled").state == "ok"


@pytest.mark.parametrize("word", ["--log=guest", "--log=all"])
def test_one_that_fills_the_disk_is_a_note(dom0: Dom0, word: str) -> None:
    dom0.process(7, "xenconsoled", "xenconsoled", "-i", word)
    finding = dom0.finding("xenconsoled")
    assert (finding.state, finding.cure) == ("note", "start it without --log=guest: jitsu logs has the newest")


def test_no_xenconsoled_and_no_netback_are_bad(dom0: Dom0) -> None:
    shutil.rmtree(dom0.proc / "7")
    dom0.netback.rmdir()
    consoles, interfaces = dom0.finding("xenconsoled"), dom0.finding("netback")
    assert (consoles.state, interfaces.state) == ("bad", "bad")
    assert consoles.cure.startswith("start it")
    assert interfaces.cure == "modprobe xen-netback"
