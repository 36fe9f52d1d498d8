"""What `shfs add` and `shfs import` have in common: options, progress and report."""

import functools
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click

from shfs import digests
from shfs.addition import Addition
from shfs.cli.options import human, output_option, print_json, printable
from shfs.cli.progress import bar
from shfs.configuration import BEST_FIT, FIRST_FIT
from shfs.digests import HashFunction
from shfs.errors import InputError, ShfsError
from shfs.intake import Outcome
from shfs.naming import LongNames, Names, Naming
from shfs.tree import Selection
from shfs.volume import StoredObject, Volume

_OPTIONS = (
    click.option("-m", "--mime", help="The MIME type, at most 32 bytes; else what the extension tells."),
    click.option(
        "--names",
        type=click.Choice([style.value for style in Names]),
        help="Name objects by path or by its last part; else by path in folders and archives only.",
    ),
    click.option("--prefix", default="", metavar="TEXT", help="What each name begins with."),
    click.option(
        "--long-names",
        type=click.Choice([way.value for way in LongNames]),
        default="error",
        show_default=True,
        help="A name of over 64 bytes: fail, give none, or leave the file out.",
    ),
    click.option("--include", multiple=True, metavar="PATTERN", help="Only files in folders that match, as *.html."),
    click.option("--exclude", multiple=True, metavar="PATTERN", help="Not what matches: files, or whole folders."),
    click.option("--hidden", is_flag=True, help="In folders, take what has a dot in front too."),
    click.option("--default", metavar="NAME", help="Make the object of that name the default one."),
    click.option("--fit", type=click.Choice(["first", "best"]), help="How room is found; else as the volume says."),
    click.option(
        "--provider", metavar="NAME", help="What makes the digests of a volume whose are given by hand: blake2b, m:f."
    ),
    click.option(
        "--compat-digest",
        is_flag=True,
        help="Digests as the original makes them: a last chunk that is full is left out.",
    ),
    click.option(
        "--reuse-removed",
        is_flag=True,
        help="All readers have remounted: use chunks of removed objects, as if trimmed.",
    ),
    click.option("--dry-run", is_flag=True, help="Only say what would be added, and whether there is room."),
    output_option,
)


threads_option = click.option(
    "-j",
    "--threads",
    type=click.IntRange(1, 32),
    default=lambda: len(os.sched_getaffinity(0)),
    show_default="a processor each",
    metavar="N",
    help="How many threads read and hash.",
)


@dataclass(frozen=True, slots=True)
class Taking:
    """The values of the options."""

    mime: str | None
    names: str | None
    prefix: str
    long_names: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    hidden: bool
    default: str | None
    fit: str | None
    provider: str | None
    compat_digest: bool
    reuse_removed: bool
    dry_run: bool
    output: str

    @property
    def selection(self) -> Selection:
        """Which files of folders and archives are meant."""
        return Selection(self.include, self.exclude, self.hidden)

    def naming(self, outcome: Outcome) -> Naming:
        """How objects are called; notes go to the outcome."""
        names = None if self.names is None else Names(self.names)
        return Naming(names, self.prefix, LongNames(self.long_names), self.mime, outcome.notes.append)

    def batch_options(self, volume: Volume) -> dict[str, Any]:
        """What a batch is told."""
        provider = None if self.provider is None else digests.provider(self.provider)
        if provider is not None and volume.configuration.function is not HashFunction.MANUAL:
            raise InputError(
                f"volume {volume.name} makes its digests itself",
                hint="--provider is for volumes made with `shfs mkfs --hash manual`",
            )
        return {
            "dry": self.dry_run,
            "compat_digest": self.compat_digest,
            "reuse_removed": self.reuse_removed,
            "provider": provider,
            "strategy": None if self.fit is None else {"first": FIRST_FIT, "best": BEST_FIT}[self.fit],
        }


