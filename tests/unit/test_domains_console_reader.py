"""Console logs being read: all that is kept at first, then what is added, each line once."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from jitsu.domains.console import ConsoleReader, erase, newest
from jitsu.errors import HostError


@pytest.fixture
def reader(tmp_path: Path) -> ConsoleReader:
    return ConsoleReader(tmp_path, "hello")


def rotate(folder: Path) -> None:
    (folder / "hello.log").replace(folder / "hello.log.1")


def add(folder: Path, text: str) -> None:
    with (folder / "hello.log").open("a", encoding="utf-8") as file:
        file.write(text)


def test_nothing_before_the_first_line(reader: ConsoleReader, tmp_path: Path) -> None:
    assert reader.read() == []
    add(tmp_path, "one\n")
    assert reader.read() == ["one"]
    assert reader.read() == []
    reader.close()
    reader.close()


def test_half_a_line_waits_for_its_other_half(reader: ConsoleReader, tmp_path: Path) -> None:
    add(tmp_path, "one\ntw")
    assert reader.read() == ["one"]
    add(tmp_path, "o\n")
    assert reader.read() == ["two"]
    reader.close()


def test_what_was_written_before_and_after_a_rotation(reader: ConsoleReader, tmp_path: Path) -> None:
    add(tmp_path, "one\n")
    assert reader.read() == ["one"]
    add(tmp_path, "two\n")
    rotate(tmp_path)
    add(tmp_path, "three\n")
    assert reader.read() == ["two", "three"]
    assert reader.read() == []
    reader.close()


def test_two_rotations_between_two_looks(reader: ConsoleReader, tmp_path: Path) -> None:
    add(tmp_path, "one\n")
    assert reader.read() == ["one"]
    for text in ("two\n", "three\n", "four\n"):
        rotate(tmp_path)
        add(tmp_path, text)
    assert reader.read() == ["three", "four"]
    reader.close()


def test_a_look_in_the_middle_of_a_rotation(reader: ConsoleReader, tmp_path: Path) -> None:
    add(tmp_path, "one\n")
    rotate(tmp_path)
    assert reader.read() == ["one"]
    add(tmp_path, "two\n")
    assert reader.read() == ["two"]
    rotate(tmp_path)
    assert reader.read() == []
    add(tmp_path, "three\n")
    assert reader.read() == ["three"]
    reader.close()


def test_a_log_that_cannot_be_read(reader: ConsoleReader, tmp_path: Path) -> None:
    (tmp_path / "hello.log").mkdir()

    with pytest.raises(HostError) as caught:
        reader.read()
    assert caught.value.message == f"console log {tmp_path}/hello.log: is a directory"


def test_the_newest_by_number_and_by_time() -> None:
    lines = [f"2026-11-23T10:00:0{number}.000Z {number}" for number in range(5)]

    assert newest(lines, 2) == lines[3:]
    assert newest(lines, 0) == []
    assert newest(lines, 9) == newest(lines, None) == lines
    assert newest(lines, None, datetime(2026, 11, 23, 10, 0, 3, tzinfo=UTC)) == lines[3:]
    assert newest(lines, 1, datetime(2026, 11, 23, 12, 0, 2, 1000, timezone(timedelta(hours=2)))) == lines[4:]


def test_what_is_kept_of_a_service_is_erased_and_nothing_else(tmp_path: Path) -> None:
    for name in ("hello.log", "hello.log.1", "hello-2.log"):
        (tmp_path / name).write_text("x")
    erase(tmp_path, "hello")
    erase(tmp_path, "hello")
    assert [path.name for path in tmp_path.iterdir()] == ["hello-2.log"]
    (tmp_path / "folder.log").mkdir()
    with pytest.raises(HostError, match=r"console log .*folder\.log: is a directory"):
        erase(tmp_path, "folder")
