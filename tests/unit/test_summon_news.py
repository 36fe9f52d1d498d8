"""Which steps of the machine are news."""

import pytest

from jitsu.events import Kind
from jitsu.summon import machine
from jitsu.summon.machine import Phase, Rest, State, step
from jitsu.summon.news import news_of

LOOPING = Rest(8.0, again=True, looping=True)


@pytest.mark.parametrize(
    ("state", "event", "rest", "news"),
    [
        (State(), machine.Asked(1), Rest(), [(Kind.SUMMONED, "by dns")]),
        (State(), machine.Due("restart"), Rest(), [(Kind.SUMMONED, "by restart")]),
        (State(Phase.BOOTING), machine.Asked(1), Rest(), []),
        (State(Phase.STARTING), machine.Refused("no room"), Rest(), [(Kind.REFUSED, "no room")]),
        (State(Phase.STARTING), machine.Launched(), Rest(), []),
        (State(Phase.BOOTING), machine.BecameReady(), Rest(), []),
        (State(Phase.BOOTING), machine.Overdue("late"), Rest(), [(Kind.DISMISSED, "late")]),
        (State(Phase.SERVING), machine.Silent("idle"), Rest(), [(Kind.DISMISSED, "idle")]),
        (State(Phase.SERVING), machine.Ended("oops"), Rest(), [(Kind.CRASHED, "oops")]),
        (State(Phase.SERVING), machine.Ended("bye", in_order=True), Rest(), [(Kind.EXITED, "bye")]),
        (
            State(Phase.SERVING),
            machine.Ended("oops", wanted=True),
            Rest(),
            [(Kind.CRASHED, "oops"), (Kind.SUMMONED, "by syn")],
        ),
        (
            State(Phase.BOOTING),
            machine.Ended("oops"),
            LOOPING,
            [(Kind.CRASHED, "oops"), (Kind.CRASH_LOOPING, "next try in 8 s")],
        ),
        (State(Phase.DISMISSING), machine.Ended("gone"), Rest(), []),
        (State(Phase.DISMISSING), machine.Gone(), Rest(), []),
        (State(Phase.CRASH_LOOPING, rest=LOOPING, fault="oops"), machine.Asked(1), Rest(), []),
    ],
)
def test_a_step_is_told_as_what_happened(
    state: State, event: machine.Event, rest: Rest, news: list[tuple[Kind, str]]
) -> None:
    after, actions = step(state, event, rest)
    assert list(news_of(state.phase, event, actions, after)) == news
