"""The roster: who is served, by what right, and what has to be done when that changes."""

from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.config import Config, load
from jitsu.daemon.roster import Roster, check_changeable
from jitsu.daemon.store import Keys
from jitsu.errors import ConfigError

FILE = """
[service.www]
kernel = "www.elf"
address = "10.77.0.10"

[service.api]
kernel = "api.elf"
address = "10.77.0.11"
names = ["api", "v1"]
"""
SHOP: Keys = {"kernel": "/boot/shop.elf", "address": "10.77.0.20"}
STORE = Path("/var/lib/jitsu/jitsu.db")
HERE = Path("command line")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return written(tmp_path, FILE)


def written(folder: Path, text: str) -> Config:
    (folder / "jitsu.toml").write_text(text)
    return load(folder / "jitsu.toml")


@pytest.fixture
def roster(config: Config) -> Roster:
    return Roster(config, {}, STORE)


def refused(roster: Roster, sections: dict[str, Keys]) -> ConfigError:
    before = dict(roster.services)
    with pytest.raises(ConfigError) as raised:
        roster.add(sections, HERE)
    assert roster.services == before
    return raised.value


class TestAdding:
    def test_an_added_service_has_the_keys_and_defaults_of_the_file(self, roster: Roster) -> None:
        [shop] = roster.add({"shop": {**SHOP, "idle": 30, "memory": "8 MiB"}}, HERE)
        assert (shop.idle, shop.memory, shop.names, shop.linger) == (30.0, 8 << 20, ("shop",), 3600.0)
        assert roster.everybody.services["shop"] is shop
        assert (roster.origin("shop"), roster.origin("www")) == ("added", "file")

    @pytest.mark.parametrize(
        ("keys", "message"),
        [
            ({**SHOP, "address": "10.77.0.10"}, "command line: [service.shop] has the same address 10.77.0.10 as"),
            ({**SHOP, "names": ["v1"]}, "command line: [service.shop] has the same name v1 as [service.api]"),
            ({"address": "10.77.0.20"}, "command line: [service.shop] kernel is missing"),
            ({**SHOP, "ilde": 3}, "command line: [service.shop] ilde is not a key that exists"),
            ({**SHOP, "address": "10.78.0.20"}, "command line: [service.shop] address 10.78.0.20 is outside"),
        ],
    )
    def test_it_is_checked_as_the_file_is(self, roster: Roster, keys: Keys, message: str) -> None:
        assert refused(roster, {"shop": keys}).message.startswith(message)

    def test_of_several_all_are_taken_or_none(self, roster: Roster) -> None:
        refused(roster, {"shop": SHOP, "twin": SHOP})
        roster.add({"shop": SHOP, "twin": {**SHOP, "address": "10.77.0.21"}}, HERE)
        assert list(roster.services) == ["www", "api", "shop", "twin"]

    @pytest.mark.parametrize("name", ["www", "shop"])
    def test_a_name_is_given_once(self, roster: Roster, name: str) -> None:
        roster.add({"shop": SHOP}, HERE)
        error = refused(roster, {name: {**SHOP, "address": "10.77.0.30"}})
        assert error.message == f"command line: there is a service {name} already"

    def test_what_a_removed_one_had_is_free_again(self, roster: Roster) -> None:
        roster.add({"shop": SHOP}, HERE)
        roster.remove("shop")
        roster.add({"store": {**SHOP, "names": ["shop"]}}, HERE)
        assert "shop" not in roster.services


class TestEditing:
    def test_other_keys_make_another_definition_in_the_same_place(self, roster: Roster) -> None:
        roster.add({"shop": SHOP, "zoo": {**SHOP, "address": "10.77.0.30"}}, HERE)
        roster.replace("shop", {**SHOP, "address": "10.77.0.21"}, HERE)
        assert list(roster.services) == ["www", "api", "shop", "zoo"]
        assert str(roster.services["shop"].address) == "10.77.0.21"
        roster.add({"other": SHOP}, HERE)

    def test_what_does_not_fit_changes_nothing(self, roster: Roster) -> None:
        roster.add({"shop": SHOP}, HERE)
        with pytest.raises(ConfigError, match=r"same address 10\.77\.0\.10"):
            roster.replace("shop", {**SHOP, "address": "10.77.0.10"}, HERE)
        assert roster.keys("shop") == SHOP
        refused(roster, {"other": SHOP})

    def test_services_of_the_file_are_edited_there(self, roster: Roster, config: Config) -> None:
        with pytest.raises(ConfigError) as raised:
            roster.keys("www")
        assert raised.value.message == f"service www is one of {config.path} and cannot be edited here"
        assert raised.value.hint == "edit that file, then: jitsu reload"
        with pytest.raises(ConfigError, match="cannot be removed here"):
            roster.check_removable("www")
        with pytest.raises(ConfigError, match="there is no service nobody"):
            roster.keys("nobody")


class TestStored:
    def test_those_of_the_store_are_served_beside_those_of_the_file(self, config: Config) -> None:
        roster = Roster(config, {"shop": SHOP}, STORE)
        assert list(roster.services) == ["www", "api", "shop"]
        assert roster.keys("shop") == SHOP

    @pytest.mark.parametrize(
        ("name", "keys"),
        [("shop", {**SHOP, "address": "10.77.0.10"}), ("www", SHOP), ("shop", {"kernel": 3}), ("Shop!", SHOP)],
    )
    def test_one_that_does_not_fit_keeps_nobody_from_being_served(self, config: Config, name: str, keys: Keys) -> None:
        roster = Roster(config, {name: keys, "zoo": {**SHOP, "address": "10.77.0.30"}}, STORE)
        assert list(roster.services) == ["www", "api", "zoo"]
        assert list(roster.misfits) == [name]
        roster.check_removable(name)
        roster.remove(name)
        assert roster.misfits == {}
        assert list(roster.services) == ["www", "api", "zoo"]


