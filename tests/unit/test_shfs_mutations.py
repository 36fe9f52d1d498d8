"""Damaged volumes: what is said of each is right, or an error that helps; nothing outside of it is read or written."""

import json
import random
import re
import resource
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest

from shfs.check import check
from shfs.cli.main import main
from shfs.errors import ShfsError
from shfs.room import room_of
from shfs.volume import StoredObject, Volume
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_mutants import Specimen, Watch, by_hand, images, kept_promise, mutant, specimens, watched

MUTANTS = 20_000
"""In one piece; a soak has `PIECES` of them."""

PIECES = 25

REACHED = (
    "refused",
    "opened",
    "content read",
    "content refused",
    "journal refused",
    "journal kept",
    "not opened for writing",
    "file added",
    "file not added",
    "link added",
    "link not added",
    "object removed",
    "not checked",
    "found sound",
    "found faulty",
)
"""What must have happened in a piece, or its silence about it means nothing."""

MEMORY = 128 << 10
"""KiB that the process may grow by."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "piece" in metafunc.fixturenames:
        metafunc.parametrize("piece", range(PIECES if metafunc.config.getoption("full") else 1))


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that is possible: each mutant is written twice."""
    shared = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="shfs-", dir=shared if shared.is_dir() else None))
    yield made
    shutil.rmtree(made)


class Seen(NamedTuple):
    """What a reader saw of a volume that it could open."""

    items: list[StoredObject]
    default: StoredObject | None
    contents: dict[int, bytes | None]
    """By slot, of files; None if it was refused."""
    promised: bool
    """Did the journal lie where it is looked for?"""


@pytest.mark.timeout(1800)
def test_mutants_are_refused_or_read_right_and_changed_without_harm(
    request: pytest.FixtureRequest, full: bool, piece: int, folder: Path
) -> None:
    sound = specimens(folder)
    tally: Counter[str] = Counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with watched() as watch:
        for number in range(piece * MUTANTS, (piece + 1) * MUTANTS):
            name = f"{request.config.getoption('--seed')}:{number}"
            specimen = mutant(random.Random(name), sound)
            try:
                examine(specimen, folder, watch, tally, with_check=full or number % 8 == 0)
            except Exception as error:
                pytest.fail(f"mutant {name} ({specimen.what}): {type(error).__name__}: {error}", pytrace=True)

    print(dict(tally.most_common()))
    assert [what for what in REACHED if not tally[what]] == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


def test_the_specimens_are_sound(folder: Path) -> None:
    for specimen in specimens(folder):
        assert decoder.Volume(specimen.members).findings() == [], specimen.what
        seen = look(specimen.lay(folder))
        assert len(seen.items) in (8, 9), specimen.what
        assert seen.promised == (specimen.journal is not None)
        with watched() as watch:
            tally: Counter[str] = Counter()
            examine(specimen, folder, watch, tally, with_check=True)
        assert {"file added", "link added", "object removed"} <= set(tally)
        assert "found sound" in tally or specimen.journal is not None


def examine(specimen: Specimen, folder: Path, watch: Watch, tally: Counter[str], *, with_check: bool) -> None:
    """Read it, check it, then change it."""
    paths = specimen.lay(folder)
    try:
        watch.begin()
        seen = None
        try:
            seen = look(paths)
        except ShfsError as error:
            helps(error)
            tally["journal refused" if "the journal" in error.message else "refused"] += 1
        else:
            tally["opened"] += 1
            judge(specimen, seen, tally)
        whole = sum(map(len, specimen.members))
        assert watch.read <= 4 * whole + 16 * 4096, f"read {watch.read} bytes of {whole}"
        if with_check:
            tally[checked(paths, was_opened=seen is not None)] += 1
        assert not watch.writes
        change(specimen, paths, watch, tally)
    finally:
        for path in paths:
            Path(path).unlink()


