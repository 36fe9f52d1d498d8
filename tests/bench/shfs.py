"""`make bench-shfs`: what shfs takes, beside a floor that is measured in the same run (SPECIFICATION.md).

The floor of adding is `cp -r` of the same files and `sha256sum` of them, one after the other: a volume holds a copy and
a digest of each. `durable` is the same with a sync of what was copied, which adding does and cp does not. That of
erasing is dd of as many zeros to the same file, with fsync. That of a thousand calls is as many starts of Python.

Everything is a process of its own, its start included. ROUNDS in the environment is how many rounds there are, 5 as a
rule; ours and its floor take turns in each. CALLS is how many of the thousand calls are made, 100 as a rule.
"""

import io
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile

from rich import box
from rich.console import Console
from rich.table import Table

from shfs import Volume, mkfs
from shfs.addition import Addition

MIB = 1 << 20
FILES, FILE_SIZE = 1000, 64 << 10
LARGE = 512 * MIB
LISTED = 100_000
ERASED = 1024 * MIB
AIM = 1.2
"""Times the floor, of a bulk add."""

PLACES = {"disk": "/var/tmp", "memory": "/dev/shm"}
ROUNDS = int(os.environ.get("ROUNDS", "5"))
CALLS = int(os.environ.get("CALLS", "100"))

SHFS = Path(sys.executable).with_name("shfs")


@dataclass(frozen=True, slots=True)
class Job:
    """What is measured: `prepare` comes before each run and is not counted. `floor` is the name of the job that it is
    held against."""

    name: str
    commands: Sequence[Sequence[object]]
    floor: str = ""
    prepare: Callable[[], object] = lambda: None
    aim: float | None = None


def measure() -> None:
    """A table for each place."""
    console = Console(highlight=False, width=140)
    for place, root in PLACES.items():
        with TemporaryDirectory(prefix="bench-shfs-", dir=root) as name:
            folder = Path(name)
            title = f"{place}: {root}, {_filesystem(folder)}; seconds, median of {ROUNDS} (smallest to largest)"
            table = Table(title=f"\n{title}", title_justify="left", title_style="bold", header_style="", box=box.SIMPLE)
            for column in ("what", "seconds", "range", "floor", "x floor", "aim"):
                table.add_column(column, justify="left" if column in ("what", "floor") else "right", no_wrap=True)
            for jobs_in in (_bulk, _calls, _large, _listings, _erasing):
                _add_rows(table, jobs_in(folder))
            console.print(table)


def _add_rows(table: Table, jobs: Sequence[Job]) -> None:
    """Measure jobs, which take turns, and write a row for each."""
    taken: dict[str, list[float]] = {job.name: [] for job in jobs}
    for _ in range(ROUNDS):
        for job in jobs:
            job.prepare()
            taken[job.name].append(_seconds(job.commands))
    for job in jobs:
        seconds = taken[job.name]
        ratio = median(seconds) / median(taken[job.floor]) if job.floor else None
        missed = "missed: " if ratio is not None and job.aim is not None and ratio > job.aim else ""
        table.add_row(
            job.name,
            f"{median(seconds):.3f}",
            f"{min(seconds):.3f} to {max(seconds):.3f}",
            job.floor,
            "" if ratio is None else f"{missed}{ratio:.2f}",
            "" if job.aim is None else f"{job.aim:.1f}",
        )
    table.add_section()


def _seconds(commands: Sequence[Sequence[object]]) -> float:
    """That they take, one after the other. What they print is lost, unless one fails."""
    lines = [list(map(str, command)) for command in commands]
    with TemporaryFile() as errors:
        begin = time.perf_counter()
        for line in lines:
            if subprocess.run(line, stdout=subprocess.DEVNULL, stderr=errors, check=False).returncode:
                errors.seek(0)
                sys.exit(f"{line[0]} failed: {errors.read().decode(errors='replace')}")
        return time.perf_counter() - begin


def _bulk(folder: Path) -> list[Job]:
    """Many files in one call."""
    source, copy, image = folder / "files", folder / "copy", folder / "bulk.img"
    source.mkdir()
    data = random.Random(1)
    for number in range(FILES):
        (source / f"{number:04}.bin").write_bytes(data.randbytes(FILE_SIZE))
    files = sorted(source.iterdir())
    what = f"{FILES:,} files of {FILE_SIZE >> 10} KiB"
    floor = [["cp", "-r", source, copy], ["sha256sum", *files]]

    def fresh_copy() -> None:
        shutil.rmtree(copy, ignore_errors=True)

    return [
        Job(f"cp, sha256sum: {what}", floor, prepare=fresh_copy),
        Job(f"durable: {what}", [*floor, ["sync", "-f", copy]], prepare=fresh_copy),
        Job(
            f"shfs add: {what}",
            [[SHFS, "add", image, source]],
            f"cp, sha256sum: {what}",
            lambda: _fresh(image, FILES * FILE_SIZE),
            AIM,
        ),
        Job(
            "the same as a list on -T",
            [[SHFS, "add", image, "-T", _list(folder / "list", files)]],
            f"durable: {what}",
            lambda: _fresh(image, FILES * FILE_SIZE),
            AIM,
        ),
    ]


