"""Names of nodes, and messages on a stream."""

import random
from itertools import pairwise

import pytest

from jitsu.xenstore.paths import below, canonical, canonical_or_special, name_of, parent_of
from jitsu.xenstore.wire import Message, Parser, ProtocolError, StoreError, Type, joined, strings

HOME = "/local/domain/5"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (b"/", "/"),
        (b"/a/b-c_d@e/0", "/a/b-c_d@e/0"),
        (b"data", "/local/domain/5/data"),
        (b"data/x", "/local/domain/5/data/x"),
    ],
)
def test_a_path_is_absolute_or_below_the_home_of_its_domain(given: bytes, path: str) -> None:
    assert canonical(given, HOME) == path


@pytest.mark.parametrize(
    "given", [b"", b"//", b"/a/", b"/a//b", b"a/", b"/a.b", b"/a:b", b"/a+b", b"/a b", b"/a\n", b"/\xff", b"@release"]
)
def test_what_is_no_path_is_refused(given: bytes) -> None:
    with pytest.raises(StoreError) as refused:
        canonical(given, HOME)
    assert refused.value.errno == "EINVAL"


@pytest.mark.parametrize("given", [b"/" + b"x" * 2048, b"x" * 2049])
def test_a_path_that_is_too_long_is_refused(given: bytes) -> None:
    with pytest.raises(StoreError):
        canonical(given, HOME, 2048)
    assert canonical(given[:-1], HOME, 2048)


def test_the_home_of_a_domain_in_front_does_not_count() -> None:
    assert canonical(b"/local/domain/7/" + b"x" * 2048, HOME, 2048)


@pytest.mark.parametrize(("given", "fits"), [(b"@releaseDomain", True), (b"@releaseDomain/5", True), (b"@", False)])
def test_special_paths_are_taken_where_they_may_stand(given: bytes, fits: bool) -> None:
    if fits:
        assert canonical_or_special(given, HOME) == given.decode()
    else:
        with pytest.raises(StoreError):
            canonical_or_special(given, HOME)


@pytest.mark.parametrize(("path", "above", "name"), [("/a/b", "/a", "b"), ("/a", "/", "a"), ("/", "/", "")])
def test_a_path_is_its_parent_and_a_name(path: str, above: str, name: str) -> None:
    assert (parent_of(path), name_of(path)) == (above, name)
    assert path == "/" or below(above, name) == path


def test_messages_are_understood_however_the_stream_is_cut(seeded: random.Random) -> None:
    messages = [
        Message(seeded.randrange(27), number, seeded.randrange(3), seeded.randbytes(seeded.choice((0, 1, 17, 4096))))
        for number in range(50)
    ]
    stream = b"".join(message.encode() for message in messages)
    for _ in range(20):
        parser = Parser()
        cuts = [0, *sorted(seeded.sample(range(len(stream)), 30)), len(stream)]
        pieces = [stream[start:end] for start, end in pairwise(cuts)]
        assert [message for piece in pieces for message in parser.feed(piece)] == messages


def test_a_header_that_announces_too_much_is_the_end() -> None:
    parser = Parser()
    good = Message(Type.READ, 1, 0, b"/\0")
    stream = parser.feed(good.encode() + b"\2\0\0\0" + bytes(8) + (4097).to_bytes(4, "little"))

    assert next(stream) == good
    with pytest.raises(ProtocolError):
        next(stream)


def test_strings_are_terminated() -> None:
    assert strings(b"") == []
    assert strings(b"\0") == [b""]
    assert strings(joined(b"a", b"", b"b")) == [b"a", b"", b"b"]
    with pytest.raises(StoreError):
        strings(b"a\0b")
