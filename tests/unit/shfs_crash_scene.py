"""A volume in a folder, what is done to it, and what must be true of whatever a crash leaves of it."""

import hashlib
import io
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from shfs import StoredObject, Volume
from shfs.addition import Addition
from shfs.batch import Batch
from shfs.fingerprint import Fingerprints
from shfs.formatting import mkfs
from shfs.geometry import StripeMode
from shfs.links import LinkKind
from shfs.plan import Action, make_plan
from shfs.wanted import Wanted, WantedFile, WantedLink
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_disk import Disk, Files, Recorder

NOW = 1_700_000_000

# Contents by the names of their objects. The volume has the first ones from the beginning.
OLD = {"page": 9000, "style": 10, "image": 4096, "gone": 8192, "gone-too": 5000, "last": 12289}
NEW = {f"new-{size}": size for size in (0, 1, 4096, 4097, 20000, 3000, 100, 12288)}
SIZES = OLD | NEW | {"large": (1 << 20) + 70_000}
CONTENTS = {name: random.Random(at).randbytes(size) for at, (name, size) in enumerate(SIZES.items())}
DIGESTS = {name: hashlib.sha256(content).digest() for name, content in CONTENTS.items()}
LINK = "http://example.org/film"

Operation = Callable[[list[str]], object]


@dataclass(frozen=True)
class View:
    """What a reader makes of a volume: digest, name, type, target, content of each object, and the default's digest."""

    objects: frozenset[tuple[bytes, str, str, str | None, bytes]]
    default: bytes | None


def as_ours(paths: list[str], *, write: bool = False) -> View:
    """What our reader sees, or a writer that opens the volume."""
    with Volume.open(paths, write=write) as volume:
        objects = frozenset(
            (item.digest, item.name, item.type, item.target, b"" if item.link else content(volume, item))
            for item in volume.objects()
        )
        return View(objects, volume.default.digest if volume.default else None)


def content(volume: Volume, item: StoredObject) -> bytes:
    """All bytes of a file. The blocks in which it is read are one buffer."""
    return b"".join(map(bytes, volume.read(item)))


def as_decoded(volume: decoder.Volume) -> View:
    """What a reader sees that knows of no journal, as those of the original."""
    objects = frozenset(
        (
            slot.digest,
            slot.name.decode(),
            slot.kind if slot.is_link else "file",
            slot.target if slot.is_link else None,
            b"" if slot.is_link else volume.content(slot),
        )
        for slot in volume.live
    )
    return View(objects, volume.default.digest if volume.default else None)


@dataclass
class States:
    """The states that a volume may be in: what a reader sees, the slots of its table, what is wrong with it."""

    views: list[View]
    slots: list[set[bytes]]
    findings: list[list[str]]

    @classmethod
    def of(cls, *volumes: decoder.Volume) -> "States":
        tables = [[volume.table[at : at + 256] for at in range(0, len(volume.table), 256)] for volume in volumes]
        return cls(
            [as_decoded(volume) for volume in volumes],
            [set(slots) for slots in zip(*tables, strict=True)],
            [volume.findings() for volume in volumes],
        )


