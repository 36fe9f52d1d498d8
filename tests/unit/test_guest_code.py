"""The guests' C that knows no hardware, compiled for this host under the address and undefined-behaviour sanitizers."""

import subprocess
from pathlib import Path

import pytest

from jitsu.artifacts import RECIPES


@pytest.mark.parametrize("room", ["runtime", "hello"])
def test_the_c_checks_of_a_room_pass(room: str, tmp_path: Path, full: bool) -> None:
    seconds = 600 if full else 3
    command = ["make", "--no-print-directory", "-C", str(RECIPES / room / "tests"), "check"]
    done = subprocess.run(
        [*command, f"BUILD={tmp_path}", f"SECONDS={seconds}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
