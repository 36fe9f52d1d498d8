"""What the doctor found."""

from collections.abc import Callable
from dataclasses import dataclass

from jitsu.errors import JitsuError


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is `ok`, `note` (works, but see) or `bad` (does not work). `cure` is empty for `ok`."""

    subject: str
    state: str
    message: str
    cure: str = ""


def checked(subject: str, look: Callable[[], Finding]) -> Finding:
    """A look that may end in an error, which is a finding too."""
    try:
        return look()
    except JitsuError as error:
        return Finding(subject, "bad", error.message, error.hint)
