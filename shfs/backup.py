"""The backup table of a volume: made where there is none, and given up again.

The format has a place for a second copy of the hash table, and no original tool makes one. It is ours that read it, to
repair; the original's keeps it up to date where it is.
"""

from dataclasses import replace

from shfs.allocator import Allocator
from shfs.configuration import CONFIGURATION_CHUNK, CONFIGURATION_SIZE, Configuration
from shfs.entry import SLOT_SIZE
from shfs.errors import InputError, VolumeFull
from shfs.room import used_runs
from shfs.volume import Volume


def make_backup(volume: Volume) -> int:
    """Make a backup table in free chunks, and return the first of them. The configuration speaks of it only when it is
    complete on the disks. Raises VolumeFull if no such run of chunks is free, InputError if there is one already."""
    configuration, geometry = volume.configuration, volume.geometry
    if configuration.backup:
        raise InputError(
            f"volume {volume.name} has a backup table, at chunk {configuration.backup}",
            hint="`shfs check` compares it with the table",
        )
    wanted = configuration.table_chunks(geometry.chunk_size)
    free = Allocator(geometry.chunks, used_runs(volume, reuse_removed=False))
    first = free.take(wanted)
    if first is None:
        raise VolumeFull(
            f"there is no room for a backup table on volume {volume.name}: it takes {wanted} chunks",
            hint=f"{free.free} chunks are free, {free.largest} of them together; `shfs trim` may free more",
        )
    table = bytes(volume.table.raw).ljust(wanted * geometry.chunk_size, b"\0")
    volume.members.write(geometry, first, 0, table)
    _configure(volume, replace(configuration, backup=first))
    return first


def drop_backup(volume: Volume) -> int:
    """Give the backup table up; its chunks are free at once, since no reader reads it. Returns how many they are.
    Raises InputError if there is none."""
    configuration = volume.configuration
    if not configuration.backup:
        raise InputError(f"volume {volume.name} has no backup table", hint="`shfs backup` makes one")
    _configure(volume, replace(configuration, backup=0))
    return configuration.table_chunks(volume.geometry.chunk_size)


def _configure(volume: Volume, configuration: Configuration) -> None:
    """Write a configuration, which is in one sector: afterwards it is the old one or the new one."""
    assert CONFIGURATION_SIZE <= 2 * SLOT_SIZE  # noqa: S101 - a sector
    volume.members.sync()
    volume.members.write(volume.geometry, CONFIGURATION_CHUNK, 0, configuration.encode(CONFIGURATION_SIZE))
    volume.members.sync()
    volume.configuration = configuration
