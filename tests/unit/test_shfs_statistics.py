"""Exports of statistics: read, written, added up, put beside a volume; and refused when damaged."""

import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from shfs import Volume
from shfs.cli.main import main
from shfs.cli.options import printable
from shfs.digests import HashFunction
from shfs.errors import HostError, InputError
from shfs.formatting import mkfs
from shfs.links import LinkKind
from shfs.statistics import Access, Shape, Statistics, merge, read_statistics, report

SMALL = (
    b"x4k(hash);u4g(laccess);u4s(hits);u4s(miss);u4s(completed);u4s(0%);u4s(50%);u4s(100%)\n"
    b"00a1b2c3;1795399903;17;1;15;17;16;15\n"
    b"ffffffff;0;0;0;0;0;0;0\n"
    b"01020304;1795399904;0;3;0;0;0;0\n"
)


def read(data: bytes) -> Statistics:
    return read_statistics(io.BytesIO(data), "export")


def exported(shape: Shape, records: list[Access], counter: int = 4) -> bytes:
    """What the original guest prints, piece by piece in its order."""
    out = f"x{shape.digest_length}k(hash);u{counter}g(laccess);u{counter}s(hits);u{counter}s(miss)"
    if shape.counts_transfers:
        out += f";u{counter}s(completed)"
        for threshold in shape.thresholds:
            out += f";u{counter}s({threshold}%)"
    out += "\n"
    for record in records:
        for byte in record.digest:
            out += f"{byte:02x}"
        out += f";{record.last};{record.hits};{record.misses}"
        if shape.counts_transfers:
            out += f";{record.completed}"
            for count in record.progress:
                out += f";{count}"
        out += "\n"
    return out.encode()


