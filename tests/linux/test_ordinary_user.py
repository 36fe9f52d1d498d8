"""`jitsu demo` as an ordinary user: it works where /dev/net/tun is open, and elsewhere says in one line why not."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu import artifacts
from tests.linux.ordinary_user import run_as_ordinary_user

DEMO = [sys.executable, "-m", "jitsu.cli.main", "demo"]


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="jitsu-user-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="module")
def hello() -> None:
    """The guest is in the cache already: building it is not the matter here."""
    artifacts.build("hello", print)


@pytest.mark.usefixtures("hello")
def test_it_works_where_the_tun_device_is_open(scratch: Path) -> None:
    done = run_as_ordinary_user([*DEMO, "--json"], scratch)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["cold"]["syn_sent"] == 1
    assert figures["crash"]["http_ms"] > 0


@pytest.mark.usefixtures("hello")
def test_it_says_what_is_degraded(scratch: Path) -> None:
    done = run_as_ordinary_user(DEMO, scratch)
    assert done.returncode == 0, done.stderr
    assert "Not root: in a user namespace of its own. Degraded:" in done.stdout


@pytest.mark.usefixtures("hello")
def test_without_the_tun_device_it_says_so(scratch: Path) -> None:
    done = run_as_ordinary_user(DEMO, scratch, tun=False)
    assert (done.returncode, done.stderr) == (
        4,
        "error: no permission to open /dev/net/tun\n"
        " hint: run as root, or let this user have it: chmod o+rw /dev/net/tun\n",
    )


@pytest.mark.usefixtures("hello")
def test_without_user_namespaces_it_says_so(scratch: Path) -> None:
    done = run_as_ordinary_user(DEMO, scratch, namespaces=False)
    assert (done.returncode, done.stderr) == (
        4,
        "error: unshare: no network namespace could be made: Operation not permitted\n"
        " hint: run as root, or allow it with: sysctl kernel.unprivileged_userns_clone=1\n",
    )
