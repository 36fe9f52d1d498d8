"""What stands in a XenStore of the domains that we run: a real one, which comes and goes."""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from jitsu.domains import domain_store
from jitsu.domains.domain_record import Record, Standing
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import DomainSpec
from jitsu.errors import JitsuError
from jitsu.xenstore.client import StoreClient
from jitsu.xenstore.wire import Type
from tests.store_nodes import below, nodes, until_nodes
from tests.unit.store_process import StoreProcess

EMPTY = below("/jitsu", {"domains": "", "services": ""})
ROOTS = ("/jitsu", "/local/domain/7", "/local/domain/8")


def spec(domid: int = 7, service: str = "www", fingerprint: str = "f00d") -> DomainSpec:
    config = (("name", service), ("ip", f"10.77.0.{domid}/24"), ("gw", "10.77.0.1"), ("mac", "52:54:00:00:00:07"))
    kernel = Path("/boot/guest")
    return DomainSpec(service, domid, kernel, 8 << 20, "", "52:54:00:00:00:07", fingerprint=fingerprint, config=config)


def stands(spec: DomainSpec, state: str = "booting", since: str = "") -> dict[str, str]:
    """The nodes of one domain."""
    told = {f"data/jitsu/config/{key}": value for key, value in spec.config}
    home = {"name": spec.service, "domid": f"{spec.domid}", "data/jitsu/control": "", **told}
    address = dict(spec.config)["ip"].partition("/")[0]
    entry = {"service": spec.service, "state": state, "fingerprint": spec.fingerprint, "address": address}
    entry |= {"mac": spec.mac, "since": since}
    return below(f"/local/domain/{spec.domid}", home) | below(f"/jitsu/domains/{spec.domid}", entry)


def all_of(*domains: dict[str, str], **services: int) -> dict[str, str]:
    """Everything that there is."""
    found = EMPTY | {f"/jitsu/services/{name}": f"{domid}" for name, domid in services.items()}
    for each in domains:
        found |= each
    return found


@pytest.fixture
def process() -> Iterator[StoreProcess]:
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder, StoreProcess(Path(folder)) as process:
        yield process


@asynccontextmanager
async def kept(process: StoreProcess, store: DomainStore) -> AsyncIterator[StoreClient]:
    """A connection through which the store is kept written."""
    async with await StoreClient.connect(process.path) as client:
        keeping = asyncio.create_task(store.keep(client))
        while not store._joining and store._client is not client:  # noqa: ASYNC110 - it begins at its turn
            await asyncio.sleep(0)
        yield client
    with suppress(JitsuError):
        await keeping


@pytest.fixture
async def store(process: StoreProcess) -> AsyncIterator[DomainStore]:
    store = DomainStore()
    store.adopted()
    async with kept(process, store):
        yield store


async def test_a_domain_stands_there_from_its_beginning_to_its_end(process: StoreProcess, store: DomainStore) -> None:
    store.began(spec())
    await until_nodes(process.path, all_of(stands(spec()), www=7), *ROOTS)
    store.becomes(7, Standing.SERVING, 1234.5678)
    await until_nodes(process.path, all_of(stands(spec(), "serving", "1234.568"), www=7), *ROOTS)
    store.becomes(7, Standing.RESTING)
    await until_nodes(process.path, all_of(stands(spec(), "resting"), www=7), *ROOTS)
    async with await StoreClient.connect(process.path) as client:
        assert await client.is_introduced(7)
        store.ended(7)
        await until_nodes(process.path, EMPTY, *ROOTS)
        await store.settled(10)
        assert not await client.is_introduced(7)
    assert store.empty


