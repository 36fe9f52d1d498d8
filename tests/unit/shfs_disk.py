"""A disk that loses what was not synced: what an operation does to files is recorded, and every crash is played.

`Recorder` notes each write, truncation, creation, rename, removal and sync that this process makes in a folder, through
the system calls that shfs uses. `Disk` tells from that what files there can be after a crash:

killed      the process was killed: the calls made so far are all there. A write is cut between pages only.
powerless   the power went: what was synced is there. Of everything else any part may be: of a sector of 512 bytes any
            content that it had since the last sync of its file, of a file any size, and each creation, rename and
            removal for itself, until its folder is synced.
"""

import builtins
import io
import itertools
import math
import os
import random
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SECTOR, PAGE = 512, 4096

Files = dict[str, bytes]
"""The files of a folder by their names."""


@dataclass(frozen=True)
class Write:
    file: int
    at: int
    data: bytes


@dataclass(frozen=True)
class Truncate:
    file: int
    size: int


@dataclass(frozen=True)
class Create:
    name: str
    file: int


@dataclass(frozen=True)
class Rename:
    name: str
    to: str


@dataclass(frozen=True)
class Unlink:
    name: str


@dataclass(frozen=True)
class SyncFile:
    file: int


@dataclass(frozen=True)
class SyncFolder:
    pass


_NEW_FILES = itertools.count(1000)

Call = Write | Truncate | Create | Rename | Unlink | SyncFile | SyncFolder


