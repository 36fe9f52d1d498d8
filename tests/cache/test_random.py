"""Random requests, many at once in pieces of any size, against what an oracle of a few lines says of each."""

import random
from collections.abc import Callable
from urllib.parse import quote

from tests.cache.case import After, Answer, Expected, finish, get, head_of, ok, part, refused, unsatisfied
from tests.cache.content import CHUNK, ITEMS, MODIFIED, Item
from tests.cache.servers import Server

_CONNECTIONS, _CONNECTIONS_IN_SOAK = 60, 3000
_LARGEST = 10 * CHUNK
_ASKED = [
    item
    for item in ITEMS.values()
    if 0 < len(item.content) <= _LARGEST and item.name[-1] != "/" and item.modified == MODIFIED
]
"""Of empty objects nginx has no ranges, and of the future a wrong idea."""

Exchange = tuple[bytes, Expected]


def _target(chance: random.Random, item: Item) -> str:
    """One of the ways to ask for an object."""
    encoded = "".join(f"%{byte:02X}" if chance.random() < 0.3 else quote(bytes((byte,))) for byte in item.name.encode())
    return chance.choice(
        (
            f"/{quote(item.name)}",
            f"/{encoded.replace('%2F', '/')}",
            f"/{quote(item.name)}?{chance.randrange(1000)}",
            f"http://test/{quote(item.name)}",
            f"/?{item.digest}",
            f"/?{item.digest.upper()}",
        )
    )


def _whole(chance: random.Random, item: Item) -> Exchange:
    return get(_target(chance, item)), ok(item.name)


def _head(chance: random.Random, item: Item) -> Exchange:
    return get(_target(chance, item), method="HEAD"), head_of(item.name)


def _nothing(chance: random.Random, item: Item) -> Exchange:
    return get(f"{_target(chance, item).partition('?')[0]}-{chance.randrange(1000)}"), refused(404)


def _range(chance: random.Random, item: Item) -> Exchange:
    """Any one range: its answer by RFC 9110, 14.1.2, said again."""
    size = len(item.content)
    edges = [0, 1, size - 1, size, size + 1, CHUNK - 1, CHUNK, CHUNK + 1, chance.randrange(2 * size), 1 << 40]
    first, last = chance.choice(edges), chance.choice(edges)
    form = chance.choice(("closed", "open", "suffix"))
    if form == "suffix":
        text, begin, end = f"-{last}", max(0, size - last), size - 1
    elif form == "open":
        text, begin, end = f"{first}-", first, size - 1
    else:
        first, last = sorted((first, last))
        text, begin, end = f"{first}-{last}", first, min(last, size - 1)
    expected = part(item.name, begin, end) if begin < size and begin <= end else unsatisfied(item.name)
    return get(_target(chance, item), f"Range: bytes={text}"), expected


def _unchanged(chance: random.Random, item: Item) -> Exchange:
    return get(_target(chance, item), "If-None-Match: *"), Answer((304,), b"")


_KINDS: tuple[Callable[[random.Random, Item], Exchange], ...] = (_whole, _head, _nothing, _range, _range, _unchanged)


def test_random_pipelines(server: Server, seeded: random.Random, full: bool) -> None:
    for number in range(_CONNECTIONS_IN_SOAK if full else _CONNECTIONS):
        chance = random.Random(seeded.random())
        asked = [chance.choice(_KINDS)(chance, chance.choice(_ASKED)) for _ in range(chance.randrange(1, 30))]
        data = b"".join(request for request, _ in asked)
        with server.connect(receive_buffer=chance.choice((None, 4096, 65536))) as wire:
            while data:
                size = chance.choice((1, 7, 100, len(data)))
                wire.send(data[:size])
                data = data[size:]
            for request, expected in asked:
                try:
                    expected.take(wire)
                except AssertionError as violation:
                    raise AssertionError(f"connection {number}, {request!r}: {violation}") from None
            finish(wire, After.OPEN)
