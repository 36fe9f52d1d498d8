"""jitsu.toml: what a good one means, and the two lines that a bad one is answered with.

The texts for bad files are in golden/config; how to write them anew is told in golden/__init__.py.
"""

import json
import os
from dataclasses import FrozenInstanceError, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitsu.config import Config, Ipv6Config, LimitsConfig, Restart, ServiceConfig, load
from jitsu.config.hours import Hours
from jitsu.config.wake import Trigger
from jitsu.errors import ConfigError
from tests.unit.broken_configs import BROKEN, SIX, SMALLEST
from tests.unit.golden import expect_golden

FULL = """
[daemon]
instance = "edge"
runtime = "/run/edge"
state = "/var/lib/edge"

[dns]
zone = "Board.Example.ORG."
listen = ["192.0.2.1:53", "127.0.0.1:5353", "[2001:DB8::1]:53"]
ttl = 30
name = "NS1"
nameservers = ["NS2.board.example.org. 192.0.2.2", "ns.example.net  198.51.100.1"]

[network]
bridge = "br-edge"
address = "192.0.2.1/24"
gateway = "192.0.2.254"
uplink = "eth0"
existing = true
probe = "192.0.2.200"
address6 = "2001:db8::1/64"
gateway6 = "fe80::1"
probe6 = "2001:db8::200"

[limits]
memory = "2 GiB"
guests = 8
vcpus = 12
boot = 2.5
summons = 5
answers = 0
uids = "200000-200009"
knocks = 8
client-knocks = 0
strangers = 50
held = 128

[service.web]
kernel = "/boot/web"
initrd = "web.cpio"
address = "192.0.2.10"
address6 = "2001:0db8::10"
mac = "52:54:00:AB:CD:EF"
memory = "64 MiB"
vcpus = 2
cmdline = "console=ttyS0"
machine = "q35"
ready = "probe"
port = 8080
names = ["WWW", "@", "a.b"]
ttl = 5
idle = 30
linger = 600.5
txt = ["owner=Grüße", "v=1"]
srv = ["_HTTP._tcp 8080", "_game._udp  7777"]
restart = "on-failure:3"
backoff = 0.5
crashes = 9
depends = ["db"]
hours = ["Mon-Fri 08:00-18:00", "22:00-06:00"]
wake = ["tcp/80", "udp", "icmp"]
dismiss = "ask"
patience = 2.5

[service.db]
kernel = "/boot/db"
address = "192.0.2.11"
"""

BEYOND_ALL_BOUNDS = {
    "size": SMALLEST + f'memory = "{"9" * 5000} GiB"\n',
    "number": SMALLEST + f"port = {'9' * 5000}\n",
    "port": f'[dns]\nlisten = ["10.77.0.1:{"9" * 5000}"]\n' + SMALLEST,
    "nested": SMALLEST + f"names = {'[' * 5000}\n",
}
"""What Python itself refuses to read; its words for that differ from version to version."""


def configuration(folder: Path, text: str) -> Config:
    path = folder / "jitsu.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def told_service(config: Config) -> ServiceConfig:
    """The service that is told about, or the first of them."""
    return next(iter(config.services.values()))


def complaint(folder: Path, error: ConfigError) -> str:
    """The two lines that a person sees, wherever the file lay."""
    return f"{error.message}\n{error.hint}\n".replace(str(folder), "FOLDER")


def test_a_service_needs_a_kernel_and_an_address_and_the_rest_has_defaults(tmp_path: Path) -> None:
    config = configuration(tmp_path, SMALLEST)

    assert config.path == tmp_path / "jitsu.toml"
    assert (config.daemon.instance, str(config.daemon.runtime), str(config.daemon.state)) == (
        "jitsu",
        "/run/jitsu",
        "/var/lib/jitsu",
    )
    assert (config.dns.zone, config.dns.listen, config.dns.ttl) == ("jitsu.test", (("10.77.0.1", 53),), 60)
    assert (config.dns.name, config.dns.nameservers) == ("ns", ())
    network = config.network
    assert (network.bridge, network.address, network.uplink) == ("jitsu0", IPv4Interface("10.77.0.1/24"), "")
    assert (str(network.gateway), str(network.probe), network.existing) == ("10.77.0.1", "10.77.0.254", False)
    limits = LimitsConfig(512 << 20, 64, 256, 15.0, 32, 200, range(0), 64, 32, held=4096, strangers=80)
    assert config.limits == limits
    service = told_service(config)
    assert (service.name, service.kernel, service.initrd) == ("hello", tmp_path / "hello.elf", None)
    assert (service.memory, service.vcpus, service.cmdline, service.machine) == (16 << 20, 1, "", "")
    assert (service.ready, service.port, service.names) == ("told", 80, ("hello",))
    assert (service.ttl, service.idle, service.linger) == (60, 60.0, 3600.0)
    assert (service.txt, service.srv, service.mode) == ((), (), "cold")
    assert (service.restart, service.backoff, service.crashes) == (Restart("no"), 1.0, 5)
    assert (service.dismiss, service.patience) == ("end", 10.0)
    assert (service.depends, service.hours, service.wake) == ((), (), (Trigger("tcp"),))


