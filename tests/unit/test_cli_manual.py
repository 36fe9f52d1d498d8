"""The manual pages say what is: every command, option, key, default and exit code, and none that is not there."""

import re
from pathlib import Path

import pytest

from jitsu import errors
from jitsu.cli.main import cli
from jitsu.config import Setting, load, settings
from jitsu.errors import ConfigError, JitsuError
from tests.unit.manual_pages import OPTION, commands, options, sections, tags, told_commands

SHARED = {"-h", "--help", "-c", "--config", "-o", "--output"}
"""Options that are told once for all commands."""

COMMANDS = commands(cli, "jitsu")
TOLD = told_commands("jitsu.1")


def test_every_command_is_in_the_manual_and_no_other() -> None:
    assert sorted(TOLD) == sorted(COMMANDS)


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_option_of_a_command_is_in_the_manual_and_no_other(path: str) -> None:
    told = {name for tag in tags(TOLD[path]) for name in OPTION.findall(tag)}

    assert told == options(COMMANDS[path]) - SHARED


def test_the_shared_options_are_in_the_manual() -> None:
    shared = sections("jitsu.1", "SS")["Options of many commands"]

    assert {name for tag in tags(shared) for name in OPTION.findall(tag)} == SHARED
    own = sections("jitsu.1", "SH")["OPTIONS"].partition(".SS")[0]
    assert {name for tag in tags(own) for name in OPTION.findall(tag)} == options(cli) | {"--version"}


def test_the_daemon_has_a_page_with_all_its_options() -> None:
    told = {name for tag in tags(sections("jitsu-serve.8", "SH")["OPTIONS"]) for name in OPTION.findall(tag)}

    assert told == options(COMMANDS["jitsu serve"]) | {"-h", "--help"}


def test_every_exit_code_is_in_the_manual() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, JitsuError)]

    told = [int(tag) for tag in tags(sections("jitsu.1", "SH")["EXIT STATUS"])]
    assert told == sorted({0, 2, 130, *(kind.exit_code for kind in kinds)})


@pytest.fixture
def smallest(tmp_path: Path) -> Path:
    path = tmp_path / "jitsu.toml"
    path.write_text('[service.name]\nkernel = "k"\naddress = "10.77.0.10"\n')
    return path


def keys_of(path: Path, section: str) -> set[str]:
    """The keys of a section, as an error tells them to somebody who misspelt one."""
    text = path.read_text(encoding="utf-8")
    header = f"[{section}]\n"
    text = text.replace(header, header + "misspelt = 1\n") if header in text else f"{header}misspelt = 1\n{text}"
    path.with_name("wrong.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path.with_name("wrong.toml"))
    return set(caught.value.hint.removeprefix("the keys here are: ").split(", "))


@pytest.mark.parametrize(
    "section", ["daemon", "libvirt", "dns", "network", "limits", "warm", "metrics", "service.name"]
)
def test_every_key_is_in_the_manual_and_no_other(smallest: Path, section: str) -> None:
    told = sections("jitsu.toml.5", "SS")[f"[{section.replace('name', 'NAME')}]"]

    assert sorted(tags(told)) == sorted(keys_of(smallest, section))


def test_plain_defaults_are_told_as_they_are(smallest: Path) -> None:
    """Those that depend on nothing else: numbers, sizes and words."""
    told = sections("jitsu.toml.5", "SS")
    derived = {"runtime", "state", "gateway", "probe", "address6", "mac", "uplink", "machine", "uids"}

    def default_of(setting: Setting) -> str:
        body = told[f"[{setting.section.replace('name', 'NAME')}]"].partition(f"\n.B {setting.key}\n")[2]
        return re.findall(r"Default: (.*)\.$", body, flags=re.MULTILINE)[0].strip('"')

    plain = [each for each in settings(smallest) if not each.stated and not isinstance(each.value, list)]
    plain = [each for each in plain if each.key not in derived and (each.section, each.key) != ("service.name", "ttl")]
    wrong = [each for each in plain if default_of(each) != str(each.value).replace("False", "false")]
    assert len(plain) > 12
    assert wrong == []
