"""The questions of a client: what goes over the wire for each, and what to say when the answer is an error.

Source: docs/misc/xenstore.txt. Paths are texts; bytes in them that are no UTF-8 are kept as `os.fsdecode` keeps those
of file names, so that whatever a daemon lists can be asked for. What no daemon could understand, a NUL inside a path
or more than 4096 bytes, is refused here: such a message would be cut or cost the connection.
"""

from collections.abc import Sequence
from typing import NamedTuple

from jitsu.xenstore.wire import ERRORS, LONGEST_PAYLOAD, Message, StoreError, Type

_SAID = {
    "EACCES": ("not permitted", "the owner and a privileged caller may: jitsu xs ls -p shows who that is"),
    "EAGAIN": ("somebody else changed what this transaction had seen", "try again"),
    "EEXIST": ("it is there already", ""),
    "EINVAL": ("the daemon takes it for malformed", "names have letters, digits and - _ @, paths no / at their end"),
    "EISDIR": ("it is a directory", ""),
    "ENOENT": ("there is no such node", ""),
    "ENOSPC": ("a quota is used up", ""),
    "ENOSYS": ("this daemon does not know that request", ""),
    "EPERM": ("only a privileged caller may change the owner", ""),
    "E2BIG": ("too long for one message of 4096 bytes", ""),
}


class Request(NamedTuple):
    """One question; `verb` and `subject` are what an error calls it."""

    type: Type
    payload: bytes
    verb: str
    subject: str

    def refused(self, errno: str) -> StoreError:
        """The error for people. A name that is none of the wire's, as oxenstored's EQUOTA, counts as EINVAL."""
        said, hint = _SAID.get(errno, ("the daemon refused", ""))
        known = errno if errno in ERRORS else "EINVAL"
        return StoreError(known, f"{self.verb} {self.subject}: {said} ({errno})", hint=hint)

    def result(self, answer: Message) -> bytes:
        """What the answer brings. Raises StoreError."""
        if answer.type != Type.ERROR:
            return answer.payload
        name = answer.payload.rstrip(b"\0").decode("ascii", "replace")
        raise self.refused(name if name.isalnum() else "EINVAL")


def encoded(path: str) -> bytes:
    """A path or another text as it goes over the wire."""
    return path.encode("utf-8", "surrogateescape")


def decoded(raw: bytes) -> str:
    """A path or name from the wire. It may hold whatever the daemon let pass: make it fit before it is shown."""
    return raw.decode("utf-8", "surrogateescape")


def read(path: str) -> Request:
    return _about(Type.READ, "read", path)


def directory(path: str) -> Request:
    return _about(Type.DIRECTORY, "list", path)


def directory_part(path: str, offset: int) -> Request:
    return _about(Type.DIRECTORY_PART, "list", path, b"%d\0" % offset)


def get_perms(path: str) -> Request:
    return _about(Type.GET_PERMS, "read the permissions of", path)


def write(path: str, value: bytes) -> Request:
    return _about(Type.WRITE, "write", path, value)


def mkdir(path: str) -> Request:
    return _about(Type.MKDIR, "make", path)


def rm(path: str) -> Request:
    return _about(Type.RM, "remove", path)


def set_perms(path: str, perms: Sequence[str]) -> Request:
    """`perms`: the owner first, each a letter of n, r, w, b and a domid: `["n0", "r5"]`."""
    return _about(Type.SET_PERMS, "set the permissions of", path, b"".join(encoded(perm) + b"\0" for perm in perms))


def watch(path: str, token: bytes) -> Request:
    return _about(Type.WATCH, "watch", path, token + b"\0")


def unwatch(path: str, token: bytes) -> Request:
    return _about(Type.UNWATCH, "no longer watch", path, token + b"\0")


def start(payload: bytes = b"\0") -> Request:
    return Request(Type.TRANSACTION_START, payload, "begin", "a transaction")


COMMIT = Request(Type.TRANSACTION_END, b"T\0", "commit", "a transaction")
ABORT = Request(Type.TRANSACTION_END, b"F\0", "abort", "a transaction")


def about_domain(kind: Type, verb: str, domid: int, *numbers: int) -> Request:
    """A question about a domain."""
    payload = b"".join(b"%d\0" % number for number in (domid, *numbers))
    return Request(kind, payload, verb, f"domain {domid}")


def control(words: Sequence[str]) -> Request:
    """A command to the daemon itself."""
    return _bounded(
        Request(Type.CONTROL, b"".join(encoded(word) + b"\0" for word in words), "control", " ".join(words))
    )


def _about(kind: Type, verb: str, path: str, rest: bytes = b"") -> Request:
    request = Request(kind, encoded(path) + b"\0" + rest, verb, path)
    if "\0" in path:
        raise request.refused("EINVAL")
    return _bounded(request)


def _bounded(request: Request) -> Request:
    if len(request.payload) > LONGEST_PAYLOAD:
        raise request.refused("E2BIG")
    return request
