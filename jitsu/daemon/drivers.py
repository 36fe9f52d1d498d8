"""Which driver builds the domains of a configuration. No other is imported: a slow board takes a second for each."""

from pathlib import Path

from jitsu.config import Config
from jitsu.domains.console_keeper import Consoles
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Driver, Listener, Verdict


async def open_driver(
    config: Config, domains: Path, consoles: Consoles, store: DomainStore, verdict: Verdict, listener: Listener
) -> Driver:
    """The driver that [daemon] names, ready to build. Raises HostError for what it lacks on this machine."""
    instance = config.daemon.instance
    if config.daemon.driver == "libvirt":
        from jitsu.domains.libvirt import LibvirtDriver

        libvirt = LibvirtDriver(config.libvirt.uri, instance, domains, consoles, verdict, listener, store=store)
        await libvirt.open()
        return libvirt
    from jitsu.domains.qemu import QemuDriver

    snapshots = config.daemon.state / "snapshots"
    return QemuDriver(instance, domains, snapshots, consoles, verdict, listener, store=store, uids=config.limits.uids)
