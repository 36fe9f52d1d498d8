"""`shfs undelete`: removed objects had back."""

import click

from shfs.cli.listing import print_listing
from shfs.cli.options import human, output_option, parse_digest, print_json, printable, split, volume_arguments
from shfs.undelete import RemovedObject, Undelete
from shfs.volume import Volume


@click.command()
@volume_arguments("[NAME|slot:N]...")
@click.option("--list", "only_list", is_flag=True, help="Only list what can be had back.")
@click.option("--digest", metavar="HEX", help="The digest that the object had, where it cannot be computed.")
@output_option
def command(
    members: tuple[str, ...], arguments: tuple[str, ...], only_list: bool, digest: str | None, output: str
) -> None:
    """Have removed objects back, given by name or slot; prints each. All of them are there afterwards, or none.

    What was removed can be had back until `shfs trim`, or until the original's tools take its chunks.
    """
    paths, names = split(members, arguments, least=0 if only_list else 1, most=None, what="NAME or slot:N")
    if only_list and (names or digest):
        raise click.UsageError("--list takes no object")
    if digest is not None and len(names) > 1:
        raise click.UsageError("--digest is that of one object")
    if only_list:
        with Volume.open(paths) as volume:
            found = list(Undelete(volume).removed())
        if output == "json":
            print_json([one.as_json() for one in found])
        else:
            rows = [_row(one) for one in found]
            print_listing(("SLOT", "DIGEST", "SIZE", "TYPE", "NAME", "CAN BE HAD BACK"), rows, right=("SLOT", "SIZE"))
        return
    given = None if digest is None else parse_digest(digest)
    with Volume.open(paths, write=True) as volume:
        undelete = Undelete(volume)
        slots = dict.fromkeys(undelete.wanted(name) for name in names)
        with volume.batch() as batch:
            items = [batch.put_back(slot, undelete.digest_for(slot, given)) for slot in slots]
    if output == "json":
        print_json([item.as_json() for item in items])
        return
    for item in items:
        click.echo(f"{item.digest.hex()}  {printable(item.name)}")


def _row(one: RemovedObject) -> tuple[str, ...]:
    item = one.item
    name = item.name + (f" -> {item.target}" if item.link else "")
    answer = f"no: {one.problem}" if one.problem else "yes" if one.digest is not None else "yes, with --digest"
    digest = "" if one.digest is None else one.digest.hex()
    return str(item.slot), digest, "" if item.link else human(item.size), item.type, name, answer