def _calls(folder: Path) -> list[Job]:
    """One file in each call."""
    image, floor = folder / "calls.img", f"python -c pass, {CALLS} times"
    files = sorted((folder / "files").iterdir())[:CALLS]
    return [
        Job(floor, [[sys.executable, "-c", "pass"]] * CALLS),
        Job(f"shfs --version, {CALLS} times", [[SHFS, "--version"]] * CALLS, floor),
        Job(
            f"shfs add of a file, {CALLS} calls",
            [[SHFS, "add", image, file] for file in files],
            floor,
            lambda: _fresh(image, FILES * FILE_SIZE),
        ),
    ]


def _large(folder: Path) -> list[Job]:
    """One file that is large."""
    file, copy, image = folder / "large.bin", folder / "large.copy", folder / "large.img"
    with file.open("wb") as out:
        for seed in range(LARGE // MIB):
            out.write(random.Random(seed).randbytes(MIB))
    what = f"a file of {LARGE // MIB} MiB"
    floor = [["cp", file, copy], ["sha256sum", file]]

    def fresh_copy() -> None:
        copy.unlink(missing_ok=True)

    return [
        Job(f"cp, sha256sum: {what}", floor, prepare=fresh_copy),
        Job(f"durable: {what}", [*floor, ["sync", copy]], prepare=fresh_copy),
        Job(
            f"shfs add: {what}",
            [[SHFS, "add", image, file]],
            f"cp, sha256sum: {what}",
            lambda: _fresh(image, LARGE),
            AIM,
        ),
    ]


def _listings(folder: Path) -> list[Job]:
    """The objects of a volume that has many."""
    for file in (folder / "large.bin", folder / "large.copy", folder / "large.img"):
        file.unlink(missing_ok=True)
    image, buckets, entries = folder / "listed.img", 2048, 128
    _sparse(image, LISTED * 4096 + buckets * entries * 256 + MIB)
    mkfs([os.fspath(image)], stripe=4096, buckets=buckets, entries=entries)
    with Volume.open([os.fspath(image)], write=True) as volume, volume.batch() as batch:
        for _ in batch.add_all(_small_objects()):
            pass
    return [
        Job("python -c pass", [[sys.executable, "-c", "pass"]]),
        Job(f"shfs ls: {LISTED:,} objects", [[SHFS, "ls", image]], "python -c pass"),
        Job(f"shfs ls -o json: {LISTED:,} objects", [[SHFS, "ls", "-o", "json", image]], "python -c pass"),
    ]


def _small_objects() -> Iterator[Addition]:
    for number in range(LISTED):
        data = b"object %d" % number
        yield Addition(io.BytesIO(data), f"folder/{number // 1000}/{number}.html", "text/html", size=len(data))


def _erasing(folder: Path) -> list[Job]:
    """mkfs, which zeroes the table or all."""
    (folder / "listed.img").unlink()
    image = folder / "erased.img"
    size = f"{ERASED // MIB} MiB"
    floor = ["dd", "if=/dev/zero", f"of={image}", "bs=1M", f"count={ERASED // MIB}", "conv=notrunc,fsync"]

    def fresh() -> None:
        image.unlink(missing_ok=True)
        _sparse(image, ERASED)

    return [
        Job(f"dd of zeros: {size}", [floor], prepare=fresh),
        Job(f"shfs mkfs: {size}, quick", [[SHFS, "mkfs", image]], prepare=fresh),
        Job(f"shfs mkfs -x: {size}, erased", [[SHFS, "mkfs", "-x", image]], f"dd of zeros: {size}", fresh),
    ]


def _fresh(image: Path, room: int) -> None:
    """An empty volume with so much room."""
    image.unlink(missing_ok=True)
    _sparse(image, room + 8 * MIB)
    mkfs([os.fspath(image)])


def _sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


def _list(path: Path, files: Sequence[Path]) -> Path:
    path.write_text("".join(f"{file}\n" for file in files))
    return path


def _filesystem(folder: Path) -> str:
    """The kind of filesystem that a folder is on."""
    ran = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True)
    return ran.stdout.strip()