class Scene:
    """A folder with the members of a volume in it, and nothing else."""

    def __init__(self, folder: Path, members: int) -> None:
        self.folder = folder
        self.names = ["a.img", "b.img", "c.img"][:members]
        self.paths = [str(folder / name) for name in self.names]

    def files(self) -> Files:
        """The files that there are."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def put(self, files: Files) -> None:
        """Have these files and no other."""
        for path in self.folder.iterdir():
            if path.name not in files or path.stat().st_size > len(files[path.name]):
                path.unlink()
        for name, data in files.items():
            # In place: a file that is truncated and written anew makes ext4 write it out at once.
            with open(self.folder / name, "r+b" if (self.folder / name).exists() else "wb") as file:
                file.write(data)

    def decoded(self) -> decoder.Volume:
        """The volume as the referee reads it. Raises NotAVolume."""
        return decoder.Volume.read(map(Path, self.paths))

    def record(self, operation: Operation, names: dict[str, int] | None = None) -> Recorder:
        """Do it."""
        with Recorder(self.folder, names) as recorder:
            operation(self.paths)
        return recorder

    def make(self, chunks: int = 60, **options: object) -> None:
        """A volume with objects of every kind, a default, and removed ones."""
        for path in self.paths:
            with open(path, "wb") as file:
                file.truncate(chunks * 4096)
        mkfs(self.paths, name="old", stripe=4096, buckets=8, entries=6, created=NOW, **options)  # type: ignore[arg-type]
        changed(_fill)(self.paths)
        changed(remove("gone", "gone-too"))(self.paths)

    # Judgement.

    def judge(self, files: Files, states: States, may_be: Iterable[View], what: str) -> None:
        """The files are a volume in one of the states, for each of its readers, and what writers find and leave."""
        self.put(files)
        judge_as_original(self.decoded(), states, what)
        seen = as_ours(self.paths)
        assert seen in may_be, f"{what}: our reader sees neither the old nor the new state"
        assert as_ours(self.paths, write=True) == seen, f"{what}: a writer finds another state than a reader"
        after = self.decoded()
        assert as_decoded(after) == seen, f"{what}: the original's readers see another state after a writer of ours"
        assert after.findings() in states.findings, what
        assert sorted(path.name for path in self.folder.iterdir()) == self.names, f"{what}: something is left behind"

    def judge_losses(self, disk: Disk, states: States, dice: random.Random, count: int, begin: int = 0) -> None:
        """So it is wherever the power goes after `begin` calls; and when all was done, only the new state is left."""
        for what, files in disk.powerless(dice, count, begin):
            self.judge(files, states, states.views, what)
        for what, files in disk.at_the_end(dice, count):
            self.judge(files, states, states.views[-1:], what)

    def judge_kills(self, disk: Disk, states: States) -> None:
        """So it is wherever the process is killed."""
        for what, files in disk.killed():
            self.judge(files, states, states.views, what)


def judge_as_original(volume: decoder.Volume, states: States, what: str) -> None:
    """A reader that knows of no journal sees each slot old or new, and what the objects speak of is there. While the
    default is moved it may see none, or two and take the last."""
    for number, may_be in enumerate(states.slots):
        slot = volume.table[number * 256 : number * 256 + 256]
        assert slot in may_be, f"{what}: slot {number} is neither old nor new"
    known = {(entry[0], entry[4]) for view in states.views for entry in view.objects}
    for entry in volume.live:
        assert entry.is_link or (entry.digest, volume.content(entry)) in known, f"{what}: {entry.name!r} is torn"
    assert not any(slot.flagged_default for slot in volume.removed), f"{what}: a removed object is the default"
    defaults = {view.default for view in states.views}
    default = volume.default.digest if volume.default else None
    assert default in defaults or (default is None and len(defaults) > 1), f"{what}: the default is another one"


# Operations.


def changed(change: Callable[[Batch], object], **options: bool) -> Operation:
    """One batch, committed."""

    def operation(paths: list[str]) -> None:
        with Volume.open(paths, write=True) as volume, volume.batch(now=NOW, **options) as batch:
            change(batch)

    return operation


def add(*names: str) -> Callable[[Batch], None]:
    """Add these contents, one after the other."""

    def change(batch: Batch) -> None:
        for name in names:
            batch.add(io.BytesIO(CONTENTS[name]), name=name, size=len(CONTENTS[name]), digest=DIGESTS[name])

    return change


def add_all(*names: str) -> Callable[[Batch], None]:
    """Add these contents as a bulk, which threads write."""

    def change(batch: Batch) -> None:
        additions = [Addition(io.BytesIO(CONTENTS[name]), name, size=len(CONTENTS[name])) for name in names]
        assert all(is_new for _, _, is_new in batch.add_all(additions))

    return change


def remove(*names: str) -> Callable[[Batch], None]:
    """Remove these objects."""

    def change(batch: Batch) -> None:
        for name in names:
            batch.remove(DIGESTS[name])

    return change


def opened(paths: list[str]) -> None:
    """A writer comes, finishes what is to be finished, and goes."""
    Volume.open(paths, write=True).close()


def _fill(batch: Batch) -> None:
    add(*OLD)(batch)
    batch.link(LINK, digest=hashlib.sha256(LINK.encode()).digest())
    batch.set_default(DIGESTS["page"])


def _index(batch: Batch) -> None:
    add("new-100")(batch)
    batch.set_default(DIGESTS["new-100"])


def _mixed(batch: Batch) -> None:
    remove("style", "page")(batch)
    add("new-20000", "new-4096")(batch)
    batch.link("http://example.com:8080/stream")
    batch.set_default(DIGESTS["new-4096"])


def _unlink(paths: list[str]) -> None:
    with Volume.open(paths, write=True) as volume, volume.batch(now=NOW) as batch:
        for link in [item for item in volume.objects() if item.link]:
            batch.remove(link.digest)
        remove("style", "last")(batch)


def _put_back(paths: list[str]) -> None:
    with Volume.open(paths, write=True) as volume, volume.batch(now=NOW) as batch:
        for item in list(volume.removed()):
            batch.put_back(item.slot, DIGESTS[item.name])


def _apply(paths: list[str]) -> None:
    """What `shfs apply` does: an object is replaced, one has another name, some go, some come, and another default."""
    names = {"page": "new-20000", "theme": "style", "image": "image", "notes": "new-3000"}
    files = [WantedFile(CONTENTS[of], name, digest=DIGESTS[of]) for name, of in names.items()]
    wanted = Wanted(files, [WantedLink("http://example.net/", LinkKind.AUTO, "net")], default="page")
    with Volume.open(paths, write=True) as volume:
        plan = make_plan(volume, wanted, Fingerprints(volume))
        assert {step.action for step in plan.steps} == {*Action}
        with volume.batch(now=NOW) as batch:
            plan.carry_out(volume, batch)


OPERATIONS: dict[str, Operation] = {
    "add one": changed(add("new-20000")),
    "add an empty file": changed(add("new-0")),
    "add many": changed(add(*NEW)),
    "add one and make it the default": changed(_index),
    "link": changed(lambda batch: batch.link("http://example.com/live")),
    "remove one": changed(remove("page")),
    "remove several": changed(remove("page", "style", "image", "last")),
    "remove links and others": _unlink,
    "another default": changed(lambda batch: batch.set_default(DIGESTS["image"])),
    "no default": changed(lambda batch: batch.set_default(None)),
    "another name": changed(lambda batch: batch.amend(DIGESTS["style"], name="theme", mime="text/css")),
    "trim": changed(Batch.trim),
    "undelete": _put_back,
    "use chunks of removed objects": changed(add("new-4097", "new-12288"), reuse_removed=True),
    "add and remove": changed(_mixed),
    "apply": _apply,
}

VOLUMES: dict[str, tuple[int, dict[str, object]]] = {
    "one member": (1, {}),
    "backup table": (1, {"backup": True}),
    "two independent": (2, {"mode": StripeMode.INDEPENDENT}),
    "three combined": (3, {"mode": StripeMode.COMBINED}),
}
