"""Which chunks are free, and which of them the next object gets.

The state is made from the entries at each opening: the format keeps none.
"""

import bisect
from collections.abc import Iterable

from shfs.configuration import BEST_FIT, FIRST_FIT

Run = tuple[int, int]
"""First chunk and number of chunks."""


class Allocator:
    """The gaps of a volume of `chunks` chunks. `strategy` is first fit, as the original's, or best fit: the smallest
    gap that is large enough, and of equal ones the lowest."""

    def __init__(self, chunks: int, used: Iterable[Run], strategy: int = FIRST_FIT) -> None:
        self._strategy = strategy
        self._gaps: list[Run] = []
        at = 0
        for first, count in sorted(used):
            if first > at:
                self._gaps.append((at, min(first, chunks) - at))
            at = max(at, first + count)
        if at < chunks:
            self._gaps.append((at, chunks - at))

    @property
    def free(self) -> int:
        """How many chunks are free."""
        return sum(count for _, count in self._gaps)

    @property
    def largest(self) -> int:
        """The chunks of the largest gap: what one object can take at most."""
        return max((count for _, count in self._gaps), default=0)

    def take(self, wanted: int) -> int | None:
        """The first of `wanted` chunks that lie together and are the caller's from now on; None if there are none.

        An empty object wants 0, is given the beginning of a gap, and leaves the gap as it is.
        """
        fitting = [at for at, (_, count) in enumerate(self._gaps) if count >= max(1, wanted)]
        if not fitting:
            return None
        chosen = min(fitting, key=lambda at: self._gaps[at][1]) if self._strategy == BEST_FIT else fitting[0]
        first, count = self._gaps[chosen]
        if wanted == count:
            del self._gaps[chosen]
        else:
            self._gaps[chosen] = (first + wanted, count - wanted)
        return first

    def reserve(self, first: int, count: int) -> None:
        """Chunks are somebody's from now on, whether they were free or not."""
        end = first + count
        parts = [((at, min(at + size, first)), (max(at, end), at + size)) for at, size in self._gaps]
        self._gaps = [(at, until - at) for pair in parts for at, until in pair if until > at]

    def give_back(self, first: int, count: int) -> None:
        """Chunks are free again."""
        if not count:
            return
        at = bisect.bisect(self._gaps, (first, count))
        if at < len(self._gaps) and self._gaps[at][0] == first + count:
            count += self._gaps.pop(at)[1]
        if at and sum(self._gaps[at - 1]) == first:
            at -= 1
            before, more = self._gaps.pop(at)
            first, count = before, count + more
        self._gaps.insert(at, (first, count))
