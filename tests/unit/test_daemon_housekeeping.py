"""Services that come, change and go: all of a change happens, or nothing of it, and the store knows first."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.config import ServiceConfig, load
from jitsu.daemon.housekeeping import Housekeeping, first_roster
from jitsu.daemon.roster import Roster
from jitsu.daemon.store import Keys, MemoryStore, SqliteStore
from jitsu.daemon.zones import BoardZones
from jitsu.directory.name import parse_name
from jitsu.directory.server import DirectoryServer
from jitsu.errors import ConfigError, DomainError, HostError, JitsuError
from jitsu.events import Kind
from tests.unit.box import HELLO, PROBED, WORLD, Box, boxed, eventually, settled

SHOP: Keys = {"kernel": "/boot/shop", "address": "10.77.0.20"}
HERE = Path("command line")


class FullStore(MemoryStore):
    """Has room for nothing while `full`."""

    full = False

    def put_services(self, services: Mapping[str, Keys]) -> None:
        if self.full:
            raise HostError("jitsu.db cannot be used: database or disk is full")
        super().put_services(services)


class House:
    """A box, its file with the same services, a store, a directory that nobody asks, and the housekeeping of it all."""

    def __init__(self, box: Box, folder: Path) -> None:
        self.box = box
        self.path = folder / "jitsu.toml"
        self.store = FullStore()
        self.bad_kernels: set[str] = set()
        self.write()
        roster = Roster(load(self.path), {}, HERE)
        zones = BoardZones(roster.everybody)
        self.erased: list[str] = []
        self.directory = DirectoryServer(zones.all, box.summoner.question)
        self.keeping = Housekeeping(
            roster, self.store, box.summoner, zones, self.directory, check=self.check, erase=self.erase
        )

    def write(self, *services: ServiceConfig, network: str = "", extra: str = "") -> None:
        """A file with these services, or with those of the box."""
        sections = [
            f'[service.{each.name}]\nkernel = "{each.kernel}"\nmac = "{each.mac}"\n'
            f'cmdline = "{each.cmdline}"\nready = "{each.ready}"\nmemory = "{each.memory >> 20} MiB"\n'
            f"names = {list(each.names)}\nidle = {each.idle}\n"
            + (f'address = "{each.address}"\n' if each.address is not None else "")
            + (f'address6 = "{each.address6}"\n' if each.address6 is not None else "")
            for each in services or (HELLO, WORLD, PROBED)
        ]
        self.path.write_text("\n".join((extra, f'[network]\naddress6 = "fd77::1/64"\n{network}', *sections)))

    def check(self, service: ServiceConfig) -> None:
        if str(service.kernel) in self.bad_kernels:
            raise DomainError(f"kernel {service.kernel}: no such file")

    async def erase(self, service: str) -> None:
        self.erased.append(service)

    def told(self) -> list[tuple[Kind, str, str]]:
        return [(event.kind, event.service, event.by) for event in self.box.summoner.events.since(0)]

    def address_of(self, name: str) -> str | None:
        host = self.directory.zones[0].host(parse_name(f"{name}.jitsu.test"))
        return host.addresses[0] if host is not None else None

    def serials(self) -> list[int]:
        """A zone's grows with every change of it."""
        return [zone.serial for zone in self.directory.zones]

    def served(self) -> list[str]:
        return list(self.box.summoner.register.services())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with boxed() as box:
        yield House(box, tmp_path)


class TestAdding:
    async def test_it_is_stored_served_and_told(self, house: House) -> None:
        await house.keeping.add({"shop": SHOP, "zoo": {**SHOP, "address": "10.77.0.30"}}, HERE, "anna")
        assert list(house.store.services()) == ["shop", "zoo"]
        assert house.served() == ["hello", "world", "probed", "shop", "zoo"]
        assert house.address_of("shop") == "10.77.0.20"
        assert house.told() == [(Kind.ADDED, "shop", "anna"), (Kind.ADDED, "zoo", "anna")]
        answers = house.box.ask("shop")
        await eventually(lambda: answers == [True])

    @pytest.mark.parametrize("obstacle", ["taken", "kernel", "store", "in-use"])
    async def test_whatever_stands_against_it_leaves_all_as_it_was(self, house: House, obstacle: str) -> None:
        wanted = {"shop": SHOP, "zoo": {**SHOP, "address": "10.77.0.30"}}
        match obstacle:
            case "taken":
                wanted["zoo"] = SHOP
            case "kernel":
                house.bad_kernels.add("/boot/shop")
            case "store":
                house.store.full = True
            case "in-use":
                # World's guest runs on with the address that its next one will not have.
                await house.box.serve("world")
                house.write(HELLO, replace(WORLD, address=HELLO.address + 100), PROBED)
                await house.keeping.reload("test")
                wanted["zoo"]["address"] = str(WORLD.address)
        before = house.served(), house.serials()
        with pytest.raises(JitsuError):
            await house.keeping.add(wanted, HERE, "anna")
        assert (house.served(), house.serials()) == before
        assert house.store.services() == {}
        assert Kind.ADDED not in house.box.summoner.events.counts
        house.store.full = False
        house.bad_kernels.clear()
        await house.keeping.add({"shop": SHOP}, HERE, "anna")


