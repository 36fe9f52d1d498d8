"""What the tests with real guests share: built guests, and stages to put them on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu import artifacts
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import Cast, Stage
from tests.vm.libvirt_host import LibvirtHost


@pytest.fixture(scope="session")
def hello() -> Path:
    """Our own unikernel."""
    return artifacts.build("hello", print) / "hello.elf"


@pytest.fixture(scope="session")
def stock_linux() -> Path:
    """The folder of a stock Linux guest: vmlinuz and initrd."""
    return artifacts.build("stock-linux", print)


@pytest.fixture(scope="session")
def tinyx() -> Path:
    """The folder of a Tinyx guest: kernel and initrd. The kernel takes minutes to build, once."""
    return artifacts.build("tinyx-hello@amd64", print)


@pytest.fixture(scope="session")
def libvirt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibvirtHost]:
    """A libvirt daemon that is nobody else's; a test that ends it starts it again."""
    with LibvirtHost(tmp_path_factory.mktemp("libvirt"), tmp_path_factory.mktemp("cache")) as host:
        yield host


@pytest.fixture
def stage(private_network: None, hello: Path) -> Iterator[Stage]:
    """Two services whose guest is hello; nobody is dismissed for silence during a test."""
    with Stage([Cast("www", hello), Cast("shop", hello)]) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    with SynCounter(stage.client) as counter:
        yield Client(stage.client, counter)