def some_export(rng: random.Random) -> tuple[Shape, list[Access]]:
    counts_transfers = rng.random() < 0.8
    levels = rng.choice([0, 2, 3, 6, 101]) if counts_transfers else 0
    shape = Shape(
        rng.choice([1, 4, 16, 32, 64]), counts_transfers, tuple(100 * i // (levels - 1) for i in range(levels))
    )

    def number() -> int:
        return rng.choice([0, 1, rng.randrange(1000), rng.randrange(1 << 32), (1 << 32) - 1])

    records = [
        Access(
            rng.randbytes(shape.digest_length),
            number(),
            number(),
            number(),
            number() if counts_transfers else 0,
            tuple(number() for _ in shape.thresholds),
        )
        for _ in range(rng.randrange(20))
    ]
    return shape, records


def test_an_export_is_read() -> None:
    statistics = read(SMALL)

    assert statistics.shape == Shape(4, True, (0, 50, 100))
    assert statistics.records == (
        Access(bytes.fromhex("00a1b2c3"), 1795399903, 17, 1, 15, (17, 16, 15)),
        Access(b"\xff\xff\xff\xff", progress=(0, 0, 0)),
        Access(b"\1\2\3\4", 1795399904, 0, 3, 0, (0, 0, 0)),
    )


def test_what_is_written_is_what_the_guest_writes(seeded: random.Random, full: bool) -> None:
    for _ in range(20_000 if full else 300):
        shape, records = some_export(seeded)
        counter = seeded.choice([4, 8])
        text = exported(shape, records, counter)

        statistics = read(text)

        assert (statistics.shape, list(statistics.records)) == (shape, records)
        assert statistics.encode() == text


@pytest.mark.parametrize("sector", [512, 4096])
def test_a_device_is_read_up_to_the_nul(sector: int) -> None:
    padded = SMALL + b"\0" * (sector - len(SMALL) % sector)

    assert read(padded + b"old;1;2;3\n" * 500) == read(SMALL)


def test_an_export_that_fills_its_last_sector_is_read() -> None:
    text = b"x4k(hash);u4g(laccess);u4s(hits);u4s(miss)\n" + b"00000001;1;1;0\n" * 30 + b"00000002;1;1;10000\n"
    assert len(text) == 512

    assert read(text + b"\0" * 512).records[-1] == Access(b"\0\0\0\2", 1, 1, 10000)


def test_every_piece_of_an_export_is_refused_unless_it_ends_with_a_line() -> None:
    ends = {match.end() for match in re.finditer(b"\n", SMALL)}

    for length in range(len(SMALL)):
        if length in ends:
            assert len(read(SMALL[:length]).records) == SMALL[:length].count(b"\n") - 1
            continue
        with pytest.raises(InputError):
            read(SMALL[:length])


def test_damage_is_refused_or_is_another_export(seeded: random.Random, full: bool) -> None:
    for _ in range(200_000 if full else 4_000):
        data = bytearray(exported(*some_export(seeded)))
        for _ in range(seeded.randrange(1, 4)):
            at = seeded.randrange(len(data))
            match seeded.randrange(4):
                case 0:
                    data[at] ^= 1 << seeded.randrange(8)
                case 1:
                    data[at] = seeded.choice(b'\0\n;%()-+. 0123456789abcxukgs_"{[\xff')
                case 2:
                    del data[at : at + seeded.randrange(1, 40)]
                case 3:
                    data[at:at] = data[: seeded.randrange(len(data))] if seeded.random() < 0.5 else b"\xd9\xa0"
            if not data:
                data = bytearray(b";")
        try:
            statistics = read(bytes(data))
        except InputError:
            continue
        assert statistics.encode() == bytes(data).partition(b"\0")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"\0" * 512, "is empty"),
        (b"\x7fELF\n", "line 1: it does not say what the columns are"),
        (b"\xff\n", "line 1: it is no text"),
        (SMALL.replace(b"x4k", b"x65k"), "line 1: no digest has 65 bytes"),
        (SMALL.replace(b"u4s(100%)", b"u4s(50%)"), "line 1: its thresholds do not rise"),
        (SMALL.replace(b"u4s(hits)", b"u8s(hits)"), "line 1: it does not say"),
        (SMALL.replace(b"(hits)", b"(hats)"), "line 1: it does not say"),
        (SMALL.replace(b"00a1b2c3", b"00A1B2C3"), "line 2: its digest is none of 8 digits"),
        (SMALL.replace(b"ffffffff;", b"fffffffff;"), "line 3: its digest is none of 8 digits"),
        (SMALL.replace(b";17;1;", b";17;"), "line 2: it has 7 columns, and there are 8"),
        (SMALL.replace(b";17;1;", b";017;1;"), "line 2: one of its numbers is none of 4 bytes"),
        (SMALL.replace(b";17;1;", b";-17;1;"), "line 2: one of its numbers"),
        (SMALL.replace(b";17;1;", b";4294967296;1;"), "line 2: one of its numbers"),
        (SMALL[:60] + SMALL[20:], "line 1"),
    ],
)
def test_it_is_said_where_an_export_is_damaged(text: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        read(text)

    assert said in caught.value.message
    assert caught.value.hint


class Endless(io.RawIOBase):
    """A device with no end of line and no NUL."""

    def __init__(self) -> None:
        self.given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        return b"7" * size


def test_a_device_without_lines_is_not_read_to_its_end() -> None:
    device = Endless()

    with pytest.raises(InputError, match="line 1: it is longer than any line"):
        read_statistics(device, "device")  # type: ignore[arg-type]

    assert device.given <= 1 << 20


def test_a_disk_that_fails_is_told() -> None:
    class Failing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(HostError, match="device cannot be read: Input/output error"):
        read_statistics(Failing(), "device")  # type: ignore[arg-type]


def test_exports_are_added_up() -> None:
    whole = merge([read(SMALL), read(SMALL.replace(b"1795399903", b"9"))])

    assert whole.records[0] == Access(bytes.fromhex("00a1b2c3"), 1795399903, 34, 2, 30, (34, 32, 30))
    assert [record.hits for record in whole.records] == [34, 0, 0]
    assert whole.encode().startswith(b"x4k(hash);u4g")


def test_a_sum_that_is_too_large_for_the_original_has_larger_columns() -> None:
    large = read(b"x4k(hash);u4g(laccess);u4s(hits);u4s(miss)\n00000001;5;4294967295;0\n")

    text = merge([large, large]).encode()

    assert text == b"x4k(hash);u8g(laccess);u8s(hits);u8s(miss)\n00000001;5;8589934590;0\n"
    assert read(text).records == (Access(b"\0\0\0\1", 5, 8589934590),)


def test_a_sum_that_nothing_holds_is_refused() -> None:
    large = read(b"x4k(hash);u8g(laccess);u8s(hits);u8s(miss)\n00000001;5;18446744073709551615;0\n")

    assert merge([large]).encode() == large.encode()
    with pytest.raises(InputError, match="no number of 64 bits"):
        merge([large, large])


@pytest.mark.parametrize("change", [(b"(50%)", b"(49%)"), (b"x4k", b"x5k"), (b"", b"")])
def test_only_exports_with_the_same_columns_are_added_up(change: tuple[bytes, bytes]) -> None:
    head = SMALL.partition(b"\n")[0] + b"\n"
    other = head.replace(*change) if change[0] else b"x4k(hash);u4g(laccess);u4s(hits);u4s(miss)\n"

    with pytest.raises(InputError, match="same columns"):
        merge([read(SMALL), read(other)])


@pytest.fixture
def image(tmp_path: Path) -> str:
    """A volume whose digests have four bytes: `hot`, `cold` and a link."""
    path = tmp_path / "volume.img"
    with path.open("wb") as file:
        file.truncate(1 << 20)
    mkfs([str(path)], stripe=4096, buckets=16, function=HashFunction.MANUAL, digest_length=4)
    with Volume.open([str(path)], write=True) as volume, volume.batch() as batch:
        batch.add(io.BytesIO(b"hot"), size=3, name="hot", digest=bytes.fromhex("00a1b2c3"))
        batch.add(io.BytesIO(b"cold"), size=4, name="co\x1bld", digest=b"\xee" * 4)
        batch.link("http://origin.example/live", LinkKind.RAW, digest=b"\xff\xff\xff\xff")
    return str(path)


def test_objects_of_a_volume_have_their_names_and_hot_ones_come_first(image: str) -> None:
    with Volume.open([image]) as volume:
        found = report(read(SMALL + b"00a1b2c3;1;1;0;1;1;1;1\n0a0a0a0a;1795399904;0;4;0;0;0;0\n"), volume)

    assert [(item.name if item else None, record.hits, record.last) for record, item in found.known] == [
        ("hot", 18, 1795399903),
        ("co\x1bld", 0, 0),
        ("live", 0, 0),
    ]
    assert [(record.digest.hex(), record.misses) for record in found.unknown] == [("0a0a0a0a", 4), ("01020304", 3)]
    assert all(len(record.progress) == 3 for record, _ in found.known)


def test_a_volume_with_other_digests_is_refused(image: str) -> None:
    with Volume.open([image]) as volume, pytest.raises(InputError, match="have 4 bytes, and those of the export 16"):
        report(read(SMALL.partition(b"\n")[0].replace(b"x4k", b"x16k") + b"\n"), volume)


def test_json_is_read_again(image: str, seeded: random.Random) -> None:
    for _ in range(50):
        statistics = merge([read(exported(*some_export(seeded)))])

        again = read(json.dumps(report(statistics).as_json()).encode())

        assert again.shape == statistics.shape
        assert set(again.records) == set(statistics.records)
    with Volume.open([image]) as volume:
        document = report(read(SMALL), volume).as_json()
    assert [row["name"] for row in document["records"]] == ["hot", "co\x1bld", "live"]
    assert [row["type"] for row in document["records"]] == ["file", "file", "raw"]
    assert len(read(json.dumps(document).encode()).records) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document, row: document.pop("unknown"), "'unknown' is missing"),
        (lambda document, row: document.update(digest_length=0), "no digest has 0 bytes"),
        (lambda document, row: document.update(digest_length="4"), "a str, where a int"),
        (lambda document, row: document.update(digest_length=True), "a bool, where a int"),
        (lambda document, row: document.update(thresholds={"0": 1}), "a dict, where a list"),
        (lambda document, row: document.update(thresholds=[50, 0]), "its thresholds do not rise"),
        (lambda document, row: document.update(thresholds=[0, 50]), "has 3 counts of progress"),
        (lambda document, row: document.update(records=7), "a int, where a list"),
        (lambda document, row: document.update(records=["row"]), "a str, where a dict"),
        (lambda document, row: row.pop("hits"), "'hits' is missing"),
        (lambda document, row: row.update(hits=-1), "a count is no number of 64 bits"),
        (lambda document, row: row.update(hits=1.5), "a float, where a int"),
        (lambda document, row: row.update(hits=1 << 64), "a count is no number of 64 bits"),
        (lambda document, row: row.update(digest="00a1b2"), "a digest has 3 bytes, and not 4"),
        (lambda document, row: row.update(digest="no digits"), "non-hexadecimal"),
        (lambda document, row: row.update(digest=5), "a int, where a str"),
    ],
)
def test_json_that_is_no_export_is_refused(change: Callable[[object, object], object], said: str) -> None:
    document = report(read(SMALL)).as_json()
    change(document, document["records"][0])

    with pytest.raises(InputError) as caught:
        read(json.dumps(document).encode())

    assert said in caught.value.message


