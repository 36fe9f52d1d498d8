"""Whether what is new in a plan fits on a volume: its chunks, and the entries of the buckets that its digests belong
to. It is found out as the batch will find it out, before anything is written."""

from collections import defaultdict
from dataclasses import dataclass

from shfs.allocator import Allocator
from shfs.errors import VolumeFull
from shfs.plan import Action, Plan, Step
from shfs.room import room_of, run_of, used_runs
from shfs.volume import Volume
from shfs.wanted import WantedFile


@dataclass(frozen=True, slots=True)
class Fit:
    """Chunks that the plan takes, and that are free before it."""

    needed: int
    free: int


def fit(volume: Volume, plan: Plan, *, reuse_removed: bool = False) -> Fit:
    """Raises VolumeFull if it does not fit; the hint says what would help."""
    strategy = volume.configuration.allocator
    allocator = Allocator(volume.geometry.chunks, used_runs(volume, reuse_removed), strategy)
    _check_buckets(volume, plan, reuse_removed)
    files = [step for step in plan.additions if isinstance(step.wanted, WantedFile)]
    chunks = [volume.geometry.chunks_of(step.size) for step in files]
    found = Fit(sum(chunks), allocator.free)
    for step, count in zip(files, chunks, strict=True):
        largest = allocator.largest
        if allocator.take(count) is not None:
            continue
        unit = volume.geometry.chunk_size
        what = f"{len(files)} new objects take {found.needed} chunks of {unit} bytes, and {found.free} are free"
        if found.needed <= found.free:
            what = f"{step.name} takes {max(count, 1)} chunks together, and the largest gap that is left has {largest}"
        raise VolumeFull(
            f"there is no room on volume {volume.name}: {what}", hint=_cure(volume, plan, reuse_removed=reuse_removed)
        )
    return found


def _cure(volume: Volume, plan: Plan, *, reuse_removed: bool) -> str:
    kept = 0 if reuse_removed else room_of(volume).kept
    if kept:
        return f"`shfs trim` frees {kept} chunks of removed objects, once every reader has remounted"
    going = [step.old for step in plan.steps if step.old is not None and step.action is not Action.CHANGE]
    later = sum(run[1] for item in going if (run := run_of(volume, item.slot)))
    if later:
        return (
            f"the {later} chunks of what is to be removed are free after `shfs trim` only: remove it with `shfs rm`, "
            "let the readers remount, trim, and apply then"
        )
    return "leave something out, or make a larger volume"


def _check_buckets(volume: Volume, plan: Plan, reuse_removed: bool) -> None:
    table = volume.table
    wanted: dict[int, list[Step]] = defaultdict(list)
    for step in plan.additions:
        wanted[table.bucket(step.digest)].append(step)
    for bucket, steps in wanted.items():
        empty = sum(table.is_free(slot) and not table.is_removed(slot) for slot in table.slots_of(bucket))
        waiting = sum(table.is_removed(slot) for slot in table.slots_of(bucket))
        if len(steps) <= empty + (waiting if reuse_removed else 0):
            continue
        names = ", ".join(step.name or step.digest.hex() for step in steps[:8])
        raise VolumeFull(
            f"bucket {bucket} of volume {volume.name} has room for {empty} of the {len(steps)} new objects that belong"
            f" there: {names}",
            hint=f"`shfs trim` frees {waiting} of its entries"
            if waiting and not reuse_removed
            else "make the volume with more entries for each bucket: `shfs mkfs --entries`",
        )