async def test_a_domain_is_released_while_its_nodes_still_tell_of_it(
    process: StoreProcess, store: DomainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is killed in between leaves what his successor goes by."""

    def killed(*_: object, **__: object) -> None:
        raise JitsuError("in the middle of an end")

    store.began(spec())
    await until_nodes(process.path, all_of(stands(spec()), www=7), *ROOTS)
    monkeypatch.setattr(domain_store, "strike", killed)
    async with (
        asyncio.timeout(20),
        await StoreClient.connect(process.path) as client,
        await client.watch("@releaseDomain") as releases,
    ):
        store.ended(7)
        async for _ in releases:
            if not await client.is_introduced(7):
                break
        assert await client.read("/jitsu/domains/7/service") == b"www"


async def test_a_guest_may_read_what_it_is_told_and_write_what_is_its_own(
    process: StoreProcess, store: DomainStore
) -> None:
    store.began(spec(7))
    store.began(spec(8, "other"))
    await store.settled(10)
    with process.guest(7) as guest:
        assert guest.ask(Type.READ, b"data/jitsu/config/ip").payload == b"10.77.0.7/24"
        assert guest.ask(Type.DIRECTORY, b"data/jitsu/control").error is None
        assert guest.write(b"data/jitsu/ready", b"www 1234").error is None
        for path in (b"name", b"domid", b"data/jitsu/config/ip", b"data/jitsu/config/new", b"data/jitsu/control/wake"):
            assert guest.write(path, b"mine").error == "EACCES", path
        for path in (b"/jitsu", b"/jitsu/domains/7/state", b"/jitsu/services/www", b"/local/domain/8/name"):
            assert guest.ask(Type.READ, path).error == "EACCES", path
            assert guest.write(path, b"mine").error == "EACCES", path
        assert guest.ask(Type.READ, b"/local/domain/8/data/jitsu/config/ip").error == "EACCES"


async def test_of_several_domains_the_last_is_the_services_but_never_a_template(
    process: StoreProcess, store: DomainStore
) -> None:
    store.began(spec(7), Standing.RESTING)
    store.began(spec(8))
    await until_nodes(process.path, all_of(stands(spec(7), "resting"), stands(spec(8)), www=8), *ROOTS)
    store.ended(8)
    await until_nodes(process.path, all_of(stands(spec(7), "resting"), www=7), *ROOTS)
    store.began(spec(8), Standing.TEMPLATE)
    await until_nodes(process.path, all_of(stands(spec(7), "resting"), stands(spec(8), "template"), www=7), *ROOTS)
    store.ended(7)
    await until_nodes(process.path, all_of(stands(spec(8), "template")), *ROOTS)


async def test_where_the_driver_has_the_homes_only_what_is_ours_is_written(process: StoreProcess) -> None:
    """As on Xen: the driver writes /local/domain, and introduces."""
    store = DomainStore(homes=False)
    store.adopted()
    ours = {path: value for path, value in stands(spec()).items() if path.startswith("/jitsu")}
    async with kept(process, store) as client:
        await client.write("/local/domain/7/name", b"the driver's")
        drivers = below("/local/domain/7", {"name": "the driver's"})
        store.began(spec())
        await until_nodes(process.path, all_of(ours, drivers, www=7), *ROOTS)
        await store.settled(10)
        assert not await client.is_introduced(7)
        store.ended(7)
        await until_nodes(process.path, EMPTY | drivers, *ROOTS)


async def test_nobody_waits_for_a_store_and_whichever_comes_gets_all_of_it(process: StoreProcess) -> None:
    store = DomainStore()
    store.adopted()
    store.began(spec(7))
    store.began(spec(8, "other"))
    store.ended(8)
    await store.settled(10)
    for state in (Standing.BOOTING, Standing.SERVING):
        store.becomes(7, state)
        async with kept(process, store):
            await until_nodes(process.path, all_of(stands(spec(7), state.value), www=7), *ROOTS)
        # The next one knows nothing.
        process.kill()
        process.start()


async def test_what_is_missing_of_a_domain_is_written_again(process: StoreProcess) -> None:
    store = DomainStore()
    store.adopted()
    store.began(spec())
    async with kept(process, store) as client:
        await store.settled(10)
        with process.guest(7) as guest:
            guest.write(b"data/jitsu/ready", b"www 1")
        for path in ("/local/domain/7/data/jitsu/config", "/jitsu/services", "/jitsu/domains/7/mac"):
            await client.rm(path)
    async with kept(process, store):
        # What the guest wrote stays: it is the same guest.
        said = {"/local/domain/7/data/jitsu/ready": "www 1"}
        await until_nodes(process.path, all_of(stands(spec()), said, www=7), *ROOTS)


async def test_what_no_monitor_confirms_is_removed_when_all_are_found(process: StoreProcess) -> None:
    before = DomainStore()
    before.adopted()
    before.began(spec(7))
    before.began(spec(8, "other"))
    before.becomes(7, Standing.SERVING, 99.0)
    async with kept(process, before):
        both = all_of(stands(spec(7), "serving", "99.000"), stands(spec(8, "other")), www=7, other=8)
        await until_nodes(process.path, both, *ROOTS)
    after = DomainStore()
    recalled: list[tuple[Record, bool]] = []
    after.recalled = lambda record, lives: recalled.append((record, lives))
    async with kept(process, after):
        after.began(spec(8, "other"), Standing.SERVING)
        # Not yet: more may be found.
        assert await nodes(process.path, *ROOTS) == both
        after.adopted([8])
        await until_nodes(process.path, all_of(stands(spec(8, "other"), "serving"), other=8), *ROOTS)
    mac = "52:54:00:00:00:07"
    assert sorted(recalled, key=lambda each: each[0].domid) == [
        (Record(7, "www", "f00d", "10.77.0.7", mac, Standing.SERVING, 99.0), False),
        (Record(8, "other", "f00d", "10.77.0.8", mac, Standing.BOOTING), True),
    ]
    # Only once: what is missing later ended before our eyes.
    recalled.clear()
    async with kept(process, after):
        await until_nodes(process.path, all_of(stands(spec(8, "other"), "serving"), other=8), *ROOTS)
    assert recalled == []


async def test_a_domid_that_had_another_domain_has_nothing_of_it(process: StoreProcess) -> None:
    before = DomainStore()
    before.adopted()
    before.began(spec(7))
    async with kept(process, before):
        await before.settled(10)
        with process.guest(7) as guest:
            guest.write(b"data/secret", b"of www")
    after = DomainStore()
    after.began(spec(7, "other"))
    after.adopted()
    async with kept(process, after):
        await until_nodes(process.path, all_of(stands(spec(7, "other")), other=7), *ROOTS)


async def test_a_store_that_does_not_answer_is_given_up(
    process: StoreProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = DomainStore()
    store.adopted()
    async with kept(process, store) as client:
        store.began(spec())
        await store.settled(10)
        monkeypatch.setattr(domain_store, "PATIENCE", 0.2)
        process.process.send_signal(signal.SIGSTOP)
        store.ended(7)
        async with asyncio.timeout(10):
            await client.closed()
        assert "domain 7: the XenStore does not answer" in caplog.text
    process.process.send_signal(signal.SIGCONT)
    async with kept(process, store):
        await until_nodes(process.path, EMPTY, *ROOTS)


async def test_a_store_that_refuses_is_said_and_holds_up_nobody(
    process: StoreProcess, store: DomainStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.began(spec(33))
    store.began(spec(8, "other"))
    await until_nodes(process.path, all_of(stands(spec(8, "other")), other=8), *ROOTS)
    assert "domain 33 cannot be entered in the XenStore: " in caplog.text
    store.ended(33)
    await store.settled(10)
    assert "33" not in await nodes(process.path, "/jitsu/domains")
