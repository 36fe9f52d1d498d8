"""What of a step of the state machine is worth telling people. Pure.

That a guest is ready is told by whoever serves it, who knows after how long.
"""

from collections.abc import Iterator, Sequence

from jitsu.events import Kind
from jitsu.summon import machine
from jitsu.summon.machine import Phase, State

News = tuple[Kind, str]
"""What happened, and a line about it."""


def news_of(before: Phase, event: machine.Event, actions: Sequence[machine.Action], after: State) -> Iterator[News]:
    """The news of a step from phase `before` to the state `after`, in the order in which they happened."""
    match event:
        case machine.Refused(reason) if before is Phase.STARTING:
            yield Kind.REFUSED, reason
        case machine.Ended(reason, in_order=in_order) if before in (Phase.BOOTING, Phase.SERVING):
            yield Kind.EXITED if in_order else Kind.CRASHED, reason
        case _:
            pass
    for action in actions:
        match action:
            case machine.Launch(cause):
                yield Kind.SUMMONED, f"by {cause}"
            case machine.Dismiss(reason):
                yield Kind.DISMISSED, reason
            case _:
                pass
    if after.phase is Phase.CRASH_LOOPING and before is not Phase.CRASH_LOOPING:
        yield Kind.CRASH_LOOPING, f"next try in {after.rest.seconds:g} s"
