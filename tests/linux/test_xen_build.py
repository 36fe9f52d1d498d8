"""What XenBuilder does where the XenStore or the network fails: both real, and Xen's part played."""

import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from jitsu.domains import xen_build
from jitsu.domains.driver import DomainSpec
from jitsu.domains.xen_build import XenBuilder
from jitsu.domains.xen_keys import Identity, domain_nodes, ends
from jitsu.domains.xen_shell import Kind
from jitsu.errors import DomainError, HostError
from jitsu.network.arrivals import Arrivals
from jitsu.trace import Trace
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.link import StoreUnreachable
from tests.unit.store_process import StoreProcess

pytestmark = pytest.mark.usefixtures("private_network")

MAC, UUID = "00:16:3e:00:00:01", "00" * 16


class NoPorts:
    """Nobody has an interface."""

    def plug(self, domid: int) -> None:
        raise AssertionError(domid)

    def unplug(self, domid: int) -> None:
        raise AssertionError(domid)


class Builder(XenBuilder):
    """Xen destroys what it is told to."""

    destroyed: list[int]

    async def _destroy(self, number: int, uuid: str) -> None:
        self.destroyed.append(number)


def make_interface(name: str) -> None:
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[StoreProcess]:
    with StoreProcess(tmp_path) as process:
        yield process


@pytest.fixture
async def builder(process: StoreProcess) -> AsyncIterator[Builder]:
    async with await StoreClient.connect(process.path) as store:
        for node in domain_nodes(7, Identity("edge", "www", "f", UUID), 2, 3, mac=MAC):
            await store.answers(node.requests())
        arrivals = Arrivals()
        builder = Builder("edge", store, arrivals, NoPorts())
        builder.destroyed = []
        yield builder
        builder.close()
        arrivals.close()


async def test_a_domain_ends_though_the_store_is_gone(builder: Builder, process: StoreProcess) -> None:
    process.kill()
    with pytest.raises(StoreUnreachable):
        await builder.end(7, UUID)
    assert builder.destroyed == [7]


async def test_a_store_that_does_not_answer_is_waited_for_within_limits_and_does_it_later(
    builder: Builder, process: StoreProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xen_build, "STORE_PATIENCE", 0.2)
    monkeypatch.setattr(xen_build, "CONSOLE_PATIENCE", 0.2)
    process.process.send_signal(signal.SIGSTOP)
    with pytest.raises(HostError, match=r"the XenStore does not answer within 0\.2 s"):
        await builder.end(7, UUID)
    assert builder.destroyed == [7]
    process.process.send_signal(signal.SIGCONT)
    # Whatever is asked now is answered after that.
    assert not any([await builder.store.exists(path) for path in ends(7)])


async def test_an_interface_that_is_there_already_is_nobodys_that_is_built_now(builder: Builder) -> None:
    make_interface("vif8.0")
    spec = DomainSpec(service="www", domid=8, kernel=Path("/none"), memory=4 << 20, cmdline="", mac=MAC)
    with pytest.raises(DomainError, match=r"service www: there is an interface vif8\.0 already"):
        await builder.build(spec, Kind.ARM, Trace("www", "build"), run=True)
    assert builder.destroyed == []
