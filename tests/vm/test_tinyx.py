"""Tinyx: a Linux of our own whose only program is a service, summoned, asked, dismissed and woken as a unikernel is."""

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jitsu import artifacts
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import Cast, Stage, Value
from jitsu.domains.driver import DomainSpec, Happening
from jitsu.domains.kernel import KernelFormat, recognise
from jitsu.domains.qemu_adoption import survivors
from jitsu.errors import DaemonError
from tests.kept_console import kept_console
from tests.vm.dual import dual_stage
from tests.vm.test_guest_store import CONFIG, INSTANCE, Host, a_wake, gone, ready
from tests.vm.test_warm import knows_the_time, last_trace, nobody_is_left, spans, status, until, until_kept, visit
from tests.vm.wires import status as page_of
from tests.vm.witness import belongings, nothing_is_left, syn_witness, until_asleep

pytestmark = [pytest.mark.usefixtures("private_network"), pytest.mark.timeout(600)]

LARGEST_PACKED = 2 << 20
BOOT = {"limits": {"boot": 60}}


def cast(tinyx: Path, **options: Value) -> Cast:
    return Cast("tiny", tinyx / "kernel", {"initrd": str(tinyx / "initrd"), "memory": "32 MiB", **options})


def until_said(stage: Stage, text: str) -> None:
    """Wait until the guest has printed this: what it says comes by another way than what it answers."""
    folder = stage.config.daemon.state / "console"
    until(lambda: any(text in line for line in kept_console(folder, "tiny")), f"the console says {text}")


@pytest.mark.parametrize("says", ["told", "store"])
def test_it_is_summoned_by_a_question_and_by_a_bare_syn(tinyx: Path, says: str) -> None:
    with Stage([cast(tinyx, ready=says)], sections=BOOT) as stage:
        # The first that speaks to the store has a folder made, which stays.
        stage.ask("start", service="tiny")
        stage.ask("stop", service="tiny")
        before = belongings(stage)
        for by_name in (True, False):
            with SynCounter(stage.client) as counter, syn_witness() as witness:
                client = Client(stage.client, counter, patience=60)
                seen = visit(stage, client, "tiny", by_name=by_name)
            assert b"Hello from tiny, a Tinyx guest" in seen.body
            assert last_trace(stage, "tiny")["cause"] == ("dns" if by_name else "syn")
            (delivered,) = (count for syn, count in witness.delivered.items() if syn in witness.arrived)
            # Booting takes about as long as a client waits: what it sends again may find the gate open.
            assert 1 <= delivered <= seen.syn_sent
            until_said(stage, "tiny: ready ")
            stage.ask("stop", service="tiny")
            nothing_is_left(stage, before)


def test_over_ipv6_alone_it_is_there_at_once(tinyx: Path) -> None:
    """It says ready and can be reached: a SYN that is delivered then is answered before it is sent again."""
    with dual_stage([cast(tinyx, address="", address6="fd77::60")], BOOT) as stage:
        stage.ask("start", service="tiny")
        with SynCounter(stage.client) as counter:
            seen = Client(stage.client, counter, patience=60).by_address("fd77::60")
        assert (seen.status, seen.syn_sent) == (200, 1)


def test_it_shuts_down_when_it_is_asked(tinyx: Path) -> None:
    with Stage([cast(tinyx, dismiss="ask", patience=30)], sections=BOOT) as stage:
        stage.ask("start", service="tiny")
        stage.ask("stop", service="tiny")
        assert until_asleep(stage, "tiny")["last"] == "stopped by hand; it shut down when asked"
        until_said(stage, "tiny: stopping, as asked")


@pytest.mark.parametrize("says", ["told", "store"])
@pytest.mark.parametrize(("mode", "kept", "how"), [("paused", "paused", "resume"), ("snapshot", "blank", "restore")])
def test_it_rests_and_is_copied(tinyx: Path, mode: str, kept: str, how: str, says: str) -> None:
    rounds = 4
    sections = {**BOOT, "warm": {"memory": "512 MiB"}}
    with (
        Stage([cast(tinyx, mode=mode, idle=0.3, ready=says)], sections=sections) as stage,
        SynCounter(stage.client) as counter,
    ):
        client = Client(stage.client, counter)
        boots, tokens = set(), set()
        for turn in range(rounds):
            until_kept(stage, "tiny", kept)
            page = status(stage, client, "tiny", by_name=turn % 2 == 0)
            boots.add(page["boot_id"])
            tokens.add(page["token"])
            assert knows_the_time(stage, page, "tiny")
            assert {how, "wake", "gate"} <= set(spans(last_trace(stage, "tiny")))
            assert "spawn" not in spans(last_trace(stage, "tiny"))
        assert (len(boots), len(tokens)) == (1, rounds)
        nobody_is_left(stage)


