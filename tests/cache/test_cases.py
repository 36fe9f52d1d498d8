"""Every case of the tables, on every server."""

from dataclasses import replace

import pytest

from tests.cache.catalogue import CASES
from tests.cache.fields import Violation
from tests.cache.servers import Server


@pytest.mark.parametrize("name", CASES)
def test_case(server: Server, name: str) -> None:
    case = CASES[name]
    difference = server.differences.get(name)
    if difference is None:
        server.run(case)
        return
    server.run(replace(case, expects=difference.expects, after=difference.after))
    with pytest.raises(Violation):
        server.run(case)


def test_a_difference_is_of_a_case(server: Server) -> None:
    assert server.differences.keys() <= CASES.keys()
