"""Watches: who is told of which change, in which order, and by which name."""

import pytest

from jitsu.xenstore.operations import Caller
from jitsu.xenstore.permissions import FOR_DOMAIN_0, FOR_EVERYBODY_TO_READ, Permissions, parse
from jitsu.xenstore.quotas import Quotas
from jitsu.xenstore.view import Event
from jitsu.xenstore.watches import Watches, depth_from
from jitsu.xenstore.wire import StoreError


class Ear:
    """A watcher that remembers what it was told."""

    def __init__(self, domid: int, target: int | None = None) -> None:
        self.caller = Caller(domid, target, Quotas(), lambda domid: True)
        self.home = f"/local/domain/{domid}"
        self.told: list[tuple[bytes, bytes]] = []

    def notify(self, path: bytes, token: bytes) -> None:
        self.told.append((path, token))


def changed(path: str, *judges: Permissions, exact: bool = False) -> Event:
    return Event(path, exact, judges or (FOR_EVERYBODY_TO_READ,))


@pytest.fixture
def watches() -> Watches:
    return Watches()


@pytest.fixture
def ear() -> Ear:
    return Ear(0)


def test_a_watch_hears_of_its_path_and_of_all_below(watches: Watches, ear: Ear) -> None:
    watches.add(ear, "/a", b"/a", b"t")
    watches.fire([changed("/a"), changed("/a/b/c"), changed("/ab"), changed("/")])

    assert ear.told == [(b"/a", b"t"), (b"/a/b/c", b"t")]


def test_the_watch_on_the_root_hears_of_all_but_special_nodes(watches: Watches, ear: Ear) -> None:
    watches.add(ear, "/", b"/", b"t")
    watches.fire([changed("/"), changed("/a/b"), changed("@releaseDomain")])

    assert ear.told == [(b"/", b"t"), (b"/a/b", b"t")]


def test_what_went_with_a_node_above_is_told_to_who_watches_exactly_that(watches: Watches, ear: Ear) -> None:
    watches.add(ear, "/a", b"/a", b"above")
    watches.add(ear, "/a/b", b"/a/b", b"exactly")
    watches.fire([changed("/a"), changed("/a/b", exact=True), changed("/a/b/c", exact=True)])

    assert ear.told == [(b"/a", b"above"), (b"/a/b", b"exactly")]


def test_watches_are_told_in_the_order_of_their_registration(watches: Watches, ear: Ear) -> None:
    watches.add(ear, "/", b"/", b"first")
    watches.add(ear, "/a/b", b"/a/b", b"second")
    watches.add(ear, "/a", b"/a", b"third")
    watches.fire([changed("/a/b")])

    assert [token for _, token in ear.told] == [b"first", b"second", b"third"]


@pytest.mark.parametrize(
    ("depth", "heard"),
    [(0, ["/a"]), (1, ["/a", "/a/b"]), (2, ["/a", "/a/b", "/a/b/c"]), (-1, ["/a", "/a/b", "/a/b/c"])],
)
def test_a_depth_limits_how_far_below(watches: Watches, ear: Ear, depth: int, heard: list[str]) -> None:
    watches.add(ear, "/a", b"/a", b"t", depth)
    watches.fire([changed("/a"), changed("/a/b"), changed("/a/b/c")])

    assert [path.decode() for path, _ in ear.told] == heard


def test_a_depth_of_the_root_counts_from_the_root(watches: Watches, ear: Ear) -> None:
    watches.add(ear, "/", b"/", b"t", 1)
    watches.fire([changed("/"), changed("/a"), changed("/a/b")])

    assert [path for path, _ in ear.told] == [b"/", b"/a"]


def test_who_watches_by_a_relative_path_is_told_relative_ones(watches: Watches) -> None:
    guest = Ear(5)
    watches.add(guest, "/local/domain/5/data", b"data", b"t")
    watches.fire([changed("/local/domain/5/data/ready")])

    assert guest.told == [(b"data/ready", b"t")]


@pytest.mark.parametrize(
    ("judges", "hears"),
    [
        ([FOR_DOMAIN_0], False),
        ([FOR_DOMAIN_0, FOR_EVERYBODY_TO_READ], True),
        ([parse((b"n0", b"r5"))], True),
        ([parse((b"n0", b"w5"))], False),
        ([parse((b"r0", b"n5"))], False),
        ([parse((b"n5",))], True),
        ([parse((b"n7",))], True),
        ([parse((b"n6", b"r32757"))], True),
    ],
)
def test_a_domain_is_told_what_it_may_read(watches: Watches, judges: list[Permissions], hears: bool) -> None:
    guest = Ear(5, target=7)
    watches.add(guest, "/a", b"/a", b"t")
    watches.fire([changed("/a", *judges)])

    assert bool(guest.told) is hears


def test_a_watch_that_was_removed_hears_nothing(watches: Watches, ear: Ear) -> None:
    watch = watches.add(ear, "/a", b"/a", b"t")
    assert len(watches) == 1
    watches.remove(watch)
    watches.fire([changed("/a")])

    assert ear.told == []
    assert len(watches) == 0


def test_a_special_watch_is_told_of_every_domain_or_of_one(watches: Watches, ear: Ear) -> None:
    name = "@releaseDomain"
    watches.add(ear, name, name.encode(), b"all")
    watches.add(ear, name, name.encode(), b"which", 1)
    watches.add(ear, f"{name}/5", f"{name}/5".encode(), b"five")
    watches.fire_special(name, 5, lambda who: True)
    watches.fire_special(name, 6, lambda who: True)

    assert ear.told == [
        (b"@releaseDomain", b"all"),
        (b"@releaseDomain/5", b"which"),
        (b"@releaseDomain/5", b"five"),
        (b"@releaseDomain", b"all"),
        (b"@releaseDomain/6", b"which"),
    ]


def test_a_special_watch_of_who_may_not_know_is_silent(watches: Watches) -> None:
    guest = Ear(5)
    watches.add(guest, "@introduceDomain", b"@introduceDomain", b"t")
    watches.fire_special("@introduceDomain", 6, lambda who: who.domid == 0)

    assert guest.told == []


@pytest.mark.parametrize("word", [b"", b"-1", b"one", b"1234567890"])
def test_what_is_no_depth_is_refused(word: bytes) -> None:
    with pytest.raises(StoreError) as refused:
        depth_from(word)
    assert refused.value.errno == "EINVAL"
