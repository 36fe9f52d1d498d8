"""Who may do what with a node: a list of entries, the owner's first.

The letter of entry 0 says what those may who are not listed; the owner may everything, and so may domain 0. Of the
other entries the first that names the caller, the domain it serves (SET_TARGET), or every domain counts.
Source: docs/misc/xenstore.txt, SET_PERMS.

One thing is ours: a directory may be *restricted*. Then what another domain creates in it belongs to its creator and is
readable by the directory's owner and nobody else, who may also remove it (as with setgid and the sticky bit in a file
system). Without it, whoever may write to a directory in which others leave messages could read and change all of them.
"""

from functools import lru_cache
from typing import NamedTuple

from jitsu.xenstore.wire import StoreError, joined

NOTHING, READ, WRITE, BOTH = 0, 1, 2, 3
_LETTERS = b"nrwb"

ANYBODY = 0x7FF5
"""DOMID_ANY: an entry for every domain."""


class Permissions(NamedTuple):
    """`entries` holds (domid, rights) and has one at least; `restricted` is for what is created below."""

    entries: tuple[tuple[int, int], ...]
    restricted: bool = False

    @property
    def owner(self) -> int:
        return self.entries[0][0]

    def rights(self, domid: int, target: int | None = None) -> int:
        """What a domain may that is not privileged; `target` is the domain that it serves."""
        owner, default = self.entries[0]
        if domid == owner or target == owner:
            return BOTH
        for entry, rights in self.entries[1:]:
            if entry in (domid, target, ANYBODY):
                return rights
        return default

    def inherited(self, creator: int) -> "Permissions":
        """What a node has that `creator` makes below one with these."""
        owner = self.entries[0][0]
        if self.restricted and creator != owner:
            return _interned(Permissions(((creator, NOTHING), (owner, READ))))
        if creator and creator != owner:
            return _interned(Permissions(((creator, self.entries[0][1]), *self.entries[1:])))
        return _interned(Permissions(self.entries)) if self.restricted else self

    def without(self, domid: int) -> "Permissions":
        """The same without a domain that is no more; what it owned (and cannot be removed) is domain 0's."""
        owner, default = self.entries[0]
        first = (0 if owner == domid else owner, default)
        return self._replace(entries=(first, *(entry for entry in self.entries[1:] if entry[0] != domid)))

    def encode(self) -> bytes:
        return joined(*(b"%c%d" % (_LETTERS[rights], domid) for domid, rights in self.entries))


_FEW = 8
"""Entries of a list that is worth remembering: somebody can send many long ones."""


def _interned(permissions: Permissions) -> Permissions:
    """Equal lists are one object: thousands of nodes have the same few."""
    return _same(permissions) if len(permissions.entries) <= _FEW else permissions


@lru_cache(4096)
def _same(permissions: Permissions) -> Permissions:
    return permissions


def parse(words: tuple[bytes, ...]) -> Permissions:
    """Permissions from `b"r5"` and the like. Raises `StoreError` EINVAL."""
    return (_remembered if len(words) <= _FEW else _parse)(words)


def _parse(words: tuple[bytes, ...]) -> Permissions:
    entries = []
    for word in words:
        letter, digits = word[:1], word[1:]
        if not letter or letter not in _LETTERS or not digits.isdigit() or len(digits) > 5 or int(digits) > 0x7FFF:
            raise StoreError("EINVAL", f"{word!r} is not a permission", hint="n, r, w or b, and a domid: r5")
        entries.append((int(digits), _LETTERS.index(letter)))
    if not entries:
        raise StoreError("EINVAL", "permissions without an owner", hint="the first entry names the owner")
    return _interned(Permissions(tuple(entries)))


_remembered = lru_cache(4096)(_parse)

FOR_DOMAIN_0 = _interned(Permissions(((0, NOTHING),)))
FOR_EVERYBODY_TO_READ = _interned(Permissions(((0, READ),)))
