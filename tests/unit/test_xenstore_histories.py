"""Random histories: every answer, verdict, tree and event is what a naive model says (xenstore_model.py)."""

import random
from collections import Counter

import pytest

from tests.unit.xenstore_histories import Step, random_history, shortened, steps
from tests.unit.xenstore_referee import Referee

HISTORIES = 5000
"""In one piece; a soak has `PIECES` of them."""

PIECES = 40

REACHED = (
    "committed: OK, facts hold",
    "committed: OK, by replay",
    "committed: EAGAIN",
    "committed: ENOSPC",
    "committed: wrote nothing",
    "OK despite node",
    "EAGAIN despite node",
    "EAGAIN despite names",
    "moved forward",
    "answered from the past",
    "doomed",
    "aborted",
    "events",
    "held, then answered",
    "lease expired",
    "EACCES",
    "EEXIST",
    "EINVAL",
    "ENOENT",
    "ENOSPC",
    "EPERM",
    "E2BIG",
)
"""What must have happened in a piece, or its silence about it means nothing."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "piece" in metafunc.fixturenames:
        metafunc.parametrize("piece", range(PIECES if metafunc.config.getoption("full") else 1))


def error_in(history: list[Step], tally: Counter[str] | None = None) -> Exception | None:
    """What is wrong with a store that takes this history as it does."""
    referee = Referee()
    try:
        referee.play(history)
    except Exception as error:
        return error
    if tally is not None:
        tally.update(referee.tally)
    return None


def search(rng: random.Random, number: int, tally: Counter[str] | None = None) -> list[Step] | None:
    """The first of so many random histories that is wrong, made as short as it can be."""
    for _ in range(number):
        history = random_history(rng)
        if error_in(history, tally) is not None:
            return shortened(history, lambda history: error_in(history) is not None)
    return None


def printed(history: list[Step]) -> str:
    return "\n".join(map(str, history))


@pytest.mark.timeout(1800)
def test_random_histories_are_as_the_model_says(request: pytest.FixtureRequest, piece: int) -> None:
    tally: Counter[str] = Counter()
    seed = request.config.getoption("--seed") * PIECES + piece

    wrong = search(random.Random(seed), HISTORIES, tally)

    if wrong is not None:
        pytest.fail(f"seed {seed}: {error_in(wrong)}\n{printed(wrong)}")
    print(dict(tally.most_common()))
    assert [what for what in REACHED if not tally[what]] == []


SHRUNK = {
    "a new target is not known to open transactions": """
        3/1 part /b 0
        0/0 target /b 0
        0/0 rm /a/x 0
        3/1 rm /a/x/k 0
        """,
    "the quota is used up at the end, and a fact is another": """
        5/1 write /b/c/d/e 0
        0/0 rm /b 0
        0/0 set_perms / 4
        """,
    "a generation inside a transaction is that of another list outside": """
        0/0 rm /b 0
        0/2 mkdir /b/x 0
        0/1 mkdir /b 0
        0/1 part / 0
        """,
    "a directory that was restricted when the transaction began, and is no more": """
        0/0 set_perms /a/x 0
        0/0 restrict /a/x 0
        2/1 read /b 0
        0/0 write /b 1
        0/0 restrict /a/x 3
        2/1 rm /a/x 0
        """,
}
"""What was found, each as short as it could be made."""


@pytest.mark.parametrize("history", SHRUNK.values(), ids=SHRUNK.keys())
def test_what_was_found_once_stays_right(history: str) -> None:
    Referee().play(steps(history))
