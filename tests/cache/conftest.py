"""Each server is started once, for all that is asked of it."""

from collections.abc import Iterator

import pytest

from tests.cache.servers import SERVERS, Server
from tests.peers.nginx import NGINX


@pytest.fixture(scope="session", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if request.param == "nginx" and NGINX is None:
        pytest.skip("nginx is not installed (nginx-light)")
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running
