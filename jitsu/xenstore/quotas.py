"""How much a domain that is not privileged may have of the store.

Names and defaults are those of C xenstored (`xenstore-control quota`); 0 means unlimited. A quota may be set for all
domains and for one.
"""

from jitsu.xenstore.wire import StoreError

DEFAULTS = {
    "nodes": 1000,
    "watches": 128,
    "outstanding": 20,
    "memory": 2_621_440,
    "transactions": 10,
    "transaction-nodes": 1024,
    "node-permissions": 5,
    "path-max": 2048,
    "node-size": 2048,
}


class Quotas:
    """The limits in force."""

    def __init__(self) -> None:
        self._general = dict(DEFAULTS)
        self._own: dict[int, dict[str, int]] = {}
        self.changed: set[int | None] | None = None
        """Whose limits are not as they were, for a journal; None stands for the general ones."""

    def names(self) -> list[str]:
        return list(self._general)

    def limit(self, name: str, domid: int | None = None) -> int:
        """The limit for a domain, or the general one; 0 is none. Raises `StoreError` EINVAL for an unknown name."""
        own = self._own.get(domid) if domid is not None else None
        if own is not None and name in own:
            return own[name]
        try:
            return self._general[name]
        except KeyError:
            raise StoreError("EINVAL", f"there is no quota {name!r}") from None

    def exceeded(self, name: str, domid: int, amount: int) -> bool:
        """Would a domain with `amount` be over its limit? Domain 0 has none."""
        if not domid:
            return False
        limit = self.limit(name, domid)
        return 0 < limit < amount

    def set(self, name: str, value: int, domid: int | None = None) -> None:
        """Raises `StoreError` EINVAL for an unknown name or a negative value."""
        if value < 0:
            raise StoreError("EINVAL", f"a quota of {value}", hint="0 is unlimited")
        self.limit(name)
        if domid is None:
            self._general[name] = value
        else:
            self._own.setdefault(domid, {})[name] = value
        if self.changed is not None:
            self.changed.add(domid)

    def set_for(self, domid: int | None) -> dict[str, int]:
        """The limits that were set for a domain, or the general ones that are not the defaults."""
        if domid is not None:
            return self._own.get(domid, {})
        return {name: value for name, value in self._general.items() if value != DEFAULTS[name]}

    def forget(self, domid: int) -> None:
        """A domain is no more."""
        if self._own.pop(domid, None) is not None and self.changed is not None:
            self.changed.add(domid)
