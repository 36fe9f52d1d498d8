"""`shfs info`: what a volume is."""

from typing import Any

import click

from shfs.cli.options import console, human, output_option, print_json, printable, split, volume_arguments
from shfs.cli.stat import moment
from shfs.room import room_of
from shfs.volume import Volume


@click.command()
@volume_arguments()
@output_option
def command(members: tuple[str, ...], arguments: tuple[str, ...], output: str) -> None:
    """Describe a volume: members and stripes, hash table, room."""
    paths, _ = split(members, arguments)
    with Volume.open(paths) as volume:
        facts = _facts(volume)
    if output == "json":
        print_json(facts)
        return
    from rich.table import Table

    unit = facts["chunk_size"]
    table = Table(box=None, pad_edge=False, show_header=False)
    backup = f", backup at chunk {facts['backup']}" if facts["backup"] else ", no backup"
    function = f"{facts['hash']}, {facts['digest_length']} bytes"
    slots = f"{facts['entries']} entries in {facts['buckets']} buckets, {facts['table_chunks']} chunks"
    for name, text in (
        ("volume", printable(facts["name"])),
        ("UUID", facts["uuid"]),
        ("created", moment(facts["created"])),
        ("version", "SHFS 2.01"),
        ("members", f"{len(facts['members'])}, {facts['mode']}, stripes of {human(facts['stripe'])}"),
        *((f"  member {at}", f"{one['uuid']}  {printable(one['path'])}") for at, one in enumerate(facts["members"])),
        ("size", f"{facts['chunks']} chunks of {human(unit)}: {human(facts['chunks'] * unit)}"),
        ("digests", function),
        ("table", f"{slots} from chunk {facts['table']}{backup}"),
        ("allocator", f"{facts['allocator']} fit"),
        ("objects", f"{facts['objects']} ({facts['files']} files of {human(facts['bytes'])}, {facts['links']} links)"),
        ("default", facts["default"] or "none"),
        ("free", f"{facts['free']} chunks ({human(facts['free'] * unit)}), {facts['largest']} of them together"),
        ("removed", f"{facts['removed']} objects, which keep {facts['kept']} chunks until `shfs trim`"),
    ):
        table.add_row(name, printable(text))
    console().print(table)


def _facts(volume: Volume) -> dict[str, Any]:
    label, configuration, geometry = volume.label, volume.configuration, volume.geometry
    items = list(volume.objects())
    files = [item for item in items if item.link is None]
    room = room_of(volume)
    return {
        "name": volume.name,
        "uuid": str(label.volume),
        "created": label.created,
        "mode": geometry.mode.name.lower(),
        "stripe": geometry.stripe,
        "chunk_size": geometry.chunk_size,
        "chunks": geometry.chunks,
        "members": [
            {"uuid": str(member), "path": path}
            for member, path in zip(label.members, volume.members.paths, strict=True)
        ],
        "hash": configuration.function.name.lower(),
        "digest_length": configuration.digest_length,
        "buckets": configuration.buckets,
        "entries_per_bucket": configuration.entries,
        "entries": configuration.slots,
        "table": configuration.table,
        "table_chunks": configuration.table_chunks(geometry.chunk_size),
        "backup": configuration.backup or None,
        "allocator": ("first", "best")[configuration.allocator],
        "objects": len(items),
        "files": len(files),
        "links": len(items) - len(files),
        "bytes": sum(item.size for item in files),
        "default": None if volume.default is None else volume.default.digest.hex(),
        "metadata": room.metadata,
        "free": room.free,
        "largest": room.largest,
        "removed": len(list(volume.removed())),
        "kept": room.kept,
    }
