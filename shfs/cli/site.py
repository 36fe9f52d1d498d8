"""`shfs site`: a whole web site as a volume of its own."""

import os

import click

from shfs.cli.options import human, output_option, print_json, printable
from shfs.cli.progress import bar
from shfs.cli.taking import Progress, threads_option
from shfs.naming import Naming
from shfs.site import DEFAULT_BUCKETS, DEFAULT_STRIPE, make_site, plan_site
from shfs.tree import Selection, Tree


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@click.argument("image", metavar="IMAGE", type=click.Path())
@click.option("-n", "--name", default="unnamed", show_default=True, help="The volume's name, at most 16 bytes.")
@click.option(
    "-s", "--stripe", default=DEFAULT_STRIPE, show_default=True, metavar="BYTES", help="4096, 8192, 16384 or 32768."
)
@click.option(
    "-b",
    "--buckets",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Buckets of the hash table; else {DEFAULT_BUCKETS}, or as many as it takes.",
)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Not what matches: files, or whole folders.")
@click.option("--hidden", is_flag=True, help="Take what has a dot in front too.")
@click.option("--follow", is_flag=True, help="Take what symbolic links point to.")
@click.option("-f", "--force", is_flag=True, help="Replace an image of that name.")
@threads_option
@output_option
def command(
    folder: str,
    image: str,
    name: str,
    stripe: int,
    buckets: int | None,
    exclude: tuple[str, ...],
    hidden: bool,
    follow: bool,
    force: bool,
    threads: int,
    output: str,
) -> None:
    """Make an image of exactly the size that a web site needs.

    Its objects are found by their path, and by the SHA-1 of it as digest; the index of a folder by the folder's name
    too, and that of DIR is the default object.
    """
    notes: list[str] = []
    try:
        site = plan_site(folder, Tree(Selection(exclude=exclude, hidden=hidden), follow, notes.append))
        if site.default is None:
            notes.append(f"{folder} has no index.html: an empty request will find nothing")
        with bar("writing") as show:
            size = make_site(
                site,
                os.fspath(image),
                Naming(tell=notes.append),
                stripe=stripe,
                buckets=buckets,
                name=name,
                replacing=force,
                threads=threads,
                progress=Progress(show, site.size).more,
            )
    finally:
        for note in dict.fromkeys(notes):
            click.echo(f"note: {printable(note)}", err=True)
    files = len({page.file.path for page in site.pages})
    if output == "json":
        print_json({"image": image, "size": size, "files": files, "objects": len(site.pages), "bytes": site.size})
    else:
        click.echo(f"{printable(image)}: {len(site.pages)} objects of {files} files in {human(size)}")
