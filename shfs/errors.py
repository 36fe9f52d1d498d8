"""The one tree of errors of `shfs`.

    ShfsError             1   something failed; the message names the object, the hint the way out
    └── InputError        8   what was given cannot be used: a file, a name, a URL, a digest, a manifest

The number is the exit code of a command that ends with this error.
"""


class ShfsError(Exception):
    """An error meant to be read: `message` says what failed on which object, `hint` what to do about it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, str | int]:
        """The same two lines for programs: kind, message, hint, exit_code."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class InputError(ShfsError):
    """What was given cannot be used: a file, a name, a URL, a digest, a manifest."""

    exit_code = 8
