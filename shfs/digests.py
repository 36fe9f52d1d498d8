"""Digests: the name under which a volume keeps an object.

Source: SHFS 2.01, the hash function and digest length of the configuration (chunk 1). A volume of the function MANUAL
computes none: the operator gives them, or names a function of his own, of which the volume itself knows nothing.
"""

import enum
import hashlib
import zlib
from collections.abc import Callable, Iterable
from typing import Protocol, cast

from shfs.errors import InputError
from shfs.haval import LENGTHS as HAVAL_LENGTHS
from shfs.haval import Buffer, Haval

LONGEST = 64
"""Bytes that a slot has for a digest."""

ENTRY_POINTS = "shfs.digests"
"""The group in which an installed package offers functions of its own, each a `module:callable` like a given one."""


class Hasher(Protocol):
    """One digest in the making. Objects of hashlib are such, and let other threads run while they work."""

    def update(self, data: Buffer, /) -> None:
        """Take in more of the object."""

    def digest(self) -> bytes:
        """The digest of all that came until now, in the order of bytes in which a slot has it."""


Factory = Callable[[int], Hasher]
"""Begins a digest of so many bytes. Raises ValueError where there is none of that length."""


class HashFunction(enum.IntEnum):
    """The functions of the format, by their number in the configuration."""

    MANUAL = 1
    SHA = 2
    CRC = 3
    MD5 = 4
    HAVAL = 5

    @classmethod
    def named(cls, name: str) -> "HashFunction":
        """By the name of the command line, as `sha`. Raises `InputError`."""
        for function in cls:
            if function.name.lower() == name:
                return function
        known = ", ".join(function.name.lower() for function in cls)
        raise InputError(f"{name!r} is no hash function of SHFS", hint=f"there are {known}")

    @property
    def label(self) -> str:
        """As the original's summary of a volume has it."""
        return "Manual" if self is HashFunction.MANUAL else self.name

    @property
    def lengths(self) -> tuple[int, ...]:
        """Bytes that a digest may have, first what it has unless told otherwise."""
        return _LENGTHS[self]


_LENGTHS = {
    HashFunction.MANUAL: (16, *(length for length in range(1, LONGEST + 1) if length != 16)),
    HashFunction.SHA: (32, 20, 28, 48, 64),
    HashFunction.CRC: (4,),
    HashFunction.MD5: (16,),
    HashFunction.HAVAL: HAVAL_LENGTHS,
}

_SHA = {20: hashlib.sha1, 28: hashlib.sha224, 32: hashlib.sha256, 48: hashlib.sha384, 64: hashlib.sha512}


def check_length(function: HashFunction, length: int) -> None:
    """Raises `InputError` where the function has no digest of so many bytes."""
    if length in function.lengths:
        return
    if function is HashFunction.MANUAL:
        raise InputError(f"a digest of {length} bytes", hint=f"a digest has 1 to {LONGEST} bytes")
    *others, last = map(str, sorted(function.lengths))
    allowed = f"{', '.join(others)} or {last}" if others else last
    raise InputError(f"{function.label} has no digest of {length} bytes", hint=f"it can have {allowed}")


def new(function: HashFunction, length: int) -> Hasher:
    """Begin a digest. Raises `InputError` for a wrong length, and for MANUAL, which computes none."""
    check_length(function, length)
    # Nothing here protects anything: a machine whose policy bans SHA-1 and MD5 can still read and write volumes.
    match function:
        case HashFunction.SHA:
            return _SHA[length](usedforsecurity=False)
        case HashFunction.CRC:
            return Crc()
        case HashFunction.MD5:
            return hashlib.md5(usedforsecurity=False)
        case HashFunction.HAVAL:
            return Haval(length)
        case HashFunction.MANUAL:
            raise InputError(
                "the volume's hash function is manual: it computes no digests",
                hint="give the digest of each object, or name a function of your own",
            )


def compat_length(size: int, chunk_size: int) -> int:
    """How many bytes of an object of `size` bytes the original tool's digest covers, from the first.

    It reads chunk by chunk, and `size % chunk_size` bytes of the last one: none at all when the object fills it.
    """
    return size - chunk_size if size and size % chunk_size == 0 else size


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse order."""


class Crc:
    """CRC-32/BZIP2: that of zlib, but each byte is taken from its highest bit and not from its lowest.

    From bytes with reversed bits zlib computes it, reversed as well.
    """

    def __init__(self) -> None:
        self._reversed = 0

    def update(self, data: Buffer, /) -> None:
        """Take in more of the object."""
        self._reversed = zlib.crc32(bytes(data).translate(_REVERSED), self._reversed)

    def digest(self) -> bytes:
        """The CRC as a slot has it, which is little endian."""
        return self._reversed.to_bytes(4, "big").translate(_REVERSED)


_CURE = "make the volume with a length that the function has, or take another function"
_NAMES = "give it as module:callable; what is called gets the length in bytes"

_registered: dict[str, tuple[frozenset[int], Factory]] = {}


def register(name: str, lengths: Iterable[int], factory: Factory) -> None:
    """Make an own function known to `provider`, for digests of these lengths in bytes.

    Raises `InputError` where the name is taken or has a colon, or a length is none that a slot can keep.
    """
    if ":" in name:
        raise InputError(f"{name!r} cannot name a digest function", hint="a name has no colon")
    if name in _registered:
        raise InputError(f"there is a digest function {name!r} already", hint="take another name")
    allowed = frozenset(lengths)
    for length in allowed:
        check_length(HashFunction.MANUAL, length)
    _registered[name] = allowed, factory


def provider(name: str) -> Factory:
    """What begins digests for a volume whose function is MANUAL.

    `name` is that of a function that was registered, that of an entry point in the group `shfs.digests`, or
    `module:callable`; what is called gets the length in bytes. Raises `InputError` where there is none, and the factory
    raises it where the function has no digest of the length asked for.
    """
    if name in _registered:
        lengths, factory = _registered[name]
    else:
        lengths, factory = frozenset(HashFunction.MANUAL.lengths), _loaded(name)

    def begin(length: int) -> Hasher:
        if length not in lengths:
            raise InputError(f"the digest function {name!r} has no digest of {length} bytes", hint=_CURE)
        try:
            # A function that takes no notice of the length must not reach a volume: a digest of nothing shows it.
            given = len(factory(length).digest())
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"{name!r} cannot begin a digest of {length} bytes: {error}", hint=_CURE) from error
        if given != length:
            raise InputError(f"{name!r} makes digests of {given} bytes where {length} were asked for", hint=_CURE)
        return factory(length)

    return begin


def _loaded(name: str) -> Factory:
    # They take longer to import than all of ours, and are hardly ever wanted.
    import pkgutil
    from importlib.metadata import entry_points

    offered = entry_points(group=ENTRY_POINTS)
    try:
        if ":" in name:
            factory = pkgutil.resolve_name(name)
        elif name in offered.names:
            factory = offered[name].load()
        else:
            known = ", ".join(sorted({*_registered, *offered.names}))
            raise InputError(
                f"there is no digest function {name!r}", hint=f"there are {known}, and any module:callable"
            )
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"the digest function {name!r} cannot be loaded: {error}", hint=_NAMES) from error
    if not callable(factory):
        raise InputError(f"the digest function {name!r} cannot be called", hint=_NAMES)
    return cast(Factory, factory)


register("blake2b", range(1, LONGEST + 1), lambda length: hashlib.blake2b(digest_size=length))
