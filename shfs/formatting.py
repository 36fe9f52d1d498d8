"""`mkfs`: a volume is made on members that are there."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace

from shfs.configuration import BEST_FIT, CONFIGURATION_CHUNK, FIRST_FIT, FIRST_TABLE_CHUNK, Configuration
from shfs.digests import HashFunction, check_length
from shfs.errors import InputError, VolumeFull
from shfs.geometry import LABEL_SIZE, Geometry, StripeMode, check_stripe
from shfs.journal import discard_journal, journal_path
from shfs.label import NAME_SIZE, Label
from shfs.members import BLOCK, Members
from shfs.volume import encode_text

DEFAULT_STRIPE = 16384
DEFAULT_BUCKETS, DEFAULT_ENTRIES = 2048, 8


def mkfs(
    paths: Sequence[str],
    *,
    name: str = "unnamed",
    stripe: int = DEFAULT_STRIPE,
    mode: StripeMode = StripeMode.INDEPENDENT,
    buckets: int = DEFAULT_BUCKETS,
    entries: int = DEFAULT_ENTRIES,
    function: HashFunction = HashFunction.SHA,
    digest_length: int | None = None,
    allocator: int = FIRST_FIT,
    backup: bool = False,
    erase: bool = False,
    volume_uuid: uuid.UUID | None = None,
    member_uuids: Sequence[uuid.UUID] | None = None,
    created: int | None = None,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> Label:
    """Make a volume on files or devices, whose order is that of its members; whatever they hold is lost.

    `stripe` is in bytes, `digest_length` too and the function's usual one if not given; `backup` keeps a second copy of
    the table; `erase` zeroes the whole data area, and `progress` is told of (bytes done, bytes in all) meanwhile. UUIDs
    are random and the time is now unless they are given.

    The old labels go first and the new ones come last: at no moment between is there a volume. Raises InputError for
    what the format cannot have, VolumeFull for members that are too small (and then nothing was written), and as
    `Members.open`.
    """
    check_stripe(stripe)
    length = function.lengths[0] if digest_length is None else digest_length
    check_length(function, length)
    if buckets < 1 or entries < 1 or buckets * entries > 0xFFFFFFFF:
        raise InputError(
            f"a table of {buckets} buckets of {entries} entries is not possible",
            hint="both are at least 1, and their product is less than 4294967296",
        )
    if allocator not in (FIRST_FIT, BEST_FIT):
        raise InputError(f"there is no allocator {allocator}", hint="0 is first fit, 1 best fit")
    label_name = encode_text(name)
    if len(label_name) > NAME_SIZE:
        raise InputError(f"the volume's name {name!r} has {len(label_name)} bytes", hint=f"a label holds {NAME_SIZE}")
    members = Members.open(paths, write=True)
    try:
        geometry = Geometry.of_size(len(members), stripe, mode, min(members.sizes()))
        configuration = Configuration(FIRST_TABLE_CHUNK, 0, function, length, buckets, entries, allocator)
        table_chunks = configuration.table_chunks(geometry.chunk_size)
        if backup:
            configuration = replace(configuration, backup=FIRST_TABLE_CHUNK + table_chunks)
        data = FIRST_TABLE_CHUNK + table_chunks * len(configuration.tables())
        if data > geometry.chunks:
            smallest = members.paths[members.sizes().index(min(members.sizes()))]
            needed = geometry.member_size_for(data)
            raise VolumeFull(
                f"{smallest} is too small: it has {min(members.sizes())} bytes, and label and table need {needed}",
                hint="make it larger, or the table smaller: --buckets, --entries, --stripe",
            )
        own = list(member_uuids) if member_uuids is not None else [uuid.uuid4() for _ in paths]
        if len(own) != len(members) or len(set(own)) != len(own):
            raise InputError(f"{len(own)} UUIDs were given for {len(members)} members", hint="give each its own")
        moment = int(time.time()) if created is None else created
        label = Label(volume_uuid or uuid.uuid4(), label_name, moment, geometry, own[0], tuple(own))
        _write(members, label, configuration, geometry.chunks if erase else data, progress)
        return label
    finally:
        members.close()


def _write(
    members: Members, label: Label, configuration: Configuration, end: int, progress: Callable[[int, int], None]
) -> None:
    geometry = label.geometry
    for member in range(len(members)):
        members.write_label(member, bytes(LABEL_SIZE))
    members.sync()
    discard_journal(journal_path(label, members.paths[0], is_file=members.are_files()))
    size = geometry.chunk_size
    first, whole = FIRST_TABLE_CHUNK * size, end * size
    zeros = bytes(-(-BLOCK // size) * size)
    for at in range(first, whole, len(zeros)):
        members.write(geometry, at // size, 0, zeros[: whole - at])
        progress(at - first + len(zeros[: whole - at]), whole - first)
    members.write(geometry, CONFIGURATION_CHUNK, 0, configuration.encode(size))
    members.sync()
    for member, member_uuid in enumerate(label.members):
        members.write_label(member, replace(label, member=member_uuid).encode())
    members.sync()
