"""`jitsu xenstored`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from jitsu.xenstore.xen_devices import Xen


@click.command("xenstored", epilog="Example: jitsu xenstored --xen --socket /run/xenstored/socket")
@click.option("--socket", "path", type=click.Path(path_type=Path), required=True, help="Where domain 0 connects.")
@click.option(
    "--xen", is_flag=True, help="In domain 0 of Xen, in its xenstored's place: serve domains over their rings."
)
@click.option("--domains", default="0-32751", show_default=True, help="The domids that exist.")
@click.option(
    "--domain-sockets",
    "folder",
    type=click.Path(path_type=Path),
    help="A folder for sockets DOMID.sock: whoever connects there is that domain.",
)
@click.option(
    "--guest-ports",
    type=click.Path(path_type=Path),
    help="A folder of sockets DOMID.sock on which guests listen: whoever is introduced is connected to.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="A file in which everything is kept that was answered; it is made if there is none.",
)
@click.option(
    "--sync",
    type=click.Choice(["off", "normal", "full"]),
    default="normal",
    show_default=True,
    help="With --state: what survives a power cut. All survive the end of the process.",
)
def command(
    path: Path, xen: bool, domains: str, folder: Path | None, guest_ports: Path | None, state: Path | None, sync: str
) -> None:
    """Serve a XenStore, in the foreground, to every client that speaks its protocol.

    There need not be a hypervisor; with --xen there is, and it says which domains exist. Whoever connects to the socket
    is domain 0. It ends on SIGTERM.
    """
    import logging

    from jitsu.daemon.systemd import Systemd
    from jitsu.errors import ConfigError
    from jitsu.xenstore.daemon import Daemon
    from jitsu.xenstore.domains import Domains, domids

    if xen and (folder or guest_ports):
        raise ConfigError(
            "--xen cannot be together with --domain-sockets or --guest-ports", hint="guests speak over their rings"
        )
    systemd = Systemd()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    machine = _xen() if xen else None
    daemon = Daemon(
        path,
        domains=Domains(*domids(domains), lives=machine.hypervisor.exists if machine is not None else None),
        folder=folder,
        guest_ports=guest_ports,
        state=state,
        sync=sync,
        xen=machine,
    )
    systemd.notify("READY=1")
    click.echo(f"a XenStore on {path}")
    daemon.run()


def _xen() -> "Xen":
    """Raises `HostError`."""
    from jitsu.xenstore.xen_devices import Xen

    return Xen()
