"""The life of one service as a pure state machine: an event comes in, a new state and a list of actions come out.

    ASLEEP ──wanted──▶ STARTING ──launched──▶ BOOTING ──ready──▶ SERVING ──silence──▶ DISMISSING ──gone──▶ ASLEEP
       ▲                  │ refused              │ ended, overdue     │ ended                │ gone, wanted again
       ├──────────────────┴──────────────────────┴────────────────────┤                      └──────▶ STARTING
       └──pause over── CRASH_LOOPING ◀──────────too often─────────────┘

Whether an end was one too often is not decided here: `Rest` says what must follow it, and comes with the event.
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
    CRASH_LOOPING = "crash-looping"
    """It ended too often in a row; whoever wants it is refused until the pause is over."""


AT_REST = (Phase.ASLEEP, Phase.CRASH_LOOPING)
"""There is no domain, and none is on the way."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What follows the end of a domain: a pause in `seconds`. `again`: after it the guest is started again by itself.
    `looping`: before it is over, nobody but a person has the guest started."""

    seconds: float = 0.0
    again: bool = False
    looping: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Phase, and the tokens that wait: for resources to be granted, for the guest to serve, for it to be gone.

    `unwanted` is the reason for which a domain that is just being launched is to be ended at once. `rest` is what
    follows the end of the domain that is being dismissed, or is being kept; `fault` is why.
    """

    phase: Phase = Phase.ASLEEP
    granting: tuple[int, ...] = ()
    serving: tuple[int, ...] = ()
    leaving: tuple[int, ...] = ()
    unwanted: str = ""
    rest: Rest = Rest()
    fault: str = ""


# Events.


@dataclass(frozen=True, slots=True)
class Asked:
    """A DNS question for the address: it is answered as soon as resources are granted."""

    token: int


@dataclass(frozen=True, slots=True)
class Knocked:
    """A packet is on hold; `cause` is `syn`, `udp` or `icmp`."""

    cause: str = "syn"


