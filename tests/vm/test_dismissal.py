"""Guests that are asked to shut down before they are ended: those that do, and those that do not."""

import os
import signal
from pathlib import Path

import pytest

from jitsu.demo.stage import Cast, Stage, Value
from tests.kept_console import kept_console
from tests.vm.witness import belongings, nothing_is_left, row, until_asleep

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(600)]

ASKED: dict[str, Value] = {"dismiss": "ask", "patience": 20}


def _linux(folder: Path, cmdline: str, **options: Value) -> Cast:
    fixed: dict[str, Value] = {
        "initrd": str(folder / "initrd"),
        "memory": "128 MiB",
        "ready": "probe",
        "dismiss": "ask",
    }
    return Cast("www", folder / "vmlinuz", {**fixed, "cmdline": f"console=ttyS0 quiet {cmdline}", **options})


def _stopped(stage: Stage) -> str:
    """Start and stop it by hand; why it ended."""
    before = belongings(stage)
    stage.ask("start", service="www")
    stage.ask("stop", service="www")
    nothing_is_left(stage, before)
    return row(stage, "www")["last"]


def test_a_guest_of_ours_shuts_down_when_it_is_asked(hello: Path) -> None:
    with Stage([Cast("www", hello, ASKED)]) as stage:
        assert _stopped(stage) == "stopped by hand; it shut down when asked"
        assert any(
            "www: stopping, as asked" in line for line in kept_console(stage.config.daemon.state / "console", "www")
        )
        assert stage.ask("trace", service="www", last=1)[0]["notes"] == ["stopped by hand; it shut down when asked"]


def test_it_is_asked_too_when_it_is_dismissed_for_silence(hello: Path) -> None:
    with Stage([Cast("www", hello, {**ASKED, "idle": 0.3})]) as stage:
        stage.ask("start", service="www")
        last = until_asleep(stage, "www")["last"]
        assert last.startswith("idle for ")
        assert last.endswith("; it shut down when asked")
        assert row(stage, "www")["crashes"] == 0


def test_a_stock_kernel_is_asked_by_its_power_button(stock_linux: Path) -> None:
    with Stage([_linux(stock_linux, "", patience=60)], sections={"limits": {"boot": 60}}) as stage:
        assert _stopped(stage) == "stopped by hand; it shut down when asked"


def test_a_guest_that_ignores_it_is_ended(stock_linux: Path) -> None:
    """Without ACPI nobody in the guest hears the power button."""
    with Stage([_linux(stock_linux, "acpi=off", patience=1)], sections={"limits": {"boot": 60}}) as stage:
        assert _stopped(stage) == "stopped by hand; it did not shut down within 1 s, and was ended"


def test_a_monitor_that_does_not_even_end_is_killed(hello: Path) -> None:
    with Stage([Cast("www", hello, {"dismiss": "ask", "patience": 0.5})]) as stage:
        before = belongings(stage)
        stage.ask("start", service="www")
        os.kill(row(stage, "www")["pid"] or 0, signal.SIGSTOP)
        stage.ask("stop", service="www")
        assert row(stage, "www")["last"] == "stopped by hand; it did not shut down within 0.5 s, and had to be killed"
        nothing_is_left(stage, before)
