"""The tree: what was is there for who pinned it, and for nobody else."""

import random

import pytest

from jitsu.xenstore.permissions import FOR_DOMAIN_0, FOR_EVERYBODY_TO_READ, parse
from jitsu.xenstore.tree import Node, Tree

OWNED_BY_5 = parse((b"n5",))


@pytest.fixture
def tree() -> Tree:
    tree = Tree()
    tree.begin()
    tree.create("/a", b"1", FOR_DOMAIN_0)
    tree.create("/a/x", b"2", FOR_DOMAIN_0)
    return tree


def value(node: Node | None) -> bytes | None:
    return node.value if node is not None else None


def test_a_pinned_moment_stays_as_it_was(tree: Tree) -> None:
    moment = tree.pin()
    tree.begin()
    tree.write("/a", b"other")
    tree.remove("/a/x")
    tree.create("/a/y", b"", FOR_DOMAIN_0)

    assert value(tree.node_at("/a", moment)) == b"1"
    assert value(tree.node_at("/a/x", moment)) == b"2"
    assert tree.node_at("/a/y", moment) is None
    assert list(tree.names_at("/a", moment)[0]) == ["x"]
    assert list(tree.names("/a")) == ["y"]


def test_what_changes_while_nobody_looks_is_not_remembered(tree: Tree) -> None:
    tree.begin()
    tree.write("/a", b"3")
    tree.remove("/a/x")

    assert tree.remembered == 0


def test_a_long_pin_keeps_one_state_of_each_node_however_often_it_changes(tree: Tree) -> None:
    moment = tree.pin()
    for number in range(1000):
        tree.begin()
        tree.write("/a", b"%d" % number)
        tree.remove("/a/x") if number % 2 == 0 else tree.create("/a/x", b"", FOR_DOMAIN_0)

    assert tree.remembered <= 4
    assert value(tree.node_at("/a", moment)) == b"1"


def test_nodes_that_come_and_go_under_a_long_pin_leave_nothing(tree: Tree) -> None:
    """Guests with ever new names: a transaction that somebody forgot must not grow with them."""
    moment = tree.pin()
    for number in range(5000):
        tree.begin()
        tree.create(f"/a/new-{number}", b"", FOR_DOMAIN_0)
        tree.create(f"/a/new-{number}/below", b"", FOR_DOMAIN_0)
        tree.begin()
        tree.remove(f"/a/new-{number}")

    assert tree.remembered <= 4
    assert list(tree.names_at("/a", moment)[0]) == ["x"]
    tree.unpin(moment)
    assert tree.remembered == 0


def test_short_pins_beside_a_long_one_leave_nothing(tree: Tree) -> None:
    long = tree.pin()
    for number in range(1000):
        short = tree.pin()
        tree.begin()
        tree.write("/a", b"%d" % number)
        tree.unpin(short)

    assert tree.remembered == 1
    assert value(tree.node_at("/a", long)) == b"1"


def test_a_node_that_was_removed_and_made_anew_under_a_pin_is_forgotten_only_for_the_present(tree: Tree) -> None:
    first = tree.pin()
    tree.begin()
    tree.remove("/a/x")
    second = tree.pin()
    tree.begin()
    tree.create("/a/x", b"again", FOR_DOMAIN_0)
    tree.begin()
    tree.remove("/a/x")

    assert value(tree.node_at("/a/x", first)) == b"2"
    assert tree.node_at("/a/x", second) is None
    tree.unpin(first)
    tree.unpin(second)
    assert tree.remembered == 0


def test_moments_are_pinned_as_often_as_they_are_unpinned(tree: Tree) -> None:
    moment = tree.pin()
    assert tree.pin() == moment
    tree.begin()
    tree.write("/a", b"3")
    tree.unpin(moment)

    assert value(tree.node_at("/a", moment)) == b"1"
    tree.unpin(moment)
    assert tree.remembered == 0


def test_any_order_of_pins_and_changes_shows_each_moment_as_it_was(seeded: random.Random, full: bool) -> None:
    names = ("/a", "/a/x", "/a/y", "/a/x/k")
    for _ in range(2000 if full else 200):
        tree = Tree()
        pinned: list[tuple[int, dict[str, bytes | None], dict[str, list[str]]]] = []
        for _ in range(40):
            path = seeded.choice(names)
            above = path.rpartition("/")[0] or "/"
            what = seeded.randrange(6)
            tree.begin()
            if what == 0:
                seen = {path: value(tree.node(path)) for path in names}
                pinned.append((tree.pin(), seen, {path: list(tree.names(path)) for path in names}))
            elif what == 1 and pinned:
                tree.unpin(pinned.pop(seeded.randrange(len(pinned)))[0])
            elif tree.node(path) is None:
                if tree.node(above) is not None:
                    tree.create(path, b"%d" % seeded.randrange(3), FOR_DOMAIN_0)
            elif what == 2:
                tree.remove(path)
            else:
                tree.write(path, b"%d" % seeded.randrange(3))
            for moment, seen, listed in pinned:
                assert {path: value(tree.node_at(path, moment)) for path in names} == seen
                assert {path: list(tree.names_at(path, moment)[0]) for path in names} == listed
        for moment, _, _ in pinned:
            tree.unpin(moment)
        assert tree.remembered == 0


def test_what_domains_have_is_counted_as_it_changes(tree: Tree) -> None:
    tree.begin()
    tree.create("/a/five", b"value", OWNED_BY_5)
    assert (tree.owned[5], tree.weight[5]) == (1, len("/a/five") + len("value"))

    tree.begin()
    tree.write("/a/five", b"v")
    tree.permit("/a/x", parse((b"n0", b"r5")))
    assert (tree.weight[5], tree.mentioned[5]) == (len("/a/five") + 1, 2)

    tree.begin()
    tree.permit("/a/five", FOR_EVERYBODY_TO_READ)
    tree.remove("/a/x")
    assert not any(5 in counts for counts in (tree.owned, tree.weight, tree.mentioned))


def test_a_generation_is_that_of_the_last_change_of_the_names(tree: Tree) -> None:
    first = tree.listed("/a")
    tree.begin()
    tree.write("/a", b"no name changes")
    assert tree.listed("/a") == first

    tree.begin()
    tree.remove("/a/x")
    tree.create("/a/x", b"", FOR_DOMAIN_0)
    assert tree.listed("/a") == tree.commit > first


def test_changes_are_logged_for_a_journal_in_their_order(tree: Tree) -> None:
    tree.log = []
    tree.begin()
    tree.create("/b", b"", FOR_DOMAIN_0)
    tree.write("/b", b"1")
    tree.remove("/a")

    assert [(path, value(node)) for path, node in tree.log] == [("/b", b""), ("/b", b"1"), ("/a", None)]
    assert [path for path, _ in tree.walk()] == ["/", "/b"]
