"""`jitsu serve` with the libvirt driver, real libvirtd and real guests: what the direct driver does, it does too."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jitsu.demo.client import Client, SynCounter, crash
from jitsu.demo.stage import ZONE, Cast, Stage, Value
from jitsu.errors import DaemonError, JitsuError
from tests.vm.libvirt_host import LibvirtHost
from tests.vm.witness import belongings, nothing_is_left, row, until_asleep

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(300)]

WWW = f"www.{ZONE}"


ASKED: dict[str, Value] = {"dismiss": "ask", "patience": 60}


def stage_on(libvirt: LibvirtHost, *cast: Cast, **sections: dict[str, Value]) -> Stage:
    return Stage(cast, sections={"daemon": {"driver": "libvirt"}, "libvirt": {"uri": libvirt.uri}, **sections})


@pytest.fixture
def stage(libvirt: LibvirtHost, hello: Path) -> Iterator[Stage]:
    # One says that it is ready on its port, the other in the XenStore.
    with stage_on(libvirt, Cast("www", hello), Cast("shop", hello, {"ready": "store"})) as stage:
        yield stage
    assert libvirt.names() == []


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    with SynCounter(stage.client) as counter:
        yield Client(stage.client, counter)


def domain_of(stage: Stage, service: str) -> str:
    """The name of the service's domain, as virsh shows it."""
    return f"jitsu.{stage.config.daemon.instance}.{service}.{row(stage, service)['domid']}"


def shop_of(stage: Stage) -> str:
    return str(stage.config.services["shop"].address)


def test_a_question_or_a_syn_summons_and_a_stop_leaves_nothing(
    stage: Stage, client: Client, libvirt: LibvirtHost
) -> None:
    # The first guest with a port to the store has the folder of the ports made.
    client.by_address(shop_of(stage))
    stage.ask("stop", service="shop")
    before = belongings(stage)
    asked = client.by_name(WWW)
    knocked = client.by_address(shop_of(stage))
    assert (asked.status, asked.syn_sent, knocked.status) == (200, 1, 200)
    assert sorted(libvirt.names()) == sorted(domain_of(stage, service) for service in ("www", "shop"))
    # A pid that is really QEMU's: tools that read /proc by it must not be led astray.
    arguments = Path(f"/proc/{row(stage, 'www')['pid']}/cmdline").read_bytes().split(b"\0")
    assert f"guest={domain_of(stage, 'www')},debug-threads=on".encode() in arguments
    for service in ("www", "shop"):
        stage.ask("stop", service=service)
    assert libvirt.names() == []
    nothing_is_left(stage, before)
    assert stage.complaints() == ""


def test_a_guest_is_asked_before_it_is_ended(libvirt: LibvirtHost, hello: Path, stock_linux: Path) -> None:
    options: dict[str, Value] = {"memory": "128 MiB", "ready": "probe", "cmdline": "console=ttyS0 quiet"}
    linux = Cast("linux", stock_linux / "vmlinuz", {**options, "initrd": str(stock_linux / "initrd"), **ASKED})
    with stage_on(libvirt, Cast("www", hello, ASKED), linux, limits={"boot": 60}) as stage:
        for service in ("www", "linux"):
            stage.ask("start", service=service)
            stage.ask("stop", service=service)
            assert row(stage, service)["last"] == "stopped by hand; it shut down when asked"
        assert libvirt.names() == []


