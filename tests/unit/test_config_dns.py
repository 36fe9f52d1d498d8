"""Forwarding and keys: what good ones mean, and the two lines that bad ones are answered with."""

from pathlib import Path

import pytest

from jitsu.config import load, settings
from jitsu.errors import ConfigError
from tests.unit.golden import FOLDER, expect_golden
from tests.unit.test_config import SMALLEST, complaint


def forwarding(forward: str, clients: str = '["10.77.0.0/24"]') -> str:
    return f"[dns]\nforward = {forward}\nforward_for = {clients}\n"


BROKEN = {
    "forward-name": forwarding('["dns.example.org"]') + SMALLEST,
    "forward-port-out-of-range": forwarding('["192.0.2.53:65536"]') + SMALLEST,
    "forward-to-itself": forwarding('["192.0.2.53", "10.77.0.1"]') + SMALLEST,
    "forward-to-itself-on-any-address": forwarding('["127.0.0.1:5353"]') + 'listen = ["0.0.0.0:5353"]\n' + SMALLEST,
    "forward-for-nobody": forwarding('["192.0.2.53"]', "[]") + SMALLEST,
    "forward-nowhere": forwarding("[]") + SMALLEST,
    "forward-for-everybody": forwarding('["192.0.2.53"]', '["10.77.0.0/24", "::/0"]') + SMALLEST,
    "forward-for-no-network": forwarding('["192.0.2.53"]', '["10.77.0.1/24"]') + SMALLEST,
    "forward-too-many": forwarding(str([f"192.0.2.{number}" for number in range(5)])) + SMALLEST,
}

KEYS = f"""
[key."web.example.org"]
secret = "{"c2VjcmV0" * 4}"
services = ["web"]
[key.two]
algorithm = "hmac-sha512"
secret = "{"c2VjcmV0" * 8}"
services = ["web", "mail"]
"""
BROKEN_KEYS = {
    "secret-missing": '[key.web]\nservices = ["web"]\n',
    "secret-short": '[key.web]\nsecret = "c2VjcmV0"\nservices = ["web"]\n',
    "secret-not-base64": '[key.web]\nsecret = "secret, secret"\nservices = ["web"]\n',
    "services-missing": f'[key.web]\nsecret = "{"c2VjcmV0" * 4}"\n',
    "services-bad": f'[key.web]\nsecret = "{"c2VjcmV0" * 4}"\nservices = ["www.example.org"]\n',
    "algorithm-bad": '[key.web]\nalgorithm = "hmac-md5"\n',
    "name-bad": '[key."Web Key"]\nservices = ["web"]\n',
    "unknown-section": '[keys.web]\nsecret = ""\n',
    "unknown-key": KEYS + 'service = "web"\n',
    "not-toml": 'key "web" { secret "c2VjcmV0"; };\n',
}


def test_resolvers_and_those_who_may_ask_them(tmp_path: Path) -> None:
    path = tmp_path / "jitsu.toml"
    path.write_text(SMALLEST)
    assert (load(path).dns.forward, load(path).dns.forward_for) == ((), ())
    resolvers = '["198.51.100.53", "198.51.100.54:5353", "2001:db8::53", "[2001:DB8::54]:5353"]'
    path.write_text(forwarding(resolvers, '["192.0.2.0/24", "2001:db8:1::/48"]') + SMALLEST)
    dns = load(path).dns
    assert dns.forward == (
        ("198.51.100.53", 53),
        ("198.51.100.54", 5353),
        ("2001:db8::53", 53),
        ("2001:db8::54", 5353),
    )
    assert [str(clients) for clients in dns.forward_for] == ["192.0.2.0/24", "2001:db8:1::/48"]


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_is_answered_in_two_lines(tmp_path: Path, name: str) -> None:
    path = tmp_path / "jitsu.toml"
    path.write_text(BROKEN[name])
    with pytest.raises(ConfigError) as caught:
        load(path)
    expect_golden(f"config-dns/{name}.txt", complaint(tmp_path, caught.value))


def config(folder: Path, keys: str, mode: int = 0o640) -> Path:
    file = folder / "keys.toml"
    file.write_text(keys)
    file.chmod(mode)
    path = folder / "jitsu.toml"
    path.write_text('[dns]\nkeys = "keys.toml"\n' + SMALLEST)
    return path


def test_each_has_a_secret_and_the_services_it_writes_for(tmp_path: Path) -> None:
    one, two = load(config(tmp_path, KEYS)).dns.keys
    assert (one.name, one.algorithm, one.services) == ("web.example.org", "hmac-sha256", ("web",))
    assert (two.name, two.algorithm, two.services) == ("two", "hmac-sha512", ("web", "mail"))
    assert two.secret == "c2VjcmV0" * 8


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    path = config(tmp_path, KEYS)
    assert "c2VjcmV0" not in repr(load(path))
    assert "c2VjcmV0" not in repr(settings(path))


@pytest.mark.parametrize("name", BROKEN_KEYS)
def test_a_bad_file_is_answered_in_two_lines(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config(tmp_path, BROKEN_KEYS[name]))
    expect_golden(f"config-dns/{name}.txt", complaint(tmp_path, caught.value))


@pytest.mark.parametrize("mode", [0o644, 0o602, 0o641])
def test_a_file_that_everybody_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(ConfigError) as caught:
        load(config(tmp_path, KEYS, mode))
    expect_golden("config-dns/for-everybody.txt", complaint(tmp_path, caught.value))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = config(tmp_path, KEYS)
    (tmp_path / "keys.toml").unlink()
    with pytest.raises(ConfigError) as caught:
        load(path)
    expect_golden("config-dns/missing-file.txt", complaint(tmp_path, caught.value))


def test_no_golden_text_is_left_over_from_a_case_that_is_gone() -> None:
    kept = {path.stem for path in (FOLDER / "config-dns").glob("*.txt")}
    assert kept == {*BROKEN, *BROKEN_KEYS, "for-everybody", "missing-file"}
