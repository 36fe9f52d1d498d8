"""Who is heard when, and for how long: the policy without a server."""

from jitsu.xenstore.credit import BURST, RETURN, Credit
from jitsu.xenstore.turns import QUANTUM, Turns


def heard(turns: Turns[str], rounds: int) -> list[str]:
    """Whom each round brings, when all have always more to say."""
    order = []
    for _ in range(rounds):
        for connection in turns.round():
            order.append(connection)
            turns.add(int(connection[0]), connection)
    return order


def test_domains_take_turns_however_many_connections_they_have():
    turns: Turns[str] = Turns()
    for name in ("1a", "1b", "1c", "2a", "3a", "3b"):
        turns.add(int(name[0]), name)
    assert heard(turns, 3) == ["1a", "2a", "3a", "1b", "2a", "3b", "1c", "2a", "3a"]


def test_a_round_that_is_broken_off_goes_on_with_the_next():
    turns: Turns[str] = Turns()
    for name in ("1a", "2a", "3a"):
        turns.add(int(name[0]), name)
    first = next(turns.round())
    turns.add(1, first)
    assert [first, *heard(turns, 1)] == ["1a", "2a", "3a", "1a"]


def test_who_used_more_time_than_a_round_gives_is_passed_over_until_that_is_made_up_for():
    turns: Turns[str] = Turns()
    turns.add(1, "1a")
    turns.add(2, "2a")
    heard(turns, 1)
    turns.used(1, 3.5 * QUANTUM)
    turns.used(2, 0.5 * QUANTUM)
    assert heard(turns, 5) == ["2a", "2a", "2a", "1a", "2a", "1a", "2a"]
    turns.used(1, 5 * QUANTUM)
    turns.forget(1)
    assert heard(turns, 1) == ["1a", "2a"]


def test_who_is_gone_has_no_turn():
    turns: Turns[str] = Turns()
    for name in ("1a", "1b", "2a"):
        turns.add(int(name[0]), name)
    turns.discard(1, "1a")
    turns.discard(2, "2a")
    turns.discard(3, "3a")
    assert len(turns) == 1
    assert list(turns.round()) == ["1b"]
    assert len(turns) == 0


def test_credit_is_spent_and_comes_back():
    credit = Credit()
    for _ in range(int(BURST)):
        assert credit.seconds_until_heard(1, 0.0) == 0.0
        credit.pay(1, 0.0)
    assert credit.seconds_until_heard(1, 0.0) == 1 / RETURN
    assert credit.seconds_until_heard(2, 0.0) == 0.0, "others have their own"
    assert credit.seconds_until_heard(1, 1 / RETURN) == 0.0
    credit.pay(1, 1 / RETURN)
    assert credit.seconds_until_heard(1, 1 / RETURN) == 1 / RETURN
    credit.pay(1, 1 / RETURN)
    assert credit.seconds_until_heard(1, 1 / RETURN) == 2 / RETURN, "what is owed too"


def test_no_more_credit_comes_back_than_there_was_and_nobody_is_remembered_for_ever():
    credit = Credit()
    credit.pay(1, 0.0)
    credit.pay(2, 0.0)
    assert credit.left(1, 3600.0) == BURST
    assert len(credit) == 1
    credit.forget(2)
    assert len(credit) == 0
