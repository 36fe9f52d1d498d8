"""The libvirt driver without a libvirt: what it says then."""

import sys
from pathlib import Path

import pytest

from jitsu.domains.console_keeper import ConsoleKeeper
from jitsu.domains.driver import Verdict
from jitsu.domains.libvirt import LibvirtDriver
from jitsu.domains.libvirt_connection import versions
from jitsu.errors import HostError


@pytest.fixture
def without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libvirt", None)


@pytest.mark.usefixtures("without_the_library")
async def test_without_its_library_the_driver_says_how_to_get_it(tmp_path: Path) -> None:
    verdict, keeper = Verdict("tcg", "for a test"), ConsoleKeeper(tmp_path / "run", tmp_path / "logs")
    with pytest.raises(HostError, match="the libvirt driver needs the Python package libvirt-python") as raised:
        LibvirtDriver("qemu:///system", "edge", tmp_path / "run", keeper, verdict, lambda _: None)
    assert raised.value.hint.startswith("pip install 'jitsu[libvirt]'")


@pytest.mark.usefixtures("without_the_library")
def test_the_doctor_is_told_the_same() -> None:
    with pytest.raises(HostError, match="needs the Python package libvirt-python"):
        versions("qemu:///system")
