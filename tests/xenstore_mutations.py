"""Messages of every type as clients send them, and what becomes of them when octets go wrong. One seeded source."""

import random
from collections.abc import Callable, Iterator

from jitsu.xenstore.wire import HEADER, LONGEST_PAYLOAD, Message, Type

HEALTHY = 31337
"""A domid that no message is about, nor becomes about by a few wrong octets; nor is any about this path."""
HEALTHY_PATH = b"/healthy_and_left_alone"

GOOD = (
    *(b"/t", b"/t/a", b"/t/a/b", b"/t/a/b/c", b"/t/list/0", b"/t/list/1", b"/t/list", b"/t/box", b"/t/box/1", b"/"),
    *(
        b"rel",
        b"rel/x",
        b"data/ready",
        b"/local/domain/1",
        b"/local/domain/1/data",
        b"/local/domain/2/data",
        b"/tool/x",
    ),
)
PATHS = (
    *GOOD * 4,
    *(b"", b"//", b"/t/", b"t//a", b"@releaseDomain", b"@introduceDomain", b"@releaseDomain/1", b"@nothing", b"@"),
    *(b"/t/\xc3\xa9", b"/t/\xff", b"/t/a b", b"/t/.", b"/t/" + b"n" * 2040, b"/t/" + b"n" * 3069, b"/t" + b"/d" * 1000),
)
WORDS = (
    b"",
    b"0",
    b"1",
    b"2",
    b"3",
    b"5",
    b"-1",
    b"007",
    b"65536",
    b"99999999999999999999",
    b"1.5",
    b"\xd9\xa1",
    b"x",
    b"T",
    b"F",
)
TOKENS = (b"t", b"t", b"t", b"", b"\xff", b"k" * 3000)
NUMBERS = (*(b"1", b"2", b"3", b"4") * 8, *WORDS)
PERMS = (
    b"n0",
    b"r0",
    b"w1",
    b"b1",
    b"n1",
    b"n2",
    b"r2",
    b"b2",
    b"n3",
    b"r32757",
    b"b32752",
    b"x1",
    b"n",
    b"",
    b"r99999",
    b"n-1",
)
VALUES = (b"", b"v", b"running", bytes(8), b"a\0b", b"\xff\xfe", b"x" * 500, b"y" * 2000, b"z" * 4000, b"1" * 4090)
COMMANDS = (b"check", b"help", b"quota", b"memreport", b"print", b"log", b"restrict", b"nonsense", b"")
QUOTAS = (b"nodes", b"watches", b"memory", b"outstanding", b"nonsense", b"\xff")


def pieces(source: random.Random, count: int) -> Iterator[bytes]:
    """`count` messages: some as they should be, most with a few things wrong."""
    for number in range(count):
        raw = message(source, number)
        for _ in range(source.choice((0, 0, 0, 0, 1, 1, 2, 5))):
            raw = source.choice(MUTATIONS)(source, raw)
        # Behind one of these nothing is understood any more: they are rare.
        yield raw if source.random() < 0.99 else source.choice(BREAKING)(source, raw)


def cut(source: random.Random, stream: bytes) -> Iterator[bytes]:
    """The same bytes in pieces of any size."""
    while stream:
        size = source.choice((1, 2, 15, 16, 17, 40, 500, 5000, 20_000))
        yield stream[:size]
        stream = stream[size:]


def message(source: random.Random, number: int) -> bytes:
    """A message as it should be, more or less: some words do not go together."""
    pick = source.choice
    kind = pick(KINDS)
    payload = PAYLOADS.get(kind, _nothing)(source)[:LONGEST_PAYLOAD]
    transaction = pick((0, 0, 0, 0, 1, 1, 2, 3)) if kind != Type.TRANSACTION_START else 0
    return Message(kind, number & 0xFFFFFFFF, transaction, payload).encode()


# Payloads, by type.


def _words(source: random.Random, *kinds: tuple[bytes, ...]) -> bytes:
    return b"".join(source.choice(kind) + b"\0" for kind in kinds)


def _path(source: random.Random) -> bytes:
    return _words(source, PATHS)


def _write(source: random.Random) -> bytes:
    return _words(source, PATHS) + source.choice(VALUES)


def _perms(source: random.Random) -> bytes:
    return _words(source, PATHS, *[PERMS] * source.choice((0, 1, 1, 2, 3, 6, 300)))


def _watch(source: random.Random) -> bytes:
    return _words(source, GOOD[:4] + PATHS, TOKENS) + (_words(source, WORDS) if source.random() < 0.2 else b"")


def _part(source: random.Random) -> bytes:
    return _words(source, PATHS, WORDS)


def _end(source: random.Random) -> bytes:
    return source.choice((b"T\0", b"T\0", b"F\0", b"T", b"\0", b"TF\0"))


def _numbers(count: int) -> Callable[[random.Random], bytes]:
    return lambda source: _words(source, *[NUMBERS] * source.choice((count, count, count, count + 1, 0)))


def _introduce(source: random.Random) -> bytes:
    domid = b"%d" % source.choice((1, 2, 3, 1000 + source.randrange(2000)))
    return domid + b"\0" + _words(source, NUMBERS, NUMBERS)


