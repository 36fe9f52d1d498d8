"""The suite can fail: each way to be wrong is found by the cases that should find it, and by these not without it."""

import random
from collections.abc import Iterator

import pytest

from tests.cache import test_limits, test_mutants, test_random, wire
from tests.cache.case import Profile
from tests.cache.catalogue import CASES
from tests.cache.defects import DEFECTS
from tests.cache.fields import Violation
from tests.cache.nginx import nginx
from tests.cache.servers import Server, tag_of
from tests.cache.wire import Address
from tests.cache.wrong_server import Wrong, wrong_server
from tests.peers.nginx import NGINX

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (nginx-light)")


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Profile, Address]]:
    with nginx(tmp_path_factory.mktemp("right")) as addresses:
        yield addresses


def behind(wrong: Wrong, right: dict[Profile, Address], profile: Profile = Profile.USUAL) -> Iterator[Server]:
    with wrong_server(wrong, right[profile]) as address:
        yield Server("wrong", {profile: address}, tag_of(right[Profile.USUAL]), {})


@pytest.mark.parametrize("name", DEFECTS)
def test_it_is_found(right: dict[Profile, Address], name: str) -> None:
    defect = DEFECTS[name]
    assert defect.found_by
    for server in behind(defect.wrong, right):
        for case in defect.found_by:
            with pytest.raises(Violation):
                server.run(CASES[case])


def test_without_it_nothing_is_found(right: dict[Profile, Address]) -> None:
    """All of these cases, through the same proxy."""
    for server in behind(Wrong(), right):
        for case in {case: None for defect in DEFECTS.values() for case in defect.found_by}:
            server.run(CASES[case])


def test_a_full_server_that_says_nothing_is_found(right: dict[Profile, Address]) -> None:
    """So it is with the original: the connection over the limit is reset."""
    for server in behind(Wrong(most=4), right, Profile.SMALL):
        with pytest.raises(Violation):
            test_limits.test_a_full_server_says_so(server)


def test_a_server_that_waits_for_ever_is_found(right: dict[Profile, Address], monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy itself is such a one."""
    monkeypatch.setattr(wire, "PATIENCE", 2.0)
    for server in behind(Wrong(), right, Profile.IMPATIENT):
        for limit in (
            test_limits.test_a_client_that_says_nothing,
            test_limits.test_a_connection_that_is_idle_after_a_response,
        ):
            with pytest.raises(Violation, match="nothing came"):
                limit(server)


def test_random_requests_find_it_too(right: dict[Profile, Address]) -> None:
    for server in behind(DEFECTS["CRLF behind every body"].wrong, right):
        for test in (test_random.test_random_pipelines, test_mutants.test_mutants):
            with pytest.raises(AssertionError):
                test(server, random.Random(1), full=False)
