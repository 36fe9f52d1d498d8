"""The cache as a program of Linux, on a volume of its own."""

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

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
def linux(program: Path, folder: Path) -> Iterator[dict[Profile, Address]]:
    """A process for each profile, for as long as the block lasts; gives their addresses. Each of them must live to the
    end, and end well when it is told to."""
    volume = folder / "volume"
    write_volume(volume)
    with contextlib.ExitStack() as stack:
        yield {
            profile: stack.enter_context(_process(program, volume, *options)) for profile, options in _OPTIONS.items()
        }


@contextlib.contextmanager
def _process(program: Path, volume: Path, *options: str) -> Iterator[Address]:
    command = [str(program), "--volume", str(volume), "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            listening = re.fullmatch(r"listening on 127\.0\.0\.1:([0-9]+)\n", told)
            assert listening, told + process.communicate(timeout=60)[1]
            yield "127.0.0.1", int(listening[1])
            process.terminate()
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
        finally:
            process.kill()
