"""The XenStore wire: messages of a 16-byte header and at most 4096 bytes, on a stream of bytes.

Source: xen/include/public/io/xs_wire.h and docs/misc/xenstore.txt. A header is four little-endian u32: type, request
id, transaction id, length of the payload. A reply repeats the first three; an error's type is ERROR and its payload
an errno name; a watch event has neither request nor transaction.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from jitsu.errors import JitsuError

HEADER = struct.Struct("<4I")
LONGEST_PAYLOAD = 4096
LONGEST_PATH_OF_CLIENTS = 3072
"""XENSTORE_ABS_PATH_MAX: clients refuse longer ones before they ask."""


class Type(IntEnum):
    """Types of messages. 20 was RESTRICT, which nobody serves."""

    CONTROL = 0
    DIRECTORY = 1
    READ = 2
    GET_PERMS = 3
    WATCH = 4
    UNWATCH = 5
    TRANSACTION_START = 6
    TRANSACTION_END = 7
    INTRODUCE = 8
    RELEASE = 9
    GET_DOMAIN_PATH = 10
    WRITE = 11
    MKDIR = 12
    RM = 13
    SET_PERMS = 14
    WATCH_EVENT = 15
    ERROR = 16
    IS_DOMAIN_INTRODUCED = 17
    RESUME = 18
    SET_TARGET = 19
    RESET_WATCHES = 21
    DIRECTORY_PART = 22
    GET_FEATURE = 23
    SET_FEATURE = 24
    GET_QUOTA = 25
    SET_QUOTA = 26


# fmt: off
ERRORS = frozenset({
    "EINVAL", "EACCES", "EEXIST", "EISDIR", "ENOENT", "ENOMEM", "ENOSPC", "EIO",
    "ENOTEMPTY", "ENOSYS", "EROFS", "EBUSY", "EAGAIN", "EISCONN", "E2BIG", "EPERM",
})
# fmt: on
"""The names that clients know (xsd_errors); nothing else may be sent."""


class StoreError(JitsuError):
    """A request was answered with an error; `errno` is its name, one of `ERRORS`."""

    def __init__(self, errno: str, message: str = "", *, hint: str = "") -> None:
        super().__init__(message or errno, hint=hint)
        self.errno = errno


class ProtocolError(JitsuError):
    """The other side of a stream does not speak XenStore: nothing behind this can be understood."""


class Message(NamedTuple):
    """One message; `payload` has at most 4096 bytes."""

    type: int
    request: int
    transaction: int
    payload: bytes

    def encode(self) -> bytes:
        return HEADER.pack(self.type, self.request, self.transaction, len(self.payload)) + self.payload


class Parser:
    """Takes a stream in pieces of any size and gives its messages. Keeps less than one message."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def rest(self) -> bytes:
        """The beginning of a message whose end has not come."""
        return self._rest

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that `data` completes. Raises `ProtocolError` at a header that announces over 4096 bytes."""
        data = self._rest + data if self._rest else data
        self._rest = b""
        start, end = 0, len(data)
        while end - start >= HEADER.size:
            kind, request, transaction, length = HEADER.unpack_from(data, start)
            if length > LONGEST_PAYLOAD:
                raise ProtocolError(f"a XenStore message of {length} bytes", hint="the most is 4096")
            stop = start + HEADER.size + length
            if stop > end:
                break
            yield Message(kind, request, transaction, data[start + HEADER.size : stop])
            start = stop
        self._rest = data[start:]


def strings(payload: bytes) -> list[bytes]:
    """The NUL-terminated strings of a payload. Raises `StoreError` EINVAL when the last one is not terminated."""
    if not payload:
        return []
    if payload[-1]:
        raise StoreError("EINVAL", "a string without its NUL")
    return payload[:-1].split(b"\0")


def joined(*parts: bytes) -> bytes:
    """Strings, each with its NUL."""
    return b"".join(part + b"\0" for part in parts)
