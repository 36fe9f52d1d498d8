"""A board's zones while services come and go, few of them and ten thousand."""

import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from jitsu.config import Config, ServiceConfig, load
from jitsu.daemon.zones import BoardZones
from jitsu.directory.name import Name, parse_name
from jitsu.directory.records import Ptr, Record
from jitsu.errors import ConfigError

SERVICES = 10_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    path = tmp_path / "jitsu.toml"
    path.write_text(
        '[network]\naddress = "10.77.0.1/16"\naddress6 = "fd77::1/64"\n'
        '[service.web]\nkernel = "k"\naddress = "10.77.0.10"\naddress6 = "fd77::10"\n'
        'txt = ["hi"]\nsrv = ["_http._tcp 80"]\n'
    )
    return load(path)


def another(config: Config, number: int) -> ServiceConfig:
    name = f"service-{number}"
    address, address6 = IPv4Address("10.77.1.0") + number, IPv6Address("fd77::1:0") + number
    return replace(config.services["web"], name=name, address=address, address6=address6, names=(name,), txt=(), srv=())


def test_a_service_comes_and_goes_with_all_its_names(config: Config) -> None:
    zones = BoardZones(config)
    names = ["new", "b.new", "_http._tcp.new"]
    before = zones.forward.serial
    new = replace(another(config, 1), names=("new", "b.new"), srv=(("_http._tcp", 80),), txt=("hi",))
    pointers = [parse_name(address.reverse_pointer) for address in new.addresses]
    zones.add(new)
    assert all(zones.forward.exists(parse_name(f"{name}.jitsu.test")) for name in names)
    assert found(zones, pointers) == [(Ptr("new.jitsu.test"),)] * 2
    zones.remove(new)
    assert not any(zones.forward.exists(parse_name(f"{name}.jitsu.test")) for name in names)
    assert found(zones, pointers) == [(), ()]
    assert zones.forward.exists(parse_name("web.jitsu.test"))
    assert zones.forward.serial > before


def test_a_service_whose_name_or_address_is_taken_changes_nothing(config: Config) -> None:
    zones = BoardZones(config)
    web = config.services["web"]
    pointers = [parse_name(address.reverse_pointer) for address in web.addresses]
    for change in ({"names": ("new", "web")}, {"address": web.address}, {"address6": web.address6}):
        new = replace(another(config, 1), **change)
        with pytest.raises(ConfigError):
            zones.add(new)
        assert not zones.forward.exists(parse_name(f"{new.names[0]}.jitsu.test"))
        assert zones.forward.exists(parse_name("web.jitsu.test"))
        assert found(zones, pointers) == [(Ptr("web.jitsu.test"),)] * 2
        assert found(zones, [parse_name("1.1.77.10.in-addr.arpa")]) == [()]


def found(zones: BoardZones, pointers: Sequence[Name]) -> list[tuple[Record, ...]]:
    """What each pointer's zone holds there."""
    return [zone.records_at(pointer) for pointer in pointers for zone in zones.all if zone.contains(pointer)]


def test_a_service_among_ten_thousand_takes_a_kibibyte_and_is_changed_alone(config: Config) -> None:
    services = {f"service-{number}": replace(another(config, number), address6=None) for number in range(SERVICES)}
    many = replace(config, services=services)
    tracemalloc.start()
    try:
        zones = BoardZones(many)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / SERVICES < 1024
    few = BoardZones(config)
    new = another(config, SERVICES)
    spent = {zones: time_of(zones, new), few: time_of(few, new)}
    # A look at every other service would take thousands of times as long.
    assert spent[zones] < spent[few] * 20


def time_of(zones: BoardZones, service: ServiceConfig) -> float:
    """The least seconds that adding and removing the service takes."""
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        zones.add(service)
        zones.remove(service)
        best = min(best, time.perf_counter() - start)
    return best
