"""Services with disks, on real QEMU: their guests read them to the byte, and share what nobody writes."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from jitsu.config import Disk
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import BOARD, ZONE, Cast, Stage, Value
from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.driver import DomainEvent, DomainSpec, Verdict
from jitsu.domains.qemu import QemuDriver
from jitsu.domains.qemu_adoption import survivors
from jitsu.errors import DomainError
from jitsu.network.namespace import inside
from tests.vm.libvirt_host import LibvirtHost
from tests.vm.tiny_guests import HALT, saying
from tests.vm.witness import belongings, nothing_is_left, row, until_asleep

pytestmark = pytest.mark.usefixtures("private_network")

SECTOR, MOST = 512, 128
SIZE = (1 << 20) + 3 * SECTOR
READERS = 8
INSTANCE = f"disks-{os.getpid()}"


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "content, or so.img"
    path.write_bytes(os.urandom(SIZE))
    return path


def said_of(client: Client, name: str, disk: int) -> dict[str, int]:
    visit = client.by_name(f"{name}.{ZONE}", f"/disk?disk={disk}")
    assert visit.status == 200
    said: dict[str, int] = json.loads(visit.body)
    return said


def content(client: Client, name: str, disk: int, size: int) -> bytes:
    """A whole disk, read in pieces at the same time."""
    sectors = size // SECTOR

    def piece(at: int) -> bytes:
        path = f"/disk?disk={disk}&sector={at}&count={min(MOST, sectors - at)}"
        visit = client.by_name(f"{name}.{ZONE}", path)
        assert visit.status == 200
        return visit.body

    with ThreadPoolExecutor(READERS) as readers:
        return b"".join(readers.map(piece, range(0, sectors, MOST)))


def asked(stage: Stage, name: str) -> str:
    with inside(stage.client):
        command = ["dig", "+tries=1", "+time=20", f"@{BOARD}", f"{name}.{ZONE}", "A"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_four_guests_read_one_volume_and_each_one_of_its_own(hello: Path, volume: Path) -> None:
    names = ("one", "two", "three", "four")
    own = {name: os.urandom((2 + number) * SECTOR) for number, name in enumerate(names)}
    cast = []
    for name in names:
        (volume.parent / f"{name}.img").write_bytes(own[name])
        # A path that is relative to the configuration, and a disk that may be written.
        cast.append(Cast(name, hello, {"disks": [str(volume), f"rw:{name}.img"]}))
    with Stage(cast, folder=volume.parent) as stage, SynCounter(stage.client) as counter:
        before = belongings(stage)
        client = Client(stage.client, counter)
        sizes = [[said_of(client, name, disk) for disk in (0, 1)] for name in names]
        with ThreadPoolExecutor(len(names)) as guests:
            read = list(guests.map(lambda name: content(client, name, 0, SIZE), names))
        small = {name: content(client, name, 1, len(own[name])) for name in names}
        beyond = [client.by_name(f"one.{ZONE}", f"/disk?{query}").status for query in ("disk=2", "sector=2051")]
        assert {row(stage, name)["summons"] for name in names} == {1}
        for name in names:
            stage.ask("stop", service=name)
        nothing_is_left(stage, before)

    for number, (first, second) in enumerate(sizes):
        assert first == {"sectors": SIZE // SECTOR, "sector_size": SECTOR, "most": MOST}
        assert second["sectors"] == 2 + number
    assert {sha256(each).digest() for each in read} == {sha256(volume.read_bytes()).digest()}
    assert small == own
    assert beyond == [404, 404]


@pytest.mark.timeout(300)
def test_guests_that_libvirt_builds_have_theirs_too(hello: Path, volume: Path, libvirt: LibvirtHost) -> None:
    own = os.urandom(5 * SECTOR)
    (volume.parent / "own.img").write_bytes(own)
    cast = [
        Cast("one", hello, {"disks": [str(volume), "rw:own.img"]}),
        Cast("two", hello, {"disks": [str(volume)]}),
    ]
    sections: dict[str, dict[str, Value]] = {"daemon": {"driver": "libvirt"}, "libvirt": {"uri": libvirt.uri}}
    with Stage(cast, folder=volume.parent, sections=sections) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        for name in ("one", "two"):
            assert client.by_name(f"{name}.{ZONE}").status == 200
        listed = libvirt.virsh("domblklist", "--details", libvirt.names()[0]).stdout
        read = [content(client, name, 0, SIZE) for name in ("one", "two")]
        small = content(client, "one", 1, len(own))
        stage.ask("stop", service="one")
        (volume.parent / "own.img").unlink()
        assert "status: SERVFAIL" in asked(stage, "one")
        assert row(stage, "one")["last"] == f"service one: disk {volume.parent}/own.img: no such file"
    assert libvirt.names() == []
    assert str(volume) in listed
    assert read == [volume.read_bytes()] * 2
    assert small == own


def test_a_writer_has_its_disk_alone_by_whatever_name_until_it_is_gone(hello: Path, volume: Path) -> None:
    alias = volume.with_name("alias.img")
    alias.symlink_to(volume)
    cast = [Cast("writer", hello, {"disks": [f"rw:{volume}"]}), Cast("reader", hello, {"disks": [str(alias)]})]
    with Stage(cast, folder=volume.parent) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        assert client.by_name(f"writer.{ZONE}").status == 200
        assert "status: SERVFAIL" in asked(stage, "reader")
        assert row(stage, "reader")["last"] == (f"service reader: disk {alias} is in use by domain 1, which writes it")
        # The next daemon knows it too.
        stage.kill_daemon()
        stage.start_daemon()
        assert "status: SERVFAIL" in asked(stage, "reader")
        stage.ask("stop", service="writer")
        assert client.by_name(f"reader.{ZONE}").status == 200
        assert "status: SERVFAIL" in asked(stage, "writer")
        assert row(stage, "writer")["last"].endswith("and cannot be written meanwhile")


def test_a_disk_that_is_gone_at_the_summon_is_named(hello: Path, volume: Path) -> None:
    cast = [Cast("www", hello, {"disks": [str(volume)]})]
    with Stage(cast, folder=volume.parent) as stage, SynCounter(stage.client) as counter:
        before = belongings(stage)
        volume.rename(volume.with_suffix(".away"))
        assert "status: SERVFAIL" in asked(stage, "www")
        assert row(stage, "www")["last"] == f"service www: disk {volume}: no such file"
        volume.with_suffix(".away").rename(volume)
        assert client_status(stage, counter) == 200
        stage.ask("stop", service="www")
        until_asleep(stage, "www")
        nothing_is_left(stage, before)


def client_status(stage: Stage, counter: SynCounter) -> int:
    return Client(stage.client, counter).by_name(f"www.{ZONE}", "/disk?sector=0").status


class Host:
    """A driver, and guests of a few bytes that have disks and do nothing with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: asyncio.Queue[DomainEvent] = asyncio.Queue()
        self.keeper = ConsoleKeeper(folder / "run", folder / "logs")
        verdict = Verdict("tcg", "for a test")
        self.driver = QemuDriver(
            INSTANCE, folder / "run", folder / "saved", self.keeper, verdict, self.ended.put_nowait
        )

    def spec(self, domid: int, *disks: Disk) -> DomainSpec:
        kernel = self.folder / "kernel"
        kernel.write_bytes(saying(b"here\n", HALT))
        mac = "52:54:00:00:00:01"
        return DomainSpec("hello", domid, kernel, 16 << 20, "", mac, tells_ready=False, disks=disks)

    async def block_layer(self, domid: int, command: str) -> str:
        """What QEMU's own disk tool says, which does this to the domain's first disk as the device would."""
        monitor = await self.driver._processes[domid].monitor()
        arguments = {"command-line": f'qemu-io -d /machine/peripheral-anon/device[0] "{command}"'}
        said: str = await monitor.execute("human-monitor-command", arguments)
        print(f"domain {domid}: {command}: {said}")
        return said


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    place = Host(tmp_path)
    yield place
    await place.driver.close()
    place.keeper.close()
    for pid in survivors(INSTANCE):
        os.kill(pid, signal.SIGKILL)


