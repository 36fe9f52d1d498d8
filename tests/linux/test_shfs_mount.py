"""`shfs mount`, with the real kernel: what is in the folder is what is in the volume, also while it changes."""

import contextlib
import errno
import hashlib
import mmap
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shfs import Volume, mkfs
from shfs.entry import SLOT_SIZE
from shfs.errors import HostError
from shfs.fuse import mount
from shfs.links import LinkKind
from tests.unit import shfs_decoder
from tests.unit.shfs_golden import GOLDEN, unpack

SHFS = (sys.executable, "-m", "shfs.cli.main")
CREATED = 1_700_000_000

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mounts"),
    pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="needs /dev/fuse"),
    pytest.mark.skipif(shutil.which("fusermount3") is None, reason="fuse3 is not installed"),
]


def mounts() -> list[str]:
    """The folders on which a volume is mounted, in the kernel's spelling."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    return [line.split()[1] for line in lines if line.split()[2] == "fuse.shfs"]


def servers(image: Path) -> list[int]:
    """The processes that have the image open, but for this one."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            with contextlib.suppress(OSError):
                if any(os.readlink(link) == str(image) for link in (process / "fd").iterdir()):
                    found.append(int(process.name))
    return found


def times_open(process: int, image: Path) -> int:
    """How often a process has the image open: once for each edition that it reads."""
    found = 0
    for link in Path(f"/proc/{process}/fd").iterdir():
        # One may be closed before it is looked at.
        with contextlib.suppress(FileNotFoundError):
            found += os.readlink(link) == str(image)
    return found


def until(wanted: object, look: Callable[[], object]) -> None:
    """Waits, for a bounded time, until a look at the system shows what is wanted."""
    for _ in range(600):
        if look() == wanted:
            return
        time.sleep(0.05)
    assert look() == wanted


@contextlib.contextmanager
def mounted(folder: Path, *members: Path) -> Iterator[Path]:
    """A volume, mounted for as long as the block lasts. Nothing is left of it afterwards."""
    folder.mkdir(exist_ok=True)
    options = [word for member in members for word in ("-v", str(member))]
    subprocess.run([*SHFS, "mount", *options, str(folder)], check=True, timeout=60)
    try:
        assert str(folder) in mounts()
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=60)
    until([], lambda: servers(members[0]))
    assert str(folder) not in mounts()
    assert list(folder.iterdir()) == []


