"""The bridge and the daemon's hold on it, with the real kernel."""

import os
import socket
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface
from pathlib import Path

import pytest

from jitsu.errors import HostError, ResourceBusy
from jitsu.network.bridge import BridgeSettings, raise_bridge, remove_bridge
from jitsu.network.host import HostNetwork
from jitsu.network.tap import open_tap

pytestmark = pytest.mark.usefixtures("private_network")

ADDRESS = IPv4Interface("10.9.0.1/24")
OURS = BridgeSettings("jt0", ADDRESS, "mine")


def interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


async def test_a_bridge_is_made_and_removed() -> None:
    index, found = await raise_bridge(OURS)
    assert (index, found) == (socket.if_nametoindex("jt0"), False)
    assert "10.9.0.1/24" in _ip("-4", "addr", "show", "dev", "jt0")
    await remove_bridge(OURS)
    assert interfaces() == {"lo"}


async def test_a_bridge_has_its_ipv6_address_at_once() -> None:
    """Without a search for duplicates, during which nobody could listen on it."""
    settings = replace(OURS, address6=IPv6Interface("fd77::1/64"))
    await raise_bridge(settings)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listening:
        listening.bind(("fd77::1", 53))
    await raise_bridge(settings)
    assert _ip("-6", "addr", "show", "dev", "jt0").count("fd77::1/64") == 1
    await remove_bridge(settings)


@pytest.fixture
def ipv6_off(private_network: None) -> None:
    """For interfaces that are made from now on in this network namespace."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")


@pytest.mark.usefixtures("ipv6_off")
async def test_where_ipv6_is_switched_off_it_is_said_and_nothing_is_left() -> None:
    network = HostNetwork(replace(OURS, address6=IPv6Interface("fd77::1/64")))
    with pytest.raises(HostError, match="IPv6 is switched off") as caught:
        await network.start()
    assert "disable_ipv6=0" in caught.value.hint
    await network.stop()
    assert interfaces() == {"lo"}


async def test_our_own_bridge_of_an_earlier_run_is_taken_up_again() -> None:
    first, _ = await raise_bridge(OURS)
    assert await raise_bridge(OURS) == (first, True)
    await remove_bridge(OURS)


async def test_somebody_elses_bridge_is_neither_used_nor_removed() -> None:
    _ip("link", "add", "jt0", "type", "bridge")
    with pytest.raises(ResourceBusy, match="jt0 exists already") as caught:
        await raise_bridge(OURS)
    assert "existing = true" in caught.value.hint
    await remove_bridge(OURS)
    assert "jt0" in interfaces()


async def test_another_instances_bridge_is_neither_used_nor_removed() -> None:
    await raise_bridge(OURS)
    other = BridgeSettings("jt0", ADDRESS, "theirs")
    with pytest.raises(ResourceBusy):
        await raise_bridge(other)
    await remove_bridge(other)
    assert "jt0" in interfaces()


async def test_an_administrators_bridge_is_used_as_it_is() -> None:
    _ip("link", "add", "jt0", "type", "bridge")
    settings = BridgeSettings("jt0", ADDRESS, "mine", existing=True)
    assert (await raise_bridge(settings))[1]
    await remove_bridge(settings)
    assert "jt0" in interfaces()


async def test_a_bridge_that_should_exist_and_does_not_is_an_error() -> None:
    with pytest.raises(HostError, match="there is no bridge jt0"):
        await raise_bridge(BridgeSettings("jt0", ADDRESS, "mine", existing=True))


async def test_an_interface_that_is_no_bridge_is_not_used() -> None:
    fd = open_tap("jt0")
    for name in ("jt0", "lo"):
        with pytest.raises(ResourceBusy, match=f"interface {name} is not a bridge"):
            await raise_bridge(BridgeSettings(name, ADDRESS, "mine", existing=True))
    os.close(fd)


def test_for_an_administrators_bridge_no_library_is_loaded() -> None:
    _ip("link", "add", "jt0", "type", "bridge")
    program = (
        "import asyncio, sys\nfrom ipaddress import IPv4Interface\n"
        "from jitsu.network.bridge import BridgeSettings, raise_bridge\n"
        "settings = BridgeSettings('jt0', IPv4Interface('10.9.0.1/24'), 'mine', existing=True)\n"
        "print(asyncio.run(raise_bridge(settings))[1], 'pyroute2' in sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False"]


@pytest.mark.parametrize(("existing", "hint"), [(True, "ip link add jt0 type bridge"), (False, "it is put back")])
async def test_a_port_for_a_bridge_that_was_taken_away_says_so(existing: bool, hint: str) -> None:
    if existing:
        _ip("link", "add", "jt0", "type", "bridge")
    network = HostNetwork(BridgeSettings("jt0", ADDRESS, "mine", existing=existing))
    sentinel = await network.start()
    (tap,) = network.open_taps(7)
    # One of the same name is another.
    _ip("link", "del", "jt0")
    _ip("link", "add", "jt0", "type", "bridge")
    with pytest.raises(HostError, match="cannot join bridge jt0, which was taken away") as raised:
        network.plug(7)
    assert hint in raised.value.hint
    for fd in (tap, sentinel):
        os.close(fd)
    await network.stop()


async def test_a_missing_uplink_is_named_and_nothing_is_left() -> None:
    network = HostNetwork(BridgeSettings("jt0", ADDRESS, "mine", uplink="nosuch"))
    with pytest.raises(HostError, match="there is no interface nosuch"):
        await network.start()
    await network.stop()
    assert interfaces() == {"lo"}


async def test_an_uplink_of_another_bridge_is_not_stolen() -> None:
    _ip("link", "add", "br9", "type", "bridge")
    fd = open_tap("up0")
    _ip("link", "set", "up0", "master", "br9")
    network = HostNetwork(BridgeSettings("jt0", ADDRESS, "mine", uplink="up0"))
    with pytest.raises(ResourceBusy, match="belongs to another bridge"):
        await network.start()
    await network.stop()
    assert "jt0" not in interfaces()
    os.close(fd)


async def test_an_address_in_use_elsewhere_is_refused_and_nothing_is_left() -> None:
    _ip("addr", "add", "10.9.0.1/24", "dev", "lo")
    network = HostNetwork(OURS)
    with pytest.raises(ResourceBusy, match=r"10\.9\.0\.1 is in use"):
        await network.start()
    await network.stop()
    assert interfaces() == {"lo"}


def test_a_tap_lives_as_long_as_its_descriptor() -> None:
    fd = open_tap("t0")
    assert "t0" in interfaces()
    with pytest.raises(ResourceBusy, match="t0 exists already"):
        open_tap("t0")
    os.close(fd)
    assert "t0" not in interfaces()


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout
