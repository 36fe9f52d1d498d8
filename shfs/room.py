"""How much room a volume has: what is taken by its own structures, by objects and by removed ones."""

from collections.abc import Iterator
from dataclasses import dataclass

from shfs.allocator import Allocator, Run
from shfs.configuration import FIRST_TABLE_CHUNK
from shfs.entry import FileEntry
from shfs.volume import Volume


@dataclass(frozen=True, slots=True)
class Room:
    """All in chunks: of label, configuration and tables; free; the largest gap; kept for removed objects until trim."""

    metadata: int
    free: int
    largest: int
    kept: int


def room_of(volume: Volume) -> Room:
    """Measure a volume. What lies outside of it, or is two objects', is counted as what it is: once, and inside."""
    structures = list(structure_runs(volume))
    living, removed = list(living_runs(volume)), list(removed_runs(volume))
    chunks = volume.geometry.chunks
    free = Allocator(chunks, [*structures, *living, *removed])
    kept = Allocator(chunks, [*structures, *living]).free - free.free
    return Room(chunks - Allocator(chunks, structures).free, free.free, free.largest, kept)


def structure_runs(volume: Volume) -> Iterator[Run]:
    """The chunks of label, configuration, table and backup table."""
    yield 0, FIRST_TABLE_CHUNK
    size = volume.configuration.table_chunks(volume.geometry.chunk_size)
    for table in volume.configuration.tables():
        yield table, size


def living_runs(volume: Volume) -> Iterator[Run]:
    """The chunks of each object that has some."""
    for slot in volume.table.living():
        if run := run_of(volume, slot):
            yield run


def removed_runs(volume: Volume) -> Iterator[Run]:
    """The chunks that are kept for each removed object."""
    for slot in volume.table.removed():
        if run := run_of(volume, slot):
            yield run


def used_runs(volume: Volume, reuse_removed: bool) -> Iterator[Run]:
    """Every run of chunks that new data must not go to."""
    yield from structure_runs(volume)
    yield from living_runs(volume)
    if not reuse_removed:
        yield from removed_runs(volume)


def run_of(volume: Volume, slot: int) -> Run | None:
    """The chunks of the file in a slot; None for a link, an empty file, and what lies outside of the volume. Of a file
    that the original wrote past the end they are those inside: its readers read them."""
    entry = volume.table.entry(slot)
    if not isinstance(entry, FileEntry) or not entry.size:
        return None
    first, count = entry.run(volume.geometry.chunk_size)
    inside = min(count, volume.geometry.chunks - first)
    return (first, inside) if inside > 0 else None