async def test_what_a_guest_writes_arrives_however_large_the_disk_and_else_is_refused(host: Host) -> None:
    """QEMU may write no file that is much larger than its guest's memory, but for the guest's own disk."""
    large, fixed = host.folder / "large.img", host.folder / "fixed.img"
    for path in (large, fixed):
        with path.open("wb") as file:
            file.truncate(300 << 20)
    await host.driver.prepare(host.spec(1, Disk(large, writable=True)), [])
    await host.driver.prepare(host.spec(2, Disk(fixed)), [])
    end = (300 << 20) - SECTOR
    written = await host.block_layer(1, f"write -P 0x5a {end} {SECTOR}")
    refused = await host.block_layer(2, f"write -P 0x5a 0 {SECTOR}")

    assert "wrote 512/512" in written or not written
    assert large.read_bytes()[end:] == b"\x5a" * SECTOR
    assert "read-only" in refused or "not permitted" in refused
    assert not any(fixed.read_bytes()[:SECTOR])
    for domain in [process.domain for process in host.driver._processes.values()]:
        await host.driver.destroy(domain)


async def test_qemu_itself_keeps_out_who_writes_what_others_have(host: Host) -> None:
    """Another daemon of this host, or who calls QEMU by hand."""
    shared = host.folder / "shared.img"
    shared.write_bytes(bytes(8 * SECTOR))
    await host.driver.prepare(host.spec(1, Disk(shared)), [])
    await host.driver.prepare(host.spec(2, Disk(shared)), [])
    with pytest.raises(DomainError, match="Is another process using the image"):
        await host.driver.prepare(host.spec(3, Disk(shared, writable=True)), [])


