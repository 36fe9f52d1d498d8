"""Digests against libmhash, by which the original tools compute theirs: around every size at which padding changes."""

import ctypes
import ctypes.util
import random

import pytest

from shfs.digests import HashFunction, new

FOUND = ctypes.util.find_library("mhash")

pytestmark = pytest.mark.skipif(FOUND is None, reason="libmhash is not installed (libmhash2)")

NAMES = {
    (HashFunction.SHA, 20): "SHA1",
    (HashFunction.SHA, 28): "SHA224",
    (HashFunction.SHA, 32): "SHA256",
    (HashFunction.SHA, 48): "SHA384",
    (HashFunction.SHA, 64): "SHA512",
    (HashFunction.CRC, 4): "CRC32",
    (HashFunction.MD5, 16): "MD5",
    (HashFunction.HAVAL, 16): "HAVAL128",
    (HashFunction.HAVAL, 20): "HAVAL160",
    (HashFunction.HAVAL, 24): "HAVAL192",
    (HashFunction.HAVAL, 28): "HAVAL224",
    (HashFunction.HAVAL, 32): "HAVAL256",
}


class Mhash:
    """mhash.h, as much as is needed."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(FOUND)
        self.library.mhash_init.restype = ctypes.c_void_p
        self.library.mhash_get_hash_name_static.restype = ctypes.c_char_p
        count = self.library.mhash_count() + 1
        self.numbers = {self.library.mhash_get_hash_name_static(number): number for number in range(count)}

    def digest(self, name: str, length: int, data: bytes) -> bytes:
        thread = ctypes.c_void_p(self.library.mhash_init(self.numbers[name.encode()]))
        digest = ctypes.create_string_buffer(length)
        self.library.mhash(thread, data, len(data))
        self.library.mhash_deinit(thread, digest)
        return digest.raw


@pytest.fixture(scope="module")
def mhash() -> Mhash:
    return Mhash()


@pytest.mark.parametrize(("function", "length"), NAMES)
def test_libmhash_computes_the_same(
    mhash: Mhash, function: HashFunction, length: int, seeded: random.Random, full: bool
) -> None:
    sizes = [*range(300 if not full else 3000), 4095, 4096, 4097, *(seeded.randrange(100_000) for _ in range(5))]
    for size in sizes:
        data = seeded.randbytes(size)
        hasher = new(function, length)
        hasher.update(data)

        assert hasher.digest() == mhash.digest(NAMES[function, length], length, data), size


def test_every_function_of_the_format_was_compared() -> None:
    computed = [function for function in HashFunction if function is not HashFunction.MANUAL]

    assert set(NAMES) == {(function, length) for function in computed for length in function.lengths}
