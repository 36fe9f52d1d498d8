"""The tree of errors that a user of shfs sees.

    ShfsError            1   something failed; the message names the object, the hint the way out
    ├── VolumeError      3   the files given are no SHFS volume, not a whole one, or one that contradicts itself
    ├── HostError        4   this machine lacks something, or the system refused: a library, a permission, a write
    ├── VolumeBusy       5   somebody else is changing the volume
    ├── VolumeFull       6   no room: in the data area, in the bucket, or on the members
    ├── ObjectError      7   the object is not there, or is there already
    ├── InputError       8   what was given cannot be stored: a file, a name, a URL, a digest, a manifest
    └── UnsoundVolume    9   a check found faults

The number is the exit code of a command that ends with this error. 2 is click's own (wrong usage) and 130 is Ctrl-C.
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


class VolumeError(ShfsError):
    """The members are no SHFS volume, not a whole one, or one that contradicts itself."""

    exit_code = 3


class HostError(ShfsError):
    """This machine lacks something that was asked for, or the system refused an operation on a file."""

    exit_code = 4


class VolumeBusy(ShfsError):
    """Somebody else is changing the volume."""

    exit_code = 5


class VolumeFull(ShfsError):
    """There is no room for what was given."""

    exit_code = 6


class ObjectError(ShfsError):
    """There is no such object, or there is one already."""

    exit_code = 7


class InputError(ShfsError):
    """What was given cannot be stored."""

    exit_code = 8


class UnsoundVolume(ShfsError):
    """A check found faults; the message says how many, the findings were printed."""

    exit_code = 9
