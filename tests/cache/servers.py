"""Whom the tables are run against. A server is an address for each profile, what it answers otherwise, and its tag."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cache.case import Case, Profile, get, run
from tests.cache.linux import linux
from tests.cache.nginx import nginx
from tests.cache.nginx_differences import DIFFERENCES, Difference
from tests.cache.wire import Address, Wire


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs. `tag` is the entity tag that it gives to alphabet.txt."""

    name: str
    addresses: Mapping[Profile, Address]
    tag: str
    differences: Mapping[str, Difference]

    def connect(self, profile: Profile = Profile.USUAL, receive_buffer: int | None = None) -> Wire:
        return Wire(self.addresses[profile], receive_buffer)

    def run(self, case: Case) -> None:
        """Raises Violation."""
        run(case, self.addresses[case.profile], self.tag)


def tag_of(address: Address) -> str:
    """The entity tag of alphabet.txt there."""
    with Wire(address) as wire:
        wire.send(get("/alphabet.txt", "Connection: close"))
        return wire.response().fields["etag"]


@contextlib.contextmanager
def _nginx(folder: Path) -> Iterator[Server]:
    with nginx(folder) as addresses:
        yield Server("nginx", addresses, tag_of(addresses[Profile.USUAL]), DIFFERENCES)


@contextlib.contextmanager
def _linux(folder: Path) -> Iterator[Server]:
    with linux(folder) as addresses:
        yield Server("linux", addresses, tag_of(addresses[Profile.USUAL]), {})


SERVERS = {"nginx": _nginx, "linux": _linux}
"""What starts each of them, in a folder of its own."""