def test_everything_can_be_said(tmp_path: Path) -> None:
    config = configuration(tmp_path, FULL)

    assert config.daemon.instance == "edge"
    assert config.dns.zone == "board.example.org"
    assert config.dns.listen == (("192.0.2.1", 53), ("127.0.0.1", 5353), ("2001:db8::1", 53))
    assert config.dns.name == "ns1"
    assert config.dns.nameservers == (("ns2.board.example.org", "192.0.2.2"), ("ns.example.net", "198.51.100.1"))
    assert (config.network.bridge, config.network.uplink, config.network.existing) == ("br-edge", "eth0", True)
    assert (config.network.gateway, config.network.probe) == (IPv4Address("192.0.2.254"), IPv4Address("192.0.2.200"))
    assert config.network.ipv6 == Ipv6Config(
        IPv6Interface("2001:db8::1/64"), IPv6Address("fe80::1"), IPv6Address("2001:db8::200")
    )
    limits = LimitsConfig(2 << 30, 8, 12, 2.5, 5, 0, range(200000, 200010), 8, 0, held=128, strangers=50)
    assert config.limits == limits
    assert told_service(config) == ServiceConfig(
        name="web",
        kernel=Path("/boot/web"),
        address=IPv4Address("192.0.2.10"),
        mac="52:54:00:ab:cd:ef",
        memory=64 << 20,
        vcpus=2,
        initrd=tmp_path / "web.cpio",
        cmdline="console=ttyS0",
        machine="q35",
        ready="probe",
        port=8080,
        names=("www", "@", "a.b"),
        ttl=5,
        idle=30.0,
        linger=600.5,
        txt=("owner=Grüße", "v=1"),
        srv=(("_http._tcp", 8080), ("_game._udp", 7777)),
        restart=Restart("on-failure", 3),
        backoff=0.5,
        crashes=9,
        address6=IPv6Address("2001:db8::10"),
        depends=("db",),
        hours=(Hours(frozenset(range(5)), 480, 1080), Hours(frozenset(range(7)), 1320, 1800)),
        dismiss="ask",
        patience=2.5,
        wake=(Trigger("tcp", 80), Trigger("udp"), Trigger("icmp")),
    )


@pytest.mark.parametrize(
    ("word", "policy"),
    [(word, Restart(word)) for word in ("no", "on-failure", "always", "unless-stopped")]
    + [("destroy", Restart("no")), ("restart", Restart("always"))],
)
def test_restart_is_said_in_the_words_of_docker_or_of_xl(tmp_path: Path, word: str, policy: Restart) -> None:
    assert told_service(configuration(tmp_path, f'{SMALLEST}restart = "{word}"\n')).restart == policy


def test_of_ipv6_only_the_networks_address_must_be_said(tmp_path: Path) -> None:
    config = configuration(tmp_path, SIX)

    assert config.dns.listen == (("10.77.0.1", 53), ("fd77::1", 53))
    assert config.network.ipv6 == Ipv6Config(
        IPv6Interface("fd77::1/64"), IPv6Address("fd77::1"), IPv6Address("fd77::ffff:ffff:ffff:fffe")
    )
    assert told_service(config).addresses == (IPv4Address("10.77.0.10"),)


def test_the_probe_of_ipv6_steps_aside_for_a_bridge_at_the_end_of_its_network(tmp_path: Path) -> None:
    config = configuration(tmp_path, SIX.replace("fd77::1/", "fd77::ffff:ffff:ffff:fffe/"))

    assert config.network.half(6).probe == IPv6Address("fd77::ffff:ffff:ffff:fffd")


def test_a_service_may_have_both_addresses_or_either(tmp_path: Path) -> None:
    both = told_service(configuration(tmp_path, SIX + 'address6 = "fd77::10"\n'))
    only6 = told_service(configuration(tmp_path, SIX.replace('address = "10.77.0.10"', 'address6 = "fd77::10"')))

    assert both.addresses == (IPv4Address("10.77.0.10"), IPv6Address("fd77::10"))
    assert only6.addresses == (IPv6Address("fd77::10"),)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_answered_with_what_is_wrong_and_what_to_do(tmp_path: Path, case: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configuration(tmp_path, BROKEN[case])

    assert raised.value.message.startswith(str(tmp_path / "jitsu.toml"))
    assert raised.value.hint
    expect_golden(f"config/{case}.txt", complaint(tmp_path, raised.value))


@pytest.mark.parametrize("case", BEYOND_ALL_BOUNDS)
def test_what_is_beyond_all_bounds_is_a_fault_of_the_file(tmp_path: Path, case: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configuration(tmp_path, BEYOND_ALL_BOUNDS[case])

    assert raised.value.message.startswith(str(tmp_path / "jitsu.toml"))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "jitsu.toml")

    expect_golden("config/missing-file.txt", complaint(tmp_path, raised.value))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path)

    expect_golden("config/folder.txt", complaint(tmp_path, raised.value))