@pytest.mark.parametrize("text", [b"{", b'{"a":' * 200_000, b"{" + b"9" * 10_000, b'{"records": NaN}', b"{}\n{}"])
def test_what_only_begins_like_json_is_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        read(text)


def shfs(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["stats", *arguments])
    printed = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, printed.out, printed.err


def test_the_command_prints_tables(image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "export").write_bytes(SMALL + b"\0 what was there before")

    code, out, _ = shfs(capsys, str(tmp_path / "export"), "-v", image)

    assert code == 0
    assert out.splitlines() == [
        "DIGEST    HITS  MISSES  COMPLETED  0%  50%  100%  LAST ACCESS              NAME",
        "00a1b2c3    17       1         15  17   16    15  2026-11-23 02:11:43 UTC  hot",
        "eeeeeeee     0       0          0   0    0     0  never                    co\\x1bld",
        "ffffffff     0       0          0   0    0     0  never                    live",
        "",
        "NOT ON THE VOLUME  HITS  MISSES  COMPLETED  0%  50%  100%  LAST ACCESS",
        "01020304              0       3          0   0    0     0  2026-11-23 02:11:44 UTC",
    ]


def test_the_command_adds_up_and_prints_text_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = tmp_path / "export"
    export.write_bytes(SMALL)

    assert shfs(capsys, str(export), "-o", "text")[:2] == (0, SMALL.decode())
    code, out, _ = shfs(capsys, str(export), str(export), "-o", "json")
    assert code == 0
    assert next((row["digest"], row["hits"]) for row in json.loads(out)["records"]) == ("00a1b2c3", 34)
    export.write_text(out)
    assert shfs(capsys, str(export), "-o", "text")[1].splitlines()[1] == "00a1b2c3;1795399903;34;2;30;34;32;30"


def test_the_command_says_what_is_wrong_in_two_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "export").write_bytes(SMALL[:-1])

    for path, code in ((tmp_path / "export", 8), (tmp_path, 8), (tmp_path / "missing", 8)):
        ended, out, err = shfs(capsys, str(path))
        assert (ended, out) == (code, "")
        assert [line.partition(":")[0].strip() for line in err.splitlines()] == ["error", "hint"]
        assert str(path) in err


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain näme", "plain näme"), ("\x1b[31m", "\\x1b[31m"), ("a\udcc3", "a\\xc3"), ("a\nb", "a\\nb")],
)
def test_foreign_text_does_not_reach_the_terminal_as_it_is(text: str, shown: str) -> None:
    assert printable(text) == shown
