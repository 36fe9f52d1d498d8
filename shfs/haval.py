"""HAVAL, version 1, with three passes, which neither hashlib nor a library of Python has.

Source: Y. Zheng, J. Pieprzyk, J. Seberry, "HAVAL - A One-Way Hashing Algorithm with Variable Length of Output",
AUSCRYPT '92, and the byte order of its reference implementation: words of 32 bits and the length are little endian, and
the padding begins with the bit 1 at the low end of a byte.
"""

import struct
from collections.abc import Iterator
from operator import add, itemgetter

Buffer = bytes | bytearray | memoryview
State = tuple[int, int, int, int, int, int, int, int]

LENGTHS = (32, 16, 20, 24, 28)
"""Bytes of a digest. A shorter one is not the beginning of a longer one."""

VERSION = 1
PASSES = 3
BLOCK = 128
"""Bytes that are mixed in at once."""

# The numbers are the fraction of pi, 32 bits each, from its first: 8 to begin with, then 32 for each later pass.
_START: State = (
    *(0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
    *(0xA4093822, 0x299F31D0, 0x082EFA98, 0xEC4E6C89),
)
_SECOND = (
    *(0x452821E6, 0x38D01377, 0xBE5466CF, 0x34E90C6C, 0xC0AC29B7, 0xC97C50DD, 0x3F84D5B5, 0xB5470917),
    *(0x9216D5D9, 0x8979FB1B, 0xD1310BA6, 0x98DFB5AC, 0x2FFD72DB, 0xD01ADFB7, 0xB8E1AFED, 0x6A267E96),
    *(0xBA7C9045, 0xF12C7F99, 0x24A19947, 0xB3916CF7, 0x0801F2E2, 0x858EFC16, 0x636920D8, 0x71574E69),
    *(0xA458FEA3, 0xF4933D7E, 0x0D95748F, 0x728EB658, 0x718BCD58, 0x82154AEE, 0x7B54A41D, 0xC25A59B5),
)
_THIRD = (
    *(0x9C30D539, 0x2AF26013, 0xC5D1B023, 0x286085F0, 0xCA417918, 0xB8DB38EF, 0x8E79DCB0, 0x603A180E),
    *(0x6C9E0E8B, 0xB01E8A3E, 0xD71577C1, 0xBD314B27, 0x78AF2FDA, 0x55605C60, 0xE65525F3, 0xAA55AB94),
    *(0x57489862, 0x63E81440, 0x55CA396A, 0x2AAB10B6, 0xB4CC5C34, 0x1141E8CE, 0xA15486AF, 0x7C72E993),
    *(0xB3EE1411, 0x636FBC2A, 0x2BA9C55D, 0x741831F6, 0xCE5C3E16, 0x9B87931E, 0xAFD6BA33, 0x6C24CF5C),
)

# In which order a pass takes the words of a block.
_in_second_order = itemgetter(
    *(5, 14, 26, 18, 11, 28, 7, 16, 0, 23, 20, 22, 1, 10, 4, 8),
    *(30, 3, 21, 9, 17, 24, 29, 6, 19, 12, 15, 13, 2, 25, 31, 27),
)
_in_third_order = itemgetter(
    *(19, 9, 4, 20, 28, 17, 8, 22, 29, 14, 25, 12, 24, 30, 16, 26),
    *(31, 15, 7, 3, 1, 0, 18, 27, 13, 6, 21, 10, 23, 11, 5, 2),
)

_PARTS = {
    16: ((0, 8), (8, 8), (16, 8), (24, 8)),
    20: ((0, 6), (6, 6), (12, 7), (19, 6), (25, 7)),
    24: ((0, 5), (5, 5), (10, 6), (16, 5), (21, 5), (26, 6)),
    28: ((27, 5), (22, 5), (18, 4), (13, 5), (9, 4), (4, 5), (0, 4)),
}
"""By length of the digest: the parts into which the words beyond it are cut, as lowest bit and number of bits."""

_MASK = 0xFFFF_FFFF
_TWICE = 0x1_0000_0001
"""Times this, 32 bits stand twice in a row, and a shift of them is a rotation."""

_words = struct.Struct("<32I")


class Haval:
    """One digest in the making, of 16, 20, 24, 28 or 32 bytes: some MB a second, and the GIL held, as is all Python."""

    def __init__(self, length: int) -> None:
        if length not in LENGTHS:
            raise ValueError(f"HAVAL has no digest of {length} bytes")
        self._length = length
        self._state = _START
        self._size = 0
        self._pending = b""

    def update(self, data: Buffer) -> None:
        """Take in more of the object."""
        view = memoryview(data).cast("B")
        self._size += len(view)
        if self._pending:
            missing = BLOCK - len(self._pending)
            self._pending += view[:missing]
            view = view[missing:]
            if len(self._pending) < BLOCK:
                return
            self._state = _mixed(self._state, self._pending)
        whole = len(view) - len(view) % BLOCK
        self._state = _mixed(self._state, view[:whole])
        self._pending = bytes(view[whole:])

    def digest(self) -> bytes:
        """The digest of all that came until now; more may follow."""
        bits = 8 * self._length
        tail = struct.pack("<BBQ", VERSION | PASSES << 3 | (bits & 3) << 6, bits >> 2, 8 * self._size & (1 << 64) - 1)
        zeros = -(len(self._pending) + 1 + len(tail)) % BLOCK
        state = _mixed(self._state, self._pending + b"\x01" + bytes(zeros) + tail)
        return struct.pack(f"<{self._length // 4}I", *_tailored(state, self._length))


def _tailored(state: State, length: int) -> list[int]:
    """As many words as the digest has. Parts of each word beyond them are added to all of these."""
    count = length // 4
    beyond = state[: count - 1 : -1]
    words = []
    for index, word in enumerate(state[:count]):
        added = 0
        for nth, other in enumerate(beyond):
            low, bits = _PARTS[length][(index - nth) % count]
            added = added << bits | other >> low & (1 << bits) - 1
        words.append(word + added & _MASK)
    return words


def _mixed(state: State, blocks: Buffer) -> State:
    """The state after some whole blocks.

    A step changes one of eight words by the other seven, and the steps of a pass differ only in which word it is: eight
    are written out, because to move the words in a loop takes longer than to mix them.
    """
    # Names of a function are found sooner than those of a module.
    mask, twice = _MASK, _TWICE
    for words in _words.iter_unpack(blocks):
        t0, t1, t2, t3, t4, t5, t6, t7 = state

        left: Iterator[int] = iter(words)
        for w0, w1, w2, w3, w4, w5, w6, w7 in zip(*[left] * 8, strict=True):
            f = (t2 & (t3 ^ t4)) ^ (t6 & t0) ^ (t5 & t1) ^ t4
            t7 = ((f * twice >> 7) + (t7 * twice >> 11) + w0) & mask
            f = (t1 & (t2 ^ t3)) ^ (t5 & t7) ^ (t4 & t0) ^ t3
            t6 = ((f * twice >> 7) + (t6 * twice >> 11) + w1) & mask
            f = (t0 & (t1 ^ t2)) ^ (t4 & t6) ^ (t3 & t7) ^ t2
            t5 = ((f * twice >> 7) + (t5 * twice >> 11) + w2) & mask
            f = (t7 & (t0 ^ t1)) ^ (t3 & t5) ^ (t2 & t6) ^ t1
            t4 = ((f * twice >> 7) + (t4 * twice >> 11) + w3) & mask
            f = (t6 & (t7 ^ t0)) ^ (t2 & t4) ^ (t1 & t5) ^ t0
            t3 = ((f * twice >> 7) + (t3 * twice >> 11) + w4) & mask
            f = (t5 & (t6 ^ t7)) ^ (t1 & t3) ^ (t0 & t4) ^ t7
            t2 = ((f * twice >> 7) + (t2 * twice >> 11) + w5) & mask
            f = (t4 & (t5 ^ t6)) ^ (t0 & t2) ^ (t7 & t3) ^ t6
            t1 = ((f * twice >> 7) + (t1 * twice >> 11) + w6) & mask
            f = (t3 & (t4 ^ t5)) ^ (t7 & t1) ^ (t6 & t2) ^ t5
            t0 = ((f * twice >> 7) + (t0 * twice >> 11) + w7) & mask

        left = map(add, _in_second_order(words), _SECOND)
        for w0, w1, w2, w3, w4, w5, w6, w7 in zip(*[left] * 8, strict=True):
            f = (t5 & ((t3 & ~t0) ^ (t1 & t2) ^ t4 ^ t6)) ^ (t1 & (t2 ^ t3)) ^ (t0 & t2) ^ t6
            t7 = ((f * twice >> 7) + (t7 * twice >> 11) + w0) & mask
            f = (t4 & ((t2 & ~t7) ^ (t0 & t1) ^ t3 ^ t5)) ^ (t0 & (t1 ^ t2)) ^ (t7 & t1) ^ t5
            t6 = ((f * twice >> 7) + (t6 * twice >> 11) + w1) & mask
            f = (t3 & ((t1 & ~t6) ^ (t7 & t0) ^ t2 ^ t4)) ^ (t7 & (t0 ^ t1)) ^ (t6 & t0) ^ t4
            t5 = ((f * twice >> 7) + (t5 * twice >> 11) + w2) & mask
            f = (t2 & ((t0 & ~t5) ^ (t6 & t7) ^ t1 ^ t3)) ^ (t6 & (t7 ^ t0)) ^ (t5 & t7) ^ t3
            t4 = ((f * twice >> 7) + (t4 * twice >> 11) + w3) & mask
            f = (t1 & ((t7 & ~t4) ^ (t5 & t6) ^ t0 ^ t2)) ^ (t5 & (t6 ^ t7)) ^ (t4 & t6) ^ t2
            t3 = ((f * twice >> 7) + (t3 * twice >> 11) + w4) & mask
            f = (t0 & ((t6 & ~t3) ^ (t4 & t5) ^ t7 ^ t1)) ^ (t4 & (t5 ^ t6)) ^ (t3 & t5) ^ t1
            t2 = ((f * twice >> 7) + (t2 * twice >> 11) + w5) & mask
            f = (t7 & ((t5 & ~t2) ^ (t3 & t4) ^ t6 ^ t0)) ^ (t3 & (t4 ^ t5)) ^ (t2 & t4) ^ t0
            t1 = ((f * twice >> 7) + (t1 * twice >> 11) + w6) & mask
            f = (t6 & ((t4 & ~t1) ^ (t2 & t3) ^ t5 ^ t7)) ^ (t2 & (t3 ^ t4)) ^ (t1 & t3) ^ t7
            t0 = ((f * twice >> 7) + (t0 * twice >> 11) + w7) & mask

        left = map(add, _in_third_order(words), _THIRD)
        for w0, w1, w2, w3, w4, w5, w6, w7 in zip(*[left] * 8, strict=True):
            f = (t3 & ((t4 & t5) ^ t0 ^ t6)) ^ (t2 & t5) ^ (t1 & t4) ^ t0
            t7 = ((f * twice >> 7) + (t7 * twice >> 11) + w0) & mask
            f = (t2 & ((t3 & t4) ^ t7 ^ t5)) ^ (t1 & t4) ^ (t0 & t3) ^ t7
            t6 = ((f * twice >> 7) + (t6 * twice >> 11) + w1) & mask
            f = (t1 & ((t2 & t3) ^ t6 ^ t4)) ^ (t0 & t3) ^ (t7 & t2) ^ t6
            t5 = ((f * twice >> 7) + (t5 * twice >> 11) + w2) & mask
            f = (t0 & ((t1 & t2) ^ t5 ^ t3)) ^ (t7 & t2) ^ (t6 & t1) ^ t5
            t4 = ((f * twice >> 7) + (t4 * twice >> 11) + w3) & mask
            f = (t7 & ((t0 & t1) ^ t4 ^ t2)) ^ (t6 & t1) ^ (t5 & t0) ^ t4
            t3 = ((f * twice >> 7) + (t3 * twice >> 11) + w4) & mask
            f = (t6 & ((t7 & t0) ^ t3 ^ t1)) ^ (t5 & t0) ^ (t4 & t7) ^ t3
            t2 = ((f * twice >> 7) + (t2 * twice >> 11) + w5) & mask
            f = (t5 & ((t6 & t7) ^ t2 ^ t0)) ^ (t4 & t7) ^ (t3 & t6) ^ t2
            t1 = ((f * twice >> 7) + (t1 * twice >> 11) + w6) & mask
            f = (t4 & ((t5 & t6) ^ t1 ^ t7)) ^ (t3 & t6) ^ (t2 & t5) ^ t1
            t0 = ((f * twice >> 7) + (t0 * twice >> 11) + w7) & mask

        s0, s1, s2, s3, s4, s5, s6, s7 = state
        state = (
            *(s0 + t0 & mask, s1 + t1 & mask, s2 + t2 & mask, s3 + t3 & mask),
            *(s4 + t4 & mask, s5 + t5 & mask, s6 + t6 & mask, s7 + t7 & mask),
        )
    return state
