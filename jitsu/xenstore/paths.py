"""Names of nodes: `/local/domain/5/name`, and the special ones that begin with `@`.

Source: docs/misc/xenstore.txt and xenstored's is_valid_nodename(). Allowed are letters, digits and `-/_@`; a relative
path lies below the home of the domain that uses it.
"""

import re
from functools import lru_cache

from jitsu.xenstore.wire import StoreError

ROOT = "/"
LONGEST = 3072
"""Bytes, as clients have it (XENSTORE_ABS_PATH_MAX)."""

_ABSOLUTE = re.compile(rb"/|(?:/[A-Za-z0-9_@-]+)+")
_RELATIVE = re.compile(rb"[A-Za-z0-9_-][A-Za-z0-9_@-]*(?:/[A-Za-z0-9_@-]+)*")
_SPECIAL = re.compile(rb"@[A-Za-z0-9_@-]+(?:/[A-Za-z0-9_@-]+)*")


@lru_cache(64)
def home_of(domid: int) -> str:
    """Where relative paths of a domain begin."""
    return f"/local/domain/{domid}"


def canonical(given: bytes, home: str, longest: int = LONGEST) -> str:
    """The absolute form of a path. Raises `StoreError` EINVAL for what is no path, a special one included.

    `longest` counts bytes, without a `/local/domain/N/` in front.
    """
    return (_remembered if len(given) <= _SHORT else _canonical)(given, home, longest)


def _canonical(given: bytes, home: str, longest: int) -> str:
    if _ABSOLUTE.fullmatch(given):
        path = given.decode("ascii")
    elif _RELATIVE.fullmatch(given):
        path = f"{home}/{given.decode('ascii')}"
    else:
        raise StoreError("EINVAL", f"{given!r} is not a path in XenStore")
    if len(path) > longest and counted(path) > longest:
        raise StoreError("EINVAL", f"a path of {len(path)} bytes", hint=f"the most is {longest}")
    return path


_SHORT = 128
"""Bytes of a path that is worth remembering: a guest can ask for many long ones."""

_remembered = lru_cache(8192)(_canonical)


def canonical_or_special(given: bytes, home: str, longest: int = LONGEST) -> str:
    """The same, where `@introduceDomain` and the like may stand (permissions and watches)."""
    if given[:1] == b"@" and len(given) <= longest and _SPECIAL.fullmatch(given):
        return given.decode("ascii")
    return canonical(given, home, longest)


def counted(path: str) -> int:
    """The bytes of a path that count: all but `/local/domain/N/`."""
    match = re.match(r"/local/domain/\d+/", path)
    return len(path) - (match.end() if match else 0)


def is_special(path: str) -> bool:
    return path[0] == "@"


def parent_of(path: str) -> str:
    """The path above; that of the root is the root."""
    return path.rpartition("/")[0] or ROOT


def name_of(path: str) -> str:
    return path.rpartition("/")[2]


def below(path: str, name: str) -> str:
    return f"{path}/{name}" if path != ROOT else f"/{name}"
