"""A domain's side of the page that it shares with the store, as Xen's xs_wire.h has it."""

import struct

from jitsu.xenstore.ring import PAGE, SIZE, Ring

REQUESTS_TAKEN, REQUESTS_MADE, ANSWERS_TAKEN, ANSWERS_MADE, FEATURES, CONNECTION, ERROR = range(2048, 2076, 4)


class Guest:
    """The other side of a page, as xs_wire.h has it."""

    def __init__(self, start: int = 0) -> None:
        self.page = bytearray(PAGE)
        for at in (REQUESTS_TAKEN, REQUESTS_MADE, ANSWERS_TAKEN, ANSWERS_MADE):
            self.write(at, start)
        self.ring = Ring(self.page)
        """The store's side, for tests of it alone."""

    def read(self, at: int) -> int:
        return int(struct.unpack_from("<I", self.page, at)[0])

    def write(self, at: int, value: int) -> None:
        struct.pack_into("<I", self.page, at, value % 2**32)

    def say(self, data: bytes) -> int:
        """How many bytes there was room for."""
        made = self.read(REQUESTS_MADE)
        count = min(len(data), SIZE - (made - self.read(REQUESTS_TAKEN)) % 2**32)
        for number in range(count):
            self.page[(made + number) % SIZE] = data[number]
        self.write(REQUESTS_MADE, made + count)
        return count

    def hear(self, most: int = SIZE) -> bytes:
        taken = self.read(ANSWERS_TAKEN)
        count = min(most, (self.read(ANSWERS_MADE) - taken) % 2**32)
        data = bytes(self.page[SIZE + (taken + number) % SIZE] for number in range(count))
        self.write(ANSWERS_TAKEN, taken + count)
        return data

    def unread(self) -> int:
        """Bytes of answers that wait here."""
        return (self.read(ANSWERS_MADE) - self.read(ANSWERS_TAKEN)) % 2**32
