"""`jitsu service`, `reload` and `events`: what the daemon is asked, and what is printed of its answers."""

import json
import os
from pathlib import Path

import pytest

from jitsu.daemon.control import Request
from tests.unit.command_line import EVENTS, SERVICES, Jitsu, trimmed
from tests.unit.golden import expect_golden

pytestmark = pytest.mark.usefixtures("in_utc")


class TestAdding:
    def test_values_are_those_of_toml_and_texts_need_no_quotes(
        self, jitsu: Jitsu, daemon: str, asked: list[Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)
        words = ["kernel=hello.elf", "address=10.77.0.20", "idle=2.5", "vcpus=2", "memory=8 MiB", "mac=52:54:00:0:0:1"]
        words += ["names=shop", "names=@", 'txt=["a", "b"]', 'cmdline="7"', "initrd=/boot/i=1", "hours=08:00:00"]
        assert jitsu("service", "add", "-c", daemon, "shop", *words) == (0, "shop: added\n", "")
        keys = {
            "kernel": f"{os.getcwd()}/hello.elf",
            "address": "10.77.0.20",
            "idle": 2.5,
            "vcpus": 2,
            "memory": "8 MiB",
            "mac": "52:54:00:0:0:1",
            "names": ["shop", "@"],
            "txt": ["a", "b"],
            "cmdline": "7",
            "initrd": "/boot/i=1",
            "hours": "08:00:00",
        }
        assert asked == [{"do": "service-add", "services": {"shop": keys}, "source": "command line"}]

    def test_a_file_has_sections_as_the_configuration_has(
        self, jitsu: Jitsu, daemon: str, asked: list[Request], tmp_path: Path
    ) -> None:
        file = tmp_path / "more.toml"
        file.write_text('[service.a]\nkernel = "a.elf"\n[service.b]\nkernel = "/b.elf"\nidle = 3\n')
        code, out, _ = jitsu("service", "add", "-c", daemon, "--file", str(file), "-o", "json")
        assert code == 0
        assert json.loads(out) == [{"service": "a", "state": "asleep"}, {"service": "b", "state": "asleep"}]
        services = {"a": {"kernel": f"{tmp_path}/a.elf"}, "b": {"kernel": "/b.elf", "idle": 3}}
        assert asked == [{"do": "service-add", "services": services, "source": str(file)}]

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("[dns]\nttl = 3\n", "has more in it than services, or none"),
            ("", "has more in it than services, or none"),
            ("service = 3\n", "has more in it than services, or none"),
            ("[service]\nshop = 3\n", "service.shop is not a table"),
            ("[service.a\n", "is not TOML"),
        ],
    )
    def test_another_file_is_refused(self, jitsu: Jitsu, daemon: str, tmp_path: Path, text: str, error: str) -> None:
        (tmp_path / "more.toml").write_text(text)
        code, out, err = jitsu("service", "add", "-c", daemon, "--file", str(tmp_path / "more.toml"))
        assert (code, out) == (3, "")
        assert error in err
        assert err.count("\n") == 2

    @pytest.mark.parametrize(
        "words", [[], ["shop", "--file", "x.toml"], ["shop", "kernel"], ["shop", "=x"], ["shop", ""]]
    )
    def test_wrong_usage(self, jitsu: Jitsu, daemon: str, asked: list[Request], words: list[str]) -> None:
        assert jitsu("service", "add", "-c", daemon, *words)[0] == 2
        assert asked == []


class TestEditing:
    def test_keys_are_changed_and_taken_away(self, jitsu: Jitsu, daemon: str, asked: list[Request]) -> None:
        printed = jitsu("service", "edit", "-c", daemon, "shop", "idle=3", "--unset", "linger", "--now")
        assert printed == (0, "shop: edited\n", "")
        changes = {"idle": 3, "linger": None}
        assert asked == [
            {"do": "service-edit", "service": "shop", "changes": changes, "source": "command line", "now": True}
        ]

    def test_what_has_to_wait_is_said_to_wait(self, jitsu: Jitsu, daemon: str) -> None:
        _, out, _ = jitsu("service", "edit", "-c", daemon, "shop", "memory=32 MiB")
        assert out == "shop: edited; the guest that runs stays as it is until it ends\n"

    def test_nothing_to_change_is_wrong_usage(self, jitsu: Jitsu, daemon: str) -> None:
        assert jitsu("service", "edit", "-c", daemon, "shop")[0] == 2


class TestRemoving:
    def test_each_is_named_when_it_is_gone(self, jitsu: Jitsu, daemon: str, asked: list[Request]) -> None:
        assert jitsu("service", "rm", "-c", daemon, "a", "b") == (0, "a: removed\nb: removed\n", "")
        assert [request["service"] for request in asked] == ["a", "b"]


class TestListing:
    def test_people_get_a_table(self, jitsu: Jitsu, daemon: str) -> None:
        expect_golden("cli/services.txt", trimmed(jitsu("service", "ls", "-c", daemon)[1]))

    def test_programs_get_everything(self, jitsu: Jitsu, daemon: str) -> None:
        assert json.loads(jitsu("service", "ls", "-c", daemon, "-o", "json")[1]) == SERVICES


def test_a_reload_says_what_came_of_it(jitsu: Jitsu, daemon: str) -> None:
    _, out, _ = jitsu("reload", "-c", daemon)
    assert out == "reloaded: 1 added, 2 changed, 3 removed; 9 services now\n"
    assert json.loads(jitsu("reload", "-c", daemon, "-o", "json")[1])["services"] == 9


class TestEvents:
    def test_people_get_a_line_each(self, jitsu: Jitsu, daemon: str) -> None:
        code, out, _ = jitsu("events", "-c", daemon)
        assert code == 0
        expect_golden("cli/events.txt", out)

    def test_programs_get_one_list_or_a_line_each(self, jitsu: Jitsu, daemon: str, asked: list[Request]) -> None:
        assert json.loads(jitsu("events", "-c", daemon, "-o", "json", "--since", "2023-11-14T22:13:00Z")[1]) == EVENTS
        assert asked[-1] == {"do": "events", "since": 1_699_999_980.0, "follow": False}
        code, out, err = jitsu("events", "-c", daemon, "-f", "-o", "json")
        assert [json.loads(line) for line in out.splitlines()] == EVENTS
        # A stream goes on until somebody ends it: here the daemon did.
        assert code == 7
        assert json.loads(err)["message"] == "the daemon has ended"