class Recorder:
    """What is done in a folder while it is entered. Nothing is really synced meanwhile: the tests need no disk.

    `names` are the numbers of the files, if an earlier record is gone on with; `noted` is called after each call, and
    `asked` before it, with how many were made so far: what it raises the caller gets, and nothing is done.
    """

    def __init__(
        self,
        folder: Path,
        names: dict[str, int] | None = None,
        noted: Callable[[], None] = lambda: None,
        asked: Callable[[int], None] = lambda made: None,
    ) -> None:
        self.before: Files = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        self.log: list[Call] = []
        self._folder = folder
        self._noted = noted
        self._asked = asked
        self._made = 0
        self._lock = threading.Lock()
        self._names = dict(names or {name: number for number, name in enumerate(self.before)})
        self._patch = pytest.MonkeyPatch()

    def __enter__(self) -> "Recorder":
        calls = {"pwritev": self._pwritev, "fsync": self._fsync, "rename": self._rename, "unlink": self._unlink}
        self._real = {name: getattr(os, name) for name in calls}
        for name, call in calls.items():
            self._patch.setattr(os, name, call)
        for name in ("write", "pwrite", "writev", "ftruncate", "truncate", "replace", "remove", "link", "fdatasync"):
            self._patch.setattr(os, name, _unknown(name))
        self._real_open = io.open
        for module in (io, builtins):
            self._patch.setattr(module, "open", self._open)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()

    def _note(self, call: Call) -> None:
        with self._lock:
            self.log.append(call)
            self._noted()

    def _ask(self) -> None:
        with self._lock:
            self._asked(self._made)
            self._made += 1

    def _number(self, descriptor: int) -> int | None:
        """Which file of the folder it is; None for others."""
        for name, number in self._names.items():
            try:
                if os.path.samestat(os.stat(self._folder / name), os.fstat(descriptor)):
                    return number
            except FileNotFoundError:
                continue
        return None

    def _known(self, descriptor: int) -> int:
        number = self._number(descriptor)
        assert number is not None, "a file outside of the folder is changed"
        return number

    def _pwritev(self, descriptor: int, buffers: Sequence[memoryview], offset: int) -> int:
        self._ask()
        done: int = self._real["pwritev"](descriptor, buffers, offset)
        self._note(Write(self._known(descriptor), offset, b"".join(map(bytes, buffers))[:done]))
        return done

    def _fsync(self, descriptor: int) -> None:
        self._ask()
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._note(SyncFolder())
        else:
            self._note(SyncFile(self._known(descriptor)))

    def _rename(self, source: Any, target: Any) -> None:
        self._ask()
        self._real["rename"](source, target)
        source, target = Path(source).name, Path(target).name
        self._names[target] = self._names.pop(source)
        self._note(Rename(source, target))

    def _unlink(self, path: Any) -> None:
        if Path(path).name in self._names:
            self._ask()
        self._real["unlink"](path)
        name = Path(path).name
        del self._names[name]
        self._note(Unlink(name))

    def _open(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode not in ("wb", "xb", "r+b") or Path(file).parent != self._folder:
            return self._real_open(file, mode, *arguments, **options)
        name = Path(file).name
        is_new = not Path(file).exists()
        if is_new:
            self._ask()
        raw = _File(file, mode.replace("b", ""))
        if is_new:
            self._names[name] = next(_NEW_FILES)
            self._note(Create(name, self._names[name]))
        raw.number, raw.ask, raw.note = self._names[name], self._ask, self._note
        if mode == "wb" and not is_new:
            self._note(Truncate(raw.number, 0))
        return io.BufferedRandom(raw) if mode == "r+b" else io.BufferedWriter(raw)


class _File(io.FileIO):
    """A file that tells what is done to it."""

    number: int
    ask: Any
    note: Any

    def write(self, data: Any) -> int:
        self.ask()
        at = self.tell()
        done: int = super().write(data)
        self.note(Write(self.number, at, bytes(data)[:done]))
        return done

    def truncate(self, size: int | None = None) -> int:
        self.ask()
        cut = super().truncate(size)
        self.note(Truncate(self.number, cut))
        return cut


def _unknown(name: str) -> Any:
    def call(*_: object, **__: object) -> None:
        raise AssertionError(f"os.{name} is called, which the recorder does not know")

    return call


@dataclass
class _Inode:
    """A file: `durable` is what was synced, `now` what processes see, and in between what sectors and size were."""

    durable: bytes = b""
    now: bytearray = field(default_factory=bytearray)
    sectors: dict[int, list[bytes]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def write(self, at: int, data: bytes) -> None:
        if at > len(self.now):
            self.now += bytes(at - len(self.now))
        before = len(self.now)
        self.now[at : at + len(data)] = data
        if len(self.now) != before:
            self.sizes.append(len(self.now))
        for sector in range(at // SECTOR, -(-(at + len(data)) // SECTOR)):
            content = bytes(self.now[sector * SECTOR : (sector + 1) * SECTOR])
            self.sectors.setdefault(sector, []).append(content.ljust(SECTOR, b"\0"))

    def truncate(self, size: int) -> None:
        del self.now[size:]
        self.sizes.append(size)

    def sync(self) -> None:
        self.durable = bytes(self.now)
        self.sectors.clear()
        self.sizes.clear()


class Disk:
    """The files as they were before a log, all of it synced, and what can be left of them."""

    def __init__(self, before: Files, log: Iterable[Call]) -> None:
        self.before = before
        self.log = list(log)

    def names(self) -> dict[str, int]:
        """The numbers of the files that a process sees when all calls were made."""
        return self._play(len(self.log))[1]

    def now(self) -> Files:
        """What a process sees when all calls were made."""
        inodes, names, *_ = self._play(len(self.log))
        return {name: bytes(inodes[number].now) for name, number in names.items()}

    def killed(self) -> Iterator[tuple[str, Files]]:
        """What a process that is killed may leave. Long writes are cut at their first, last and middle page."""
        for end, call in enumerate(self.log):
            yield f"killed before call {end}: {_told(call)}", Disk(self.before, self.log[:end]).now()
            if isinstance(call, Write):
                pages = range(call.at // PAGE + 1, -(-(call.at + len(call.data)) // PAGE))
                for page in sorted({pages[0], pages[-1], pages[len(pages) // 2]} if pages else ()):
                    done = page * PAGE - call.at
                    cut = Disk(self.before, [*self.log[:end], Write(call.file, call.at, call.data[:done])])
                    yield f"killed in call {end}: {_told(call)}, after {done} bytes", cut.now()
        yield "killed when all was done", self.now()

    def powerless(self, dice: random.Random, count: int, begin: int = 0) -> Iterator[tuple[str, Files]]:
        """What a loss of power may leave: all that is possible before each sync, and so before any call before it; if
        that is more than `count`, nothing, everything, each piece alone, and `count` at random. After all calls see
        `at_the_end`."""
        for end, call in enumerate(self.log):
            if end >= begin and isinstance(call, SyncFile | SyncFolder):
                for files in self._losses(end, dice, count):
                    yield f"power lost before call {end}: {_told(call)}", files

    def at_the_end(self, dice: random.Random, count: int) -> Iterator[tuple[str, Files]]:
        """What a loss of power may leave when all calls were made."""
        for files in self._losses(len(self.log), dice, count):
            yield "power lost when all was done", files

    def _play(self, end: int) -> tuple[dict[int, _Inode], dict[str, int], dict[str, int], list[Call]]:
        """Files, names as they are and as they are certain to be, and what is between these."""
        inodes = {at: _Inode(data, bytearray(data)) for at, data in enumerate(self.before.values())}
        names = {name: at for at, name in enumerate(self.before)}
        certain, pending = dict(names), list[Call]()
        for call in self.log[:end]:
            if isinstance(call, Write):
                inodes[call.file].write(call.at, call.data)
            elif isinstance(call, Truncate):
                inodes[call.file].truncate(call.size)
            elif isinstance(call, SyncFile):
                inodes[call.file].sync()
            elif isinstance(call, SyncFolder):
                certain, pending = dict(names), []
            else:
                if isinstance(call, Create):
                    inodes[call.file] = _Inode()
                pending.append(_apply(call, names))
        return inodes, names, certain, pending

    def _losses(self, end: int, dice: random.Random, count: int) -> Iterator[Files]:
        inodes, _, certain, pending = self._play(end)
        choices: list[tuple[Any, int]] = [(call, 2) for call in pending]
        pieces = [[at] for at in range(len(choices))]
        for number, inode in inodes.items():
            for sector, were in sorted(inode.sectors.items()):
                follows = bool(choices) and choices[-1][0] == (number, sector - 1)
                pieces = [*pieces[:-1], [*pieces[-1], len(choices)]] if follows else [*pieces, [len(choices)]]
                choices.append(((number, sector), 1 + len(were)))
            if inode.sizes:
                pieces.append([len(choices)])
                choices.append(((number, None), 1 + len(inode.sizes)))
        ways = [many for _, many in choices]
        for taken in _combinations(ways, pieces, dice, count):
            yield _materialised(inodes, certain, [what for what, _ in choices], taken)


def _apply(call: Call, names: dict[str, int]) -> Call:
    """Change the names. Returns the same change with the number of the file, if it needs that when it is alone."""
    if isinstance(call, Create):
        names[call.name] = call.file
    elif isinstance(call, Rename):
        names[call.to] = names.pop(call.name)
        return _Moved(call.name, call.to, names[call.to])
    elif isinstance(call, Unlink):
        del names[call.name]
    return call


@dataclass(frozen=True)
class _Moved(Rename):
    file: int


def _materialised(inodes: dict[int, _Inode], certain: dict[str, int], what: list[Any], taken: Sequence[int]) -> Files:
    names = dict(certain)
    contents = {number: bytearray(inode.durable) for number, inode in inodes.items()}
    sizes = {number: len(inode.durable) for number, inode in inodes.items()}
    for choice, way in zip(what, taken, strict=True):
        if not way:
            continue
        if isinstance(choice, Create):
            names[choice.name] = choice.file
        elif isinstance(choice, _Moved):
            names.pop(choice.name, None)
            names[choice.to] = choice.file
        elif isinstance(choice, Unlink):
            names.pop(choice.name, None)
        else:
            number, sector = choice
            if sector is None:
                sizes[number] = inodes[number].sizes[way - 1]
            else:
                content, at = contents[number], sector * SECTOR
                content += bytes(max(0, at - len(content)))
                content[at : at + SECTOR] = inodes[number].sectors[sector][way - 1]
    return {
        name: bytes(contents[number][: sizes[number]]).ljust(sizes[number], b"\0") for name, number in names.items()
    }


def _combinations(ways: list[int], pieces: list[list[int]], dice: random.Random, count: int) -> Iterator[Sequence[int]]:
    """All combinations; or, if that is more than `count`: none of everything, all of everything, everything but one
    piece, one piece alone (what lies together on the disk), and for the rest of the `count` others at random."""
    if math.prod(ways) <= count:
        yield from itertools.product(*map(range, ways))
        return
    yield [0] * len(ways)
    yield [many - 1 for many in ways]
    # Of very many pieces not each: a journal's records and a bulk of files are all alike.
    for piece in dice.sample(pieces, min(len(pieces), max(count, 8))):
        yield [many - 1 if at not in piece else 0 for at, many in enumerate(ways)]
        yield [many - 1 if at in piece else 0 for at, many in enumerate(ways)]
    for _ in range(count):
        # Sometimes almost nothing is lost, sometimes almost everything.
        share = dice.random()
        yield [dice.randrange(1, many) if dice.random() < share else 0 for many in ways]


def _told(call: Call) -> str:
    if isinstance(call, Write):
        return f"write of {len(call.data)} bytes at {call.at} of file {call.file}"
    return str(call)
