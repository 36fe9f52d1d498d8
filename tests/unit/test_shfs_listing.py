"""Listings for people: aligned, nothing cut, and a bar only where somebody watches."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from rich.cells import cell_len

from shfs.cli.listing import listing
from tests.unit.shfs_command import done

ROWS = [("a", "1", "first"), ("bb", "200", "日本語 at the end"), ("ü", "30", "x" * 500), ("語", "4", "")]


def test_columns_are_aligned_to_the_left_or_to_the_right() -> None:
    lines = listing(("NAME", "SIZE", "TEXT"), ROWS, right=("SIZE",))

    assert lines[0] == "NAME  SIZE  TEXT"
    assert lines[1] == "a        1  first"
    assert lines[2] == "bb     200  日本語 at the end"
    assert lines[3].endswith("x" * 500)
    assert {cell_len(line) - cell_len(row[2]) for line, row in zip(lines[1:], ROWS, strict=True)} == {12}


def test_a_listing_of_nothing_has_its_titles() -> None:
    assert listing(("NAME", "SIZE"), []) == ["NAME  SIZE"]


def test_what_would_move_the_cursor_is_shown() -> None:
    assert listing(("A", "B"), [("\x1b[2J", "a\nb"), ("x", "\udce9")])[1:] == ["\\x1b[2J  a\\nb", "x        \\xe9"]


def test_a_listing_in_a_pipe_is_not_cut(tmp_path: Path) -> None:
    image, name = tmp_path / "cache.img", "n" * 64
    done("mkfs", image, "--size", "8M", "--hash-len", 64)
    file = tmp_path / "file"
    file.write_bytes(b"file")
    done("add", image, file, "--name", name, "--mime", "t" * 32)

    columns = {**os.environ, "COLUMNS": "40"}
    command = [sys.executable, "-m", "shfs.cli.main", "ls", image]
    listed = subprocess.run(command, capture_output=True, text=True, check=True, env=columns).stdout

    digest = done("ls", image, "-o", "json").json[0]["digest"]
    assert listed.splitlines()[1].split() == [digest, "4", "B", "file", "t" * 32, name]


def test_a_bar_is_for_terminals(tmp_path: Path) -> None:
    image, file = tmp_path / "cache.img", tmp_path / "large.bin"
    done("mkfs", image, "--size", "64M")
    file.touch()
    os.truncate(file, 32 << 20)
    command = [sys.executable, "-m", "shfs.cli.main", "add", image, file, "--dry-run"]

    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    master, slave = pty.openpty()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=slave, env={**os.environ, "TERM": "xterm"}
    ) as watched:
        os.close(slave)
        shown = b""
        # At the end of a terminal reading fails.
        while block := _read(master):
            shown += block
        assert watched.stdout is not None
        out = watched.stdout.read().decode()
    os.close(master)

    assert "reading" not in piped.stderr
    assert b"32.0/32.0 MiB" in shown
    assert out == piped.stdout


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