def checked(paths: Sequence[str], *, was_opened: bool) -> str:
    """What a check says of it: a volume that cannot be opened is not sound."""
    report = None
    try:
        report = check(paths, threads=1)
    except ShfsError as error:
        helps(error)
    if report is None:
        assert not was_opened, "what can be opened can be checked"
        return "not checked"
    assert was_opened or not report.is_sound
    for finding in report.findings:
        assert finding.message
        assert finding.where
    return "found sound" if report.is_sound else "found faulty"


def helps(error: ShfsError) -> None:
    """Two lines, both with something in them."""
    assert error.message, error
    assert error.hint, error.message


def look(paths: Sequence[str]) -> Seen:
    """Everything that reading commands ask of a volume."""
    with Volume.open(paths) as volume:
        items = list(volume.objects())
        list(volume.removed())
        room = room_of(volume)
        assert 0 <= room.largest <= room.free <= volume.geometry.chunks - room.metadata - room.kept
        contents: dict[int, bytes | None] = {}
        for item in items:
            item.as_json()
            assert volume.find(item.digest) is not None
            assert volume.named(item.name) is not None
            if item.link is None:
                contents[item.slot] = None
                try:
                    contents[item.slot] = b"".join(map(bytes, volume.read(item)))
                except ShfsError as error:
                    helps(error)
        return Seen(items, volume.default, contents, volume.journal.exists())


def judge(specimen: Specimen, seen: Seen, tally: Counter[str]) -> None:
    """Did the reader see what the independent decoder sees?"""
    if seen.promised:
        tally["journal kept"] += 1
    disk = decoder.Volume(specimen.members)
    truth = decoder.Volume(kept_promise(specimen)) if seen.promised else disk
    assert [described(item) for item in seen.items] == [
        (slot.number, slot.digest, slot.name.decode("utf-8", "surrogateescape"), slot.created, slot.hidden, *of(slot))
        for slot in truth.live
    ]
    assert (seen.default and seen.default.slot) == (truth.default and truth.default.number)
    for slot in truth.live:
        if slot.is_link:
            continue
        lies_inside = not slot.size or (slot.first_chunk >= 2 and truth.chunks_of(slot).stop <= truth.label.chunks)
        tally["content read" if lies_inside else "content refused"] += 1
        assert seen.contents[slot.number] == ((disk.content(slot) if slot.size else b"") if lies_inside else None)


def described(item: StoredObject) -> tuple[object, ...]:
    common = (item.slot, item.digest, item.name, item.created, item.hidden)
    if item.link is not None:
        return (*common, item.link.host_type, item.link.host, item.link.port, item.link.path, item.link.kind)
    texts = (item.mime.encode("utf-8", "surrogateescape"), item.encoding.encode("utf-8", "surrogateescape"))
    return (*common, item.size, item.first_chunk, item.offset, *texts)


def of(slot: decoder.Slot) -> tuple[object, ...]:
    if slot.is_link:
        path = slot.path.encode("latin-1")
        return slot.host_type, slot.raw[65:97], slot.port, path, slot.raw[171]
    return slot.size, slot.first_chunk, slot.offset, slot.mime, slot.encoding


NEW = bytes(range(250)) * 36


