"""The life of one service as a pure state machine: an event comes in, a new state and a list of actions come out.

    ASLEEP ──wanted──▶ STARTING ──launched──▶ BOOTING ──ready──▶ SERVING ──silence──▶ DISMISSING ──gone──▶ ASLEEP
       ▲                  │ refused              │ ended, overdue     │ ended                │ gone, wanted again
       └──────────────────┴──────────────────────┴────────────────────┘                      └──────▶ STARTING

However many ask, there is one summon. Whoever asks is a token: a number that the driver of this machine (the summoner)
can turn back into a waiting DNS question or command. A held SYN needs none: it waits in the embryonic table.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Phase(StrEnum):
    """Where a service stands."""

    ASLEEP = "asleep"
    STARTING = "starting"
    BOOTING = "booting"
    SERVING = "serving"
    DISMISSING = "dismissing"


@dataclass(frozen=True, slots=True)
class State:
    """Phase, and the tokens that wait: for resources to be granted, for the guest to serve, for it to be gone.

    `unwanted` is the reason for which a domain that is just being launched is to be ended at once.
    """

    phase: Phase = Phase.ASLEEP
    granting: tuple[int, ...] = ()
    serving: tuple[int, ...] = ()
    leaving: tuple[int, ...] = ()
    unwanted: str = ""


# Events.


@dataclass(frozen=True, slots=True)
class Asked:
    """A DNS question for the address: it is answered as soon as resources are granted."""

    token: int


@dataclass(frozen=True, slots=True)
class Knocked:
    """A SYN is on hold."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """A person wants the guest to run; they wait until it serves."""

    token: int


@dataclass(frozen=True, slots=True)
class Unwanted:
    """A person wants the guest gone; they wait for it."""

    token: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The start failed before its monitor ran."""

    reason: str


@dataclass(frozen=True, slots=True)
class Launched:
    """The monitor runs."""


@dataclass(frozen=True, slots=True)
class BecameReady:
    """The guest can answer."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """The guest was not ready at its deadline."""

    reason: str


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing was asked of the guest for its idle time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The guest runs, and nobody can reach it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The domain ended by itself. `wanted`: a SYN is on hold that it did not get."""

    reason: str
    wanted: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The domain that was being dismissed is no more. `wanted`: a SYN is on hold."""

    wanted: bool = False


Event = Asked | Knocked | Ordered | Unwanted | Refused | Launched | BecameReady | Overdue | Silent | Lost | Ended | Gone


# Actions.


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a domain; `cause` is `dns`, `syn` or `start`."""

    cause: str


