"""Who may ask what: decided by whom the kernel says is there."""

import os
import pwd
import socket

import pytest

from jitsu.daemon import gatekeeper
from jitsu.daemon.gatekeeper import LOOKS, Caller, Gatekeeper, caller_of
from jitsu.errors import DaemonError

NOBODY = Caller(1, pwd.getpwnam("nobody").pw_uid)
CHANGES = ("start", "stop", "reload", "service-add", "something-new")


@pytest.mark.parametrize("do", [*sorted(LOOKS), *CHANGES])
def test_root_and_the_daemons_own_user_may_do_everything(do: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Gatekeeper(operators=()).check(Caller(1, 0), do)
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY.uid)
    Gatekeeper(operators=()).check(NOBODY, do)


@pytest.mark.parametrize("do", CHANGES)
def test_others_may_do_everything_unless_operators_are_named(do: str) -> None:
    Gatekeeper().check(NOBODY, do)
    Gatekeeper(operators=("anna", "nobody")).check(NOBODY, do)


@pytest.mark.parametrize("do", sorted(LOOKS))
def test_everybody_may_look(do: str) -> None:
    Gatekeeper(operators=()).check(NOBODY, do)


@pytest.mark.parametrize("do", CHANGES)
def test_who_may_only_look_is_told_so(do: str) -> None:
    with pytest.raises(DaemonError) as raised:
        Gatekeeper(operators=("anna",), group="jitsu").check(NOBODY, do)
    assert raised.value.message == f"{do} is not for nobody: members of group jitsu may only look"
    assert raised.value.hint == "ask root, or be named in [daemon] operators"
    assert raised.value.exit_code == 7


def test_a_user_without_a_name_is_a_number() -> None:
    assert str(Caller(1, 0)) == "root"
    assert str(Caller(1, 4_000_000)) == "uid 4000000"


def test_the_kernel_says_who_is_there() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert caller_of(ours) == Caller(os.getpid(), os.geteuid())
    assert gatekeeper.EVERYBODY == "*"
