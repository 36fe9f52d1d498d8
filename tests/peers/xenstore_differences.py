"""Where ours answers a probe otherwise than Debian's C xenstored 4.17, and why.

`told` are an answer and, behind `then`, the events that the client got of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """`debian` is None where Debian's daemon must not be asked."""

    ours: str
    debian: str | None
    why: str


def _alike(why: str, ours: str, debian: str | None, *probes: str) -> Iterator[tuple[str, Difference]]:
    for probe in probes:
        yield probe, Difference(ours, debian, why)


OK = r"b'OK\x00'"

_KINDS_OF_ONE_PATH = ("READ", "DIRECTORY", "GET_PERMS", "MKDIR", "RM")
_NOT_ONE_STRING = ("without NUL", "with a second string", "with a second NUL", "no payload")

_DIES = "4.17 answers with whatever error it met last, and ends itself (an assertion) when it has met none"
_LIMIT = "domain 0 has no limit for paths, as in later Xen; 4.17 limits it to 2048 bytes"
_STRICT = "a number is decimal digits, of a domain below 65536: 4.17 takes what strtol makes of it"
_LATER = "a request of later Xen"
_SPECIAL = "permissions of special paths can be read, as in later Xen"

DIFFERENCES = dict(
    (
        *_alike(_DIES, "EINVAL", None, *(f"{kind} {how}" for kind in _KINDS_OF_ONE_PATH for how in _NOT_ONE_STRING)),
        *_alike(_LIMIT, "ENOENT", "EINVAL", *(f"{kind} a path over the limit" for kind in _KINDS_OF_ONE_PATH[:3])),
        *_alike(_LIMIT, OK, "EINVAL", "MKDIR a path over the limit", "RM a path over the limit"),
        *_alike(_SPECIAL, r"b'n0\x00'", "EINVAL", "GET_PERMS a special path"),
        *_alike(_SPECIAL, r"b'n0\x00r3\x00'", "EINVAL", "GET_PERMS introduceDomain"),
        *_alike(_SPECIAL, r"b'n0\x00r32757\x00'", "EINVAL", "GET_PERMS releaseDomain"),
        *_alike(_SPECIAL, "ENOENT", "EINVAL", "GET_PERMS an unknown special path"),
        *_alike(_STRICT, "EINVAL", "ENOENT", "SET_PERMS a negative number"),
        *_alike(
            _STRICT,
            "EINVAL",
            OK,
            "SET_PERMS a sign",
            "SET_PERMS a hexadecimal number",
            "SET_PERMS a blank",
            "SET_PERMS a number above all",
            "SET_PERMS a number beyond 32 bits",
        ),
        *_alike(_STRICT, "EINVAL", r"b'/local/domain/70000\x00'", "GET_DOMAIN_PATH a number above all"),
        *_alike(_STRICT, "EINVAL", r"b'/local/domain/4294967295\x00'", "GET_DOMAIN_PATH a negative number"),
        *_alike(_STRICT, "EINVAL", r"b'/local/domain/0\x00'", "GET_DOMAIN_PATH a word", "GET_DOMAIN_PATH no number"),
        *_alike(_STRICT, "EINVAL", r"b'F\x00'", "IS_DOMAIN_INTRODUCED a number above all"),
        *_alike(_STRICT, "EINVAL", r"b'F\x00'", "IS_DOMAIN_INTRODUCED a negative number"),
        *_alike(_STRICT, "EINVAL", r"b'T\x00'", "IS_DOMAIN_INTRODUCED a word", "IS_DOMAIN_INTRODUCED no number"),
        *_alike(
            _STRICT,
            "EINVAL",
            "ENOENT",
            *(f"{kind} a {what}" for kind in ("RELEASE", "RESUME") for what in ("number above all", "negative number")),
        ),
        *_alike(_STRICT, "EINVAL", "EPERM", "INTRODUCE with a negative port"),
        *_alike(_STRICT, "EINVAL", r"generation b'c\x00b\x00a\x00binary\x00\x00'", "DIRECTORY_PART from a word"),
        *_alike(_STRICT, "EINVAL", r"generation b'\x00'", "DIRECTORY_PART from a negative number"),
        *_alike("a depth, as in later Xen", f"{OK} then /p:token", "EINVAL", "WATCH a depth"),
        *_alike("what is no path is not watched either", "EINVAL", "ENOENT", "UNWATCH a bad path"),
        *_alike(
            "a removal is told from above to below",
            f"{OK} then /p/b:/p /p/b:/p/b /p/b/deep:/p/b/deep",
            f"{OK} then /p/b/deep:/p/b/deep /p/b:/p /p/b:/p/b",
            "RM of a tree that is watched everywhere",
        ),
        *_alike(_LATER, r"b'14\x00'", "ENOSYS", "GET_FEATURE its own"),
        *_alike(_LATER, OK, "ENOSYS", "SET_FEATURE", "SET_QUOTA"),
        *_alike(_LATER, r"b'1000\x00'", "ENOSYS", "GET_QUOTA nodes"),
    )
)
