"""A plan: what is to be done to a volume so that it holds what is wanted, and whether there is room for it.

It is made before anything is written, and carried out in one batch. Objects are known by their digest: one with a
wanted digest stays, under the name that is wanted; one with a wanted name and another digest is replaced.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from shfs.addition import Source
from shfs.batch import Batch
from shfs.errors import InputError
from shfs.fingerprint import Fingerprint, Fingerprints
from shfs.links import LinkTarget, parse_link
from shfs.members import BLOCK
from shfs.volume import StoredObject, Volume
from shfs.wanted import Wanted, WantedFile, WantedLink


class Action(enum.StrEnum):
    """What becomes of an object: it is new; it takes the place of another; its entry says something else of it; it goes
    away."""

    ADD = "add"
    REPLACE = "replace"
    CHANGE = "change"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Step:
    """One object. `digest` and `size` (in bytes) are those that it will have, or had if it is removed. `wanted` is None
    for what is removed, `old` for what is new; `target` is that of a wanted link."""

    action: Action
    digest: bytes
    size: int
    wanted: WantedFile | WantedLink | None
    old: StoredObject | None
    target: LinkTarget | None = None

    @property
    def name(self) -> str:
        """The name that the object will have, or had."""
        stays = self.wanted is None or (self.action is Action.CHANGE and self.wanted.any_name)
        if self.old is not None and stays:
            return self.old.name
        return "" if self.wanted is None else self.wanted.name

    def as_json(self) -> dict[str, Any]:
        """What will be, and under `was` what `shfs ls -o json` prints of what is."""
        will: dict[str, Any] = {"action": self.action.value, "digest": self.digest.hex(), "name": self.name}
        match self.wanted:
            case WantedFile(mime=mime):
                will |= {"mime": mime, "size": self.size, "type": "file", "target": None}
            case WantedLink(kind=kind):
                will |= {"mime": "", "size": 0, "type": kind.name.lower(), "target": self.target and self.target.url}
        return will | {"was": None if self.old is None else self.old.as_json()}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order. `unchanged` objects stay as they are; `default_before` and `default_after` are
    digests of the default object, or None."""

    steps: list[Step]
    unchanged: int
    default_before: bytes | None
    default_after: bytes | None

    @property
    def is_empty(self) -> bool:
        """Is the volume as it is wanted?"""
        return not self.steps and self.default_before == self.default_after

    @property
    def additions(self) -> list[Step]:
        """Those that take an entry, and chunks if they are files, the largest first: so they fit best, and the same
        every time."""
        new = [step for step in self.steps if step.wanted is not None and step.action is not Action.CHANGE]
        return sorted(new, key=lambda step: (-step.size, step.name, step.digest))

    def count(self, action: Action) -> int:
        """How many steps are of that kind."""
        return sum(step.action is action for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        before, after = self.default_before, self.default_after
        return {
            "steps": [step.as_json() for step in self.steps],
            "unchanged": self.unchanged,
            "default": {"was": before and before.hex(), "digest": after and after.hex()},
        }

    def carry_out(
        self, volume: Volume, batch: Batch, progress: Callable[[int, int], None] = lambda done, whole: None
    ) -> None:
        """Do it, in a batch of the volume that has seen nothing else. `progress` is told the bytes that were copied,
        and all. Raises InputError if a file is not any more what it was when the plan was made."""
        for step in self.steps:
            if step.old is not None and step.action in (Action.REMOVE, Action.REPLACE):
                batch.remove(step.old.digest)
            elif step.action is Action.CHANGE:
                _amend(batch, step)
        files = []
        for step in self.additions:
            if isinstance(step.wanted, WantedLink):
                batch.link(step.wanted.url, step.wanted.kind, name=step.wanted.name, digest=step.digest)
            elif step.wanted is not None:
                files.append(step.wanted.addition(step.digest))
        done, whole = 0, sum(step.size for step in self.additions)
        for _, item, _ in batch.add_all(files):
            done += item.size
            progress(done, whole)
        if (None if volume.default is None else volume.default.digest) != self.default_after:
            batch.set_default(self.default_after)


def make_plan(
    volume: Volume,
    wanted: Wanted,
    fingerprints: Fingerprints,
    *,
    keep: bool = False,
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> Plan:
    """What makes the volume hold what is wanted and nothing else; with `keep`, everything else that has another name
    too. `progress` is told the bytes that were read, and all.

    Raises InputError if what is wanted contradicts itself or cannot be stored, and what `Fingerprints.of` raises.
    """
    prints = fingerprints.of_all(wanted.files, progress)
    links = [Fingerprint(fingerprints.of_link(link), 0, certain=True) for link in wanted.links]
    all_wanted: list[tuple[WantedFile | WantedLink, Fingerprint]] = [
        *zip(wanted.files, prints, strict=True),
        *zip(wanted.links, links, strict=True),
    ]
    by_digest: dict[bytes, WantedFile | WantedLink] = {}
    by_name: dict[str, tuple[bytes, WantedFile | WantedLink]] = {}
    for one, fingerprint in all_wanted:
        _claim_digest(by_digest, one, fingerprint.digest)
        if not one.any_name:
            _claim_name(by_name, one, fingerprint.digest)

    staying, new, changed = set[int](), list[Step](), list[Step]()
    for one, fingerprint in all_wanted:
        digest, size = fingerprint.digest, fingerprint.size
        target = parse_link(one.url, one.kind) if isinstance(one, WantedLink) else None
        item = volume.find(digest)
        if item is None or not _is_it(volume, item, one, fingerprint):
            new.append(Step(Action.ADD, digest, size, one, None, target))
            continue
        staying.add(item.slot)
        if _differs(item, one, target):
            changed.append(Step(Action.CHANGE, digest, size, one, item, target))

    leaving, others = _Leaving(), list[StoredObject]()
    found = {item.digest for item in volume.objects() if item.slot in staying}
    for item in volume.objects():
        if item.digest in found:
            continue
        goes = not keep or item.digest in by_digest or item.name in by_name
        if goes:
            leaving.append(item)
        else:
            others.append(item)
    new = [leaving.replaced_by(step) for step in new]
    removed = [Step(Action.REMOVE, item.digest, item.size, None, item) for item in leaving.left()]

    before = None if volume.default is None else volume.default.digest
    names = {item.name: item.digest for item in reversed(others)} | {name: own[0] for name, own in by_name.items()}
    after = _default_that_stays(volume, names, {*by_digest}) if keep else None
    if wanted.default is not None:
        after = _chosen(wanted.default, names, {*by_digest, *(item.digest for item in others)})
    return Plan([*new, *changed, *removed], len(staying) - len(changed), before, after)


def _claim_digest(taken: dict[bytes, WantedFile | WantedLink], one: WantedFile | WantedLink, digest: bytes) -> None:
    other = taken.setdefault(digest, one)
    if other is not one:
        raise InputError(
            f"{other.what} and {one.what} have the same digest {digest.hex()}",
            hint="the same content is stored once, under one name: leave one of them out",
        )


def _claim_name(
    taken: dict[str, tuple[bytes, WantedFile | WantedLink]], one: WantedFile | WantedLink, digest: bytes
) -> None:
    _, other = taken.setdefault(one.name, (digest, one))
    if other is not one:
        raise InputError(
            f"{other.what} and {one.what} have the same name {one.name!r}",
            hint="readers would only find one of them: give the other another name",
        )


def _is_it(volume: Volume, item: StoredObject, one: WantedFile | WantedLink, fingerprint: Fingerprint) -> bool:
    """Is the object of that digest what is wanted, but for what can be changed in its entry?"""
    if isinstance(one, WantedLink) or item.link is not None:
        return isinstance(one, WantedLink) and item.link is not None
    return item.size == fingerprint.size and (fingerprint.certain or _has_content_of(volume, item, one))


def _has_content_of(volume: Volume, item: StoredObject, file: WantedFile) -> bool:
    source = Source(file.addition(None))
    try:
        if source.size != item.size:
            return False
        buffer = memoryview(bytearray(min(item.size, BLOCK)))
        for block in volume.read(item):
            ours = buffer[: len(block)]
            source.fill(ours)
            if ours != block:
                return False
        return True
    finally:
        source.close()


def _differs(item: StoredObject, one: WantedFile | WantedLink, target: LinkTarget | None) -> bool:
    """Does the entry say something else than is wanted?"""
    if not one.any_name and item.name != one.name:
        return True
    if isinstance(one, WantedFile):
        return (item.mime, item.encoding) != (one.mime, one.encoding)
    return item.target != (target and target.url) or not (one.any_name or item.type == one.kind.name.lower())


class _Leaving:
    """Objects that are to go, and are found by what may take their places."""

    def __init__(self) -> None:
        self._items: dict[int, StoredObject] = {}
        self._named: dict[str, list[StoredObject]] = {}
        self._digests: dict[bytes, StoredObject] = {}

    def append(self, item: StoredObject) -> None:
        """One more, in the order of the table."""
        self._items[item.slot] = item
        self._named.setdefault(item.name, []).append(item)
        self._digests.setdefault(item.digest, item)

    def replaced_by(self, step: Step) -> Step:
        """The step, in the place of an object that goes, if there is one: with its digest, else with its name."""
        by_name = step.wanted is not None and not step.wanted.any_name
        candidates = [self._digests.get(step.digest), *(self._named.get(step.name, ()) if by_name else ())]
        for item in candidates:
            if item is not None and self._items.pop(item.slot, None) is not None:
                return replace(step, action=Action.REPLACE, old=item)
        return step

    def left(self) -> list[StoredObject]:
        """Those whose places nothing took."""
        return [*self._items.values()]


def _chosen(default: str, names: dict[str, bytes], digests: set[bytes]) -> bytes:
    """The digest of the default object that is asked for."""
    if default in names:
        return names[default]
    if default.startswith("?"):
        try:
            digest = bytes.fromhex(default[1:])
        except ValueError:
            raise InputError(
                f"the default object {default!r} is no digest", hint="a name, or ?DIGEST in hexadecimal digits"
            ) from None
        if digest in digests:
            return digest
    raise InputError(
        f"the default object {default!r} is not among those that the volume will hold",
        hint="name one of them, or give its ?DIGEST",
    )


def _default_that_stays(volume: Volume, names: dict[str, bytes], wanted: set[bytes]) -> bytes | None:
    """Nobody said which is the default: it stays the one that is, or what takes its name."""
    item = volume.default
    if item is None or item.digest in wanted:
        return None if item is None else item.digest
    return names.get(item.name, item.digest)


def _amend(batch: Batch, step: Step) -> None:
    wanted = step.wanted
    name = None if wanted is None or wanted.any_name else wanted.name
    if isinstance(wanted, WantedFile):
        batch.amend(step.digest, name=name, mime=wanted.mime, encoding=wanted.encoding)
    else:
        batch.amend(step.digest, name=name, target=step.target)
