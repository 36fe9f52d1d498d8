"""The page that a domain shares with the store: two rings of bytes, one for each direction, and a few words.

Source: xen/include/public/io/xs_wire.h (struct xenstore_domain_interface) and docs/misc/xenstore-ring.txt. The other
side can write anything anywhere at any time. So what is ours, how far we have read and written, is kept here and only
published in the page; what is theirs is read once, and then has to make sense.

Indices are aligned words of 32 bits, read and written whole. Who reads an index has to see what was written before it:
x86 keeps that order by itself, and Python has no means to ask for it of others (`xen_devices.py` refuses those).
"""

import mmap

from jitsu.errors import JitsuError

PAGE = 4096
SIZE = 1024
"""Bytes of each ring."""

RECONNECTION = 1
"""XENSTORE_SERVER_FEATURE_RECONNECTION: a domain may ask for a new beginning."""

CONNECTED = 0
RECONNECT = 1

ERROR_COMMUNICATION = 1
ERROR_INDEX = 2
ERROR_PROTOCOL = 3
"""XENSTORE_ERROR_*: why a domain is not served any longer."""

_REQUESTS, _ANSWERS = 0, SIZE
_REQUESTS_TAKEN, _REQUESTS_MADE, _ANSWERS_TAKEN, _ANSWERS_MADE, _FEATURES, _CONNECTION, _ERROR = range(512, 519)
"""Words of the page, by their number."""

_MODULUS = 1 << 32


class BrokenRing(JitsuError):
    """The other side's indices make no sense: nothing in the ring can be understood any longer."""


class Ring:
    """The store's side of a page. Everything is done at once; nobody is notified of it here."""

    def __init__(self, page: mmap.mmap | bytearray) -> None:
        """Goes on where the page stands. `page` has 4096 bytes that can be written."""
        self._bytes = memoryview(page)
        self._words = self._bytes.cast("I")
        self._taken = self._settled = self._words[_REQUESTS_TAKEN]
        self._made = self._words[_ANSWERS_MADE]

    def release(self) -> None:
        """Let go of the page. Nothing else works afterwards."""
        self._words.release()
        self._bytes.release()

    # Where we stand

    @property
    def taken(self) -> int:
        """How many bytes were taken, modulo 2**32."""
        return self._taken

    @property
    def made(self) -> int:
        """How many bytes were put, modulo 2**32."""
        return self._made

    def go_on(self, taken: int, made: int, unsent: int) -> int:
        """Go on where an earlier life of the daemon stood: `taken` bytes had been taken, `made` put, and `unsent` were
        still to be put. How many of these it has put since it said so. Raises `BrokenRing` if that cannot have led to
        what the page says."""
        put = (self._made - made) % _MODULUS
        if put > unsent or (taken - self._taken) % _MODULUS > SIZE:
            raise BrokenRing(f"the page stands at {self._taken} and {self._made}, and was left at {taken} and {made}")
        self._taken = taken
        return put

    # What the other side wants

    @property
    def wants_reset(self) -> bool:
        """Does the other side ask for a new beginning, and wait for it?"""
        return self._words[_CONNECTION] == RECONNECT

    def is_waiting(self) -> bool:
        """Is there anything to take? Also when that makes no sense, which `take` finds."""
        return self._words[_REQUESTS_MADE] != self._taken

    def has_room(self) -> bool:
        """Is there room for an answer's first byte? Also when that makes no sense, which `put` finds."""
        return (self._made - self._words[_ANSWERS_TAKEN]) % _MODULUS != SIZE

    # Bytes

    def take(self) -> bytes:
        """All that has come, 1024 bytes at most; by `settle` their room is free again. Raises `BrokenRing`."""
        made = self._words[_REQUESTS_MADE]
        count = (made - self._taken) % _MODULUS
        if count > SIZE:
            raise BrokenRing(f"requests reach from {self._taken} to {made}, in a ring of {SIZE} bytes")
        if not count:
            return b""
        start = self._taken % SIZE
        end = start + count
        data = bytes(self._bytes[_REQUESTS + start : _REQUESTS + min(end, SIZE)])
        if end > SIZE:
            data += self._bytes[_REQUESTS : _REQUESTS + end - SIZE]
        self._taken = made
        return data

    def settle(self) -> bool:
        """Say what was taken. Was there anything?"""
        if self._settled == self._taken:
            return False
        self._settled = self._words[_REQUESTS_TAKEN] = self._taken
        return True

    def put(self, data: bytes) -> int:
        """Hand over as much as there is room for: how many bytes. Raises `BrokenRing`."""
        taken = self._words[_ANSWERS_TAKEN]
        unread = (self._made - taken) % _MODULUS
        if unread > SIZE:
            raise BrokenRing(f"answers were taken up to {taken}, and made up to {self._made}")
        count = min(len(data), SIZE - unread)
        if not count:
            return 0
        start = self._made % SIZE
        first = min(count, SIZE - start)
        self._bytes[_ANSWERS + start : _ANSWERS + start + first] = data[:first]
        self._bytes[_ANSWERS : _ANSWERS + count - first] = data[first:count]
        self._made = (self._made + count) % _MODULUS
        self._words[_ANSWERS_MADE] = self._made
        return count

    # The connection

    def offer(self, features: int) -> None:
        """Say what the other side may use. That is to be before it looks."""
        self._words[_FEATURES] = features

    def reset(self) -> None:
        """Begin anew, with both rings empty. The other side waits for the last word that is written here."""
        self._taken = self._settled = self._made = 0
        for word in (_REQUESTS_TAKEN, _REQUESTS_MADE, _ANSWERS_TAKEN, _ANSWERS_MADE, _ERROR):
            self._words[word] = 0
        self._words[_CONNECTION] = CONNECTED

    def fail(self, error: int) -> None:
        """Say why nothing is taken or answered any longer, unless that was said."""
        if not self._words[_ERROR]:
            self._words[_ERROR] = error
