"""Runs in dom0: builds domains in one way or another and prints what each took, in milliseconds, as JSON lines.

python3 -m tests.bench.xen_dom0 beside MIB ROUNDS          jitsu's driver, a pool, and xl, in turns
python3 -m tests.bench.xen_dom0 switches ROUNDS MIB ...    without one optimisation each, in turns
python3 -m tests.bench.xen_dom0 crowd MIB ROUNDS N ...     so many at once
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from jitsu.domains.xen_bindings import Xen
from jitsu.domains.xen_shell import everything
from tests.bench.xen_samples import JITSU, MINIMAL_SCRIPT, POOL, PROCESS, STOCK
from tests.bench.xen_ways import MINIMAL, MINIMAL_TEXT, SWITCHES, Driven, Fresh, Way, Xl, switched

SETTLED = 0.3
"""Seconds in which the daemons of dom0 have done what a domain that came or went left them to do."""
LOOKS = 40
"""For what is left, one each `SETTLED`."""


async def main(task: str, *numbers: int) -> None:
    match task:
        case "beside":
            await beside(*numbers)
        case "switches":
            await switches(*numbers)
        case "crowd":
            await crowd(*numbers)


async def beside(memory: int, rounds: int) -> None:
    pool = await Driven.open(pooled=True)
    ways = {JITSU: await Driven.open(), POOL: pool, MINIMAL_SCRIPT: Xl("minimal"), STOCK: Xl("stock")}
    async with closing(ways.values()):
        # The first domain of a process takes longer.
        for turn in range(-1, rounds):
            for name, way in ways.items():
                if way is pool:
                    await pool.stock(memory)
                    await asyncio.sleep(SETTLED)
                await _measured(name, way, memory, said=turn >= 0)


async def switches(rounds: int, *memories: int) -> None:
    ways: dict[str, Way] = {JITSU: await Driven.open()}
    ways |= {name: await switched(name) for name in SWITCHES}
    ways |= {PROCESS: Fresh(), MINIMAL_SCRIPT: Xl("minimal"), STOCK: Xl("stock")}
    async with closing(ways.values()):
        for memory in memories:
            for turn in range(-1, rounds):
                for name, way in ways.items():
                    await _measured(name, way, memory, said=turn >= 0)


async def crowd(memory: int, rounds: int, *crowds: int) -> None:
    ways: dict[str, Way] = {JITSU: await Driven.open(), MINIMAL_SCRIPT: Xl("minimal")}
    async with closing(ways.values()):
        for at_once in (1, *crowds):
            for turn in range(rounds):
                for name, way in ways.items():
                    await _measured(name, way, memory, at_once, said=at_once in crowds or turn > 0)


async def _measured(name: str, way: Way, memory: int, at_once: int = 1, *, said: bool) -> None:
    build, numbers = await _timed([way.build(memory) for _ in range(at_once)])
    await asyncio.sleep(SETTLED)
    end, _ = await _timed([way.end(number) for number in numbers])
    await asyncio.sleep(SETTLED)
    if said:
        sample = {"way": name, "memory": memory, "at_once": at_once, "build": build, "end": end}
        print(json.dumps(sample), flush=True)


async def _timed(work: Sequence[Awaitable[int | None]]) -> tuple[float, list[int | None]]:
    """Milliseconds until the last is done, and what each gave."""
    began = time.monotonic()
    gave = await asyncio.gather(*work)
    return round((time.monotonic() - began) * 1000, 2), gave


@asynccontextmanager
async def closing(ways: Sequence[Way]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for way in ways:
            await way.close()
    nothing_is_left()


def nothing_is_left() -> None:
    """Whoever ends fewer domains than it built measures something else."""
    xen = Xen()
    for _ in range(LOOKS):
        if not (left := everything(xen)):
            return
        time.sleep(SETTLED)
    raise SystemExit(f"domains are left: {left}")


Path(MINIMAL).write_text(MINIMAL_TEXT)
Path(MINIMAL).chmod(0o700)
asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))
