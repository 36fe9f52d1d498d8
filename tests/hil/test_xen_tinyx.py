"""Tinyx as a domain of Xen, PVH and PV, summoned by `jitsu serve` in dom0."""

import json

import pytest

from boards.definition import read
from boards.snapshots import restored
from jitsu import artifacts
from tests.hil.serving_board import prepared, service

pytestmark = [pytest.mark.timeout(1800), pytest.mark.soak]

KERNEL, INITRD = "/opt/tinyx", "/opt/tinyx.initrd"
ADDRESSES = {"pvh": "10.78.0.20", "pv": "10.78.0.21"}


def test_it_is_summoned_says_ready_in_the_store_and_shuts_down_when_asked() -> None:
    tinyx = artifacts.build("tinyx-hello@amd64", print)
    files = {"kernel": KERNEL, "initrd": INITRD, "memory": "64 MiB", "dismiss": "ask", "patience": 60.0}
    services = [service(kind, address, machine=kind, **files) for kind, address in ADDRESSES.items()]
    with restored(read("qemu-xen-x86"), "xenstored") as board:
        serving = prepared(board, *services)
        board.put(tinyx / "kernel", KERNEL)
        board.put(tinyx / "initrd", INITRD)
        # Nested page tables, which PVH needs, are slow where the processor itself is emulated: it has taken 63 s.
        board.check("sed", "-i", "s/^boot = .*/boot = 300/", "/etc/jitsu/jitsu.toml")
        serving.start()
        before = serving.belongings()
        for kind, address in ADDRESSES.items():
            assert serving.resolve(kind) == ("NOERROR", address)
            status, page = serving.get(address, "/status", patience=300.0)
            (trace,) = serving.ask("trace", service=kind, last=1)
            domid = trace["domid"]
            assert (status, json.loads(page)["name"]) == (200, kind)
            assert board.check("xenstore-read", f"/libxl/{domid}/type").strip() == kind
            assert board.check("xenstore-read", f"/local/domain/{domid}/data/jitsu/ready").startswith(f"{kind} ")
            assert serving.asleep(kind)["last"].endswith("; it shut down when asked")
            logged = board.check("jitsu", "logs", kind)
            assert f"{kind}: ready " in logged
            print(f"{kind}: {trace['total_ms']:.0f} ms")
        serving.nothing_is_left(before)
