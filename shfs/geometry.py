"""Where a chunk lies: members, stripes and chunks (SHFS 2.01; shfs(5), "Members, stripes, chunks").

Stripes are dealt to the members in turn. In mode *independent* a chunk is one stripe, in mode *combined* it is one
stripe of each member. Chunk 0 is none of this: each member carries the label in its first 4096 bytes.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from shfs.errors import InputError

LABEL_SIZE = 4096
"""Bytes at the start of each member that hold the label."""

MOST_MEMBERS = 16
LEAST_STRIPE, MOST_STRIPE = 4096, 32768


class StripeMode(enum.IntEnum):
    """How stripes make up chunks, by the number that the label has for it."""

    INDEPENDENT = 0
    COMBINED = 1


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes that lie together on one member, `offset` from its beginning. `pieces` are the places that they have in the
    run of chunks that was asked for, as (position, length): with several members every stripe is a piece."""

    member: int
    offset: int
    pieces: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Geometry:
    """`members` files, dealt `stripe` bytes in turn; `chunks` of them, chunk 0 counted."""

    members: int
    stripe: int
    mode: StripeMode
    chunks: int

    @classmethod
    def of_size(cls, members: int, stripe: int, mode: StripeMode, smallest: int) -> "Geometry":
        """The geometry of a new volume whose smallest member has that many bytes.

        One member is always independent. The last chunk of one member, and as many chunks less one as there are
        combined members, are never used: the format counts so. `chunks` is 0 where not even a chunk fits.
        """
        if members == 1:
            mode = StripeMode.INDEPENDENT
        stripes = smallest // stripe
        chunks = stripes - (members - 1) if mode is StripeMode.COMBINED else (stripes - 1) * members
        return cls(members, stripe, mode, max(chunks, 0))

    @property
    def chunk_size(self) -> int:
        """Bytes in a chunk."""
        return self.stripe * self.members if self.mode is StripeMode.COMBINED else self.stripe

    @property
    def least_member(self) -> int:
        """The bytes that each member must have. Of independent members the original wants `(chunks + 1) // members`
        stripes, which is one too few where there are several: the last chunk lies behind them."""
        if self.mode is StripeMode.COMBINED:
            return (self.chunks + 1) * self.stripe
        last = self.chunks + self.members - 2
        return max((self.chunks + 1) // self.members, last // self.members + 1) * self.stripe

    def member_size_for(self, chunks: int) -> int:
        """The bytes that each member of a volume of so many chunks must have for mkfs to count that many."""
        if self.mode is StripeMode.COMBINED:
            return (chunks + self.members - 1) * self.stripe
        return (-(-chunks // self.members) + 1) * self.stripe

    def chunks_of(self, length: int) -> int:
        """How many chunks hold `length` bytes."""
        return -(-length // self.chunk_size)

    def spans(self, chunk: int, start: int, length: int) -> Iterator[Span]:
        """Where `length` bytes lie that begin `start` bytes behind the beginning of `chunk` (1 or above): at most one
        span for each member, since the stripes that a member gets in its turns lie together on it."""
        first = chunk * self.members if self.mode is StripeMode.COMBINED else chunk + self.members - 1
        if self.members == 1:
            if length:
                yield Span(0, first * self.stripe + start, ((0, length),))
            return
        skipped, within = divmod(start, self.stripe)
        stripe = first + skipped
        offsets: dict[int, int] = {}
        pieces: dict[int, list[tuple[int, int]]] = {}
        position = 0
        while position < length:
            size = min(self.stripe - within, length - position)
            member = stripe % self.members
            offsets.setdefault(member, stripe // self.members * self.stripe + within)
            pieces.setdefault(member, []).append((position, size))
            position += size
            stripe += 1
            within = 0
        for member, offset in offsets.items():
            yield Span(member, offset, tuple(pieces[member]))


def check_stripe(stripe: int) -> None:
    """Raises InputError unless it is a power of two from 4096 to 32768."""
    if not LEAST_STRIPE <= stripe <= MOST_STRIPE or stripe & (stripe - 1):
        raise InputError(
            f"a stripe of {stripe} bytes is not possible",
            hint="it is a power of two from 4096 to 32768: 4096, 8192, 16384 or 32768",
        )
