"""The life of a service: every transition of the picture, and what holds whatever happens in whatever order."""

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from jitsu.summon.machine import (
    Action,
    Asked,
    BecameReady,
    Bury,
    CallOff,
    Dismiss,
    Due,
    Ended,
    Event,
    Gone,
    Knocked,
    Launch,
    Launched,
    Lost,
    Ordered,
    Overdue,
    Phase,
    Refused,
    ResetHeld,
    Rest,
    Serve,
    Silent,
    State,
    Tell,
    Unwanted,
    Wait,
    ends,
    step,
)

ASLEEP = State()
STARTING = State(Phase.STARTING)
BOOTING = State(Phase.BOOTING)
SERVING = State(Phase.SERVING)
DISMISSING = State(Phase.DISMISSING)

EVENTS: list[Event] = [
    Asked(9),
    Knocked(),
    Ordered(9),
    Unwanted(9, "stop"),
    Refused("full"),
    Launched(),
    BecameReady(),
    Overdue("late"),
    Silent("idle"),
    Ended("crash"),
    Gone(),
]

TABLE: dict[str, tuple[State, Event, State, list[Action]]] = {
    # Asleep: who wants the guest launches it.
    "a question wakes a sleeper": (ASLEEP, Asked(1), State(Phase.STARTING, granting=(1,)), [Launch("dns")]),
    "a syn wakes a sleeper": (ASLEEP, Knocked(), STARTING, [Launch("syn")]),
    "an order wakes a sleeper": (ASLEEP, Ordered(1), State(Phase.STARTING, serving=(1,)), [Launch("start")]),
    "a stopped sleeper is not started by us": (ASLEEP, Unwanted(1, "stop"), ASLEEP, [CallOff(), Tell((1,))]),
    "a sleeper whose time has come is started": (ASLEEP, Due("restart"), STARTING, [Launch("restart")]),
    # Starting: everybody waits for the one launch.
    "a second question waits for the same launch": (
        State(Phase.STARTING, granting=(1,)),
        Asked(2),
        State(Phase.STARTING, granting=(1, 2)),
        [],
    ),
    "an order waits longer than a question": (
        State(Phase.STARTING, granting=(1,)),
        Ordered(2),
        State(Phase.STARTING, granting=(1,), serving=(2,)),
        [],
    ),
    "a syn during the start is held": (STARTING, Knocked(), STARTING, []),
    "questions are answered when resources are granted": (
        State(Phase.STARTING, granting=(1, 2), serving=(3,)),
        Launched(),
        State(Phase.BOOTING, serving=(3,)),
        [Tell((1, 2))],
    ),
    "a start that nobody asked about tells nobody": (STARTING, Launched(), BOOTING, []),
    "who waits for a start that is refused is told why": (
        State(Phase.STARTING, granting=(1,), serving=(2,)),
        Refused("full"),
        ASLEEP,
        [Tell((1, 2), "full"), ResetHeld("full"), Bury("full")],
    ),
    "a stop during the start waits for its end": (
        STARTING,
        Unwanted(1, "stop"),
        State(Phase.STARTING, leaving=(1,), unwanted="stop"),
        [],
    ),
    "a domain that is unwanted by the time it runs is dismissed": (
        State(Phase.STARTING, granting=(1,), leaving=(2,), unwanted="stop"),
        Launched(),
        State(Phase.DISMISSING, leaving=(2,)),
        [Tell((1,), "stop"), ResetHeld("stop"), Dismiss("stop")],
    ),
    "who wanted a guest gone has it when the start is refused": (
        State(Phase.STARTING, granting=(1,), leaving=(2,), unwanted="stop"),
        Refused("full"),
        ASLEEP,
        [Tell((1,), "full"), Tell((2,)), ResetHeld("full"), Bury("full")],
    ),
    # Booting.
    "a question to a guest that boots is answered at once": (BOOTING, Asked(1), BOOTING, [Tell((1,))]),
    "a syn to a guest that boots is held": (BOOTING, Knocked(), BOOTING, []),
    "an order waits until the guest serves": (BOOTING, Ordered(1), State(Phase.BOOTING, serving=(1,)), []),
    "a guest that is ready serves before anybody is told": (
        State(Phase.BOOTING, serving=(1, 2)),
        BecameReady(),
        SERVING,
        [Serve(), Tell((1, 2))],
    ),
    "a guest that ends while booting is not tried again": (
        State(Phase.BOOTING, serving=(1,)),
        Ended("crash", wanted=True),
        ASLEEP,
        [Tell((1,), "crash"), ResetHeld("crash"), Bury("crash")],
    ),
    "a guest that is overdue is dismissed, and who waits is told": (
        State(Phase.BOOTING, serving=(1,)),
        Overdue("late"),
        DISMISSING,
        [Tell((1,), "late"), ResetHeld("late"), Dismiss("late")],
    ),
    "a guest can be stopped while it boots": (
        State(Phase.BOOTING, serving=(1,)),
        Unwanted(2, "stop"),
        State(Phase.DISMISSING, leaving=(2,)),
        [Tell((1,), "stop"), ResetHeld("stop"), Dismiss("stop")],
    ),
    # Serving.
    "a question to a guest that serves is answered at once": (SERVING, Asked(1), SERVING, [Tell((1,))]),
    "an order to a guest that serves is carried out already": (SERVING, Ordered(1), SERVING, [Tell((1,))]),
    "a syn that a dying guest could not get is held": (SERVING, Knocked(), SERVING, []),
    "silence dismisses": (SERVING, Silent("idle"), DISMISSING, [Dismiss("idle", keep=True)]),
    "a guest can be stopped while it serves": (
        SERVING,
        Unwanted(1, "stop"),
        State(Phase.DISMISSING, leaving=(1,)),
        [ResetHeld("stop"), Dismiss("stop")],
    ),
    "a guest that ends while serving is asleep": (SERVING, Ended("crash"), ASLEEP, [Bury("crash")]),
    "a guest that ends while somebody knocks is launched again": (
        SERVING,
        Ended("crash", wanted=True),
        STARTING,
        [Bury("crash"), Launch("syn")],
    ),
    # Dismissing: the next domain begins when the last is gone.
    "a question during a dismissal waits for the next domain": (
        DISMISSING,
        Asked(1),
        State(Phase.DISMISSING, granting=(1,)),
        [],
    ),
    "an order during a dismissal waits for the next domain": (
        DISMISSING,
        Ordered(1),
        State(Phase.DISMISSING, serving=(1,)),
        [],
    ),
    "a syn during a dismissal is held": (DISMISSING, Knocked(), DISMISSING, []),
    "a second stop waits with the first": (
        State(Phase.DISMISSING, leaving=(1,)),
        Unwanted(2, "stop"),
        State(Phase.DISMISSING, leaving=(1, 2)),
        [ResetHeld("stop")],
    ),
    "a stop during a dismissal disappoints who waits for the next domain": (
        State(Phase.DISMISSING, granting=(1,), serving=(2,)),
        Unwanted(3, "stop"),
        State(Phase.DISMISSING, leaving=(3,)),
        [Tell((1, 2), "stop"), ResetHeld("stop")],
    ),
    "the end of a domain that is being dismissed is no news": (DISMISSING, Ended("crash", wanted=True), DISMISSING, []),
    "when it is gone it is asleep": (State(Phase.DISMISSING, leaving=(1,)), Gone(), ASLEEP, [Bury(""), Tell((1,))]),
    "who asked meanwhile gets the next domain": (
        State(Phase.DISMISSING, granting=(1,), leaving=(2,)),
        Gone(),
        State(Phase.STARTING, granting=(1,)),
        [Bury(""), Tell((2,)), Launch("dns")],
    ),
    "who ordered meanwhile gets the next domain": (
        State(Phase.DISMISSING, serving=(1,)),
        Gone(),
        State(Phase.STARTING, serving=(1,)),
        [Bury(""), Launch("start")],
    ),
    "who knocked meanwhile gets the next domain": (DISMISSING, Gone(wanted=True), STARTING, [Bury(""), Launch("syn")]),
}

