"""A naive model of a volume: which objects it has, in which slots and chunks, and what becomes of a change.

It knows nothing of how the package does it: the table is a list, free chunks are those that nobody has, and a digest is
made from the whole content by the referee's means.
"""

import copy
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

from shfs import digests
from shfs.digests import HashFunction
from shfs.geometry import StripeMode
from tests.unit.shfs_decoder import HASHLIB, crc32_bzip2

STREAMED = 1 << 20
"""A file above this size gets its chunks before anybody knows its digest."""


@dataclass(frozen=True)
class Kind:
    """What a volume is made as; `sizes` are the bytes of its members."""

    stripe: int
    mode: StripeMode
    function: HashFunction
    length: int
    buckets: int
    entries: int
    best_fit: bool
    backup: bool
    sizes: tuple[int, ...]

    @property
    def chunk(self) -> int:
        combined = self.mode is StripeMode.COMBINED and len(self.sizes) > 1
        return self.stripe * len(self.sizes) if combined else self.stripe

    @property
    def chunks(self) -> int:
        """What the format counts: one less for one member, and more of them for several that are combined."""
        count, stripes = len(self.sizes), min(self.sizes) // self.stripe
        return stripes - count + 1 if self.chunk > self.stripe else (stripes - 1) * count

    @property
    def table_chunks(self) -> int:
        return -(-self.buckets * self.entries * 256 // self.chunk)

    @property
    def first_data_chunk(self) -> int:
        return 2 + self.table_chunks * (2 if self.backup else 1)


def random_kind(rng: random.Random, *, large: bool) -> Kind:
    """Any geometry, function and table; the room is little as a rule, and several MiB if it is to be `large`."""
    count = rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 16, rng.randint(1, 16)))
    stripe = rng.choice((4096, 4096, 4096, 8192, 16384, 32768))
    mode = rng.choice(list(StripeMode))
    function = rng.choice((HashFunction.SHA, HashFunction.SHA, *HashFunction))
    kind = Kind(
        stripe,
        mode,
        function,
        rng.choice(function.lengths),
        rng.choice((1, 1, 2, 3, 5, 8, 16)),
        rng.choice((1, 2, 3, 4, 8)),
        rng.random() < 0.3,
        rng.random() < 0.3,
        (stripe,) * count,
    )
    room = (
        (6 << 20) // kind.chunk if large else min(rng.choice((0, 1, 2, 5, 10, 20, 30)), max((1 << 20) // kind.chunk, 2))
    )
    wanted = kind.first_data_chunk + room
    stripes = wanted + count - 1 if kind.chunk > stripe or count == 1 else -(-wanted // count)
    least = (stripes + (0 if kind.chunk > stripe else 1)) * stripe
    sizes = tuple(least + rng.choice((0, 0, 1, stripe - 1, stripe, 3 * stripe)) for _ in range(count))
    return Kind(*(getattr(kind, name) for name in Kind.__dataclass_fields__ if name != "sizes"), sizes)


@dataclass
class Thing:
    """What is in a slot. `content` is a file's, `url` a link's."""

    digest: bytes
    name: bytes
    created: int
    content: bytes | None = None
    mime: bytes = b""
    first: int = 0
    count: int = 0
    url: str = ""
    kind: str = "file"
    default: bool = False
    live: bool = True
    spoiled: bool = False
    """It was removed, and its chunks have been given to others."""

    @property
    def chunks(self) -> range:
        return range(self.first, self.first + self.count)


class Refusal(Exception):
    """A change that is not possible; its word is the name of the error's class."""


class Model:
    """A volume of a kind. Changes are made between `begin` and `commit` or `forget`."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.slots: list[Thing | None] = [None] * (kind.buckets * kind.entries)
        self._saved: list[Thing | None] = []
        self._taken: set[int] = set()
        self._given: set[int] = set()
        """Chunks that files got in this batch, for good or not."""
        self._reuse = False
        self._compat = False
        self.now = 0

    # What there is.

    @property
    def live(self) -> list[Thing]:
        return [thing for thing in self.slots if thing is not None and thing.live]

    @property
    def removed(self) -> list[Thing]:
        return [thing for thing in self.slots if thing is not None and not thing.live]

    @property
    def default(self) -> Thing | None:
        return next((thing for thing in reversed(self.live) if thing.default), None)

    def find(self, digest: bytes) -> Thing | None:
        return next((thing for thing in self.live if thing.digest == digest), None)

    def used(self, *, kept: bool) -> set[int]:
        """Chunks of the volume's own, of objects, and of removed ones that are `kept`."""
        things = [*self.live, *(self.removed if kept else ())]
        return set(range(self.kind.first_data_chunk)) | {chunk for thing in things for chunk in thing.chunks}

    def gaps(self, taken: set[int]) -> Iterator[range]:
        """Runs of free chunks."""
        first = None
        for chunk in range(self.kind.chunks + 1):
            if chunk < self.kind.chunks and chunk not in taken:
                first = chunk if first is None else first
            elif first is not None:
                yield range(first, chunk)
                first = None

    @property
    def largest(self) -> int:
        """Chunks that one object can have now."""
        return max(map(len, self.gaps(self._taken)), default=0)

    def digest_of(self, data: bytes) -> bytes:
        """As the volume's function makes it."""
        function, length = self.kind.function, self.kind.length
        if (name := HASHLIB.get((function, length))) is not None:
            return hashlib.new(name, data, usedforsecurity=False).digest()
        if function is HashFunction.CRC:
            return crc32_bzip2(data)
        hasher = digests.new(function, length)
        hasher.update(data)
        return hasher.digest()

    # Changes.

    def begin(self, *, reuse: bool, compat: bool, now: int) -> None:
        self._saved = copy.deepcopy(self.slots)
        self._taken = self.used(kept=not reuse)
        self._given = set()
        self._reuse, self._compat, self.now = reuse, compat, now

    def forget(self) -> None:
        """Everything is as it was, but for what was written into chunks of removed objects."""
        self.slots = self._saved
        self._spoil()

    def _spoil(self) -> None:
        for thing in self.removed:
            thing.spoiled = thing.spoiled or bool(self._given & set(thing.chunks))

    def add(self, content: bytes, name: bytes, mime: bytes, digest: bytes | None, *, must_be_new: bool = True) -> int:
        """The slot that it gets, or has already."""
        if digest is not None:
            self._accept(digest)
        if len(name) > 64 or b"\0" in name or len(mime) > 32:
            raise Refusal("InputError")
        count = -(-len(content) // self.kind.chunk)
        first = self._take(count) if len(content) > STREAMED else None
        try:
            digest = self._digest(content, digest)
            existing = self.find(digest)
            if existing is not None and must_be_new:
                raise Refusal("ObjectError")
            slot = self.slots.index(existing) if existing is not None else self._free_slot(digest)
        except Refusal:
            self._give_back(first, count)
            raise
        if existing is not None:
            self._give_back(first, count)
            return slot
        first = self._take(count) if first is None else first
        self.slots[slot] = Thing(digest, name, self.now, content, mime, first, count)
        return slot

    def _digest(self, content: bytes, given: bytes | None) -> bytes:
        if self.kind.function is HashFunction.MANUAL:
            self._accept(given)
            assert given is not None
            return given
        full = self._compat and len(content) > 0 and len(content) % self.kind.chunk == 0
        computed = self.digest_of(content[: len(content) - self.kind.chunk] if full else content)
        if given not in (None, computed):
            raise Refusal("InputError")
        self._accept(computed)
        return computed

    def link(self, url: str, kind: str, name: bytes, digest: bytes | None) -> int:
        """A URL that can be stored, and the slot that it gets."""
        if self.kind.function is not HashFunction.MANUAL:
            computed = self.digest_of(url.encode())
            if digest not in (None, computed):
                raise Refusal("InputError")
            digest = computed
        self._accept(digest)
        assert digest is not None
        if len(name) > 64 or b"\0" in name:
            raise Refusal("InputError")
        if self.find(digest) is not None:
            raise Refusal("ObjectError")
        slot = self._free_slot(digest)
        self.slots[slot] = Thing(digest, name, self.now, url=url, kind=kind)
        return slot

    def remove(self, digest: bytes) -> int:
        thing = self._known(digest)
        thing.live = thing.default = False
        return self.slots.index(thing)

    def set_default(self, digest: bytes | None) -> None:
        wanted = None if digest is None else self._known(digest)
        for thing in self.live:
            thing.default = thing is wanted

    def trim(self) -> int:
        """How many chunks are nobody's then that were kept."""
        before = len(self.used(kept=True))
        for index, thing in enumerate(self.slots):
            if thing is not None and not thing.live and self._was_free(index):
                self.slots[index] = None
        return before - len(self.used(kept=True))

    def put_back(self, thing: Thing) -> int:
        """A removed one, whose chunks nobody got."""
        others = {chunk for other in self.live for chunk in other.chunks}
        if self.find(thing.digest) is not None or others & set(thing.chunks):
            raise Refusal("ObjectError")
        thing.live = True
        self._taken |= set(thing.chunks)
        return self.slots.index(thing)

    # How.

    def _accept(self, digest: bytes | None) -> None:
        if digest is None or len(digest) != self.kind.length or not any(digest):
            raise Refusal("InputError")

    def _known(self, digest: bytes) -> Thing:
        thing = self.find(digest)
        if thing is None:
            raise Refusal("ObjectError")
        return thing

    def _take(self, count: int) -> int:
        fitting = [gap for gap in self.gaps(self._taken) if len(gap) >= max(count, 1)]
        if not fitting:
            raise Refusal("VolumeFull")
        gap = min(fitting, key=lambda gap: (len(gap), gap.start)) if self.kind.best_fit else fitting[0]
        taken = set(gap[:count])
        self._taken |= taken
        self._given |= taken
        self._spoil()
        return gap.start

    def _give_back(self, first: int | None, count: int) -> None:
        if first is not None:
            self._taken -= set(range(first, first + count))

    def _was_free(self, index: int) -> bool:
        before = self._saved[index]
        return before is None or not before.live

    def _free_slot(self, digest: bytes) -> int:
        bucket = int.from_bytes(digest[:4], "little") % self.kind.buckets
        for index in range(bucket * self.kind.entries, (bucket + 1) * self.kind.entries):
            thing = self.slots[index]
            if thing is None or (not thing.live and self._reuse and self._was_free(index)):
                return index
        raise Refusal("VolumeFull")


URLS = (
    ("http://h.example/a/b.mp3", "http://h.example/a/b.mp3", b"b.mp3"),
    ("http://10.1.2.3:8080/live?x=1", "http://10.1.2.3:8080/live?x=1", b"live?x=1"),
    ("HTTP://H.example", "http://h.example/", b"h.example"),
    (f"http://{'h' * 32}/{'p' * 70}", f"http://{'h' * 32}/{'p' * 70}", b"p" * 70),
    ("http://h.example?q", "http://h.example/?q", b"h.example"),
    ("http://127.0.0.1:81/", "http://127.0.0.1:81/", b"127.0.0.1"),
)
"""As it is given, as it is shown, and the name that it gets."""

BAD_URLS = ("https://h/", "http://", f"http://{'h' * 33}/", f"http://h/{'p' * 71}", "http://u@h/", "http://h/#f")


@dataclass(frozen=True)
class Step:
    """A batch: operations, each a word and numbers. It is forgotten at its end if it is to be `aborted`."""

    operations: tuple[tuple[str, *tuple[int, ...]], ...]
    reuse: bool = False
    compat: bool = False
    aborted: bool = False


WORDS = ("add", "add", "add", "add", "many", "link", "remove", "remove", "default", "clear", "trim", "back")


def random_step(rng: random.Random) -> Step:
    operations = tuple(
        (rng.choice(WORDS), *(rng.randrange(64) for _ in range(6))) for _ in range(rng.choice((1, 1, 1, 2, 3, 6)))
    )
    return Step(operations, rng.random() < 0.25, rng.random() < 0.15, rng.random() < 0.1)
