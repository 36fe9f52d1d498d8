"""The zone: which names exist, and which configurations are refused in plain words."""

from typing import Any

import pytest

from jitsu.directory.name import parse_name
from jitsu.directory.records import Srv, Txt
from jitsu.directory.zone import Host, Zone
from jitsu.errors import ConfigError

WEB = Host("web", ("192.0.2.10",), 10)


def zone(**changes: Any) -> Zone:
    fields: dict[str, Any] = {
        "origin": "jitsu.test",
        "nameservers": (("ns1.jitsu.test", "192.0.2.1"),),
        "hosts": {"web.jitsu.test": WEB},
    }
    return Zone(**{**fields, **changes})


def test_names_are_found_in_any_case_and_with_a_trailing_dot() -> None:
    found = zone(origin="Jitsu.TEST.", hosts={"WEB.jitsu.test.": WEB})
    assert found.apex == (b"jitsu", b"test")
    assert found.host((b"web", b"jitsu", b"test")) is WEB


def test_several_names_may_summon_one_service_and_the_apex_may_be_one_of_them() -> None:
    found = zone(hosts={"web.jitsu.test": WEB, "www.jitsu.test": WEB, "jitsu.test": WEB})
    for text in ("web.jitsu.test", "www.jitsu.test", "jitsu.test"):
        assert found.host(parse_name(text)) is WEB


def test_empty_non_terminals_exist_and_what_is_below_a_host_does_not() -> None:
    found = zone(hosts={"a.b.c.jitsu.test": WEB})
    for text in ("b.c.jitsu.test", "c.jitsu.test", "jitsu.test", "ns1.jitsu.test", "a.b.c.jitsu.test"):
        assert found.exists(parse_name(text)), text
    for text in ("x.a.b.c.jitsu.test", "b.jitsu.test", "test", "a.jitsu.test"):
        assert not found.exists(parse_name(text)), text


def test_a_name_is_inside_by_whole_labels() -> None:
    found = zone()
    assert found.contains((b"jitsu", b"test"))
    assert not found.contains((b"notjitsu", b"test"))
    assert not found.contains((b"test",))
    assert not found.contains(())
    # A label that ends in what would be the origin on the wire.
    assert not found.contains((b"x\x05jitsu", b"test"))


def test_the_negative_ttl_is_the_smaller_of_two() -> None:
    assert zone(ttl=300, minimum=60).negative_ttl == 60
    assert zone(ttl=30, minimum=60).negative_ttl == 30


def test_the_longest_names_that_are_allowed() -> None:
    assert len(parse_name("a" * 63 + ".test")[0]) == 63
    # 3 * 64 + 62 + 1 = 255 octets on the wire.
    longest = ".".join(["a" * 63] * 3 + ["b" * 61])
    assert len(parse_name(longest)) == 4
    with pytest.raises(ConfigError, match="256 octets"):
        parse_name(longest + "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty label"),
        (".", "empty label"),
        ("a..test", "empty label"),
        ("a" * 64 + ".test", "64 characters"),
        ("-a.test", "'-a'"),
        ("a-.test", "'a-'"),
        ("*.test", r"'\*'"),
        ("a b.test", "'a b'"),
        ("grüße.test", "not ASCII"),
        ("\u212aelvin.test", "not ASCII"),
        ("a\n.test", "not a host name's"),
    ],
)
def test_malformed_names_are_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_name(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hosts": {"web.example.org": WEB}}, "outside the zone"),
        ({"hosts": {"web.jitsu.test": WEB, "Web.jitsu.test": Host("other", ("192.0.2.11",), 1)}}, "web and other"),
        ({"hosts": {"web.jitsu.test": Host("web", ("192.0.2.256",), 1)}}, "no IP address"),
        ({"hosts": {"web.jitsu.test": Host("web", ("2001:db8::g",), 1)}}, "no IP address"),
        ({"hosts": {"web.jitsu.test": Host("web", (), 1)}}, "'web.jitsu.test' has 0 addresses"),
        ({"hosts": {"web.jitsu.test": Host("web", ("192.0.2.1", "192.0.2.2"), 1)}}, "has 2 addresses"),
        ({"hosts": {"web.jitsu.test": Host("web", ("192.0.2.1",), -1)}}, "ttl of web.jitsu.test is -1"),
        ({"hosts": {"web.jitsu.test": Host("web", ("192.0.2.1",), 2**31)}}, "ttl of web.jitsu.test"),
        ({"hosts": {"ns1.jitsu.test": WEB}}, "also a name of service web"),
        ({"nameservers": ()}, "has 0 name servers"),
        ({"nameservers": tuple((f"ns{n}.example.org",) for n in range(14))}, "has 14 name servers"),
        ({"nameservers": (("ns1.jitsu.test",),)}, "has no address"),
        ({"nameservers": (("ns1.example.org", "192.0.2.1"),)}, "has an address"),
        ({"nameservers": (("ns1.jitsu.test", "1.2.3"),)}, "no IP address"),
        ({"nameservers": (("a.example.org",), ("A.example.org.",))}, "there twice"),
        ({"ttl": -1}, "ttl of the zone"),
        ({"minimum": 2**31}, "minimum of the zone"),
        ({"serial": 2**32}, "serial of the zone"),
        ({"origin": "."}, "empty label"),
    ],
)
def test_a_zone_that_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        zone(**changes)
    assert caught.value.hint


