"""shfs(1) says what is: every command, option and exit code, and none that is not there."""

import pytest

from shfs import errors
from shfs.cli.main import cli
from shfs.errors import ShfsError
from tests.unit.manual_pages import OPTION, commands, options, sections, tags, told_commands

SHARED = {"-h", "--help", "-v", "--volume", "-o", "--output"}
"""Options that are told once for all commands."""

COMMANDS = commands(cli, "shfs")
TOLD = told_commands("shfs.1")


def test_every_command_is_in_the_manual_and_no_other() -> None:
    assert sorted(TOLD) == sorted(COMMANDS)


@pytest.mark.parametrize("path", sorted(COMMANDS))
def test_every_option_of_a_command_is_in_the_manual_and_no_other(path: str) -> None:
    told = {name for tag in tags(TOLD[path]) for name in OPTION.findall(tag)}

    assert told == options(COMMANDS[path]) - SHARED


def test_the_shared_options_are_in_the_manual() -> None:
    shared = sections("shfs.1", "SS")["Options of many commands"]

    assert {name for tag in tags(shared) for name in OPTION.findall(tag)} == SHARED
    own = sections("shfs.1", "SH")["OPTIONS"].partition(".SS")[0]
    assert {name for tag in tags(own) for name in OPTION.findall(tag)} == options(cli)


def test_every_exit_code_is_in_the_manual() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ShfsError)]

    told = [int(tag) for tag in tags(sections("shfs.1", "SH")["EXIT STATUS"])]
    assert told == sorted({0, 2, 130, *(kind.exit_code for kind in kinds)})