@dataclass(frozen=True, slots=True)
class Ordered:
    """A person wants the guest to run, or, not `by_hand`, a service that depends on it; they wait until it serves."""

    token: int
    by_hand: bool = True


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
    """The domain ended by itself. `wanted`: a SYN is on hold that it did not get. `in_order`: the guest shut down."""

    reason: str
    wanted: bool = False
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The domain that was being dismissed is no more. `wanted`: a SYN is on hold."""

    wanted: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """Nobody wants the guest but we: `cause` is `restart`, `hours`, or `running` for one that shall always run."""

    cause: str


End = Refused | Overdue | Lost | Ended
"""How a domain can end that was not ended by us: `ends` says whether it did."""

Event = Asked | Knocked | Ordered | Unwanted | Launched | BecameReady | Silent | Gone | Due | End


# Actions.


@dataclass(frozen=True, slots=True)
class Launch:
    """Start a domain, and wait for nothing else; `cause` is `dns`, `syn` (or whatever else is on hold), `udp`, `icmp`,
    `start` (by hand, or for a service that depends on it), `restart`, `hours` or `running`."""

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
    """Close the gate, then end the domain, or let it rest if it may be kept."""

    reason: str
    keep: bool = False


@dataclass(frozen=True, slots=True)
class ResetHeld:
    """Answer what is on hold with RST."""

    reason: str


@dataclass(frozen=True, slots=True)
class Bury:
    """Let go of everything that belonged to a domain that is gone."""

    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Say `Due("restart")` after these seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CallOff:
    """What was waited for shall not come."""


Action = Launch | Tell | Serve | Dismiss | ResetHeld | Bury | Wait | CallOff


def ends(state: State, event: Event) -> bool:
    """Is this event the end of a domain, and not ours? Then `step` wants to be told what follows."""
    match event:
        case Refused():
            return state.phase is Phase.STARTING
        case Overdue():
            return state.phase is Phase.BOOTING
        case Lost():
            return state.phase is Phase.SERVING
        case Ended():
            return state.phase in (Phase.BOOTING, Phase.SERVING)
        case _:
            return False


def step(state: State, event: Event, rest: Rest = Rest()) -> tuple[State, list[Action]]:
    """What to do about `event`, and, if it is the end of a domain, to let `rest` follow.

    Events that mean nothing in a phase change nothing.
    """
    match event:
        case Asked() | Ordered() | Knocked():
            return _wanted(state, event)
        case Unwanted():
            return _unwanted(state, event)
        case Due(cause):
            return _due(state, cause)
        case Refused(reason) if state.phase is Phase.STARTING:
            # A stop that came meanwhile has its way: what it ended is not tried again.
            rest = Rest() if state.unwanted else rest
            actions = [*_end(state, reason), *_tell(state.leaving), ResetHeld(reason), Bury(reason)]
            return _resting(rest, reason), [*actions, *_wait(rest)]
        case Launched() if state.phase is Phase.STARTING:
            return _launched(state)
        case BecameReady() if state.phase is Phase.BOOTING:
            return replace(state, phase=Phase.SERVING, serving=()), [Serve(), *_tell(state.serving)]
        case Lost(reason) if state.phase is Phase.SERVING:
            return _failing(state, reason, rest), [*_end(state, reason), ResetHeld(reason), Dismiss(reason)]
        case Overdue(reason) if state.phase is Phase.BOOTING:
            return _failing(state, reason, rest), [*_end(state, reason), ResetHeld(reason), Dismiss(reason)]
        case Silent(reason) if state.phase is Phase.SERVING:
            return _dismissing(state), [Dismiss(reason, keep=True)]
        case Ended(reason) if state.phase is Phase.BOOTING:
            # Whoever knocked would be held until the deadline for nothing: this guest does not boot.
            actions = [*_end(state, reason), ResetHeld(reason), Bury(reason)]
            return _resting(rest, reason), [*actions, *_wait(rest)]
        case Ended(reason, wanted) if state.phase is Phase.SERVING:
            return _over(state, reason, wanted, rest)
        case Gone(wanted) if state.phase is Phase.DISMISSING:
            return _over(state, "", wanted, state.rest)
        case _:
            # The end of a domain that is being dismissed is no news: `Gone` says so.
            return state, []


def _wanted(state: State, event: Asked | Ordered | Knocked) -> tuple[State, list[Action]]:
    """Somebody wants the guest."""
    running = state.phase in (Phase.BOOTING, Phase.SERVING)
    actions: list[Action] = []
    if state.rest.looping:
        match event:
            case Asked(token):
                return state, [Tell((token,), _refusal(state))]
            case Knocked():
                return state, [ResetHeld(_refusal(state))]
            case Ordered(token, by_hand=False):
                return state, [Tell((token,), _refusal(state))]
            case Ordered():
                # A person knows better, and the next try is theirs.
                state = replace(state, rest=Rest(), fault="")
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
    if state.phase in (Phase.ASLEEP, Phase.CRASH_LOOPING):
        cause = event.cause if isinstance(event, Knocked) else _cause(state)
        return replace(state, phase=Phase.STARTING), [Launch(cause)]
    return state, actions


def _due(state: State, cause: str) -> tuple[State, list[Action]]:
    """We want the guest ourselves, or its pause is over."""
    match state.phase:
        case Phase.CRASH_LOOPING if not state.rest.again:
            return State(), []
        case Phase.ASLEEP | Phase.CRASH_LOOPING:
            return State(Phase.STARTING), [Launch(cause)]
        case _:
            return state, []


def _unwanted(state: State, event: Unwanted) -> tuple[State, list[Action]]:
    """A person wants the guest gone."""
    waiting = replace(state, leaving=(*state.leaving, event.token))
    match state.phase:
        case Phase.ASLEEP | Phase.CRASH_LOOPING:
            return State(), [CallOff(), Tell((event.token,))]
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


def _over(state: State, reason: str, wanted: bool, rest: Rest) -> tuple[State, list[Action]]:
    """The domain is no more; asleep, unless somebody wants it again already."""
    actions: list[Action] = [Bury(reason), *_tell(state.leaving)]
    if rest.looping:
        state = _resting(rest, reason or state.fault)
        return state, [*actions, *([ResetHeld(_refusal(state))] if wanted else []), *_wait(rest)]
    if not (wanted or state.granting or state.serving):
        return State(), [*actions, *_wait(rest)]
    state = State(Phase.STARTING, granting=state.granting, serving=state.serving)
    return state, [*actions, Launch(_cause(state))]


def _resting(rest: Rest, reason: str) -> State:
    return State(Phase.CRASH_LOOPING, rest=rest, fault=reason) if rest.looping else State()


def _wait(rest: Rest) -> list[Action]:
    return [Wait(rest.seconds)] if rest.again or rest.looping else []


def _refusal(state: State) -> str:
    return f"crash-looping: {state.fault}"


def _dismissing(state: State) -> State:
    return State(phase=Phase.DISMISSING, leaving=state.leaving)


def _failing(state: State, reason: str, rest: Rest) -> State:
    return replace(_dismissing(state), rest=rest, fault=reason if rest.looping else "")


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