def test_a_file_that_is_no_text_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "jitsu.toml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "jitsu.toml")

    expect_golden("config/not-text.txt", complaint(tmp_path, raised.value))


def test_no_golden_text_is_left_over_from_a_case_that_is_gone() -> None:
    kept = {path.stem for path in (Path(__file__).parent / "golden" / "config").iterdir()}

    assert kept == {*BROKEN, "missing-file", "folder", "not-text"}


LITERALS = [
    '""',
    '"x"',
    "0",
    "-1",
    "1e400",
    "nan",
    "true",
    "[]",
    '[""]',
    "[[1]]",
    "{}",
    '{ a = "b" }',
    "1979-05-27",
    "=",
    "",
]


@settings(deadline=None)
@given(line=st.integers(0, FULL.count("\n")), literal=st.sampled_from(LITERALS) | st.text(max_size=40).map(json.dumps))
def test_whatever_stands_behind_a_key_is_taken_or_is_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, line: int, literal: str
) -> None:
    lines = FULL.splitlines()
    lines[line % len(lines)] = f"{lines[line % len(lines)].partition('=')[0]} = {literal}"
    try:
        outcome: Config | ConfigError = configuration(tmp_path_factory.getbasetemp(), "\n".join(lines))
    except ConfigError as error:
        outcome = error

    assert outcome.message if isinstance(outcome, ConfigError) else told_service(outcome).fingerprint


def test_a_mac_is_derived_from_instance_and_service_and_always_the_same(tmp_path: Path) -> None:
    mine = told_service(configuration(tmp_path, SMALLEST)).mac
    again = told_service(configuration(tmp_path, SMALLEST)).mac
    elsewhere = told_service(configuration(tmp_path, '[daemon]\ninstance = "edge"\n' + SMALLEST)).mac

    assert mine == again
    assert int(mine[:2], 16) & 0b11 == 0b10, "unicast, and locally administered"
    assert elsewhere != mine


def test_the_probe_steps_aside_for_a_bridge_at_the_end_of_its_network(tmp_path: Path) -> None:
    config = configuration(tmp_path, '[network]\naddress = "10.77.0.254/24"\n' + SMALLEST)

    assert config.network.probe == IPv4Address("10.77.0.253")


def test_a_service_may_have_no_name_and_wait_for_syns_only(tmp_path: Path) -> None:
    assert told_service(configuration(tmp_path, SMALLEST + "names = []\n")).names == ()


def test_the_configuration_cannot_be_changed_behind_anybodys_back(tmp_path: Path) -> None:
    service = told_service(configuration(tmp_path, SMALLEST))

    with pytest.raises(FrozenInstanceError):
        service.memory = 0  # type: ignore[misc]


class TestFingerprint:
    """It stands for the guest itself: by it a daemon knows whether a domain that it finds is the one it means."""

    @pytest.fixture
    def service(self, tmp_path: Path) -> ServiceConfig:
        (tmp_path / "hello.elf").write_bytes(b"one")
        (tmp_path / "hello.cpio").write_bytes(b"root")
        return told_service(configuration(tmp_path, SMALLEST + 'initrd = "hello.cpio"\n'))

    def test_it_is_eight_digits_and_stays_the_same(self, service: ServiceConfig) -> None:
        assert len(service.fingerprint) == 8
        assert int(service.fingerprint, 16) >= 0
        assert replace(service).fingerprint == service.fingerprint

    @pytest.mark.parametrize(
        "change",
        [
            {"memory": 32 << 20},
            {"cmdline": "quiet"},
            {"vcpus": 2},
            {"machine": "q35"},
            {"ready": "probe"},
            {"port": 8080},
            {"mac": "52:54:00:00:00:01"},
            {"address": IPv4Address("10.77.0.99")},
            {"address6": IPv6Address("fd77::99")},
            {"kernel": Path("/nowhere")},
            {"initrd": None},
            {"name": "other"},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_it_changes_with_the_guest(self, service: ServiceConfig, change: dict[str, object]) -> None:
        assert replace(service, **change).fingerprint != service.fingerprint  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "change",
        [
            {"ttl": 1},
            {"idle": 1.0},
            {"linger": 1.0},
            {"names": ("www",)},
            {"txt": ("v=1",)},
            {"srv": (("_x._tcp", 1),)},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_it_stays_when_only_policy_changes(self, service: ServiceConfig, change: dict[str, object]) -> None:
        assert replace(service, **change).fingerprint == service.fingerprint  # type: ignore[arg-type]

    @pytest.mark.parametrize("file", ["kernel", "initrd"])
    def test_it_changes_when_a_file_is_written_anew(self, service: ServiceConfig, file: str) -> None:
        path: Path = getattr(service, file)
        before, status = replace(service).fingerprint, path.stat()
        path.write_bytes(b"of another length")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        longer = replace(service).fingerprint
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        newer = replace(service).fingerprint

        assert len({before, longer, newer}) == 3

    def test_a_kernel_that_is_not_there_has_one_too(self, service: ServiceConfig) -> None:
        before = replace(service).fingerprint
        service.kernel.unlink()

        assert replace(service).fingerprint != before