class TestChanges:
    NAMES = ("web.jitsu.test", "a.b.jitsu.test", "b.jitsu.test", "ns1.jitsu.test", "x.ns1.jitsu.test", "jitsu.test")

    def known(self, found: Zone) -> set[str]:
        below = {".".join(text.split(".")[depth:]) for text in self.NAMES for depth in range(4)}
        return {text for text in below if text and found.exists(parse_name(text))}

    def test_what_is_added_is_there_and_what_is_removed_is_gone_with_its_empty_non_terminals(self) -> None:
        found = zone(hosts={})
        empty = self.known(found)
        assert empty == {"jitsu.test", "ns1.jitsu.test"}
        found.change({"a.b.jitsu.test": WEB}, {"a.b.jitsu.test": [Txt("hi")]})
        assert self.known(found) == {*empty, "a.b.jitsu.test", "b.jitsu.test"}
        assert found.host(parse_name("a.b.jitsu.test")) is WEB
        found.change({"b.jitsu.test": WEB, "x.ns1.jitsu.test": WEB})
        found.change({}, without=["A.B.jitsu.test."])
        assert self.known(found) == {*empty, "b.jitsu.test", "x.ns1.jitsu.test"}
        assert found.records_at(parse_name("a.b.jitsu.test")) == ()
        found.change({}, without=["b.jitsu.test", "x.ns1.jitsu.test", "never.jitsu.test"])
        assert self.known(found) == empty

    def test_a_record_keeps_its_name_when_the_host_there_goes(self) -> None:
        found = zone(records={"_http._tcp.web.jitsu.test": [Srv(80, "web.jitsu.test")]})
        found.change({}, without=["web.jitsu.test"])
        assert found.exists(parse_name("web.jitsu.test"))
        assert found.host(parse_name("web.jitsu.test")) is None

    def test_one_change_may_remove_and_add_the_same_name(self) -> None:
        found = zone()
        other = Host("other", ("192.0.2.11",), 1)
        found.change({"web.jitsu.test": other}, without=["web.jitsu.test"])
        assert found.host(parse_name("web.jitsu.test")) is other

    @pytest.mark.parametrize(
        ("hosts", "records", "words"),
        [
            ({"new.jitsu.test": WEB, "web.jitsu.test": WEB}, {}, "there twice"),
            ({"new.jitsu.test": WEB, "new.example.org": WEB}, {}, "outside the zone"),
            ({"new.jitsu.test": WEB, "ns1.jitsu.test": WEB}, {}, "also a name of service web"),
            ({"new.jitsu.test": WEB}, {"new.example.org": [Txt("hi")]}, "outside the zone"),
            ({"new.jitsu.test": WEB}, {"txt.jitsu.test": [Txt("hi")]}, "two places"),
        ],
    )
    def test_a_change_that_cannot_be_changes_nothing(
        self, hosts: dict[str, Host], records: dict[str, list[Txt]], words: str
    ) -> None:
        found = zone(records={"txt.jitsu.test": [Txt("there")]})
        with pytest.raises(ConfigError, match=words):
            found.change(hosts, records, without=["never.jitsu.test"])
        assert found.host(parse_name("new.jitsu.test")) is None
        assert not found.exists(parse_name("new.jitsu.test"))
        assert found.serial == 1

    def test_the_serial_grows_with_every_change_and_goes_in_circles(self) -> None:
        found = zone(serial=2**32 - 2)
        serials = []
        for number in range(3):
            found.change({f"s{number}.jitsu.test": WEB})
            serials.append(found.serial)
        assert serials == [2**32 - 1, 1, 2]
