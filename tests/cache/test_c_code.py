"""The cache's C by itself, under the address and undefined-behaviour sanitizers: unit tests and fuzzers."""

import re
import subprocess
from pathlib import Path

import pytest

from jitsu import artifacts

ROOM = artifacts.RECIPES / "cache"


def make(folder: str, *variables: str) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOM / folder), "check", *variables],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_units(tmp_path: Path) -> None:
    make("tests", f"BUILD={tmp_path}")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder that the fuzzers are built in, once."""
    return str(tmp_path_factory.mktemp("fuzzers"))


@pytest.mark.parametrize("target", ["proxy_header", "request", "volume"])
def test_a_fuzzer_finds_nothing(target: str, built: str, request: pytest.FixtureRequest, full: bool) -> None:
    """15 seconds of it, 30 minutes at full count; it must have got further than its corpus."""
    seconds, seed = 1800 if full else 15, request.config.getoption("--seed")
    llhttp = artifacts.build("llhttp-source")
    said = make("fuzz", f"BUILD={built}", f"LLHTTP={llhttp}", f"SECONDS={seconds}", f"SEED={seed}", f"TARGETS={target}")
    counted = re.search(r": (\d+) runs, \d+ places, \d+ inputs given, (\d+) found", said)
    assert counted is not None, said
    assert int(counted[1]) > 1000, said
    assert int(counted[2]) > 0, said
