"""The cache as a program of Linux, on a volume of its own."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.cache.cache_linux import running
from tests.cache.case import Profile
from tests.cache.content import write_volume
from tests.cache.wire import Address

_OPTIONS = {
    # Longer than the suite is patient: what should end does not end by itself.
    Profile.USUAL: ("--header-timeout", "200", "--idle-timeout", "200", "--send-timeout", "200"),
    Profile.IMPATIENT: ("--header-timeout", "1", "--idle-timeout", "1", "--send-timeout", "1"),
    Profile.SMALL: ("--connections", "4"),
    Profile.PROXIED: ("--proxy-protocol",),
}


@contextlib.contextmanager
def linux(folder: Path) -> Iterator[dict[Profile, Address]]:
    """A process for each profile, for as long as the block lasts; gives their addresses."""
    volume = folder / "volume"
    write_volume(volume)
    with contextlib.ExitStack() as stack:
        processes = {profile: stack.enter_context(running([volume], *options)) for profile, options in _OPTIONS.items()}
        yield {profile: (process.host, process.port) for profile, process in processes.items()}
