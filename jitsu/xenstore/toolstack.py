"""What a toolstack asks of the store beside nodes: domains come and go, have features and quotas.

Source: docs/misc/xenstore.txt. All of it is for domain 0, but for questions about oneself.
"""

import logging
from collections.abc import Callable

from jitsu.errors import HostError, ResourceBusy
from jitsu.xenstore.operations import OK, Caller
from jitsu.xenstore.peer import Peer
from jitsu.xenstore.permissions import READ
from jitsu.xenstore.store import Store
from jitsu.xenstore.wire import Message, StoreError, Type, joined, strings

FEATURES = 2 | 4 | 8
"""What we offer: the error field of rings, depths of watches, permissions for every domain (DOMID_ANY)."""

Told = Callable[[int], None]

log = logging.getLogger(__name__)


class Toolstack:
    """Adds its handlers to a store. `introduced` and `released` are told of domids, also of one introduced again:
    in both cases the domain's old connection is over."""

    def __init__(self, store: Store, *, introduced: Told, released: Told) -> None:
        self._store = store
        self._introduced = introduced
        self._released = released
        store.handlers |= {
            Type.INTRODUCE: self._introduce,
            Type.RELEASE: self._release,
            Type.RESUME: self._resume,
            Type.SET_TARGET: self._set_target,
            Type.GET_DOMAIN_PATH: self._domain_path,
            Type.IS_DOMAIN_INTRODUCED: self._is_introduced,
            Type.GET_FEATURE: self._get_feature,
            Type.SET_FEATURE: self._set_feature,
            Type.GET_QUOTA: self._get_quota,
            Type.SET_QUOTA: self._set_quota,
        }

    def _introduce(self, peer: Peer, message: Message) -> bytes:
        words = _words(message, 3)
        domid, frame, port = (_number(word) for word in words)
        new = self._store.domains.introduce(domid, frame, port)
        try:
            self._introduced(domid)
        except (HostError, ResourceBusy) as error:
            log.warning("domain %d: %s (%s)", domid, error.message, error.hint)
            if new:
                self._store.domains.release(domid)
            raise StoreError("EIO", error.message) from error
        if new:
            self._tell("@introduceDomain", domid)
        return OK

    def _release(self, peer: Peer, message: Message) -> bytes:
        domid = _domid(message)
        if domid in (0, peer.domid):
            raise StoreError("EINVAL", "domain 0 is not released")
        self.bury(domid)
        return OK

    def bury(self, domid: int) -> None:
        """A domain is no more, whoever says so. Raises `StoreError` ENOENT."""
        self._store.domains.release(domid)
        self._store.quotas.forget(domid)
        self._store.credit.forget(domid)
        self._store.retarget()
        self._released(domid)
        self._store.clear_away(domid)
        self._tell("@releaseDomain", domid)

    def rest(self, domid: int) -> None:
        """A domain has shut down or crashed, and is still there to be looked at. Raises `StoreError` ENOENT."""
        self._store.domains.get(domid).resting = True
        self._tell("@releaseDomain", domid)

    def _resume(self, peer: Peer, message: Message) -> bytes:
        domid = _domid(message)
        if domid == 0:
            raise StoreError("EINVAL", "domain 0 does not rest")
        self._store.domains.get(domid).resting = False
        return OK

    def _set_target(self, peer: Peer, message: Message) -> bytes:
        domid, target = (_number(word) for word in _words(message, 2))
        self._store.domains.set_target(domid, target)
        self._store.retarget()
        return OK

    def _domain_path(self, peer: Peer, message: Message) -> bytes:
        return b"/local/domain/%d\0" % _domid(message)

    def _is_introduced(self, peer: Peer, message: Message) -> bytes:
        return b"T\0" if self._store.domains.is_introduced(_domid(message)) else b"F\0"

    def _get_feature(self, peer: Peer, message: Message) -> bytes:
        words = strings(message.payload)
        if not words:
            return b"%d\0" % FEATURES
        if peer.domid:
            raise StoreError("EACCES", f"domain {peer.domid} may ask for its own features only")
        if len(words) > 1:
            raise StoreError("EINVAL", "features of one domain at a time")
        domid = _number(words[0])
        if not self._store.domains.is_introduced(domid):
            raise StoreError("ENOENT", f"domain {domid} was not introduced")
        return b"%d\0" % self._store.domains.features.get(domid, FEATURES)

    def _set_feature(self, peer: Peer, message: Message) -> bytes:
        domid, features = (_number(word) for word in _words(message, 2))
        if features & ~FEATURES:
            raise StoreError("EINVAL", f"features {features & ~FEATURES} are not known here")
        if self._store.domains.is_introduced(domid):
            raise StoreError("EBUSY", f"domain {domid} was introduced: it may have looked at its features")
        self._store.domains.set_features(domid, features)
        return OK

    def _get_quota(self, peer: Peer, message: Message) -> bytes:
        words = strings(message.payload)
        quotas = self._store.quotas
        if not words:
            return b" ".join(name.encode() for name in quotas.names()) + b"\0"
        if len(words) > 2:
            raise StoreError("EINVAL", "one quota at a time")
        domid = self._known(words[0]) if len(words) == 2 else None
        return b"%d\0" % quotas.limit(words[-1].decode("ascii", "replace"), domid)

    def _set_quota(self, peer: Peer, message: Message) -> bytes:
        words = strings(message.payload)
        if len(words) not in (2, 3):
            raise StoreError("EINVAL", "a quota and its value")
        domid = self._known(words[0]) if len(words) == 3 else None
        self._store.quotas.set(words[-2].decode("ascii", "replace"), _number(words[-1]), domid)
        return OK

    def _known(self, word: bytes) -> int:
        domid = _number(word)
        if not self._store.domains.is_introduced(domid):
            raise StoreError("ENOENT", f"domain {domid} was not introduced")
        return domid

    def _tell(self, name: str, domid: int) -> None:
        node = self._store.tree.node(name)

        def may_know(who: Caller) -> bool:
            return node is not None and who.may(node.perms, READ)

        self._store.watches.fire_special(name, domid, may_know)


def _words(message: Message, number: int) -> list[bytes]:
    words = strings(message.payload)
    if len(words) != number:
        raise StoreError("EINVAL", f"{number} words, not {len(words)}")
    return words


def _domid(message: Message) -> int:
    domid = _number(_words(message, 1)[0])
    if domid > 0xFFFF:
        raise StoreError("EINVAL", f"{domid} is no domid")
    return domid


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > 18:
        raise StoreError("EINVAL", f"{joined(word)!r} is no number")
    return int(word)