class TestDependencies:
    def test_an_added_one_may_depend_on_any_and_not_on_itself(self, roster: Roster) -> None:
        roster.add({"shop": {**SHOP, "depends": ["www", "zoo"]}, "zoo": {**SHOP, "address": "10.77.0.30"}}, HERE)
        with pytest.raises(ConfigError, match="depends on itself: "):
            roster.replace("zoo", {**SHOP, "address": "10.77.0.30", "depends": ["shop"]}, HERE)
        assert roster.services["zoo"].depends == ()
        assert (
            "depends on 'nobody', which is no service"
            in refused(roster, {"other": {**SHOP, "address": "10.77.0.31", "depends": ["nobody"]}}).message
        )

    def test_who_is_depended_on_is_not_removed(self, tmp_path: Path, roster: Roster) -> None:
        roster.add({"shop": {**SHOP, "depends": ["zoo"]}, "zoo": {**SHOP, "address": "10.77.0.30"}}, HERE)
        with pytest.raises(ConfigError, match="service shop depends on zoo"):
            roster.check_removable("zoo")
        roster.remove("shop")
        roster.check_removable("zoo")
        stored = {"shop": {**SHOP, "depends": ["api"]}}
        served = Roster(roster.config, stored, STORE)
        with pytest.raises(ConfigError, match="depends on 'api', which is no service"):
            served.successor(written(tmp_path, FILE.replace("service.api", "service.else")), stored)

    def test_those_whose_dependencies_are_gone_or_go_round_in_circles_are_misfits(self, config: Config) -> None:
        stored: dict[str, Keys] = {
            "a": {**SHOP, "depends": ["gone"]},
            "b": {**SHOP, "address": "10.77.0.31", "depends": ["a"]},
            "c": {**SHOP, "address": "10.77.0.32", "depends": ["d"]},
            "d": {**SHOP, "address": "10.77.0.33", "depends": ["c"]},
            "e": {**SHOP, "address": "10.77.0.34", "depends": ["www"]},
        }
        roster = Roster(config, stored, STORE)
        assert list(roster.services) == ["www", "api", "e"]
        assert sorted(roster.misfits) == ["a", "b", "c", "d"]


class TestReading:
    def test_the_difference_is_who_comes_changes_and_goes(self, tmp_path: Path, config: Config) -> None:
        roster = Roster(config, {"shop": SHOP}, STORE)
        text = FILE.replace("service.www", "service.web").replace('"v1"', '"v2"')
        difference = roster.difference(roster.successor(written(tmp_path, text), {"shop": SHOP}))
        assert [service.name for service in difference.added] == ["web"]
        assert [service.name for service in difference.changed] == ["api"]
        assert difference.removed == ("www",)

    def test_a_default_of_dns_changes_all_that_go_by_it(self, tmp_path: Path, config: Config) -> None:
        roster = Roster(config, {"shop": SHOP}, STORE)
        difference = roster.difference(roster.successor(written(tmp_path, f"[dns]\nttl = 7\n{FILE}"), {"shop": SHOP}))
        assert {service.name: service.ttl for service in difference.changed} == {"www": 7, "api": 7, "shop": 7}

    def test_a_file_that_takes_what_an_added_one_has_is_refused(self, tmp_path: Path, config: Config) -> None:
        roster = Roster(config, {"shop": SHOP}, STORE)
        file = written(tmp_path, FILE.replace("10.77.0.11", "10.77.0.20"))
        with pytest.raises(ConfigError, match=r"same address 10\.77\.0\.20"):
            roster.successor(file, {"shop": SHOP})

    def test_who_did_not_fit_before_may_still_not_fit(self, tmp_path: Path, config: Config) -> None:
        stored = {"shop": {**SHOP, "address": "10.77.0.10"}}
        roster = Roster(config, stored, STORE)
        assert list(roster.successor(written(tmp_path, FILE), stored).misfits) == ["shop"]
        moved = roster.successor(written(tmp_path, FILE.replace("0.10", "0.12")), stored)
        assert [service.name for service in roster.difference(moved).added] == ["shop"]


@pytest.mark.parametrize(
    ("section", "keys", "key"),
    [
        ("daemon", 'instance = "other"', "instance"),
        ("daemon", 'operators = ["anna"]', "operators"),
        ("network", 'bridge = "br0"', "bridge"),
        ("network", 'uplink = "eth7"', "uplink"),
        ("dns", 'listen = ["127.0.0.1:5300"]', "listen"),
    ],
)
def test_what_cannot_change_while_the_daemon_runs_is_named(
    tmp_path: Path, config: Config, section: str, keys: str, key: str
) -> None:
    if key == "instance":
        keys += f'\nruntime = "{config.daemon.runtime}"\nstate = "{config.daemon.state}"'
    with pytest.raises(ConfigError) as raised:
        check_changeable(config, written(tmp_path, f"[{section}]\n{keys}\n{FILE}"))
    assert raised.value.message == f"{config.path}: [{section}] {key} cannot change while the daemon runs"


def test_the_rest_can_change(tmp_path: Path, config: Config) -> None:
    text = f'[dns]\nttl = 5\nname = "ns9"\n[limits]\nmemory = "1 GiB"\nguests = 3\nboot = 2\n{FILE}'
    check_changeable(config, written(tmp_path, text))
    check_changeable(config, replace(config, services={}))