def taking_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options, given to the function as `taking`."""

    @functools.wraps(function)
    def gathered(**values: Any) -> None:
        taking = Taking(**{name: values.pop(name) for name in Taking.__slots__})
        function(taking=taking, **values)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered


def take_in(
    paths: list[str],
    taking: Taking,
    outcome: Outcome,
    additions: Iterable[Addition],
    *,
    size: int | None,
    threads: int = 1,
    keep_going: bool = False,
    summary: bool = True,
) -> None:
    """Add it all to the volume and print what became of it. `size` is how many bytes are expected, if that is known;
    `summary`: count what was done at the end. Raises the error that ended it, or a ShfsError that counts those that did
    not."""
    begin = time.monotonic()
    try:
        with (
            bar("reading" if taking.dry_run else "adding") as show,
            Volume.open(paths, write=not taking.dry_run) as volume,
        ):
            progress = Progress(show, size)
            with volume.batch(progress=progress.more, **taking.batch_options(volume)) as batch:
                outcome.take(batch, additions, threads=threads, keep_going=keep_going or taking.dry_run)
                if taking.default is not None and not (taking.dry_run and outcome.failed):
                    batch.set_default(outcome.named(volume, taking.default).digest)
                for name in outcome.names_in_doubt(volume):
                    outcome.notes.append(f"several objects are named {name}: caches find the first in the table")
                free = batch.free_chunks
            unit = volume.geometry.chunk_size
    finally:
        for note in outcome.notes:
            click.echo(f"note: {printable(note)}", err=True)
    if taking.output == "json":
        print_json(_as_json(outcome, dry_run=taking.dry_run))
    else:
        # One by one a thousand lines would be flushed as often.
        click.echo("".join(f"{item.digest.hex()}  {printable(item.name)}\n" for _, item in outcome.added), nl=False)
    if summary or taking.dry_run:
        click.echo(_summary(outcome, taking, time.monotonic() - begin, free, unit), err=True)
    _raise_failures(outcome, taking)


class Progress:
    """Counts the bytes that several threads tell of."""

    def __init__(self, show: Callable[[int, int | None], None], size: int | None) -> None:
        self._show = show
        self._size = size
        self._done = 0
        self._lock = threading.Lock()

    def more(self, count: int) -> None:
        """So many bytes more."""
        with self._lock:
            self._done += count
            self._show(self._done, self._size)


def _summary(outcome: Outcome, taking: Taking, seconds: float, free: int, unit: int) -> str:
    counts = f"{len(outcome.added)} {'would be ' if taking.dry_run else ''}added, {len(outcome.there)} there already"
    failed = f", {len(outcome.failed)} failed" if outcome.failed else ""
    if not taking.dry_run:
        return f"{counts}{failed}, {human(outcome.size)} in {seconds:.1f} s, {human(int(outcome.size / seconds))}/s"
    chunks = sum(-(-item.size // unit) for _, item in outcome.added)
    return f"{counts}{failed}; they take {chunks} chunks ({human(chunks * unit)}), and {free} are left free"


def _raise_failures(outcome: Outcome, taking: Taking) -> None:
    if not outcome.failed:
        return
    if taking.dry_run:
        raise outcome.failed[0][1]
    if taking.output != "json":
        for _, error in outcome.failed:
            click.echo(f"failed: {printable(error.message)}", err=True)
    count = len(outcome.failed)
    raise ShfsError(
        f"{count} of the files {'was' if count == 1 else 'were'} not added", hint="all the others are on the volume"
    )


def _as_json(outcome: Outcome, *, dry_run: bool) -> dict[str, Any]:
    def rows(pairs: list[tuple[str, StoredObject]]) -> list[dict[str, Any]]:
        return [{"file": what} | item.as_json() for what, item in pairs]

    return {
        "dry_run": dry_run,
        "added": rows(outcome.added),
        "there": rows(outcome.there),
        "failed": [{"file": what} | error.as_json() for what, error in outcome.failed],
        "notes": outcome.notes,
        "bytes": outcome.size,
    }
