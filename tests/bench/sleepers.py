"""Cold DNS to first HTTP byte of one service among ten thousand, against one among ten (SPECIFICATION.md)."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from jitsu import artifacts
from jitsu.demo.client import Client, SynCounter
from jitsu.demo.stage import ZONE, Stage
from jitsu.network.namespace import inside, new_network
from tests.crowd import BIG_NETWORK, crowd

FEW, MANY = 10, 10_000
PAIRS = 30


@contextmanager
def crowded(kernel: Path, count: int) -> Iterator[tuple[Stage, Client]]:
    """A board of its own, with that many services, and a client of its own."""
    namespace = new_network()
    with ExitStack() as stack:
        stack.callback(os.close, namespace)
        stage = Stage(crowd(kernel, count), sections=BIG_NETWORK)
        with inside(namespace):
            stage.__enter__()
        stack.push(lambda *_: _leave(stage, namespace))
        yield stage, Client(stage.client, stack.enter_context(SynCounter(stage.client)))


def summon_ms(stage: Stage, client: Client, number: int) -> float:
    """Milliseconds from the question to the first byte of a guest that sleeps before and after."""
    visit = client.by_name(f"s{number}.{ZONE}")
    assert visit.status == 200
    stage.ask("stop", service=f"s{number}")
    return visit.http_ms


def measure(pairs: int = PAIRS) -> None:
    """Interleaved pairs, each of a service that was not summoned before; and how much two runs among ten differ."""
    kernel = artifacts.build("hello", print) / "hello.elf"
    with crowded(kernel, FEW) as (few, one), crowded(kernel, MANY) as (many, another):
        rows = [
            (summon_ms(few, one, pair % FEW), summon_ms(many, another, pair * (MANY // pairs)), summon_ms(few, one, 0))
            for pair in range(pairs)
        ]
    among_few, among_many, again = zip(*rows, strict=True)
    print(f"{pairs} interleaved rounds, medians (least)")
    print(f"  one among {FEW:6}   {median(among_few):7.1f} ms ({min(among_few):.1f})")
    print(f"  one among {MANY:6}   {median(among_many):7.1f} ms ({min(among_many):.1f})")
    print(f"  one among {FEW:6}   {median(again):7.1f} ms ({min(again):.1f}), again: the noise")
    ratio, noise = median(among_many) / median(among_few), median(again) / median(among_few)
    print(f"  ratio of medians   {ratio:7.3f} (noise: {noise:.3f})")


def _leave(stage: Stage, namespace: int) -> None:
    with inside(namespace):
        stage.__exit__(None, None, None)