def blank(path: Path, size: int) -> str:
    with path.open("wb") as file:
        file.truncate(size)
    return str(path)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A volume of files of several sizes, two links and a default object."""
    mkfs([blank(tmp_path / "v.img", 24 << 20)], name="shown")
    source = random.Random(1)
    with Volume.open([str(tmp_path / "v.img")], write=True) as volume, volume.batch(now=CREATED) as batch:
        for size in (0, 1, 16383, 16384, 16385, 5_000_000):
            (tmp_path / "file").write_bytes(source.randbytes(size))
            item = batch.add(tmp_path / "file", name=f"folder/{size}", mime="text/plain" if size else "")
        batch.set_default(item.digest)
        batch.link("http://example.org:81/x?y=z", LinkKind.RAW, name="stream")
        (tmp_path / "file").write_bytes(b"packed")
        batch.add(tmp_path / "file", name="../ü", encoding="gzip")
    return tmp_path / "v.img"


def test_what_is_in_the_folder(image: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", image) as folder, Volume.open([str(image)]) as volume:
        items = {item.name: item for item in volume.objects()}
        default = volume.default
        assert default is not None

        assert sorted(os.listdir(folder)) == ["default", "hashes", "names"]
        assert sorted(os.listdir(folder / "names")) == ["%2E%2E", "folder", "stream"]
        assert sorted(os.listdir(folder / "hashes")) == sorted(item.digest.hex() for item in items.values())
        assert os.readlink(folder / "default") == f"hashes/{default.digest.hex()}"
        assert os.readlink(folder / "names" / "stream") == "http://example.org:81/x?y=z"
        for name, item in items.items():
            if item.link:
                continue
            content = b"".join(map(bytes, volume.read(item)))
            for path in (folder / "names" / name.replace("..", "%2E%2E"), folder / "hashes" / item.digest.hex()):
                status = path.stat()
                assert (status.st_size, status.st_mtime, status.st_mode) == (item.size, CREATED, stat.S_IFREG | 0o444)
                assert path.read_bytes() == content
        assert (folder / "names" / "folder").stat().st_mode == stat.S_IFDIR | 0o555


def test_what_is_not_there_and_what_cannot_be_done(image: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", image) as folder:
        for path in ("nothing", "names/nothing", "names/folder/1/x", "hashes/00"):
            with pytest.raises((FileNotFoundError, NotADirectoryError)):
                os.stat(folder / path)
        with pytest.raises(OSError, match="Read-only file system"):
            (folder / "names" / "new").touch()
        with pytest.raises(OSError, match="Read-only file system"):
            (folder / "names" / "folder" / "1").unlink()
        with pytest.raises(OSError, match="Read-only file system"):
            (folder / "names" / "folder" / "1").chmod(0o777)


def test_extended_attributes(image: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", image) as folder:
        one = folder / "names" / "folder" / "1"
        assert {name: os.getxattr(one, name) for name in os.listxattr(one)} == {
            "user.mime_type": b"text/plain",
            "user.shfs.digest": hashlib.sha256(one.read_bytes()).hexdigest().encode(),
        }
        assert os.listxattr(folder / "names" / "folder" / "0") == ["user.shfs.digest"]
        assert os.getxattr(folder / "names" / "%2E%2E" / "ü", "user.shfs.encoding") == b"gzip"
        assert os.listxattr(folder / "names") == []
        with pytest.raises(OSError, match="No data available"):
            os.getxattr(one, "user.other")


def test_room(image: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", image) as folder:
        shown = os.statvfs(folder)
    with Volume.open([str(image)], write=True) as volume, volume.batch() as batch:
        assert (shown.f_frsize, shown.f_blocks, shown.f_bfree) == (16384, volume.geometry.chunks, batch.free_chunks)
        assert (shown.f_files, shown.f_ffree) == (16384, 16384 - 8)
    assert shown.f_flag & os.ST_RDONLY


def test_reading_anywhere(image: Path, tmp_path: Path, seeded: random.Random) -> None:
    with mounted(tmp_path / "mnt", image) as folder:
        path = folder / "names" / "folder" / "5000000"
        whole = path.read_bytes()
        with path.open("rb", buffering=0) as file:
            for _ in range(200):
                start, length = seeded.randrange(5_100_000), seeded.randrange(1, 300_000)
                assert os.pread(file.fileno(), length, start) == whole[start : start + length]
            with mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as mapped:
                assert mapped[4_999_990:] == whole[-10:]


def test_other_programs(image: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", image) as folder:
        subprocess.run(["cp", "-a", f"{folder}/.", str(tmp_path / "copy")], check=True, timeout=60)
        ended = subprocess.run(["diff", "-r", "--no-dereference", str(folder), str(tmp_path / "copy")], timeout=60)
        assert ended.returncode == 0
        archive = subprocess.run(["tar", "-C", str(folder), "-c", "names"], check=True, capture_output=True, timeout=60)
        assert len(archive.stdout) > 5_000_000
        found = subprocess.run(
            ["find", str(folder), "-type", "f"], check=True, capture_output=True, text=True, timeout=60
        ).stdout
        assert len(found.splitlines()) == 2 * 7
    assert (tmp_path / "copy" / "names" / "folder" / "16384").stat().st_mtime == CREATED


def test_readers_in_parallel(image: Path, tmp_path: Path) -> None:
    wrong: list[object] = []

    def read(number: int) -> None:
        picked = random.Random(number)
        with path.open("rb", buffering=0) as file:
            for _ in range(40):
                start = picked.randrange(len(whole))
                if os.pread(file.fileno(), 100_000, start) != whole[start : start + 100_000]:
                    wrong.append((number, start))

    with mounted(tmp_path / "mnt", image) as folder:
        path = folder / "names" / "folder" / "5000000"
        whole = path.read_bytes()
        readers = [threading.Thread(target=read, args=(number,)) for number in range(12)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert wrong == []


def test_a_large_file_and_the_memory_of_the_process(tmp_path: Path) -> None:
    size = (100 << 20) + 3
    mkfs([blank(tmp_path / f"m{number}", 60 << 20) for number in range(2)], stripe=4096)
    blank(tmp_path / "zeros", size)
    members = [tmp_path / "m0", tmp_path / "m1"]
    with Volume.open([str(member) for member in members], write=True) as volume, volume.batch() as batch:
        batch.add(tmp_path / "zeros")
    with mounted(tmp_path / "mnt", *members) as folder:
        subprocess.run(["cmp", str(folder / "names" / "zeros"), str(tmp_path / "zeros")], check=True, timeout=100)
        (server,) = servers(members[0])
        peak = re.search(r"VmHWM:\s+([0-9]+) kB", Path(f"/proc/{server}/status").read_text())
        assert peak
        assert int(peak[1]) << 10 < size


def change(image: Path, folder: Path, name: str, content: bytes) -> None:
    """The object of that name is another one from now on."""
    (folder / "content").write_bytes(content)
    with Volume.open([str(image)], write=True) as volume, volume.batch(now=CREATED) as batch:
        if (old := volume.named(name)) is not None:
            batch.remove(old.digest)
        batch.add(folder / "content", name=name)


def test_what_changes_is_there_at_the_next_look_and_what_is_open_stays(image: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", image) as folder:
        path = folder / "names" / "x"
        assert not path.exists()
        change(image, tmp_path, "x", b"a" * 500_000)
        with path.open("rb", buffering=0) as first:
            assert first.read(1000) == b"a" * 1000
            change(image, tmp_path, "x", b"b" * 20)
            with path.open("rb", buffering=0) as second:
                assert path.stat().st_size == 20
                assert second.read() == b"b" * 20
                assert os.lseek(second.fileno(), 0, os.SEEK_END) == 20
                assert b"".join(iter(lambda: first.read(65536), b"")) == b"a" * 499_000
                assert os.lseek(first.fileno(), 0, os.SEEK_END) == 500_000
            with Volume.open([str(image)], write=True) as volume, volume.batch() as batch:
                batch.remove(volume.get("x").digest)
            assert not path.exists()
            assert "x" not in os.listdir(folder / "names")
            assert os.pread(first.fileno(), 10, 0) == b"a" * 10


def test_files_of_one_path_and_size_and_time_are_not_mixed(image: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", image) as folder, contextlib.ExitStack() as stack:
        opened = []
        for content in (b"a" * 70_000, b"b" * 70_000, b"c" * 70_000):
            change(image, tmp_path, "x", content)
            opened.append((stack.enter_context((folder / "names" / "x").open("rb", buffering=0)), content))
            for file, expected in opened:
                assert os.pread(file.fileno(), 100_000, 0) == expected
        (server,) = servers(image)
        assert times_open(server, image) >= 3
        stack.close()
        until(1, lambda: times_open(server, image))


def test_a_volume_that_cannot_be_read_any_more_stays_as_it_was(image: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "mnt", image) as folder:
        before = sorted(os.listdir(folder / "names"))
        image.rename(tmp_path / "away")
        try:
            assert sorted(os.listdir(folder / "names")) == before
            assert (folder / "names" / "folder" / "1").stat().st_size == 1
        finally:
            (tmp_path / "away").rename(image)


def test_an_object_that_is_damaged_is_an_error_of_reading(image: Path, tmp_path: Path) -> None:
    with Volume.open([str(image)]) as volume:
        slot = volume.get("folder/1").slot
        place = volume.configuration.table * volume.geometry.chunk_size + slot * SLOT_SIZE + 64
    with image.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 24)
    with mounted(tmp_path / "mnt", image) as folder:
        with pytest.raises(OSError, match="Input/output error") as caught:
            (folder / "names" / "folder" / "1").open("rb")
        assert caught.value.errno == errno.EIO
        assert (folder / "names" / "folder" / "1").stat().st_size == (1 << 63) - 1
        assert (folder / "names" / "folder" / "16384").stat().st_size == 16384


def test_all_golden_volumes(tmp_path: Path) -> None:
    members = {}
    for name, record in GOLDEN.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "mnt").mkdir()
        members[name] = unpack(record, tmp_path / name)
    # One program mounts all: to start it for each would take most of the time.
    program = "import sys; from shfs.fuse import mount\nfor line in sys.stdin: mount(*eval(line))"
    lines = "".join(f"{[*map(str, paths)], str(tmp_path / name / 'mnt')}\n" for name, paths in members.items())
    try:
        subprocess.run([sys.executable, "-c", program], input=lines, text=True, check=True, timeout=100)
        for name, paths in members.items():
            compare(tmp_path / name / "mnt", shfs_decoder.Volume.read(paths))
    finally:
        for name in members:
            subprocess.run(["umount", str(tmp_path / name / "mnt")], check=True, timeout=60)
    assert not [folder for folder in mounts() if folder.startswith(str(tmp_path))]


def compare(folder: Path, referee: shfs_decoder.Volume) -> None:
    """Everything in hashes/ is as the referee has it, and so is the first of each plain name in names/."""
    assert sorted(os.listdir(folder / "hashes")) == sorted(slot.digest.hex() for slot in referee.live)
    seen = set()
    for slot in referee.live:
        name = os.fsdecode(slot.name)
        paths = [folder / "hashes" / slot.digest.hex()]
        if name and "/" not in name and name not in (".", "..") and name not in seen:
            paths.append(folder / "names" / name)
        seen.add(name)
        for path in paths:
            if slot.is_link:
                assert os.readlink(path) == slot.target.replace(":80/", "/")
                continue
            assert (path.stat().st_size, path.stat().st_mtime) == (slot.size, slot.created)
            if slot.size and referee.chunks_of(slot).stop > referee.label.chunks:
                # The original writes past the end of a volume that has a link.
                with pytest.raises(OSError, match="Input/output error"):
                    path.read_bytes()
                continue
            assert path.read_bytes() == referee.content(slot)
    default = referee.default
    assert (folder / "default").is_symlink() == (default is not None)
    if default is not None:
        assert os.readlink(folder / "default") == f"hashes/{default.digest.hex()}"


def test_a_mount_whose_process_was_killed_can_be_removed(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mnt"
    folder.mkdir()
    subprocess.run([*SHFS, "mount", str(image), str(folder)], check=True, timeout=60)
    (server,) = servers(image)
    os.kill(server, signal.SIGKILL)
    until([], lambda: servers(image))
    try:
        ended = subprocess.run([*SHFS, "mount", str(image), str(folder)], capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (
            4,
            f"error: {folder} is mounted, and the process that served it is gone\n hint: fusermount3 -u {folder}\n",
        )
    finally:
        subprocess.run(["fusermount3", "-u", str(folder)], check=True, timeout=60)
    assert list(folder.iterdir()) == []
    with mounted(folder, image):
        assert sorted(os.listdir(folder)) == ["default", "hashes", "names"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_it_stays_until_it_is_told_to_end(image: Path, tmp_path: Path, number: int) -> None:
    folder = tmp_path / "mnt"
    folder.mkdir()
    with subprocess.Popen(
        [*SHFS, "mount", "-f", str(image), str(folder)], stderr=subprocess.PIPE, text=True
    ) as process:
        until(True, lambda: str(folder) in mounts())
        assert sorted(os.listdir(folder)) == ["default", "hashes", "names"]
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert str(folder) not in mounts()


def test_in_the_foreground_it_ends_with_the_mount(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mnt"
    folder.mkdir()
    with subprocess.Popen([*SHFS, "mount", "--foreground", str(image), str(folder)]) as process:
        until(True, lambda: str(folder) in mounts())
        subprocess.run(["umount", str(folder)], check=True, timeout=60)
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("allowed", [False, True])
def test_how_it_is_mounted(image: Path, tmp_path: Path, allowed: bool) -> None:
    odd = tmp_path / "a,b\\c.img"
    image.rename(odd)
    folder = tmp_path / "mnt"
    folder.mkdir()
    subprocess.run(
        [*SHFS, "mount", str(odd), str(folder), *(["--allow-other"] if allowed else [])], check=True, timeout=60
    )
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        (line,) = [line.split() for line in lines if line.split()[1] == str(folder)]
        assert line[0] == str(odd).replace("\\", "\\134")
        assert {"ro", "nosuid", "nodev"} < set(line[3].split(","))
        assert ("allow_other" in line[3].split(",")) is allowed
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=60)


def refused(*arguments: str | Path, **environment: str) -> tuple[int, str, str]:
    """Exit code, error and hint of a mount that fails, in two lines."""
    ended = subprocess.run(
        [*SHFS, "mount", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )
    first, second = ended.stderr.splitlines()
    assert first.startswith("error: ")
    assert second.startswith(" hint: ")
    return ended.returncode, first.removeprefix("error: "), second.removeprefix(" hint: ")


def test_folders_on_which_nothing_can_be_mounted(image: Path, tmp_path: Path) -> None:
    assert refused(image, tmp_path / "none")[0] == 8
    assert refused(image, image)[0] == 8
    code, error, _ = refused(image, tmp_path)
    assert (code, error) == (8, f"{image} lies in {tmp_path}, and would be behind the volume that is in it")
    (tmp_path / "empty").write_bytes(bytes(5000))
    (tmp_path / "mnt").mkdir()
    assert refused(tmp_path / "empty", tmp_path / "mnt")[0] == 3
    assert [folder for folder in mounts() if folder.startswith(str(tmp_path))] == []


def test_a_machine_that_lacks_something(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mnt"
    folder.mkdir()
    # A file of that name, which cannot be imported, stands before the package.
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "mfusepy.py").write_text("raise ImportError")
    assert refused(image, folder, PYTHONPATH=str(tmp_path / "first")) == (
        4,
        "mfusepy is not installed, which mounts volumes",
        "pip install 'jitsu[fuse]'",
    )
    assert refused(image, folder, FUSE_LIBRARY_NAME="there-is-none") == (
        4,
        "libfuse is not installed",
        "on Debian: apt install fuse3",
    )


@pytest.mark.parametrize(
    ("function", "answer", "message"),
    [
        ("os.path.exists", False, "this system has no /dev/fuse"),
        ("os.access", False, "you may not use /dev/fuse"),
        ("shutil.which", None, "fusermount3 is not installed, without which only root can mount"),
    ],
)
def test_what_is_looked_for_before(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, answer: object, message: str
) -> None:
    monkeypatch.setattr(f"shfs.fuse.{function}", lambda *_: answer)
    monkeypatch.setattr("shfs.fuse.os.geteuid", lambda: 1000)

    (tmp_path / "mnt").mkdir()

    with pytest.raises(HostError, match=message):
        mount([str(image)], str(tmp_path / "mnt"))


@pytest.mark.parametrize("how", [(), ("--foreground",)])
def test_a_system_that_does_not_mount(image: Path, tmp_path: Path, how: tuple[str, ...]) -> None:
    folder = tmp_path / "mnt"
    folder.mkdir()
    powerless = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", "--"]
    ended = subprocess.run(
        [*powerless, *SHFS, "mount", *how, str(image), str(folder)], capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == 4
    first, second = ended.stderr.splitlines()
    assert first.startswith(f"error: the volume cannot be mounted on {folder}: fuse")
    assert first.endswith("Operation not permitted")
    assert second.startswith(" hint: ")
    assert str(folder) not in mounts()
