"""What the tests with real guests share: built guests, and stages to put them on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu import artifacts
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import Cast, Stage


@pytest.fixture(scope="session")
def hello() -> Path:
    """Our own unikernel."""
    return artifacts.build("hello", print) / "hello.elf"


@pytest.fixture(scope="session")
def stock_linux() -> Path:
    """The folder of a stock Linux guest: vmlinuz and initrd."""
    return artifacts.build("stock-linux", print)


@pytest.fixture
def stage(private_network: None, hello: Path) -> Iterator[Stage]:
    """Two services whose guest is hello; nobody is dismissed for silence during a test."""
    with Stage([Cast("www", hello), Cast("shop", hello)]) as stage:
        yield stage


@pytest.fixture
def client(stage: Stage) -> Iterator[Client]:
    with SynCounter(stage.client) as counter:
        yield Client(stage.client, counter)
