"""What users do wrong, or their machine does: two lines with a cure, the documented exit code, the volume as it was."""

import errno
import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shfs.cli.main import cli, main
from shfs.digests import HashFunction
from shfs.formatting import mkfs
from shfs.volume import Volume
from tests.unit.manual_pages import commands
from tests.unit.shfs_decoder import Volume as Referee
from tests.unit.shfs_misuse import ADD, LINK, MEMBERS, MKFS, NOT_A_VOLUME, OBJECT, Case

Printed = tuple[int, str, str]
"""Exit code, standard output, standard error."""

JSON = {name for name, command in commands(cli, "shfs").items() if any("--output" in p.opts for p in command.params)}


class Stage:
    """Volumes and files by name, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, content in CONTENTS.items():
            (folder / name).write_bytes(content)
        (folder / ("l" * 65)).write_bytes(b"long")
        (folder / "folder").mkdir()
        os.mkfifo(folder / "fifo")
        (folder / "loop").symlink_to(folder / "loop")
        with socket.socket(socket.AF_UNIX) as listening:
            here = Path.cwd()
            os.chdir(folder)
            listening.bind("socket")
            os.chdir(here)
        self.make("vol", "held", "double1", "double2", url="http://held.example/", also="link")
        self.make("two", "held", members=("two0", "two1"))
        self.make("other", members=("other0", "other1"))
        self.make("manual", function=HashFunction.MANUAL, digest_length=20)
        self.make("crc", function=HashFunction.CRC)
        self.make("full", chunks=3)
        self.make("waiting", "held", chunks=4, removed=True)
        self.make("bucket", "held", buckets=1, entries=1)
        shutil.copy(folder / "two0", folder / "copy0")
        edited = bytearray((folder / "two1").read_bytes())
        edited[1024 + 48] ^= 1
        (folder / "edited1").write_bytes(edited)
        (folder / "short").write_bytes((folder / "vol").read_bytes()[:40_000])

    def make(
        self,
        name: str,
        *objects: str,
        members: tuple[str, ...] = (),
        chunks: int = 24,
        url: str = "",
        also: str = "",
        removed: bool = False,
        **options: object,
    ) -> None:
        paths = [str(self.folder / member) for member in members or (name,)]
        for path in paths:
            with open(path, "wb") as image:
                image.truncate((chunks + 1) * 4096)
        mkfs(paths, name=name, stripe=4096, **{"buckets": 4, "entries": 4} | options)  # type: ignore[arg-type]
        with Volume.open(paths, write=True) as volume, volume.batch() as batch:
            items = [batch.add(self.folder / item, name=item.rstrip("12")) for item in objects]
            if url:
                batch.link(url)
                batch.link(f"{url}{also}")
            for item in items if removed else ():
                batch.remove(item.digest)

    def words(self, command: str) -> list[str]:
        names = {path.name: str(path) for path in self.folder.iterdir()}
        names |= {"missing": str(self.folder / "missing"), "long": str(self.folder / ("l" * 65))}
        return [word.format(**names) for word in command.split(" ") if word]

    def state(self) -> dict[str, str]:
        """What is in every file: the volumes, what was to go into them, and nothing beside them."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            for path in self.folder.iterdir()
        }