class TestEditing:
    async def test_policy_is_in_force_at_once_and_the_rest_later(self, house: House) -> None:
        await house.keeping.add({"shop": {**SHOP, "idle": 5}}, HERE, "anna")
        await house.box.serve("shop")
        changes = {"idle": None, "names": ["shop", "store"], "address": "10.77.0.21"}
        assert not await house.keeping.edit("shop", changes, HERE, "anna")
        assert house.store.services()["shop"] == {**SHOP, "names": ["shop", "store"], "address": "10.77.0.21"}
        assert house.address_of("store") == house.address_of("shop") == "10.77.0.20"
        assert house.box.summoner.register.services()["shop"].idle == 60.0
        assert [row["pending"] for row in house.keeping.rows()] == [False, False, False, True]
        await house.box.summoner.stop("shop")
        assert house.address_of("store") == house.address_of("shop") == "10.77.0.21"
        assert house.keeping.rows()[3]["pending"] is False

    @pytest.mark.parametrize("obstacle", ["taken", "kernel", "store"])
    async def test_whatever_stands_against_it_leaves_all_as_it_was(self, house: House, obstacle: str) -> None:
        await house.keeping.add({"shop": SHOP}, HERE, "anna")
        changes = {"idle": 5, "kernel": "/boot/new"}
        match obstacle:
            case "taken":
                changes["address"] = str(HELLO.address)
            case "kernel":
                house.bad_kernels.add("/boot/new")
            case "store":
                house.store.full = True
        before = house.keeping.rows(), dict(house.box.summoner.register.services())
        with pytest.raises(JitsuError):
            await house.keeping.edit("shop", changes, HERE, "anna")
        assert (house.keeping.rows(), house.box.summoner.register.services()) == before
        assert house.store.services() == {"shop": SHOP}


class TestRemoving:
    async def test_the_store_forgets_it_first_and_nothing_is_left(self, house: House) -> None:
        await house.keeping.add({"shop": SHOP}, HERE, "anna")
        await house.box.serve("shop")
        house.box.driver.may_end.clear()
        removal = asyncio.create_task(house.keeping.remove("shop", "bert"))
        await eventually(lambda: house.store.services() == {})
        await settled()
        assert house.address_of("shop") is None
        house.box.driver.may_end.set()
        await removal
        assert house.served() == ["hello", "world", "probed"]
        assert house.told()[-1] == (Kind.REMOVED, "shop", "bert")
        assert house.erased == ["shop"]
        await house.keeping.add({"shop": SHOP}, HERE, "anna")

    async def test_a_service_of_the_file_is_not_removed_here(self, house: House) -> None:
        with pytest.raises(ConfigError, match="cannot be removed here"):
            await house.keeping.remove("hello", "anna")
        assert house.address_of("hello") == str(HELLO.address)


