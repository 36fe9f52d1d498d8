"""Options that all suites share.

--full                  full counts, as `make soak` runs them
                        and the tests that are marked `soak`, which are left out otherwise
--seed N                the seed of everything random
--ledger FILE           what passed under this seed is written here, and is not run again
--require-capabilities  a test that must skip, for want of a capability, fails instead: CI has them all
"""

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from jitsu.network.namespace import inside, new_network

_LEDGER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """In the background of a shell Ctrl-C is ignored, and whatever is started there ignores it too: tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "soak: runs at full count only")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run at full count")
    parser.addoption("--seed", type=int, default=1, help="the seed of everything random")
    parser.addoption("--ledger", type=Path, help="remember what passed, and do not run it again")
    parser.addoption("--require-capabilities", action="store_true", help="a skip is a failure")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--full"):
        _leave_out(config, items, [item for item in items if item.get_closest_marker("soak") is not None])
    ledger: Path | None = config.getoption("--ledger")
    if ledger is None:
        return
    ledger.parent.mkdir(parents=True, exist_ok=True)
    config.stash[_LEDGER] = ledger
    passed = set(json.loads(ledger.read_text())) if ledger.exists() else set()
    _leave_out(config, items, [item for item in items if item.nodeid in passed])


def _leave_out(config: pytest.Config, items: list[pytest.Item], those: list[pytest.Item]) -> None:
    """Run the others only; pytest says how many were left out."""
    left_out = set(those)
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=those)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A soak of which everything has passed before is no failure."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and session.config.stash.get(_LEDGER, None) is not None:
        session.exitstatus = pytest.ExitCode.OK


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield
    if report.skipped and item.config.getoption("--require-capabilities"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be: {report.longrepr}"
    ledger = item.config.stash.get(_LEDGER, None)
    if ledger is not None and report.when == "call" and report.passed:
        passed = json.loads(ledger.read_text()) if ledger.exists() else []
        ledger.write_text(json.dumps([*passed, item.nodeid]))
    return report


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Is this a run at full count?"""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def seeded(request: pytest.FixtureRequest) -> random.Random:
    """Everything random in a test comes from here."""
    return random.Random(request.config.getoption("--seed"))


@pytest.fixture
def private_network() -> Iterator[None]:
    """The test runs in a network namespace of its own; it needs root, or a kernel with user namespaces."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    namespace = new_network()
    with inside(namespace):
        yield
    os.close(namespace)
