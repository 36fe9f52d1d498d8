"""`shfs serve`: a look at a volume in a browser."""

from contextlib import suppress

import click

from shfs.cli.options import split, volume_arguments


@click.command()
@volume_arguments()
@click.option(
    "-l",
    "--listen",
    metavar="HOST:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    help="Where to listen; port 0 is a free one.",
)
@click.option("-q", "--quiet", is_flag=True, help="Write no line for each request.")
def command(members: tuple[str, ...], arguments: tuple[str, ...], listen: str, quiet: bool) -> None:
    """Serve a volume by HTTP until Ctrl-C. What changes on it meanwhile is there at the next request."""
    from shfs.http.server import access_line, serve

    paths, _ = split(members, arguments)

    def log(client: str, line: str, status: int, sent: int) -> None:
        # Whoever read the lines may have seen enough of them; the server goes on.
        with suppress(BrokenPipeError):
            if not quiet:
                click.echo(access_line(client, line, status, sent))

    serve(paths, listen, say=lambda url: click.echo(f"serving {url}"), log=log)
