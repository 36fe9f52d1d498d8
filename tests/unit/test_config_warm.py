"""What is kept warm, as jitsu.toml says it."""

from pathlib import Path

import pytest

from jitsu.config import Restart, WarmConfig
from jitsu.errors import ConfigError
from tests.unit.broken_configs import SMALLEST
from tests.unit.golden import expect_golden
from tests.unit.test_config import complaint, configuration, told_service

BROKEN = {
    "warm-memory-as-number": "[warm]\nmemory = 256\n" + SMALLEST,
    "warm-keep-no-time": "[warm]\nkeep = 0\n" + SMALLEST,
    "warm-blanks-negative": "[warm]\nblanks = -1\n" + SMALLEST,
    "unknown-key-of-warm": "[warm]\nblank = 1\n" + SMALLEST,
    "mode-bad": SMALLEST + 'mode = "hot"\n',
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_told(tmp_path: Path, case: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configuration(tmp_path, BROKEN[case])
    expect_golden(f"warm/{case}.txt", complaint(tmp_path, raised.value))


def test_the_defaults_are_those_of_the_daemon_without_a_section(tmp_path: Path) -> None:
    assert configuration(tmp_path, SMALLEST).warm == WarmConfig() == WarmConfig(256 << 20, 3600.0, 4)


def test_all_of_it_can_be_said(tmp_path: Path) -> None:
    text = '[warm]\nmemory = "1 GiB"\nkeep = 60\nblanks = 0\n' + SMALLEST
    assert configuration(tmp_path, text).warm == WarmConfig(1 << 30, 60.0, 0)


def test_what_always_runs_is_started_again_unless_another_policy_is_said(tmp_path: Path) -> None:
    always = told_service(configuration(tmp_path, SMALLEST + 'mode = "running"\n'))
    once = told_service(configuration(tmp_path, SMALLEST + 'mode = "running"\nrestart = "no"\n'))
    assert (always.restart, once.restart) == (Restart("unless-stopped"), Restart("no"))


def test_a_running_guest_may_change_its_mode(tmp_path: Path) -> None:
    modes = ("cold", "snapshot", "paused", "running")
    services = [told_service(configuration(tmp_path, f'{SMALLEST}mode = "{mode}"\n')) for mode in modes]
    assert tuple(service.mode for service in services) == modes
    assert len({service.fingerprint for service in services}) == 1
