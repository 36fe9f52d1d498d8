"""Which user a guest gets: one that no other guest has."""

import pytest

from jitsu.domains.guest_users import GuestUsers
from jitsu.errors import ResourceBusy


def test_every_guest_has_its_own_while_it_lives() -> None:
    users = GuestUsers(range(1000, 1003))
    given = [users.take(domid) for domid in (1, 2, 3)]
    assert sorted(filter(None, given)) == [1000, 1001, 1002]
    with pytest.raises(ResourceBusy) as caught:
        users.take(4)
    assert caught.value.message == "domain 4: all users of 1000-1002 have a guest"
    users.release(2)
    assert users.take(4) == given[1]


def test_a_user_is_not_given_again_at_once() -> None:
    users = GuestUsers(range(1000, 1100))
    seen = []
    for domid in range(100):
        seen.append(users.take(domid))
        users.release(domid)
    assert len(set(seen)) == 100


def test_the_user_of_an_adopted_guest_is_taken() -> None:
    users = GuestUsers(range(1000, 1003))
    users.keep(7, 1001)
    assert {users.take(8), users.take(9)} == {1000, 1002}
    users.release(7)
    users.release(99)
    assert users.take(10) == 1001


def test_no_users_is_no_error() -> None:
    users = GuestUsers(range(0))
    assert users.take(1) is None
    users.release(1)