def _control(source: random.Random) -> bytes:
    rest = source.choice(((), (PATHS,), (PATHS, (b"on", b"off")), ((b"on",),), ((b"set",), QUOTAS, WORDS)))
    return _words(source, COMMANDS, *rest)


def _quota(source: random.Random) -> bytes:
    return _words(source, *source.choice(((), (QUOTAS,), (NUMBERS, QUOTAS), (NUMBERS, QUOTAS, WORDS), (QUOTAS, WORDS))))


def _nothing(source: random.Random) -> bytes:
    return source.choice((b"", b"\0", b"doom\0", b"x"))


PAYLOADS: dict[int, Callable[[random.Random], bytes]] = {
    **dict.fromkeys((Type.READ, Type.DIRECTORY, Type.GET_PERMS, Type.MKDIR, Type.RM), _path),
    Type.WRITE: _write,
    Type.SET_PERMS: _perms,
    Type.WATCH: _watch,
    Type.UNWATCH: _watch,
    Type.DIRECTORY_PART: _part,
    Type.TRANSACTION_END: _end,
    Type.INTRODUCE: _introduce,
    Type.CONTROL: _control,
    **dict.fromkeys((Type.GET_DOMAIN_PATH, Type.RELEASE, Type.RESUME, Type.IS_DOMAIN_INTRODUCED), _numbers(1)),
    **dict.fromkeys((Type.SET_TARGET, Type.SET_FEATURE), _numbers(2)),
    Type.GET_FEATURE: _numbers(1),
    **dict.fromkeys((Type.GET_QUOTA, Type.SET_QUOTA), _quota),
}
KINDS: tuple[int, ...] = (
    *(*Type, 20, 27, 255, 0xFFFFFFFF),
    *[Type.WRITE, Type.READ, Type.MKDIR, Type.RM, Type.SET_PERMS, Type.DIRECTORY, Type.WATCH] * 3,
    *[Type.TRANSACTION_START, Type.TRANSACTION_END] * 4,
    *[Type.INTRODUCE, Type.SET_TARGET, Type.SET_FEATURE, Type.RELEASE, Type.SET_QUOTA, Type.UNWATCH, Type.WATCH] * 2,
)


# What goes wrong.


def _flip(source: random.Random, raw: bytes) -> bytes:
    if not raw:
        return raw
    place = source.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << source.randrange(8)]) + raw[place + 1 :]


def _flip_in_payload(source: random.Random, raw: bytes) -> bytes:
    return raw[: HEADER.size] + _flip(source, raw[HEADER.size :])


def _nul(source: random.Random, raw: bytes) -> bytes:
    """A NUL, or the lack of one, somewhere in the payload."""
    if len(raw) <= HEADER.size:
        return raw
    place = source.randrange(HEADER.size, len(raw))
    return raw[:place] + source.choice((b"\0", b"x", b"/", b"@", b"\x80")) + raw[place + 1 :]


def _fitted(raw: bytes) -> bytes:
    """With a length that is that of the payload."""
    if len(raw) < HEADER.size:
        return raw
    payload = raw[HEADER.size :][:LONGEST_PAYLOAD]
    kind, request, transaction, _ = HEADER.unpack_from(raw)
    return HEADER.pack(kind, request, transaction, len(payload)) + payload


def _shorter(source: random.Random, raw: bytes) -> bytes:
    return _fitted(raw[: source.randrange(min(HEADER.size, len(raw)), len(raw) + 1)])


def _longer(source: random.Random, raw: bytes) -> bytes:
    return _fitted(raw + source.choice((b"\0", b"/", b"x", bytes(40), b"\0" * 4000, source.randbytes(30))))


def _cut(source: random.Random, raw: bytes) -> bytes:
    """The header announces more than comes."""
    return raw[: source.randrange(len(raw) + 1)]


def _length(source: random.Random, raw: bytes) -> bytes:
    if len(raw) < HEADER.size:
        return raw
    kind, request, transaction, length = HEADER.unpack_from(raw)
    wrong = source.choice(
        (0, 1, (length + 1) & 0xFFFFFFFF, max(length - 1, 0), 4096, 4097, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    )
    return HEADER.pack(kind, request, transaction, wrong) + raw[HEADER.size :]


def _kind(source: random.Random, raw: bytes) -> bytes:
    if len(raw) < HEADER.size:
        return raw
    return source.choice(KINDS).to_bytes(4, "little") + raw[4:]


def _transaction(source: random.Random, raw: bytes) -> bytes:
    if len(raw) < HEADER.size:
        return raw
    return raw[:8] + source.choice((0, 1, 2, 3, 77, 0x7FFFFFFF, 0xFFFFFFFF)).to_bytes(4, "little") + raw[12:]


MUTATIONS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_flip_in_payload, _flip_in_payload, _nul, _nul, _kind, _transaction, _shorter, _longer),
)
BREAKING: tuple[Callable[[random.Random, bytes], bytes], ...] = (_flip, _cut, _length)
