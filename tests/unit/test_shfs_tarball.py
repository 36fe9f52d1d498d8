"""`shfs import`: tar archives of every form, packed and not, whole and broken."""

import bz2
import gzip
import io
import lzma
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.shfs_command import done, failed, names, shfs
from tests.unit.shfs_decoder import Volume as Referee

MIB = 1 << 20
METADATA = 34 * 4096
FILES = {"index.html": b"<p>hello", "css/main.css": b"p {}", "empty.txt": b"", "big.bin": bytes(range(256)) * 9000}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "cache.img"
    done("mkfs", path, "--size", "16M", "--stripe", 4096, "--buckets", 64)
    return path


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


def packed(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """An archive of these."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def plain(files: dict[str, bytes] = FILES, form: int = tarfile.PAX_FORMAT) -> bytes:
    return packed(*((header(name, len(data)), data) for name, data in files.items()), form=form)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize(
    "pack",
    [bytes, gzip.compress, bz2.compress, lzma.compress, lambda data: lzma.compress(data, lzma.FORMAT_ALONE)],
    ids=["plain", "gzip", "bzip2", "xz", "lzma"],
)
def test_an_archive_of_each_form_and_packing(image: Path, form: int, pack: Callable[[bytes], bytes]) -> None:
    ran = done("import", image, stdin=pack(plain(form=form)))

    assert names(image) == FILES
    assert "4 added" in ran.err
    assert {row["name"]: row["mime"] for row in Referee.read([image]).listing()}["css/main.css"] == "text/css"


def test_from_a_file_and_from_a_pipe_that_gives_a_byte_at_first(image: Path, tmp_path: Path) -> None:
    file = tmp_path / "site.tar.gz"
    file.write_bytes(gzip.compress(plain()))

    done("import", image, file)
    assert names(image) == FILES
    assert "the archive on standard input is no tar archive" in failed(8, "import", image)
    assert "nowhere.tar cannot be read" in failed(8, "import", image, "nowhere.tar")

    drip = "import os, shutil, sys; os.write(1, os.read(0, 1)); shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)"
    with (
        file.open("rb") as source,
        subprocess.Popen([sys.executable, "-c", drip], stdin=source, stdout=subprocess.PIPE) as dripping,
    ):
        assert dripping.stdout is not None
        again = done("import", image, f"/dev/fd/{dripping.stdout.fileno()}")
    assert "0 added, 4 there already" in again.err


def test_gnu_tar_of_a_real_folder(image: Path, tmp_path: Path) -> None:
    """Long names, holes, hard links, symbolic links, a FIFO: as the tar of the system writes them."""
    folder = tmp_path / "site"
    long = f"{'d' * 120}/{'f' * 20}.txt"
    for name, data in {**FILES, long: b"long", "ünïcode.txt": b"u", "\udce9t\udce9.txt": b"latin"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with (folder / "sparse.bin").open("wb") as file:
        file.seek(2 * MIB)
        file.write(b"end")
        file.truncate(3 * MIB)
    os.link(folder / "index.html", folder / "zz-hard.html")
    (folder / "soft.html").symlink_to("index.html")
    os.mkfifo(folder / "fifo")
    expected = {**FILES, "ünïcode.txt": b"u", "\udce9t\udce9.txt": b"latin"}
    expected |= {"sparse.bin": bytes(2 * MIB) + b"end" + bytes(MIB - 3), f"{'f' * 20}.txt": b"long"}

    for number, form in enumerate((["--format=gnu"], ["--format=posix"], ["--format=posix", "--sparse-version=0.1"])):
        own = tmp_path / f"{number}.img"
        done("mkfs", own, "--size", "16M", "--stripe", 4096, "--buckets", 64)
        archive = tmp_path / f"{number}.tar"
        subprocess.run(["tar", *form, "--sort=name", "-S", "-C", folder, "-cf", archive, "."], check=True)

        assert "would have" in failed(8, "import", own, archive)
        ran = done("import", own, archive, "--long-names", "none")

        expected_here = {**expected, "": b"long"}
        del expected_here[f"{'f' * 20}.txt"]
        assert names(own) == expected_here
        assert "soft.html of" in ran.err
        assert "it is a symbolic link" in ran.err
        assert "fifo of" in ran.err
        assert "zz-hard.html" not in ran.err, "it is the same as index.html"


def test_rules_for_names_and_choice_are_those_of_folders(image: Path) -> None:
    archive = plain({"./a/x.html": b"1", "/b/y.html": b"2", "../c/z.css": b"3", ".git/config": b"4", "a/.hid": b"5"})

    ran = done("import", image, "--include", "*.html", "--prefix", "s/", "--default", "s/a/x.html", stdin=archive)

    assert names(image) == {"s/a/x.html": b"1", "s/b/y.html": b"2"}
    assert ran.err.startswith("2 added")
    done("import", image, "--names", "base", "--hidden", "--exclude", "b", stdin=archive)
    assert set(names(image)) == {"s/a/x.html", "s/b/y.html", "z.css", "config", ".hid"}


def test_hard_links_to_what_was_left_out_and_devices_are_told(image: Path) -> None:
    archive = packed(
        (header("a.txt", 1), b"a"),
        (header("b.txt", kind=tarfile.LNKTYPE, link="a.txt"), b""),
        (header("tty", kind=tarfile.CHRTYPE), b""),
        (header("folder", kind=tarfile.DIRTYPE), b""),
        (header("folder/same.txt", 1), b"z"),
        (header("folder/again.txt", 1), b"z"),
    )

    ran = done("import", image, "--exclude", "a.txt", stdin=archive)

    assert names(image) == {"folder/same.txt": b"z"}
    assert "b.txt of the archive on standard input is left out: a hard link to a.txt" in ran.err
    assert "tty of the archive on standard input is left out: it is no regular file" in ran.err
    assert "1 added, 1 there already" in ran.err


def test_a_dry_run_of_an_archive(image: Path) -> None:
    before = image.read_bytes()

    assert "4 would be added" in done("import", image, "--dry-run", stdin=plain()).err
    assert image.read_bytes() == before


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["tar", "gz", "bz2", "xz"])
def test_an_archive_that_is_cut_adds_nothing(
    image: Path, seeded: random.Random, full: bool, pack: Callable[[bytes], bytes]
) -> None:
    """At any byte, at the borders of blocks too; but the blocks of zeros behind the first say nothing."""
    data = pack(plain({"a.txt": b"a" * 700, "b.bin": seeded.randbytes(3000)}))
    needed = 512 + 1024 + 512 + 3072 + 512 if pack is bytes else len(data)
    before = image.read_bytes()

    for cut in [*range(0, needed, 512), *(seeded.randrange(needed) for _ in range(500 if full else 20))]:
        told = failed(8, "import", image, stdin=data[:cut])
        assert "is no tar archive, or is damaged or cut" in told
        assert image.read_bytes()[:METADATA] == before[:METADATA]


def test_an_archive_that_is_damaged_is_never_a_traceback(image: Path, seeded: random.Random, full: bool) -> None:
    """Any bytes changed, anywhere: an error of ours, or what the archive says now."""
    archives = [
        plain({"a.txt": b"a", "ü" * 60: b"b", "c" * 30: b"c"}, form=form)
        for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    ]
    for _ in range(3000 if full else 150):
        data = bytearray(seeded.choice(archives))
        for _ in range(seeded.choice([1, 2, 8])):
            data[seeded.randrange(len(data))] = seeded.choice([0, 0xFF, 0x30, 0x39, seeded.randrange(256)])
        if seeded.random() < 0.5:
            _mend_checksums(data)
        ran = shfs("import", image, "--dry-run", "--long-names", "skip", stdin=bytes(data))
        assert ran.code in (0, 6, 8), ran.err


def _mend_checksums(data: bytearray) -> None:
    """Headers whose sums are right, so that what they say is believed."""
    for at in range(0, len(data), 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_a_flip_in_packed_data_is_seen(image: Path, seeded: random.Random, pack: Callable[[bytes], bytes]) -> None:
    """Python's tarfile does not look at the checksum of gzip; a wrong byte would be served with a digest that fits."""
    whole = plain({"a.bin": seeded.randbytes(20_000)})
    data = bytearray(pack(whole))
    before = image.read_bytes()
    for _ in range(20):
        at = seeded.randrange(20, len(data) - 40)
        data[at] ^= 1 << seeded.randrange(8)
        failed(8, "import", image, stdin=bytes(data))
        assert image.read_bytes()[:METADATA] == before[:METADATA]
        data = bytearray(pack(whole))


def test_a_checksum_behind_the_end_of_the_archive_is_seen(image: Path) -> None:
    """It comes behind all the zeros that an archive may have at its end."""
    data = bytearray(gzip.compress(plain() + bytes(4 * MIB)))
    data[-8] ^= 1

    failed(8, "import", image, stdin=bytes(data))
    assert names(image) == {}


def test_zstd_is_told_how(image: Path) -> None:
    assert "zstd -dc" in failed(8, "import", image, stdin=b"\x28\xb5\x2f\xfd" + bytes(100))


def test_members_larger_than_they_say_are_read_as_said(image: Path) -> None:
    """A size that reaches beyond the archive is an archive that was cut."""
    data = bytearray(packed((header("a.txt", 5), b"aaaaa")))
    data[124:136] = b"%011o\0" % (64 * MIB)
    _mend_checksums(data)

    failed(6, "import", image, stdin=bytes(data))
    data[124:136] = b"%011o\0" % MIB
    _mend_checksums(data)
    assert "cut" in failed(8, "import", image, stdin=bytes(data))
    assert names(image) == {}
