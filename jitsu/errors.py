"""The one tree of errors that people see.

    JitsuError            1   something failed; the message names the object, the hint the way out
    ├── ConfigError       3   jitsu.toml, or a command line that contradicts it, cannot be used
    ├── HostError         4   this machine lacks something: a program, a permission, a kernel feature
    ├── ResourceBusy      5   it exists already or belongs to somebody else: bridge, port, lock
    ├── DomainError       6   a domain could not be built, or died
    ├── DaemonError       7   no daemon answers, or it refused the request
    └── ArtifactError     8   a recipe could not be built

The number is the exit code of a command that ends with this error. 2 is click's own (wrong usage) and 130 is Ctrl-C.
"""


class JitsuError(Exception):
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


class ConfigError(JitsuError):
    """The configuration cannot be used as it stands."""

    exit_code = 3


class HostError(JitsuError):
    """This machine lacks something that was asked for."""

    exit_code = 4


class ResourceBusy(JitsuError):
    """The name, address, port or lock that was asked for is in somebody else's hands."""

    exit_code = 5


class DomainError(JitsuError):
    """A domain could not be built, or ended when it should have run."""

    exit_code = 6


class DaemonError(JitsuError):
    """The daemon is not there, or it refused."""

    exit_code = 7


class ArtifactError(JitsuError):
    """A recipe failed to build."""

    exit_code = 8
