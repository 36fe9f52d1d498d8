"""Which driver builds the domains of a configuration. No other is imported: a slow board takes a second for each."""

from pathlib import Path

from jitsu.config import Config
from jitsu.domains.console_keeper import Consoles
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Driver, Listener, Verdict
from jitsu.network.host import HostNetwork
from jitsu.trace import Traces
from jitsu.xenstore.client import default_socket


def judge(config: Config) -> Verdict:
    """What the guests run on. Takes a while where that has to be tried. Raises HostError."""
    if config.daemon.driver == "xen":
        return Verdict("xen", "[daemon] driver says so")
    from jitsu.domains.accelerator import choose_accelerator

    return choose_accelerator(config.daemon.state)


def machines_store(config: Config) -> Path | None:
    """Where the XenStore listens that the configuration or the driver wants; None: one of our own will do."""
    if config.daemon.driver == "xen":
        return config.xenstore.socket or default_socket()
    return config.xenstore.socket


async def open_driver(
    config: Config,
    domains: Path,
    consoles: Consoles,
    store: DomainStore,
    network: HostNetwork,
    verdict: Verdict,
    listener: Listener,
) -> Driver:
    """The driver that [daemon] names, ready to build. Raises HostError for what it lacks on this machine."""
    instance = config.daemon.instance
    if config.daemon.driver == "xen":
        from jitsu.domains.xen import XenDriver

        xen = XenDriver(instance, domains, consoles, listener, network, Traces(), store=machines_store(config))
        await xen.open()
        return xen
    if config.daemon.driver == "libvirt":
        from jitsu.domains.libvirt import LibvirtDriver

        libvirt = LibvirtDriver(config.libvirt.uri, instance, domains, consoles, verdict, listener, store=store)
        await libvirt.open()
        return libvirt
    from jitsu.domains.qemu import QemuDriver

    snapshots = config.daemon.state / "snapshots"
    return QemuDriver(instance, domains, snapshots, consoles, verdict, listener, store=store, uids=config.limits.uids)