def test_the_packed_kernel_is_small_and_serves_too(tinyx: Path) -> None:
    packed = artifacts.build("tinyx@amd64") / "packed"
    assert packed.stat().st_size < LARGEST_PACKED
    assert recognise(packed).format is KernelFormat.BZIMAGE
    assert recognise(tinyx / "kernel").format is KernelFormat.VMLINUX
    guest = cast(tinyx, machine="microvm")
    with Stage([replace(guest, kernel=packed)], sections=BOOT) as stage, SynCounter(stage.client) as counter:
        assert visit(stage, Client(stage.client, counter, patience=60), "tiny", by_name=True).status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3;", "panic: /service has ended with status 3"),
        ("close(3); pause();", "panic: /service has closed descriptor 3 without a word"),
        ('write(3, "\\n", 1); return 3;', "panic: /service has ended with status 3"),
        ("kill(getpid(), SIGKILL);", "panic: /service was killed by signal 9"),
    ],
)
def test_a_service_that_ends_takes_the_guest_along(tmp_path: Path, tinyx: Path, body: str, said: str) -> None:
    guest = packed_with(tmp_path, f"#include <signal.h>\n#include <unistd.h>\nint main(void) {{ {body} }}\n")
    with Stage([cast(guest, idle=3600)], sections=BOOT) as stage:
        with suppress(DaemonError):  # it may have said ready before
            stage.ask("start", service="tiny")
        assert until_asleep(stage, "tiny")["crashes"] == 1
        until_said(stage, said)


def packed_with(folder: Path, source: str) -> Path:
    """The folder of a guest whose service is this C program."""
    out, work = folder / "out", folder / "work"
    out.mkdir()
    work.mkdir()
    subprocess.run(["gcc", "-static", "-x", "c", "-o", work / "service", "-"], input=source, text=True, check=True)
    environment = os.environ | {
        "VARIANT": "amd64",
        "WORK": str(work),
        "NEED_TINYX_AMD64": str(artifacts.build("tinyx@amd64")),
    }
    command = [artifacts.RECIPES / "tinyx" / "pack", work / "service", out]
    subprocess.run(command, env=environment, check=True)
    return out


@pytest.fixture
async def host(tmp_path: Path, tinyx: Path) -> AsyncIterator[Host]:
    place = Host(tmp_path, tinyx / "kernel")
    yield place
    place.kill_store()
    await place.driver.close()
    place.keeper.close()
    for pid in survivors(INSTANCE):
        os.kill(pid, signal.SIGKILL)


def spec(host: Host, tinyx: Path, **more: Any) -> DomainSpec:
    return replace(host.spec(7), initrd=tinyx / "initrd", memory=32 << 20, **more)


async def test_it_outlives_its_store(host: Host, tinyx: Path) -> None:
    """What it has to do with a store that comes back: its readiness, and its watches."""
    host.start_store()
    async with await host.client() as store:
        await host.introduce(store, 7, **CONFIG)
        await host.launch(spec(host, tinyx))
        words = await ready(store, 7)
    for _ in range(3):
        host.kill_store()
        host.start_store()
        assert page_of(7)[0]["name"] == "stored"
        async with await host.client() as store:
            await host.introduce(store, 7)
            assert await ready(store, 7) == words
            wake, clock = a_wake()
            await store.write("/local/domain/7/data/jitsu/control/wake", wake.encode())
            words = await ready(store, 7, lambda words, clock=clock: words[2:] == [clock])


@pytest.mark.parametrize(
    ("cmdline", "said"),
    [
        ("name=tiny ip=10.77.0.9", "panic: command line: ip= is not of the form a.b.c.d/prefix"),
        ("name=tiny", "panic: configuration: ip= is missing, and so is ip6="),
    ],
)
async def test_what_is_wrong_ends_it(host: Host, tinyx: Path, cmdline: str, said: str) -> None:
    await host.launch(spec(host, tinyx, cmdline=cmdline, store_port=False))
    assert (await gone(host)).happening is Happening.CRASHED
    [log] = (host.folder / "console").glob("*.log")
    assert said in log.read_text()
