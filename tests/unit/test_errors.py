"""The tree of errors: each kind has its own exit code, and says the same to people and to programs."""

import json
import re

import pytest

from jitsu import errors
from jitsu.errors import ConfigError, DomainError, JitsuError

EXIT_CODES = {
    "JitsuError": 1,
    "ConfigError": 3,
    "HostError": 4,
    "ResourceBusy": 5,
    "DomainError": 6,
    "DaemonError": 7,
    "ArtifactError": 8,
}


def test_every_kind_of_error_has_the_exit_code_that_is_documented() -> None:
    kinds = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }

    assert kinds == EXIT_CODES


def test_the_picture_of_the_tree_shows_every_kind_with_its_code() -> None:
    drawn = re.findall(r"(\w+)\s+(\d)\s", str(errors.__doc__))

    assert {name: int(code) for name, code in drawn} == EXIT_CODES


def test_no_exit_code_is_that_of_wrong_usage_and_no_two_are_the_same() -> None:
    codes = list(EXIT_CODES.values())

    assert 2 not in codes
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("name", EXIT_CODES)
def test_whoever_catches_the_root_catches_every_kind(name: str) -> None:
    with pytest.raises(JitsuError, match="the bridge is gone"):
        raise getattr(errors, name)("the bridge is gone", hint="raise it")


def test_the_text_of_an_error_is_its_message_without_the_hint() -> None:
    error = ConfigError("no kernel", hint="name one")

    assert str(error) == error.message == "no kernel"
    assert error.hint == "name one"


def test_a_hint_may_be_missing() -> None:
    assert JitsuError("that failed").hint == ""


def test_programs_are_told_kind_message_hint_and_exit_code() -> None:
    told = json.loads(json.dumps(DomainError("it died", hint="look at its log").as_json()))

    assert told == {"error": "DomainError", "message": "it died", "hint": "look at its log", "exit_code": 6}


def test_an_error_passed_on_with_another_exit_code_says_so() -> None:
    error = DomainError("it died")
    error.exit_code = 7

    assert error.as_json()["exit_code"] == 7
    assert DomainError.exit_code == 6
