"""One domain, by a process of its own: `python3 -m tests.bench.xen_once DOMID MIB`, in dom0."""

import asyncio
import sys

from tests.bench.xen_ways import Driven, spec_of


async def main(domid: int, memory: int) -> None:
    driven = await Driven.open()
    await driven.driver.launch(spec_of(domid, memory), [])
    await driven.close()


asyncio.run(main(*map(int, sys.argv[1:])))
