"""Merges that are wrong, each by a mistake that somebody made or is likely to make: random histories find every one,
and what they find is short. That is what their silence about ours is worth.
"""

import random
from collections.abc import Callable

import pytest

from jitsu.xenstore.draft import Draft
from jitsu.xenstore.permissions import FOR_EVERYBODY_TO_READ
from jitsu.xenstore.transaction import Transaction
from jitsu.xenstore.tree import History, Node, Tree
from jitsu.xenstore.view import Event
from jitsu.xenstore.wire import Type
from tests.unit.test_xenstore_histories import printed, search

ENOUGH = 3000
"""Histories, in which each is found."""

SHORT = 10
"""Steps that suffice to show each."""

Break = Callable[[pytest.MonkeyPatch], None]


def blind_sibling_merge(patch: pytest.MonkeyPatch) -> None:
    """Insertions into a directory always commute, even for who listed it."""
    patch.setattr(Draft, "saw_names", lambda self, path: None)


def forgotten_negative_reads(patch: pytest.MonkeyPatch) -> None:
    """That something was not there leaves no trace (oxenstored 4.17)."""
    patch.setattr(Draft, "saw_absence", lambda self, path: None)


def watches_from_the_log(patch: pytest.MonkeyPatch) -> None:
    """An event for each request that changed something, and not for what was changed."""
    commit = Transaction.commit
    changing = (Type.WRITE, Type.MKDIR, Type.RM, Type.SET_PERMS)

    def logged(self: Transaction) -> list[Event]:
        commit(self)
        asked = [request.path for request, given in self.log if request.type in changing and isinstance(given, bytes)]
        return [Event(path, False, (FOR_EVERYBODY_TO_READ,)) for path in asked]

    patch.setattr(Transaction, "commit", logged)


def values_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """Only what was written is compared: the last writer wins though he read (write skew, lost updates)."""
    patch.setattr(Draft, "saw_value", lambda self, path, node: None)


def forgotten_permissions(patch: pytest.MonkeyPatch) -> None:
    """A child inherits the permissions that its parent had at the start of the transaction."""
    patch.setattr(Draft, "saw_permissions", lambda self, path, node: None)


def facts_without_replay(patch: pytest.MonkeyPatch) -> None:
    """What facts contradict is refused, though asked again it would be answered the same."""
    patch.setattr(Transaction, "_replay", lambda self: "EAGAIN")


def quotas_overwritten(patch: pytest.MonkeyPatch) -> None:
    """A domain has afterwards what it had at the start and what was added, whatever others did meanwhile."""
    apply = Draft.apply

    def overwriting(self: Draft) -> list[Event]:
        events = apply(self)
        for domid in self._had:
            self.tree.owned[domid] = self.owned(domid)
        return events

    patch.setattr(Draft, "apply", overwriting)


def no_snapshot(patch: pytest.MonkeyPatch) -> None:
    """Nodes are looked at as they are at the first access (C xenstored, LiXS)."""

    def node_now(self: Tree, path: str, moment: int) -> Node | None:
        return self.node(path)

    patch.setattr(Tree, "node_at", node_now)


def moved_without_a_look(patch: pytest.MonkeyPatch) -> None:
    """A transaction is moved forward whether its answers still hold or not."""
    advance = Transaction.advance

    def moved(self: Transaction) -> bool:
        if not advance(self) and not self.has_written:
            self.draft.close()
            self.draft = Draft(self._tree, self.who.domid)
        return True

    patch.setattr(Transaction, "advance", moved)


def history_ends_with_any_pin(patch: pytest.MonkeyPatch) -> None:
    """What was is forgotten as soon as one of those who see it has ended."""

    def forget(self: History[Node], moment: int, earlier: int) -> None:
        self._past.clear()
        self._seen_by.clear()
        self._size = 0

    patch.setattr(History, "unpin", forget)


def siblings_resurrected(patch: pytest.MonkeyPatch) -> None:
    """What was removed leaves its list of children, and who makes it again finds them there."""
    remove = Tree.remove

    def leaving(self: Tree, path: str) -> list[tuple[str, Node]]:
        listing = self._listings.get(path)
        gone = remove(self, path)
        if listing is not None:
            self._listings[path] = listing
        return gone

    patch.setattr(Tree, "remove", leaving)


BROKEN: tuple[Break, ...] = (
    blind_sibling_merge,
    forgotten_negative_reads,
    watches_from_the_log,
    values_not_looked_at,
    forgotten_permissions,
    facts_without_replay,
    quotas_overwritten,
    no_snapshot,
    moved_without_a_look,
    history_ends_with_any_pin,
    siblings_resurrected,
)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_merge_is_found_and_shown_in_a_few_steps(
    monkeypatch: pytest.MonkeyPatch, seeded: random.Random, broken: Break
) -> None:
    broken(monkeypatch)

    found = search(seeded, ENOUGH)

    assert found is not None
    print(f"{broken.__name__}:\n{printed(found)}")
    assert len(found) <= SHORT
