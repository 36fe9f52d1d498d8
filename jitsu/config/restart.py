"""What follows when a guest ends by itself: the words of docker, and those of xl that mean the same."""

import re
from dataclasses import dataclass

WORDS = ("no", "on-failure", "always", "unless-stopped")

_BOUNDED = re.compile(r"on-failure:([1-9][0-9]{0,3})")

_XL = {"destroy": "no", "restart": "always"}
"""Words of xl.cfg's `on_crash` and `on_poweroff` that have a meaning here."""

_XL_NOT_HERE = {
    "rename-restart": "a guest that ended is not kept under another name; write: always",
    "preserve": "a guest that ended is not kept, its last lines are in jitsu ps -v; write: no",
    "coredump-destroy": "no core is dumped; write: no",
    "coredump-restart": "no core is dumped; write: always",
    "soft-reset": "a guest is always started anew; write: always",
}


@dataclass(frozen=True, slots=True)
class Restart:
    """`when` is one of `WORDS`; `most` bounds how often in a row `on-failure` starts a guest again, 0 is no bound."""

    when: str = "no"
    most: int = 0


NEVER = Restart()


def read_restart(text: str) -> Restart:
    """The policy that `text` names. Raises ValueError with the way out, for people."""
    bounded = _BOUNDED.fullmatch(text)
    if bounded is not None:
        return Restart("on-failure", int(bounded[1]))
    if text in _XL_NOT_HERE:
        raise ValueError(_XL_NOT_HERE[text])
    word = _XL.get(text, text)
    if word not in WORDS:
        raise ValueError("use one of: no, on-failure, on-failure:N, always, unless-stopped (or xl's destroy, restart)")
    return Restart(word)
