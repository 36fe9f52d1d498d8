"""The run-time state of `jitsu serve` in whichever XenStore [xenstore] names: ours, or Debian's C xenstored.

The latter runs without Xen here, cannot map a domain's ring, and refuses INTRODUCE; what stands there is the same.
(oxenstored cannot either, and that is its end.)
"""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from jitsu.domains.domain_record import Standing
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import DomainSpec
from jitsu.errors import JitsuError
from jitsu.xenstore.client import StoreClient
from tests.peers.xenstore_daemons import DAEMONS
from tests.store_nodes import nodes, until_nodes

COUNT = 16
ROOTS = ("/jitsu", "/local/domain")


def spec(domid: int) -> DomainSpec:
    config = (("name", f"s{domid}"), ("ip", f"10.77.0.{domid}/24"))
    return DomainSpec(f"s{domid}", domid, Path("/boot/guest"), 8 << 20, "", "52:54:00:00:00:07", config=config)


@pytest.mark.parametrize("name", ["jitsu", "debian-c"])
async def test_many_domains_come_and_go_at_once(name: str) -> None:
    with DAEMONS[name]() as daemon:
        async with await StoreClient.connect(daemon.socket) as client:
            store = DomainStore()
            store.adopted()
            keeping = asyncio.create_task(store.keep(client))
            while "/jitsu/services" not in (before := await nodes(daemon.socket, *ROOTS)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            for domid in range(1, COUNT + 1):
                store.began(spec(domid))
            for domid in range(1, COUNT + 1):
                store.becomes(domid, Standing.SERVING, 12.0)
            await store.settled(20)
            found = await nodes(daemon.socket, *ROOTS)
            for domid in range(1, COUNT + 1):
                assert found[f"/jitsu/services/s{domid}"] == f"{domid}"
                assert found[f"/jitsu/domains/{domid}/state"] == "serving"
                assert found[f"/local/domain/{domid}/data/jitsu/config/ip"] == f"10.77.0.{domid}/24"
                assert await client.get_perms(f"/local/domain/{domid}/data") == [f"n{domid}"]
                assert await client.get_perms(f"/local/domain/{domid}/data/jitsu/config/ip") == ["n0", f"r{domid}"]
                assert await client.get_perms(f"/jitsu/domains/{domid}/state") == ["n0"]
            for domid in range(1, COUNT + 1):
                store.ended(domid)
            await until_nodes(daemon.socket, before, *ROOTS)
        with suppress(JitsuError):
            await keeping
