"""Guests' text on a terminal: nothing of it moves the cursor, sets a title, or makes the terminal answer."""

import random

import pytest

from jitsu.domains.guest_text import PlainText, printable

LINES = [
    (b"plain", "plain"),
    ("grün ✓".encode(), "grün ✓"),
    (b"\x1b[1;31mred\x1b[0m", "red"),
    (b"\x1b]0;title\x07after", "after"),
    (b"\x1b]8;;http://x\x1b\\link", "link"),
    (b"a\tb\x00\x07\x08\x7f", "a b"),
    (b"\x9b31m\xff", "\ufffd31m\ufffd"),
    ("\x9b2J".encode(), "2J"),
    ("abc\u202egpj.exe\u2028".encode(), "abcgpj.exe"),
    (b"\x1b", ""),
    (b"\x1b[", ""),
    (b"\x1b(Bx", "x"),
]


@pytest.mark.parametrize(("raw", "text"), LINES)
def test_a_line(raw: bytes, text: str) -> None:
    assert printable(raw) == text


@pytest.mark.parametrize(("raw", "text"), LINES)
def test_a_stream_gives_the_same_wherever_it_is_cut(raw: bytes, text: str) -> None:
    for at in range(len(raw) + 1):
        plain = PlainText()
        shown = plain.feed(raw[:at]) + plain.feed(raw[at:]) + plain.feed(b"\nnext\n")
        assert shown.decode() == text + "\nnext\n"


def test_noise_in_pieces_stays_harmless(seeded: random.Random) -> None:
    noise = seeded.randbytes(100_000)
    plain = PlainText()
    shown, at = "", 0
    while at < len(noise):
        size = seeded.randint(1, 500)
        shown += plain.feed(noise[at : at + size]).decode()
        at += size
    assert shown.replace("\n", "").isprintable()
    assert shown.count("\n") == noise.count(b"\n")


def test_a_sequence_without_end_takes_no_memory_and_ends_with_its_line() -> None:
    plain = PlainText()
    for _ in range(1000):
        assert plain.feed(b"\x1b]0;" + b"x" * 1000) == b""
    assert plain.feed(b"\nfree\n") == b"\nfree\n"