CONTENTS = {
    "small": b"small",
    "more": b"more",
    "held": b"held",
    "double1": b"1",
    "double2": b"2",
    "big": bytes(25 * 4096),
    "empty": b"",
    "garbage": bytes(range(256)) * 200,
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One for all: no case changes it. Other users may enter it."""
    with tempfile.TemporaryDirectory(prefix="shfs-errors-") as folder:
        Path(folder).chmod(0o755)
        yield Stage(Path(folder))


@pytest.fixture
def shfs(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Printed]:
    """Runs a command in this process."""
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*words: str) -> Printed:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, printed.out, printed.err

    return run


def told(printed: Printed, case: Case) -> None:
    """Nothing but two lines, which say what they should."""
    code, out, err = printed
    lines = err.splitlines()
    assert (code, out, len(lines)) == (case.code, "", 2), printed
    assert lines[0].startswith("error: ")
    assert re.search(case.message, lines[0]), lines[0]
    assert lines[1].startswith(" hint: ")
    assert re.search(case.hint, lines[1]), lines[1]


@pytest.mark.parametrize(
    "case", [*NOT_A_VOLUME, *MEMBERS, *ADD, *LINK, *OBJECT, *MKFS], ids=lambda case: case.command[:60]
)
def test_an_error_has_a_cure_and_an_exit_code_and_leaves_all_as_it_was(
    case: Case, stage: Stage, shfs: Callable[..., Printed]
) -> None:
    before = stage.state()
    words = stage.words(case.command)

    told(shfs(*words), case)

    if words[0] in JSON:
        code, out, err = shfs(*words, "-o", "json")
        found = json.loads(err)
        assert (code, out, found["exit_code"]) == (case.code, "", case.code)
        assert re.search(case.message, found["message"])
        assert re.search(case.hint, found["hint"])
    assert stage.state() == before


def test_of_several_files_all_are_added_or_none(stage: Stage, shfs: Callable[..., Printed], tmp_path: Path) -> None:
    """What was written of the first lies in free chunks, where nobody looks."""
    image = tmp_path / "vol"
    shutil.copy(stage.folder / "vol", image)
    before = Referee.read([image])

    printed = shfs("add", str(image), *stage.words("{more} {held}"))

    told(printed, Case("", 7, "held is on the volume already", "once"))
    after = Referee.read([image])
    used = [
        *range(before.first_data_chunk),
        *(chunk for slot in before.live if not slot.is_link for chunk in before.chunks_of(slot)),
    ]
    assert image.stat().st_size == (stage.folder / "vol").stat().st_size
    assert [after.chunk(chunk) for chunk in used if chunk] == [before.chunk(chunk) for chunk in used if chunk]
    assert after.labels == before.labels


def test_the_stage_is_sound(stage: Stage) -> None:
    for names in (["vol"], ["two0", "two1"], ["manual"], ["crc"], ["full"], ["waiting"], ["bucket"]):
        assert Referee.read(stage.folder / name for name in names).findings() == []


DAMAGE = {
    "another version": (1024 + 5, b"\0", "is an SHFS volume of version 2.00, and not of 2.01"),
    "big endian": (1024 + 38, b"\1", "was made on a big-endian machine"),
    "no members": (1024 + 77, b"\0", "it speaks of 0 members"),
    "17 members": (1024 + 77, b"\x11", "it speaks of 17 members"),
    "stripe mode 7": (1024 + 56, b"\7", "there is no stripe mode 7"),
    "stripe size 3000": (1024 + 57, b"\xb8\x0b", "a stripe has 3000 bytes"),
    "stripe size 65536": (1024 + 57, b"\0\0\1", "a stripe has 65536 bytes"),
    "a foreign UUID": (1024 + 61, b"xx", "its own UUID .* is not among its members'"),
    "no chunks": (1024 + 40, bytes(8), "it speaks of 0 chunks"),
    "too many chunks": (1024 + 40, b"\xff" * 8, "vol has .* bytes, and volume vol needs"),
    "hash function 9": (4096 + 16, b"\x09", "there is no hash function 9"),
    "digests of 0 bytes": (4096 + 17, b"\0", "a digest has 0 bytes"),
    "digests of 65 bytes": (4096 + 17, b"\x41", "a digest has 65 bytes"),
    "digests of 31 bytes": (4096 + 17, b"\x1f", "SHA has no digests of 31 bytes"),
    "no buckets": (4096 + 18, bytes(4), "the table has 0 buckets of 4 entries"),
    "no entries": (4096 + 22, bytes(4), "the table has 4 buckets of 0 entries"),
    "2^32 slots": (4096 + 18, b"\xff" * 8, "the table has 4294967295 buckets of 4294967295 entries"),
    "2^32 - 1 slots": (4096 + 18, b"\xff\xff\xff\xff\1\0\0\0", "the table takes chunks 2 to"),
    "allocator 2": (4096 + 26, b"\2", "there is no allocator 2"),
    "a table elsewhere": (4096, b"\x18", "the table takes chunks 24 to 24 of a volume of 24"),
    "a table upon the label": (4096, b"\1", "the table takes chunks 1 to 1"),
    "a backup elsewhere": (4096 + 8, b"\xff" * 8, "the backup table takes chunks"),
    "a backup upon the table": (4096 + 8, b"\2", "the table and its backup overlap"),
}


@pytest.mark.parametrize("command", ["ls", "add"])
@pytest.mark.parametrize(("at", "value", "message"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(
    at: int, value: bytes, message: str, command: str, stage: Stage, shfs: Callable[..., Printed], tmp_path: Path
) -> None:
    image = (stage.folder / "vol").read_bytes()
    damaged = tmp_path / "vol"
    damaged.write_bytes(image[:at] + value + image[at + len(value) :])
    before = damaged.read_bytes()

    printed = shfs(command, str(damaged), *([str(stage.folder / "small")] if command == "add" else []))

    told(printed, Case("", 3, message, "copy|make it anew|was cut"))
    assert damaged.read_bytes() == before


@pytest.mark.parametrize("command", ["add {vol} {small}", "link {vol} http://h/", "rm {vol} held", "trim {vol}"])
def test_a_volume_that_is_being_changed_is_not_changed_by_another(
    command: str, stage: Stage, shfs: Callable[..., Printed]
) -> None:
    before = stage.state()

    with locked(stage.folder / "vol"):
        printed = shfs(*stage.words(command))
        reading = shfs(*stage.words("cat {vol} held"))

    told(printed, Case("", 5, "vol is being changed by another process", "wait until it is done"))
    assert reading == (0, "held", "")
    assert stage.state() == before


def test_a_volume_that_is_being_changed_is_not_formatted(stage: Stage, shfs: Callable[..., Printed]) -> None:
    before = stage.state()

    with locked(stage.folder / "two1"):
        printed = shfs(*stage.words("mkfs -f -s 4096 -b 1 {two0} {two1}"))

    told(printed, Case("", 5, "two1 is being changed by another process", "wait until it is done"))
    assert stage.state() == before


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """As a writer has it."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# fmt: off
RIGHTS = (
    Case("ls {closed}", 4, "closed cannot be read: Permission denied", "the right to read it"),
    Case("add {readonly} {small}", 4, "readonly cannot be written: Permission denied", "to write it for a change"),
    Case("rm {readonly} held", 4, "readonly cannot be written: Permission denied", "to write it for a change"),
    Case("mkfs -f {readonly}", 4, "readonly cannot be written: Permission denied", "to write it for a change"),
    Case("add {open} {unreadable}", 8, "unreadable cannot be read: Permission denied", "its rights"),
    Case("rm {open} held held.example link", 4, "journal .*open.journal cannot be written: Permission", "writable"),
    Case("mkfs {new} --size 1M", 4, "new cannot be made: Permission denied", "look at its folder"),
)
# fmt: on


@pytest.mark.parametrize("case", RIGHTS, ids=lambda case: case.command)
def test_what_the_user_may_not_do(case: Case, stage: Stage, shfs: Callable[..., Printed], tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="shfs-rights-") as name:
        folder = Path(name)
        for copy, mode in {"closed": 0o000, "readonly": 0o444, "open": 0o666}.items():
            shutil.copy(stage.folder / "vol", folder / copy)
            (folder / copy).chmod(mode)
        (folder / "unreadable").write_bytes(b"x")
        (folder / "unreadable").chmod(0o000)
        folder.chmod(0o555)
        before = {path.name: path.stat() for path in folder.iterdir()}
        words = [
            word.format(
                **{path.name: path for path in folder.iterdir()}, new=folder / "new", small=stage.folder / "small"
            )
            for word in case.command.split()
        ]
        # What is imported when it is needed is imported now.
        shfs("stat", str(stage.folder / "vol"), "held")
        for command in ("add", "rm", "mkfs"):
            shfs(command, "--help")

        with an_ordinary_user():
            printed = shfs(*words)

        told(printed, case)
        assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == {
            name: status.st_mtime_ns for name, status in before.items()
        }
        folder.chmod(0o755)


@contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Root may do anything: be somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_grow(stage: Stage, shfs: Callable[..., Printed], tmp_path: Path) -> None:
    image = tmp_path / "vol"
    shutil.copy(stage.folder / "vol", image)
    source = tmp_path / "source"
    source.write_bytes(b"x" * 5000)
    before = image.read_bytes()
    first = Referee.read([image]).first_data_chunk * 4096

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (first, hard))
    try:
        printed = shfs("add", str(image), str(source))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    told(printed, Case("", 4, "vol cannot be written: File too large", "ulimit -f"))
    assert image.read_bytes() == before


def test_output_that_cannot_be_written(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, shfs: Callable[..., Printed]
) -> None:
    for command in ("cat {vol} held", "ls {vol}", "ls {vol} -o json", "info {vol}"):
        with open("/dev/full", "w") as full, monkeypatch.context() as patch:
            patch.setattr("sys.stdout", full)
            code, _, err = shfs(*stage.words(command))
            patch.undo()

        if "json" in command:
            assert json.loads(err)["message"] == f"the output cannot be written: {os.strerror(errno.ENOSPC)}"
        else:
            told((code, "", err), Case("", 4, "the output cannot be written: No space left on device", "room"))
        assert code == 4