@dataclass(frozen=True, slots=True)
class Tell:
    """What was waited for happened (`problem` is empty), or never will."""

    tokens: tuple[int, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Serve:
    """Open the gate, then deliver what is on hold."""


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Close the gate, then end the domain."""

    reason: str


@dataclass(frozen=True, slots=True)
class ResetHeld:
    """Answer what is on hold with RST."""

    reason: str


@dataclass(frozen=True, slots=True)
class Bury:
    """Let go of everything that belonged to a domain that is gone."""

    reason: str


Action = Launch | Tell | Serve | Dismiss | ResetHeld | Bury


def step(state: State, event: Event) -> tuple[State, list[Action]]:
    """What to do about `event`. Events that mean nothing in a phase change nothing."""
    match event:
        case Asked() | Ordered() | Knocked():
            return _wanted(state, event)
        case Unwanted():
            return _unwanted(state, event)
        case Refused(reason) if state.phase is Phase.STARTING:
            return State(), [*_end(state, reason), *_tell(state.leaving), ResetHeld(reason), Bury(reason)]
        case Launched() if state.phase is Phase.STARTING:
            return _launched(state)
        case BecameReady() if state.phase is Phase.BOOTING:
            return replace(state, phase=Phase.SERVING, serving=()), [Serve(), *_tell(state.serving)]
        case Lost(reason) if state.phase is Phase.SERVING:
            return _dismissing(state), [*_end(state, reason), ResetHeld(reason), Dismiss(reason)]
        case Overdue(reason) if state.phase is Phase.BOOTING:
            return _dismissing(state), [*_end(state, reason), ResetHeld(reason), Dismiss(reason)]
        case Silent(reason) if state.phase is Phase.SERVING:
            return _dismissing(state), [Dismiss(reason)]
        case Ended(reason, wanted):
            return _ended(state, reason, wanted)
        case Gone(wanted) if state.phase is Phase.DISMISSING:
            return _rest(state, "", wanted)
        case _:
            return state, []


def _wanted(state: State, event: Asked | Ordered | Knocked) -> tuple[State, list[Action]]:
    """Somebody wants the guest."""
    running = state.phase in (Phase.BOOTING, Phase.SERVING)
    actions: list[Action] = []
    match event:
        case Asked(token) if running:
            actions.append(Tell((token,)))
        case Asked(token):
            state = replace(state, granting=(*state.granting, token))
        case Ordered(token) if state.phase is Phase.SERVING:
            actions.append(Tell((token,)))
        case Ordered(token):
            state = replace(state, serving=(*state.serving, token))
        case Knocked():
            pass
    if state.phase is Phase.ASLEEP:
        return replace(state, phase=Phase.STARTING), [Launch(_cause(state))]
    return state, actions


def _unwanted(state: State, event: Unwanted) -> tuple[State, list[Action]]:
    """A person wants the guest gone."""
    waiting = replace(state, leaving=(*state.leaving, event.token))
    match state.phase:
        case Phase.ASLEEP:
            return state, [Tell((event.token,))]
        case Phase.STARTING:
            return replace(waiting, unwanted=event.reason), []
        case Phase.BOOTING | Phase.SERVING:
            ended = [*_end(state, event.reason), ResetHeld(event.reason), Dismiss(event.reason)]
            return _dismissing(waiting), ended
        case Phase.DISMISSING:
            # Whoever wanted the next domain so far does not get it; whoever wants it from now on does.
            return _dismissing(waiting), [*_end(state, event.reason), ResetHeld(event.reason)]


def _launched(state: State) -> tuple[State, list[Action]]:
    if state.unwanted:
        reason = state.unwanted
        return _dismissing(state), [*_end(state, reason), ResetHeld(reason), Dismiss(reason)]
    return replace(state, phase=Phase.BOOTING, granting=()), [*_tell(state.granting)]


def _ended(state: State, reason: str, wanted: bool) -> tuple[State, list[Action]]:
    match state.phase:
        case Phase.BOOTING:
            # Whoever knocked would be held until the deadline for nothing: this guest does not boot.
            return State(), [*_end(state, reason), ResetHeld(reason), Bury(reason)]
        case Phase.SERVING:
            return _rest(state, reason, wanted)
        case _:
            # While it is being dismissed its end is no news: `Gone` says so. Otherwise there is no domain.
            return state, []


def _rest(state: State, reason: str, wanted: bool) -> tuple[State, list[Action]]:
    """The domain is no more; asleep, unless somebody wants it again already."""
    actions: list[Action] = [Bury(reason), *_tell(state.leaving)]
    if not (wanted or state.granting or state.serving):
        return State(), actions
    state = replace(state, phase=Phase.STARTING, leaving=(), unwanted="")
    return state, [*actions, Launch(_cause(state))]


def _dismissing(state: State) -> State:
    return State(phase=Phase.DISMISSING, leaving=state.leaving)


def _end(state: State, reason: str) -> list[Action]:
    """Disappoint everybody who waits for the guest."""
    waiting = (*state.granting, *state.serving)
    return [Tell(waiting, reason)] if waiting else []


def _tell(tokens: tuple[int, ...]) -> list[Action]:
    return [Tell(tokens)] if tokens else []


def _cause(state: State) -> str:
    if state.granting:
        return "dns"
    return "start" if state.serving else "syn"
