"""Any changes of any volume: after each its readers see what a naive model says, and nothing else was touched."""

import hashlib
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest

from shfs.addition import Addition
from shfs.batch import Batch
from shfs.errors import InputError, ShfsError
from shfs.formatting import mkfs
from shfs.links import LinkKind
from shfs.room import room_of
from shfs.volume import Volume
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_model import BAD_URLS, URLS, Kind, Model, Refusal, Step, Thing, random_kind, random_step

HISTORIES = 64
"""In one piece; a soak has `PIECES` of them."""

PIECES = 100

# fmt: off
REACHED = (
    "InputError", "ObjectError", "VolumeFull", "aborted", "add", "many", "link", "remove", "default", "back", "trim",
    "streamed", "exactly full", "slot reused", "default removed",
)
# fmt: on
"""What must have happened in a piece, or its silence about it means nothing."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "piece" in metafunc.fixturenames:
        metafunc.parametrize("piece", range(PIECES if metafunc.config.getoption("full") else 1))


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that is possible."""
    shared = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="shfs-", dir=shared if shared.is_dir() else None))
    yield made
    shutil.rmtree(made)


class Player:
    """A volume and its model, to which the same is done."""

    def __init__(self, kind: Kind, folder: Path, tally: Counter[str]) -> None:
        self.kind, self.folder, self.tally = kind, folder, tally
        self.model = Model(kind)
        self.paths = [str(folder / f"m{number}") for number in range(len(kind.sizes))]
        for path, size in zip(self.paths, kind.sizes, strict=True):
            Path(path).write_bytes(b"\xa5" * size)
        mkfs(
            self.paths,
            name="props",
            stripe=kind.stripe,
            mode=kind.mode,
            buckets=kind.buckets,
            entries=kind.entries,
            function=kind.function,
            digest_length=kind.length,
            allocator=int(kind.best_fit),
            backup=kind.backup,
        )
        self.images = self._read()
        self.compare()

    def _read(self) -> list[bytes]:
        return [Path(path).read_bytes() for path in self.paths]

    def play(self, step: Step, number: int) -> None:
        """One batch on both; then the volume is opened again, by ours and by the referee."""
        now = 1_500_000_000 + number
        may_change = set(range(2, self.kind.first_data_chunk)) | (
            set(range(self.kind.chunks)) - self.model.used(kept=not step.reuse)
        )
        with Volume.open(self.paths[::-1], write=True) as volume:
            batch = volume.batch(reuse_removed=step.reuse, compat_digest=step.compat, now=now)
            self.model.begin(reuse=step.reuse, compat=step.compat, now=now)
            for word, *numbers in step.operations:
                getattr(self, f"_{word}")(batch, *numbers)
            if step.aborted:
                batch.forget()
                self.model.forget()
                self.tally["aborted"] += 1
            else:
                batch.commit()
        before, self.images = self.images, self._read()
        self.compare()
        self._only(may_change, before)

    # Operations. Each is as its numbers say.

    def _both(self, word: str, ours: Callable[[], object], models: Callable[[], object]) -> None:
        """Both did it, with the same outcome, or refused it with the same error."""
        said: list[object] = []
        for what in (ours, models):
            try:
                said.append(what())
            except ShfsError as error:
                said.append(type(error).__name__)
            except Refusal as refusal:
                said.append(str(refusal))
        assert said[0] == said[1], f"{word}: ours said {said[0]}, the model {said[1]}"
        self.tally[said[0] if isinstance(said[0], str) else word] += 1

    def _content(self, size: int, seed: int) -> bytes:
        unit = self.kind.chunk
        largest = self.model.largest * unit
        sizes = (0, 1, unit - 1, unit, unit + 1, 2 * unit, 3 * unit + 7, largest, largest + 1, unit, 1, largest - 5)
        if largest > 2 << 20:
            sizes += ((1 << 20) + 1, (2 << 20) + 5, 2 << 20, (1 << 20) + unit)
        length = max(0, sizes[size % len(sizes)])
        if length == largest and length:
            self.tally["exactly full"] += 1
        return hashlib.shake_128(b"%d" % (seed % 8)).digest(length)

    def _texts(self, name: int, mime: int) -> tuple[str, str]:
        names = ("a", "b", "", "n" * 64, "é" * 32, "raw \udcff", "[/b]\n", f"n{name}", "n" * 65, "a\0b", *"cdefghijklm")
        mimes = ("", "text/plain", "x" * 32, "", "video/mp4", "x" * 33, *("audio/mpeg", "text/css") * 5)
        return names[name % len(names)], mimes[mime % len(mimes)]

    def _given(self, how: int, content: bytes, seed: int) -> bytes | None:
        """A digest that is given: none, the right one, or one that cannot be."""
        length = self.kind.length
        by_hand = hashlib.sha512(b"%d %d" % (seed % 8, len(content))).digest()[:length]
        right = by_hand if self.kind.function == decoder.MANUAL else None
        match how % 32:
            case 0:
                return bytes(length)
            case 1:
                return by_hand + b"x"
            case 2:
                return by_hand
            case 3:
                return None
            case 4 if right is None:
                return self.model.digest_of(content)
        return right

    def _add(self, batch: Batch, size: int, seed: int, name: int, mime: int, how: int, source: int) -> None:
        content = self._content(size, seed)
        text, kind = self._texts(name, mime)
        digest = self._given(how, content, seed)
        file: BytesIO | Path = BytesIO(content)
        if source % 2:
            file = self.folder / "source"
            file.write_bytes(content)
        if len(content) > 1 << 20:
            self.tally["streamed"] += 1
        before = list(self.model.slots)
        self._both(
            "add",
            lambda: batch.add(file, name=text, mime=kind, digest=digest, size=len(content)).slot,
            lambda: self.model.add(content, encoded(text), kind.encode(), digest),
        )
        after = self.model.slots
        self.tally["slot reused"] += any(old and new is not old for old, new in zip(before, after, strict=True))

    def _many(self, batch: Batch, size: int, seed: int, name: int, mime: int, how: int, source: int) -> None:
        """Files that are read at the same time; those that cannot be added are told."""
        files = [self._content((size + turn) % 5, seed + turn // 2) for turn in range(1 + source % 5)]
        text, kind = self._texts(name % 8, mime % 5)
        given = [self._given(5 + how % 27, content, seed + turn // 2) for turn, content in enumerate(files)]
        additions = []
        for turn, (content, digest) in enumerate(zip(files, given, strict=True)):
            path = self.folder / f"source{turn}"
            path.write_bytes(content)
            additions.append(Addition(str(path), text, kind, "", digest))
        refused = []

        def ours() -> list[int]:
            return [item.slot for _, item, _ in batch.add_all(additions, failed=lambda _, error: refused.append(error))]

        def models() -> list[int]:
            slots = []
            for content, digest in zip(files, given, strict=True):
                with suppress(Refusal):
                    slots.append(self.model.add(content, encoded(text), kind.encode(), digest, must_be_new=False))
            return slots

        self._both("many", ours, models)

    def _link(self, batch: Batch, url: int, kind: int, name: int, bad: int, how: int, _: int) -> None:
        given, shown, own_name = URLS[url % len(URLS)]
        text = None if name % 3 else self._texts(name, 0)[0]
        digest = self._given(how, given.encode(), 9)
        which = LinkKind(kind % 3)
        if bad % 5 == 0:
            with pytest.raises(InputError):
                batch.link(BAD_URLS[url % len(BAD_URLS)], which, name=text, digest=digest)
            return
        self._both(
            "link",
            lambda: batch.link(given, which, name=text, digest=digest).slot,
            lambda: self._linked(given, shown, which, own_name if text is None else encoded(text), digest),
        )

    def _linked(self, url: str, shown: str, kind: LinkKind, name: bytes, digest: bytes | None) -> int:
        slot = self.model.link(url, kind.name.lower(), name, digest)
        thing = self.model.slots[slot]
        assert thing is not None
        thing.url = shown
        return slot

    def _one_of(self, which: int) -> bytes:
        """The digest of an object, or rarely of none."""
        live = self.model.live
        return live[which % len(live)].digest if live and which % 9 else b"\7" * self.kind.length

    def _remove(self, batch: Batch, which: int, *_: int) -> None:
        digest = self._one_of(which)
        thing = self.model.find(digest)
        self.tally["default removed"] += thing is not None and thing.default
        self._both("remove", lambda: batch.remove(digest).slot, lambda: self.model.remove(digest))

    def _default(self, batch: Batch, which: int, *_: int) -> None:
        digest = self._one_of(which)
        self._both("default", lambda: batch.set_default(digest), lambda: self.model.set_default(digest))

    def _clear(self, batch: Batch, *_: int) -> None:
        self._both("clear", lambda: batch.set_default(None), lambda: self.model.set_default(None))

    def _trim(self, batch: Batch, *_: int) -> None:
        self._both("trim", batch.trim, self.model.trim)

    def _back(self, batch: Batch, which: int, *_: int) -> None:
        found = [
            (index, t) for index, t in enumerate(self.model.slots) if t is not None and not t.live and not t.spoiled
        ]
        if found:
            slot, thing = found[which % len(found)]
            digest = thing.digest
            self._both("back", lambda: batch.put_back(slot, digest).slot, lambda: self.model.put_back(thing))

    # What must be so after each batch.

    def compare(self) -> None:
        """Ours, the referee and the model say the same."""
        model = self.model
        expected = [
            self._row(index, thing) for index, thing in enumerate(model.slots) if thing is not None and thing.live
        ]
        referee = decoder.Volume(self.images[::-1])
        assert referee.findings() == []
        assert [(slot.number, slot.digest, slot.created) for slot in referee.live] == [row[:3] for row in expected]
        default = model.default
        with Volume.open(self.paths) as volume:
            items = list(volume.objects())
            contents = [short(b"".join(map(bytes, volume.read(item)))) if item.link is None else "" for item in items]
            shown = [
                (
                    *(item.slot, item.digest, item.created, encoded(item.name), item.mime, item.type, item.target),
                    *(item.default, item.first_chunk, content),
                )
                for item, content in zip(items, contents, strict=True)
            ]
            assert shown == expected
            assert (volume.default and volume.default.digest) == (default and default.digest)
            for item in items:
                assert volume.find(item.digest) == item
                named = volume.named(item.name)
                assert named is not None
                assert named.slot == next(row[0] for row in expected if row[3] == encoded(item.name))
            assert volume.find(b"\7" * self.kind.length) is None
            assert volume.named("nobody") is None
            room = room_of(volume)
            kept = model.used(kept=True) - model.used(kept=False)
            gaps = list(map(len, model.gaps(model.used(kept=True))))
            assert (room.metadata, room.free, room.largest, room.kept) == (
                *(self.kind.first_data_chunk, sum(gaps), max(gaps, default=0), len(kept)),
            )
        for item, listed in zip(items, referee.listing(), strict=True):
            assert {key: item.as_json()[key] for key in listed} == listed
        for slot, row in zip(referee.live, expected, strict=True):
            assert slot.flagged_default == row[7]
            assert slot.is_link or short(referee.content(slot)) == row[9]
        assert [slot.number for slot in referee.removed] == [
            index for index, thing in enumerate(model.slots) if thing is not None and not thing.live
        ]

    @staticmethod
    def _row(index: int, thing: Thing) -> tuple[object, ...]:
        return (
            *(index, thing.digest, thing.created, thing.name, thing.mime.decode(), thing.kind, thing.url or None),
            *(thing.default, thing.first, "" if thing.content is None else short(thing.content)),
        )

    def _only(self, may_change: set[int], before: list[bytes]) -> None:
        """Sizes are as they were; no byte is another but in those chunks."""
        assert tuple(map(len, self.images)) == self.kind.sizes
        one, other = decoder.Volume(before), decoder.Volume(self.images)
        stripes = {place for chunk in may_change for place in one.place(chunk)}
        for member, (old, new) in enumerate(zip(one.members, other.members, strict=True)):
            if old == new:
                continue
            for at in range(0, len(old), self.kind.stripe):
                if (member, at) not in stripes:
                    end = at + self.kind.stripe
                    assert old[at:end] == new[at:end], f"bytes {at} to {end} of member {member} are others"


def short(content: bytes) -> str:
    """Enough of it to tell it from another, and to print it."""
    return f"{len(content)}:{hashlib.md5(content, usedforsecurity=False).hexdigest()[:8]}"


def encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


History = tuple[int, list[Step]]
"""The seed of a kind of volume, and what is done to one."""


def kind_of(seed: int) -> Kind:
    return random_kind(random.Random(seed), large=seed % 12 == 0)


def error_in(history: History, folder: Path, tally: Counter[str]) -> Exception | None:
    """What is wrong with how a volume takes this."""
    seed, steps = history
    try:
        player = Player(kind_of(seed), folder, tally)
        for number, step in enumerate(steps):
            player.play(step, number)
    except Exception as error:
        return error
    finally:
        for path in folder.iterdir():
            path.unlink()
    return None


def shortened(history: History, folder: Path) -> History:
    """One that fails as well, and from which no step and no operation can be taken."""
    seed, steps = history
    for fewer in without_one(steps):
        if error_in((seed, fewer), folder, Counter()) is not None:
            return shortened((seed, fewer), folder)
    return history


def without_one(steps: list[Step]) -> Iterator[list[Step]]:
    """Less of it: without a step, and without an operation of one."""
    for at, step in enumerate(steps):
        yield steps[:at] + steps[at + 1 :]
        for number in range(len(step.operations)) if len(step.operations) > 1 else ():
            fewer = step.operations[:number] + step.operations[number + 1 :]
            yield [*steps[:at], replace(step, operations=fewer), *steps[at + 1 :]]


@pytest.mark.timeout(1800)
def test_any_changes_leave_what_the_model_says(request: pytest.FixtureRequest, piece: int, folder: Path) -> None:
    tally: Counter[str] = Counter()
    rng = random.Random(request.config.getoption("--seed") * PIECES + piece)

    for number in range(HISTORIES):
        seed = rng.randrange(1 << 32) // 12 * 12 + number % 12
        history = seed, [random_step(rng) for _ in range(rng.randint(3, 16))]
        if error_in(history, folder, tally) is not None:
            seed, steps = shortened(history, folder)
            wrong = error_in((seed, steps), folder, Counter())
            pytest.fail(f"{type(wrong).__name__}: {wrong}\n{kind_of(seed)}\n({seed}, {steps})")

    print(dict(tally.most_common()))
    assert [what for what in REACHED if not tally[what]] == []