def change(specimen: Specimen, paths: Sequence[str], watch: Watch, tally: Counter[str]) -> None:
    """Add a file and a link, and remove an object: each is done whole or not at all, and nothing else is touched."""
    before = images(paths)
    watch.begin()
    gone: set[int] = set()
    new: dict[int, bytes | None] = {}
    try:
        with Volume.open(paths, write=True) as volume:
            replayed = specimen.journal is not None and volume.members.paths[0] == paths[0]
            living = list(volume.objects())
            for what, content in (("file", NEW), ("link", None)):
                try:
                    with volume.batch() as batch:
                        if content is None:
                            item = batch.link("http://new.example/", digest=by_hand(volume, 7001))
                        else:
                            item = batch.add(
                                BytesIO(content), name="new", size=len(content), digest=by_hand(volume, 7000)
                            )
                    new[item.slot] = content
                    tally[f"{what} added"] += 1
                except ShfsError as error:
                    helps(error)
                    tally[f"{what} not added"] += 1
            if living:
                with volume.batch() as batch:
                    gone.add(batch.remove(living[len(living) // 2].digest).slot)
                tally["object removed"] += 1
    except ShfsError as error:
        helps(error)
        tally["not opened for writing"] += 1
        assert images(paths) == before, "a volume was changed that could not be opened"
        return
    base = decoder.Volume(kept_promise(specimen) if replayed else specimen.members)
    after = decoder.Volume(images(paths))
    assert [*map(len, after.members)] == [*map(len, base.members)]
    assert not Path(f"{paths[0]}.journal").exists() or not replayed
    in_its_places(base, paths, watch, after)
    kept = {slot.number: slot.raw for slot in base.slots if slot.number not in gone}
    found = {slot.number: slot.raw for slot in after.slots if slot.number not in gone | set(new)}
    assert found == kept, "another slot was changed"
    assert not [slot for slot in after.live if slot.number in gone]
    added = {slot.number: None if slot.is_link else after.content(slot) for slot in after.live if slot.number in new}
    assert added == new


def in_its_places(base: decoder.Volume, paths: Sequence[str], watch: Watch, after: decoder.Volume) -> None:
    """Nothing was written but to the tables and to chunks that nobody had."""
    configuration = base.configuration
    tables = [first for first in (configuration.table, configuration.backup) if first]
    structures = {0, 1, *(first + index for first in tables for index in range(base.table_chunks))}
    taken = set(structures)
    for slot in base.slots:
        if not slot.is_link and slot.size and base.chunks_of(slot).stop <= base.label.chunks:
            taken |= set(base.chunks_of(slot))
    chunk_at = {place: chunk for chunk in range(1, base.label.chunks) for place in base.place(chunk)}
    stripe = base.label.stripe
    member_of = {
        path: base.label.members.index(decoder.label_of(Path(path).read_bytes()).member) for path in set(paths)
    }
    for path, offset, size in watch.writes:
        for at in range(offset // stripe * stripe, offset + size, stripe):
            chunk = chunk_at.get((member_of[path], at))
            assert chunk is not None, f"bytes {offset} to {offset + size} of {path} were written"
            is_table = any(first <= chunk < first + base.table_chunks for first in tables)
            assert is_table or chunk not in taken, f"chunk {chunk} was written, which is taken"
    for chunk in taken - {0} - {number for number in structures if number > 1}:
        assert after.chunk(chunk) == base.chunk(chunk), f"chunk {chunk} is another"


LOOKS: tuple[tuple[str, ...], ...] = (
    ("ls",),
    ("ls", "-o", "json"),
    ("ls", "--removed"),
    ("info",),
    ("info", "-o", "json"),
    ("cat",),
)


def test_the_commands_take_mutants_as_the_library_does(
    request: pytest.FixtureRequest, full: bool, folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    sound = specimens(folder)
    codes: Counter[int] = Counter()

    for number in range(5000 if full else 150):
        name = f"{request.config.getoption('--seed')}:command:{number}"
        specimen = mutant(random.Random(name), sound)
        paths = specimen.lay(folder)
        given = [word for path in paths for word in ("-v", path)]
        commands = [[command, *given, *options] for command, *options in LOOKS]
        with suppress(ShfsError), Volume.open(paths) as volume:
            stat = ["stat", *given]
            for item in volume.objects():
                stat += ["--digest", item.digest.hex()]
            commands += [stat, [*stat, "-o", "json"]] if len(stat) > 1 + len(given) else []
        for command in commands:
            with pytest.raises(SystemExit) as ended:
                main(command)
            printed = capsysbinary.readouterr()
            code = ended.value.code
            assert isinstance(code, int)
            codes[code] += 1
            assert code in (0, 3, 7, 8), (name, command, printed.err)
            if code:
                assert printed.out == b"", (name, command)
            if "json" in command:
                json.loads(printed.err if code else printed.out)
            elif code:
                assert re.fullmatch(rb"error: .+\n hint: .+\n", printed.err), (name, command, printed.err)
        for path in paths:
            Path(path).unlink()

    assert {0, 3, 7} <= set(codes), codes
