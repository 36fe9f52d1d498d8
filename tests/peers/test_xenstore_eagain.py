"""Domains built and taken down by many clients at once: which transactions are answered with EAGAIN.

Judged by counts only; how long it takes is for `make bench-xenstore` to say.
"""

import pytest

from jitsu.xenstore.wire import Type
from tests.bench.xenstore_load import load
from tests.peers.xenstore_daemons import DAEMONS, c_xenstored, jitsu_xenstored
from tests.xenstore_peer import Peer

SECONDS = 100.0
"""Within pytest's own limit; a run takes two or three."""
SECONDS_IN_FULL = 600.0


@pytest.mark.parametrize("clients", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("shape", ["none", "libxl"])
def test_builds_that_list_nothing_need_no_retry(shape: str, clients: int, full: bool) -> None:
    with jitsu_xenstored() as daemon:
        done = load(
            daemon.socket,
            shape,
            clients=clients,
            count=50 if full else 4,
            seconds=SECONDS_IN_FULL if full else SECONDS,
        )

    assert done.finished
    assert done.builds.retries == 0
    assert shape == "libxl" or done.teardowns.retries == 0


def test_the_same_builds_are_refused_where_they_are_in_each_others_way() -> None:
    """Or the load would show nothing: the C daemon takes a new child for a change of its parent."""
    with c_xenstored() as daemon:
        done = load(daemon.socket, "none", clients=8, count=10, seconds=SECONDS)

    assert done.finished
    assert done.builds.retries > 0


@pytest.mark.parametrize("shape", ["none", "libxl", "both"])
@pytest.mark.parametrize("name", DAEMONS)
def test_what_was_taken_down_is_gone_and_what_stayed_is_there(name: str, shape: str) -> None:
    with DAEMONS[name]() as daemon:
        done = load(daemon.socket, shape, clients=4, count=3, seconds=SECONDS)
        with Peer(daemon.socket) as peer:
            left = {
                path: peer.ask(Type.DIRECTORY, path).payload
                for path in (b"/local/domain", b"/local/domain/0/backend/vif", b"/libxl", b"/vm")
            }

    assert (done.builds.done, done.teardowns.done) == (12, 12)
    assert left.pop(b"/vm").startswith(b"7a1d2c00-5b6e-4f00-8000-000000000001\0")
    assert set(left.pop(b"/local/domain").split(b"\0")) == {b"0", b"1", b""}
    assert set(left.values()) == {b"1\0"}