async def test_a_disk_that_cannot_be_one_starts_nothing(host: Host) -> None:
    odd = host.folder / "odd.img"
    odd.write_bytes(bytes(SECTOR + 1))
    with pytest.raises(DomainError, match=r"service hello: disk .*odd.img: has 513 bytes"):
        await host.driver.launch(host.spec(1, Disk(odd)), [])
    assert host.driver._processes == {}
    assert [path.name for path in (host.folder / "run").iterdir()] == []
    with pytest.raises(DomainError, match=r"absent: no such file"):
        host.driver.check(host.spec(1, Disk(host.folder / "absent")))


def test_a_saved_guest_finds_its_disk_and_is_saved_anew_when_it_changed(hello: Path, volume: Path) -> None:
    cast = [Cast("www", hello, {"disks": [str(volume)], "mode": "snapshot"})]
    with Stage(cast, folder=volume.parent) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)

        def visit() -> tuple[bytes, list[str]]:
            """What it reads, and the way on which it came."""
            stage.await_spare("www", "blank")
            read = content(client, "www", 0, SIZE)
            spans = [span["name"] for span in stage.ask("trace", service="www", last=1)[0]["spans"]]
            stage.ask("stop", service="www")
            until_asleep(stage, "www")
            return read, spans

        first = visit()
        volume.write_bytes(os.urandom(SIZE))
        # What is kept is looked at when somebody comes: that one's guest boots.
        assert content(client, "www", 0, SIZE) == volume.read_bytes()
        assert "restore" not in [span["name"] for span in stage.ask("trace", service="www", last=1)[0]["spans"]]
        stage.ask("stop", service="www")
        stage.ask("start", service="www")
        stage.ask("stop", service="www")
        second = visit()

    assert "restore" in first[1]
    assert "restore" in second[1]
    assert second[0] == volume.read_bytes() != first[0]


def test_a_guest_that_rests_keeps_its_disk(hello: Path, volume: Path) -> None:
    cast = [Cast("www", hello, {"disks": [f"rw:{volume}"], "mode": "paused", "idle": 0.5})]
    with Stage(cast, folder=volume.parent) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        domains = set()
        for _ in range(3):
            stage.await_spare("www", "paused")
            assert content(client, "www", 0, SIZE) == volume.read_bytes()
            domains.add(row(stage, "www")["domid"])
        assert len(domains) == 1, "it rested, and was never made anew"
