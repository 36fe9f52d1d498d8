"""`jitsu xenstored`."""

from pathlib import Path

import click


@click.command("xenstored", epilog="Example: jitsu xenstored --socket /run/xenstored/socket")
@click.option("--socket", "path", type=click.Path(path_type=Path), required=True, help="Where domain 0 connects.")
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
    path: Path, domains: str, folder: Path | None, guest_ports: Path | None, state: Path | None, sync: str
) -> None:
    """Serve a XenStore, in the foreground, to every client that speaks its protocol.

    There need not be a hypervisor. Whoever connects to the socket is domain 0. It ends on SIGTERM.
    """
    import logging

    from jitsu.daemon.systemd import Systemd
    from jitsu.xenstore.daemon import Daemon
    from jitsu.xenstore.domains import Domains, domids

    systemd = Systemd()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    daemon = Daemon(
        path, domains=Domains(*domids(domains)), folder=folder, guest_ports=guest_ports, state=state, sync=sync
    )
    systemd.notify("READY=1")
    click.echo(f"a XenStore on {path}")
    daemon.run()
