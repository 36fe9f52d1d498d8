"""Which driver builds the domains of a configuration."""

from pathlib import Path

from jitsu.config import Config
from jitsu.domains.accelerator import Verdict
from jitsu.domains.console_keeper import Consoles
from jitsu.domains.domain_store import DomainStore
from jitsu.domains.driver import Driver, Listener
from jitsu.domains.libvirt import LibvirtDriver
from jitsu.domains.qemu import QemuDriver


async def open_driver(
    config: Config, domains: Path, consoles: Consoles, store: DomainStore, verdict: Verdict, listener: Listener
) -> Driver:
    """The driver that [daemon] names, ready to build. Raises HostError for what it lacks on this machine."""
    instance = config.daemon.instance
    if config.daemon.driver == "libvirt":
        driver = LibvirtDriver(config.libvirt.uri, instance, domains, consoles, verdict, listener, store=store)
        await driver.open()
        return driver
    snapshots = config.daemon.state / "snapshots"
    return QemuDriver(instance, domains, snapshots, consoles, verdict, listener, store=store, uids=config.limits.uids)
