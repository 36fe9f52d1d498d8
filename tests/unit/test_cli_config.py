"""`jitsu config`: whether a file can be served, and what is in effect."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jitsu.cli.config import _toml
from jitsu.config import load
from tests.unit.command_line import Jitsu


@pytest.fixture
def kernel(config: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The kernel of the service, a bzImage; and a QEMU is installed."""
    monkeypatch.setattr("jitsu.domains.qemu.find_qemu", lambda: "qemu")
    path = Path(config).with_name("hello.elf")
    path.write_bytes(bytes(0x1FE) + b"\x55\xaa" + b"\0\0HdrS" + bytes(4096))
    return path


def test_a_configuration_that_can_be_served(jitsu: Jitsu, config: str, kernel: Path) -> None:
    there = sorted(kernel.parent.iterdir())

    assert jitsu("config", "check", "-c", config) == (0, f"{config}: services: 1, all is well\n", "")
    assert sorted(kernel.parent.iterdir()) == there


def test_a_file_that_is_no_configuration_is_code_3(jitsu: Jitsu, config: str) -> None:
    Path(config).write_text("[service.hello]\nkernle = 'x'\n")

    code, out, err = jitsu("config", "check", "-c", config)
    assert (code, out) == (3, "")
    assert len(err.splitlines()) == 2


def test_every_kernel_that_cannot_be_booted_is_named(jitsu: Jitsu, config: str, kernel: Path) -> None:
    (kernel.parent / "notes").write_text("milk, eggs")
    with open(config, "a", encoding="utf-8") as file:
        file.write('[service.world]\nkernel = "notes"\naddress = "10.77.0.11"\n')
        file.write('[service.third]\nkernel = "absent"\naddress = "10.77.0.12"\n')

    code, out, err = jitsu("config", "check", "-c", config)
    assert (code, out) == (3, f"{config}: services: 3, problems: 2\n")
    assert f"error: kernel {kernel.parent}/notes: is a text file" in err
    assert f"error: kernel {kernel.parent}/absent: no such file" in err
    assert len(err.splitlines()) == 4

    code, out, err = jitsu("config", "check", "-c", config, "-o", "json")
    assert (code, err) == (3, "")
    assert [problem["exit_code"] for problem in json.loads(out)["problems"]] == [6, 6]


@pytest.mark.parametrize(
    ("lines", "problem"), [('initrd = "absent"', "initrd"), ('memory = "3000000 GiB"', "more than this host has")]
)
def test_what_else_the_daemon_would_refuse(jitsu: Jitsu, config: str, kernel: Path, lines: str, problem: str) -> None:
    with open(config, "a", encoding="utf-8") as file:
        file.write(lines)

    code, _, err = jitsu("config", "check", "-c", config)
    assert code == 3
    assert problem in err


def test_what_is_shown_is_the_same_configuration(jitsu: Jitsu, config: str) -> None:
    code, shown, _ = jitsu("config", "show", "-c", config)
    original = load(Path(config))
    Path(config).write_text(shown)

    assert code == 0
    assert load(Path(config)) == original
    sections = {"daemon", "libvirt", "xenstore", "dns", "network", "limits", "warm", "metrics", "service"}
    assert sections == set(tomllib.loads(shown))
    assert "\nboot = 15\n" in shown


def test_where_each_value_comes_from(jitsu: Jitsu, config: str) -> None:
    shown = jitsu("config", "show", "--origin", "-c", config)[1].splitlines()
    origins = [line.split(" # ") for line in shown if " = " in line]

    assert {origin for line, origin in origins if line.startswith(("runtime", "kernel"))} == {config}
    assert {origin for line, origin in origins if line.startswith(("instance", "boot", "ready"))} == {"default"}


def test_programs_get_an_object_a_key(jitsu: Jitsu, config: str) -> None:
    shown = json.loads(jitsu("config", "show", "-o", "json", "-c", config)[1])

    assert {"section": "dns", "key": "listen", "value": ["10.77.0.1:53"], "origin": "default"} in shown
    assert {"section": "service.hello", "key": "kernel", "value": "hello.elf", "origin": config} in shown


_VALUES = st.recursive(
    st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(_VALUES)
def test_toml_reads_every_value_back(value: Any) -> None:
    assert tomllib.loads(f"key = {_toml(value)}") == {"key": value}