class TestReloading:
    async def test_a_file_that_did_not_change_changes_nothing(self, house: House) -> None:
        counts = await house.keeping.reload("anna")
        assert counts == {"added": 0, "changed": 0, "removed": 0, "services": 3}
        assert house.told() == [(Kind.RELOADED, "", "anna")]

    async def test_services_come_change_and_go(self, house: House) -> None:
        await house.keeping.add({"shop": SHOP}, HERE, "anna")
        await house.box.serve("world")
        await house.box.serve("hello")
        new = replace(PROBED, name="new", names=("new",))
        house.write(replace(HELLO, idle=2.0, names=("hi",)), new)
        counts = await house.keeping.reload("anna")
        assert counts == {"added": 1, "changed": 1, "removed": 2, "services": 3}
        assert sorted(house.served()) == ["hello", "new", "shop"]
        assert house.box.state("hello") == "serving"
        assert house.box.summoner.register.services()["hello"].idle == 2.0
        assert [house.address_of(name) for name in ("hello", "hi", "world", "new", "shop")] == [
            None,
            str(HELLO.address),
            None,
            str(PROBED.address),
            "10.77.0.20",
        ]
        assert [domain.service for domain in house.box.driver.running.values()] == ["hello"]

    async def test_names_wander_from_one_service_to_another(self, house: House) -> None:
        house.write(replace(HELLO, names=("world",)), replace(WORLD, names=("hello",)), PROBED)
        await house.keeping.reload("anna")
        assert (house.address_of("hello"), house.address_of("world")) == (str(WORLD.address), str(HELLO.address))

    async def test_dns_and_limits_change(self, house: House) -> None:
        await house.keeping.add({"shop": SHOP}, HERE, "anna")
        house.write(extra='[dns]\nname = "ns7"\nttl = 9\n[limits]\nguests = 1\nboot = 0.5\n')
        await house.keeping.reload("anna")
        zone = house.directory.zones[0]
        assert zone.servers == (parse_name("ns7.jitsu.test"),)
        assert [zone.host(parse_name(f"{name}.jitsu.test")).ttl for name in ("hello", "shop")] == [9, 9]  # type: ignore[union-attr]
        await house.box.serve("hello")
        assert "1 of 1 guests run" in str(house.box.budget.refuses(1 << 20, 1))

    @pytest.mark.parametrize("obstacle", ["not-toml", "bridge", "kernel", "taken", "in-use"])
    async def test_a_broken_file_changes_nothing(self, house: House, obstacle: str) -> None:
        await house.keeping.add({"shop": SHOP}, HERE, "anna")
        await house.box.serve("world")
        new = replace(PROBED, name="new", names=("new",), kernel=Path("/boot/new"))
        match obstacle:
            case "not-toml":
                house.path.write_text("[service.x\n")
            case "bridge":
                house.write(new, network='bridge = "other"\n')
            case "kernel":
                house.bad_kernels.add("/boot/new")
                house.write(new)
            case "taken":
                house.write(replace(new, address=HELLO.address + 10))
            case "in-use":
                house.write(replace(HELLO, address=WORLD.address), replace(WORLD, address=HELLO.address))
        before = house.keeping.rows(), house.box.summoner.register.services(), house.serials()
        with pytest.raises(JitsuError):
            await house.keeping.reload("anna")
        assert (house.keeping.rows(), house.box.summoner.register.services(), house.serials()) == before
        assert house.box.state("world") == "serving"
        assert house.box.summoner.events.since(0)[-1].detail.startswith("failed, and nothing changed: ")


class TestBeginning:
    def test_what_was_added_is_served_and_what_cannot_be_is_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "jitsu.toml").write_text('[service.www]\nkernel = "/boot/www"\naddress = "10.77.0.10"\n')
        store = SqliteStore(tmp_path)
        gone = {**SHOP, "kernel": "/boot/gone", "address": "10.77.0.30"}
        store.put_services({"shop": SHOP, "gone": gone, "twin": {**SHOP, "address": "10.77.0.10"}})

        def check(service: ServiceConfig) -> None:
            if service.name == "gone":
                raise DomainError("kernel /boot/gone: no such file")

        roster = first_roster(load(tmp_path / "jitsu.toml"), store, check)
        store.close()
        assert list(roster.services) == ["www", "shop"]
        assert sorted(roster.misfits) == ["gone", "twin"]
        assert "gone was added, and is not served: kernel /boot/gone: no such file" in caplog.text

    def test_a_service_of_the_file_that_cannot_be_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "jitsu.toml").write_text('[service.www]\nkernel = "/boot/www"\naddress = "10.77.0.10"\n')

        def check(service: ServiceConfig) -> None:
            raise DomainError("kernel /boot/www: no such file")

        with pytest.raises(DomainError):
            first_roster(load(tmp_path / "jitsu.toml"), SqliteStore(tmp_path), check)

    def test_a_store_that_cannot_be_read_keeps_nobody_of_the_file_from_being_served(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "jitsu.toml").write_text('[service.www]\nkernel = "/boot/www"\naddress = "10.77.0.10"\n')
        (tmp_path / "state").write_text("a file")
        roster = first_roster(load(tmp_path / "jitsu.toml"), SqliteStore(tmp_path / "state"), lambda service: None)
        assert list(roster.services) == ["www"]
        assert "services that were added are not served" in caplog.text
