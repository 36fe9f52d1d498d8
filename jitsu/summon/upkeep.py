"""What a service does about the ends of its guest: whether it is started again by itself, when, and whether anybody is
let in before; and its hours, within which it is kept running. Policy: nothing here looks at a clock.

Ends in a row are counted. An end is one of a row if it came within `WINDOW` of the last one (after the pause that one
cost) and the guest had not served for `GOOD_RUN` in between; a guest that was dismissed in good order ends the row.
The n-th end of a row is followed by a pause of `backoff * 2^(n-1)` seconds, at most `LONGEST_PAUSE`. From the
service's `crashes`-th on, it is crash-looping: nobody boots it again before the pause is over.
"""

from jitsu.config import ServiceConfig
from jitsu.summon.machine import Rest

WINDOW = 600.0
"""Seconds after which one end has nothing to do with the last."""

GOOD_RUN = 30.0
"""Seconds of serving after which a guest is held to be well."""

LONGEST_PAUSE = 300.0
"""Seconds: no pause is longer."""

SECOND_TRY = 10.0
"""Seconds until a start that nobody but us wanted is tried again, after it was refused (a full box, for one)."""


class Upkeep:
    """The ends of one service's guest. Times are seconds of one monotonic clock."""

    __slots__ = ("_quiet_since", "_sent_home", "_within", "crashes", "stopped")

    def __init__(self) -> None:
        self.crashes = 0
        """Ends in a row."""
        self.stopped = False
        """Was the guest stopped by hand, and not started by hand since?"""
        self._quiet_since = 0.0
        self._within = False
        self._sent_home = False

    @property
    def kept(self) -> bool:
        """Is the guest to be kept running now? Within its hours it is, unless it was stopped by hand within them."""
        return self._within and not self._sent_home

    def look(self, within: bool) -> None:
        """Are these its hours?"""
        self._within = within
        if not within:
            self._sent_home = False

    def ended(self, service: ServiceConfig, now: float, served: float, *, in_order: bool) -> Rest:
        """The domain ended by itself after having served for `served` seconds: 0 if it never did. `in_order`: the guest
        shut down, which while it boots is a failure like any other."""
        when = service.restart.when
        failed = not (in_order and served > 0)
        if served >= GOOD_RUN or now > self._quiet_since + WINDOW:
            self.crashes = 0
        if not failed and not self.kept and when not in ("always", "unless-stopped"):
            self.crashes = 0
            return Rest()
        self.crashes += 1
        pause = min(service.backoff * 2.0 ** min(self.crashes - 1, 30), LONGEST_PAUSE)
        self._quiet_since = now + pause
        return Rest(pause, again=self._again(service), looping=self.crashes >= service.crashes)

    def refused(self, own: bool) -> Rest:
        """A launch was refused; `own`: nobody but us wanted it."""
        return Rest(SECOND_TRY, again=True) if own else Rest()

    def dismissed(self) -> None:
        """The guest served until we ended it."""
        self.crashes = 0

    def stop(self) -> None:
        """A person wants the guest gone, and what was is forgotten."""
        self.crashes = 0
        self.stopped = True
        self._sent_home = self._within

    def start(self) -> None:
        """A person wants the guest to run."""
        self.stopped = self._sent_home = False

    def _again(self, service: ServiceConfig) -> bool:
        if self.kept:
            return True
        match service.restart.when:
            case "always":
                return True
            case "unless-stopped":
                return not self.stopped
            case "on-failure":
                return service.restart.most == 0 or self.crashes <= service.restart.most
            case _:
                return False