MEANT: set[tuple[Phase, type]] = {(state.phase, type(event)) for state, event, _, _ in TABLE.values()}


@pytest.mark.parametrize("transition", TABLE)
def test_the_picture(transition: str) -> None:
    state, event, expected, actions = TABLE[transition]

    assert step(state, event) == (expected, actions)


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (state, event)
        for state, event in itertools.product((ASLEEP, STARTING, BOOTING, SERVING, DISMISSING), EVENTS)
        if (state.phase, type(event)) not in MEANT
    ],
    ids=lambda value: value.phase.value if isinstance(value, State) else type(value).__name__,
)
def test_what_means_nothing_in_a_phase_changes_nothing(state: State, event: Event) -> None:
    assert step(state, event) == (state, [])


RESTS = st.builds(Rest, st.just(1.0), again=st.booleans(), looping=st.booleans())


class AnyLife(RuleBasedStateMachine):
    """A world that is valid and otherwise does what it likes. The rules are what it may do, the model what is so."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State()
        self.tokens = itertools.count(1)
        self.waiting: set[int] = set()
        self.launching = self.alive = self.dismissal = self.gate = False
        self.buried = True
        self.waits = False
        self.held = 0

    def happens(self, event: Event, rest: Rest | None = None) -> list[Action]:
        assert rest is None or ends(self.state, event) or self.state.phase not in (Phase.BOOTING, Phase.SERVING)
        before, (self.state, actions) = self.state, step(self.state, event, rest or Rest())
        for action in actions:
            match action:
                case Launch():
                    assert not isinstance(event, Unwanted | Silent | Overdue | Refused)
                    if before.phase is Phase.CRASH_LOOPING:
                        assert isinstance(event, Ordered | Due), "a packet booted what is crash-looping"
                    self.waits = False
                    assert self.there_is_none(), "two domains at a time"
                    assert self.buried, "the last domain was not let go of"
                    self.launching, self.buried = True, False
                case Tell(tokens, _):
                    assert tokens
                    assert set(tokens) <= self.waiting, "told twice, or nobody's token"
                    self.waiting -= set(tokens)
                case Serve():
                    assert self.alive
                    assert not self.dismissal
                    self.gate, self.held = True, 0
                case ResetHeld():
                    self.held = 0
                case Dismiss():
                    assert not self.launching
                    assert not self.dismissal
                    self.dismissal, self.gate = True, False
                case Bury():
                    assert not self.buried
                    assert self.there_is_none()
                    self.buried, self.gate = True, False
                case Wait():
                    assert not self.waits
                    assert not isinstance(event, Unwanted)
                    self.waits = True
                case CallOff():
                    self.waits = False
        if before.phase is Phase.SERVING and self.state.phase is not Phase.SERVING:
            assert not self.gate, "the gate was left open"
        return actions

    def there_is_none(self) -> bool:
        """Is there no domain, nor the beginning or the rest of one?"""
        return not (self.launching or self.alive or self.dismissal)

    def token(self) -> int:
        token = next(self.tokens)
        self.waiting.add(token)
        return token

    @rule()
    def somebody_asks(self) -> None:
        self.happens(Asked(self.token()))

    @rule()
    def somebody_orders(self) -> None:
        self.happens(Ordered(self.token()))

    @rule(port_is_gone=st.booleans())
    def somebody_knocks(self, port_is_gone: bool) -> None:
        # With the gate open a SYN is passed on, and the machine does not hear of it; unless the port just died.
        if not self.gate or port_is_gone:
            self.held += 1
            self.happens(Knocked())

    @precondition(lambda self: self.waits)
    @rule()
    def its_time_comes(self) -> None:
        self.waits = False
        self.happens(Due("restart"))

    @rule()
    def somebody_stops_it(self) -> None:
        self.happens(Unwanted(self.token(), "stop"))
        assert self.state.phase is not Phase.CRASH_LOOPING
        assert not self.waits
        if self.state.phase is Phase.DISMISSING:
            waits = {*self.state.granting, *self.state.serving}
            assert not waits
            assert self.held == 0

    @precondition(lambda self: self.launching)
    @rule()
    def it_runs(self) -> None:
        self.launching, self.alive = False, True
        self.happens(Launched())

    @precondition(lambda self: self.launching)
    @rule(rest=RESTS)
    def it_cannot_be_started(self, rest: Rest) -> None:
        self.launching = False
        stopped = bool(self.state.unwanted)
        self.happens(Refused("full"), rest)
        assert not (stopped and self.waits), "a stop did not win"

    @precondition(lambda self: self.alive)
    @rule()
    def it_says_that_it_is_ready(self) -> None:
        self.happens(BecameReady())

    @precondition(lambda self: self.alive)
    @rule(rest=RESTS)
    def its_time_is_up(self, rest: Rest) -> None:
        self.happens(Overdue("late"), rest if ends(self.state, Overdue("late")) else None)

    @precondition(lambda self: self.alive)
    @rule(rest=RESTS)
    def nobody_can_reach_it(self, rest: Rest) -> None:
        self.happens(Lost("no gate"), rest if ends(self.state, Lost("no gate")) else None)

    @rule()
    def it_is_silent(self) -> None:
        self.happens(Silent("idle"))

    @precondition(lambda self: self.alive)
    @rule(rest=RESTS)
    def it_ends(self, rest: Rest) -> None:
        self.alive = False
        event = Ended("crash", wanted=self.held > 0)
        self.happens(event, rest if ends(self.state, event) else None)

    @precondition(lambda self: self.dismissal)
    @rule()
    def it_is_gone(self) -> None:
        self.alive = self.dismissal = False
        self.happens(Gone(wanted=self.held > 0))

    @invariant()
    def nobody_is_forgotten(self) -> None:
        waiting = (*self.state.granting, *self.state.serving, *self.state.leaving)
        assert sorted(waiting) == sorted(self.waiting)

    @invariant()
    def a_sleeper_has_nothing(self) -> None:
        if self.state.phase is Phase.ASLEEP:
            assert self.state == State()
            assert self.held == 0, "a SYN is on hold, and nobody comes"
            assert self.buried
            assert self.there_is_none()

    @invariant()
    def a_pause_is_waited_for(self) -> None:
        resting = self.state.phase in (Phase.ASLEEP, Phase.CRASH_LOOPING)
        assert resting or not self.waits
        if self.state.phase is Phase.CRASH_LOOPING:
            assert self.waits, "nobody ends the pause"
            assert self.held == 0, "a SYN is on hold, and nobody comes"
            assert self.buried
            assert self.there_is_none()
            assert not self.waiting

    @invariant()
    def the_phase_is_what_is_so(self) -> None:
        assert self.launching is (self.state.phase is Phase.STARTING)
        assert self.dismissal is (self.state.phase is Phase.DISMISSING)
        assert self.alive or self.state.phase not in (Phase.BOOTING, Phase.SERVING)
        assert self.gate is (self.state.phase is Phase.SERVING)

    def teardown(self) -> None:
        """Let the world come to rest: then everybody was told."""
        for _ in range(10):
            if self.launching:
                self.it_runs()
            elif self.dismissal:
                self.it_is_gone()
            elif self.alive:
                self.it_ends(Rest())
            elif self.state.phase is Phase.CRASH_LOOPING:
                self.somebody_stops_it()
        self.a_sleeper_has_nothing()
        assert self.state.phase is Phase.ASLEEP
        assert self.waiting == set()


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(deadline=None, max_examples=300, stateful_step_count=40)