def test_many_who_ask_at_once_get_one_domain_each(libvirt: LibvirtHost, hello: Path) -> None:
    names = [f"s{number}" for number in range(6)]
    with stage_on(libvirt, *(Cast(name, hello) for name in names)) as stage, SynCounter(stage.client) as counter:
        visits: list[int] = []

        def visit(name: str) -> None:
            visits.append(Client(stage.client, counter).by_name(f"{name}.{ZONE}").status)

        threads = [threading.Thread(target=visit, args=(name,)) for name in names * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert visits == [200] * 12
        assert [entry["summons"] for entry in stage.ask("ps")] == [1] * 6


def test_silence_dismisses(libvirt: LibvirtHost, hello: Path) -> None:
    with (
        stage_on(libvirt, Cast("www", hello, {"idle": 0.5})) as stage,
        SynCounter(stage.client) as counter,
    ):
        assert Client(stage.client, counter).by_name(WWW).status == 200
        assert until_asleep(stage, "www")["last"].startswith("idle for")
        assert libvirt.names() == []


def test_a_guest_that_crashes_says_why_and_comes_back_at_the_next_packet(stage: Stage, client: Client) -> None:
    client.by_address(shop_of(stage))
    crash(client, shop_of(stage))
    assert client.by_address(shop_of(stage)).status == 200
    shop = row(stage, "shop")
    assert (shop["summons"], shop["last"]) == (2, "the guest reset itself (a reboot or a triple fault)")


def test_a_domain_that_an_administrator_destroys_is_told_of_and_summoned_again(
    stage: Stage, client: Client, libvirt: LibvirtHost
) -> None:
    client.by_name(WWW)
    assert libvirt.virsh("destroy", domain_of(stage, "www")).returncode == 0
    assert client.by_name(WWW).status == 200
    www = row(stage, "www")
    assert (www["summons"], www["last"]) == (2, "QEMU ended (destroyed through libvirt, and not by jitsu)")


def test_a_guest_outlives_its_daemon_and_is_adopted_serving(stage: Stage, client: Client, libvirt: LibvirtHost) -> None:
    client.by_name(WWW)
    before = row(stage, "www")
    stage.kill_daemon()
    assert client.by_address(str(stage.config.services["www"].address)).status == 200
    stage.start_daemon()
    after = row(stage, "www")
    assert (after["state"], after["pid"], after["domid"]) == ("serving", before["pid"], before["domid"])
    assert client.by_name(WWW).status == 200
    # And it is as much the new daemon's own: its end is seen, and it can be ended.
    crash(client, str(stage.config.services["www"].address))
    assert client.by_name(WWW).status == 200
    stage.ask("stop", service="www")
    assert libvirt.names() == []


def test_a_guest_of_a_changed_definition_is_not_adopted(stage: Stage, client: Client, libvirt: LibvirtHost) -> None:
    client.by_name(WWW)
    stage.kill_daemon()
    stage.path.write_text(stage.path.read_text().replace('memory = "8 MiB"', 'memory = "12 MiB"'))
    stage.start_daemon()
    assert libvirt.names() == []
    assert client.by_name(WWW).status == 200


def test_a_domain_that_no_daemon_finished_is_ended_by_the_next(
    stage: Stage, client: Client, libvirt: LibvirtHost
) -> None:
    client.by_name(WWW)
    stage.kill_daemon()
    # As a daemon leaves it that is killed between building a domain and letting it run.
    assert libvirt.virsh("suspend", f"jitsu.{stage.config.daemon.instance}.www.1").returncode == 0
    stage.start_daemon()
    assert libvirt.names() == []
    assert row(stage, "www")["state"] == "asleep"


def test_guests_live_on_while_libvirt_is_away(stage: Stage, client: Client, libvirt: LibvirtHost) -> None:
    client.by_name(WWW)
    client.by_address(shop_of(stage))
    pid = row(stage, "www")["pid"]
    with libvirt.away():
        # Who runs is reached, who sleeps cannot be woken, and who is to go goes.
        assert client.by_name(WWW).status == 200
        stage.ask("stop", service="shop")
        with pytest.raises(JitsuError, match="rcode 2"):
            client.by_name(f"shop.{ZONE}")
        assert row(stage, "shop")["last"] == f"service shop: libvirt at {libvirt.uri} does not answer"
    assert summoned_again(client, f"shop.{ZONE}") == 200
    assert row(stage, "www")["pid"] == pid
    crash(client, str(stage.config.services["www"].address))
    assert client.by_name(WWW).status == 200
    assert row(stage, "www")["last"] == "the guest reset itself (a reboot or a triple fault)"


def test_a_guest_that_crashes_while_libvirt_is_away_is_seen_to(
    stage: Stage, client: Client, libvirt: LibvirtHost
) -> None:
    """Its QEMU waits for libvirt to end it, and nobody is answered meanwhile; then the next packet summons."""
    client.by_address(shop_of(stage))
    with libvirt.away(), SynCounter(stage.client) as counter:
        crash(Client(stage.client, counter, patience=1), shop_of(stage))
    assert until_asleep(stage, "shop")["last"]
    assert summoned_again(client, f"shop.{ZONE}") == 200


def summoned_again(client: Client, name: str) -> int:
    """The status of a visit as soon as the daemon has its libvirt back, ten seconds at most."""
    tick = threading.Event()
    for _ in range(100):
        with suppress(JitsuError):
            return client.by_name(name).status
        tick.wait(0.1)
    return client.by_name(name).status


def test_what_libvirt_refuses_is_refused_in_its_words(stage: Stage, client: Client, libvirt: LibvirtHost) -> None:
    name = f"jitsu.{stage.config.daemon.instance}.www.1"
    squatter = stage.folder / "squatter.xml"
    squatter.write_text(
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>8</memory>"
        "<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"
    )
    assert libvirt.virsh("define", str(squatter)).returncode == 0
    before = belongings(stage)
    with pytest.raises(JitsuError, match="rcode 2"):
        client.by_name(WWW)
    assert f"domain '{name}' already exists" in row(stage, "www")["last"]
    nothing_is_left(stage, before)
    assert libvirt.virsh("undefine", name).returncode == 0
    assert client.by_name(WWW).status == 200


def test_without_libvirt_the_daemon_does_not_begin_and_the_doctor_knows(tmp_path: Path, hello: Path) -> None:
    nobody = f"qemu+unix:///system?socket={tmp_path}/nobody"
    sections: dict[str, dict[str, str | int | float]] = {"daemon": {"driver": "libvirt"}, "libvirt": {"uri": nobody}}
    stage = Stage([Cast("www", hello)], sections=sections, folder=tmp_path)
    with pytest.raises(DaemonError, match=r"libvirt at .* does not answer: Failed to connect socket") as raised, stage:
        raise AssertionError("it began")
    assert raised.value.hint.startswith("start it: systemctl start libvirtd")
    finding = diagnosed(stage.path)["libvirt"]
    assert (finding["state"], finding["cure"]) == ("bad", raised.value.hint)


def test_the_doctor_says_which_libvirt_answers(stage: Stage) -> None:
    found = diagnosed(stage.path)
    assert found["libvirt"]["state"] == "ok"
    assert "libvirt 9" in found["libvirt"]["message"] or "libvirt 1" in found["libvirt"]["message"]
    assert found["daemon"]["state"] == "ok"


def diagnosed(path: Path) -> dict[str, dict[str, str]]:
    run = subprocess.run(
        [sys.executable, "-m", "jitsu.cli.main", "doctor", "-c", str(path), "-o", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    return {finding["subject"]: finding for finding in json.loads(run.stdout)}


def test_a_stock_linux_runs_in_libvirts_q35(libvirt: LibvirtHost, stock_linux: Path) -> None:
    options = {
        "initrd": str(stock_linux / "initrd"),
        "cmdline": "console=ttyS0 quiet",
        "memory": "192 MiB",
        "ready": "probe",
        "idle": 60,
    }
    with (
        stage_on(libvirt, Cast("linux", stock_linux / "vmlinuz", options)) as stage,
        SynCounter(stage.client) as counter,
    ):
        visit = Client(stage.client, counter).by_name(f"linux.{ZONE}")
        assert visit.status == 200
        assert libvirt.names() == [domain_of(stage, "linux")]
