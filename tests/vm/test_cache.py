"""The cache as a unikernel: summoned with a volume on its disks, it serves what the program of Linux serves."""

import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from jitsu import artifacts
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage
from jitsu.errors import DaemonError
from jitsu.network.namespace import inside
from shfs.formatting import mkfs
from shfs.geometry import StripeMode
from shfs.volume import Volume
from tests.cache.case import Profile, get
from tests.cache.catalogue import CASES
from tests.cache.content import ITEMS, write_volume
from tests.cache.fields import Violation
from tests.cache.servers import Server, tag_of
from tests.cache.wire import Address, Wire
from tests.kept_console import kept_console
from tests.vm.witness import row

pytestmark = pytest.mark.usefixtures("private_network")

MIB = 1 << 20
MEMORY = "32 MiB"


@pytest.fixture(scope="session")
def cache() -> Path:
    return artifacts.build("cache", print) / "cache.elf"


@pytest.fixture
def striped(tmp_path: Path) -> tuple[list[Path], dict[str, bytes]]:
    """The members of a volume over three disks, in a wrong order, and its objects: more than there are buffers for."""
    paths = [tmp_path / f"member{number}.img" for number in range(3)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(12 * MIB)
    mkfs(list(map(str, paths)), mode=StripeMode.COMBINED, stripe=4096, buckets=64, entries=8)
    chance = random.Random(1)
    contents = {f"object{number}": chance.randbytes(chance.randrange(400_000)) for number in range(100)}
    with Volume.open(list(map(str, paths)), write=True) as volume, volume.batch() as batch:
        for name, content in contents.items():
            batch.add(io.BytesIO(content), name=name, size=len(content))
    return paths[::-1], contents


def start(stage: Stage) -> Address:
    """The address of the service, whose guest runs and knows the time: one that booted has no clock before a daemon
    tells it, as it does when it takes over."""
    stage.ask("start", service="cache")
    stage.kill_daemon()
    stage.start_daemon()
    return str(stage.config.services["cache"].address), 80


def test_the_suite_of_requests_on_a_unikernel(cache: Path, tmp_path: Path) -> None:
    """All of its cases that need no other setting, one after the other on one guest."""
    image = tmp_path / "volume.img"
    write_volume(image)
    cast = Cast("cache", cache, {"disks": [str(image)], "memory": MEMORY})
    failures = {}
    with Stage([cast], folder=tmp_path) as stage:
        address = start(stage)
        domain = row(stage, "cache")["domid"]
        with inside(stage.client):
            server = Server("unikernel", {Profile.USUAL: address}, tag_of(address), {})
            for name, case in CASES.items():
                if case.profile is Profile.USUAL:
                    try:
                        server.run(case)
                    except (Violation, OSError) as failure:
                        failures[name] = failure
        assert row(stage, "cache")["domid"] == domain
    assert not failures


def test_many_requests_at_once_on_one_connection(cache: Path, tmp_path: Path) -> None:
    """For more objects than a connection may hold chunks, before the first acknowledgement."""
    image = tmp_path / "volume.img"
    write_volume(image)
    cast = Cast("cache", cache, {"disks": [str(image)], "memory": MEMORY})
    small = [item for item in ITEMS.values() if 0 < len(item.content) < 1000] * 3
    with Stage([cast], folder=tmp_path) as stage:
        address = start(stage)
        with inside(stage.client), Wire(address) as wire:
            wire.send(b"".join(get(f"/?{item.digest}") for item in small))
            responses = [wire.response() for _ in small]
    assert len(small) > 60
    assert [(response.status, response.body) for response in responses] == [(200, item.content) for item in small]


def test_all_of_a_volume_of_three_disks_comes_to_many_clients(
    cache: Path, striped: tuple[list[Path], dict[str, bytes]], tmp_path: Path
) -> None:
    """24 MiB of objects through 8 MiB of buffers, eight clients at a time; the first one summons the guest."""
    members, contents = striped
    cast = Cast("cache", cache, {"disks": [str(member) for member in members], "memory": MEMORY})
    with Stage([cast], folder=tmp_path) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        first = client.by_name(f"cache.{ZONE}", "/object0")
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda name: client.by_name(f"cache.{ZONE}", f"/{name}"), contents))
        assert row(stage, "cache")["summons"] == 1
    assert first.body == contents["object0"]
    assert [answer.status for answer in answers] == [200] * len(contents)
    assert [sha256(answer.body).digest() for answer in answers] == [
        sha256(content).digest() for content in contents.values()
    ]


def test_a_guest_whose_disk_is_no_volume_says_so(cache: Path, tmp_path: Path) -> None:
    image = tmp_path / "nothing.img"
    image.write_bytes(bytes(MIB))
    cast = Cast("cache", cache, {"disks": [str(image)], "memory": MEMORY})
    with Stage([cast], folder=tmp_path) as stage:
        with pytest.raises(DaemonError):
            stage.ask("start", service="cache")
        tick = threading.Event()
        # The last words of a guest are in its log a moment after its end is known.
        for _ in range(100):
            said = "\n".join(kept_console(stage.config.daemon.state / "console", "cache"))
            if "panic: the volume cannot be mounted: there is no SHFS label" in said:
                return
            tick.wait(0.1)
        raise AssertionError(said)
