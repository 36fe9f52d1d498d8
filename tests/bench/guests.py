"""Cold DNS question to first HTTP byte, for each kind of guest: a unikernel, Tinyx, and a stock Linux."""

from statistics import median

from jitsu import artifacts
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Cast, Stage, Value

ROUNDS = 15


def measure(rounds: int = ROUNDS) -> None:
    """Interleaved, so that a noisy moment hurts all alike; medians, and the least."""
    hello = artifacts.build("hello", print) / "hello.elf"
    tinyx, packed = artifacts.build("tinyx-hello@amd64", print), artifacts.build("tinyx@amd64", print) / "packed"
    stock = artifacts.build("stock-linux", print)
    tiny: dict[str, Value] = {"memory": "32 MiB", "machine": "microvm", "initrd": str(tinyx / "initrd")}
    linux: dict[str, Value] = {"memory": "128 MiB", "ready": "probe", "cmdline": "console=ttyS0 quiet"}
    cast = [
        Cast("hello", hello),
        Cast("tinyx", tinyx / "kernel", tiny),
        Cast("tinyx-packed", packed, tiny),
        Cast("stock-linux", stock / "vmlinuz", {**linux, "initrd": str(stock / "initrd")}),
    ]
    with Stage(cast, sections={"limits": {"boot": 60}}) as stage, SynCounter(stage.client) as counter:
        client = Client(stage.client, counter)
        taken = [[_cold_ms(stage, client, guest.name) for guest in cast] for _ in range(rounds)]
    print(f"{rounds} interleaved rounds, medians (least)")
    for guest, times in zip(cast, zip(*taken, strict=True), strict=True):
        print(f"  {guest.name:14} {median(times):7.0f} ms ({min(times):.0f})")


def _cold_ms(stage: Stage, client: Client, service: str) -> float:
    visit = client.by_name(f"{service}.{ZONE}")
    assert visit.status == 200
    stage.ask("stop", service=service)
    return visit.http_ms
