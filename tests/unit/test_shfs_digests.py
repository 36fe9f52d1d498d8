"""Digests of SHFS: against published values, against what the original tool said, and however the data comes."""

import hashlib
import random
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from shfs.digests import HashFunction, check_length, compat_length, new, provider, register
from shfs.errors import InputError
from tests.unit.shfs_golden import GOLDEN, Record, content

EVERY = [(function, length) for function in HashFunction if function.name != "MANUAL" for length in function.lengths]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIGITS = "0123456789"

HAVAL = {
    "": (
        "c68f39913f901f3ddf44c707357a7d70",
        "d353c3ae22a25401d257643836d7231a9a95f953",
        "e9c48d7903eaf2a91c5b350151efcb175c0fc82de2289a4e",
        "c5aae9d47bffcaaf84a8c6e7ccacd60a0dd1932be7b1a192b9214b6d",
        "4f6938531f0bc8991f62da7bbd6f7de3fad44562b8c6f4ebf146d5b4e46f7c17",
    ),
    "a": (
        "0cd40739683e15f01ca5dbceef4059f1",
        "4da08f514a7275dbc4cece4a347385983983a830",
        "b359c8835647f5697472431c142731ff6e2cddcacc4f6e08",
        "731814ba5605c59b673e4caae4ad28eeb515b3abc2b198336794e17b",
        "47c838fbb4081d9525a0ff9b1e2c05a98f625714e72db289010374e27db021d8",
    ),
    "HAVAL": (
        "dc1f3c893d17cc4edd9ae94af76a0af0",
        "8822bc6f3e694e73798920c77ce3245120dd8214",
        "8da26ddab4317b392b22b638998fe65b0fbe4610d345cf89",
        "ad33e0596c575d7175e9f72361ca767c89e46e2609d88e719ee69aaa",
        "91850c6487c9829e791fc5b58e98e372f3063256bb7d313a93f1f83b426aedcc",
    ),
    DIGITS: (
        "d4be2164ef387d9f4d46ea8efb180cf5",
        "be68981eb3ebd3f6748b081ee5d4e1818f9ba86c",
        "de561f6d818a760d65bdd2823abe79cdd97e6cfa4021b0c8",
        "ee345c97a58190bf0f38bf7ce890231aa5fcf9862bf8e7bebbf76789",
        "63238d99c02be18c3c5db7cce8432f51329012c228ccc17ef048a5d0fd22d4ae",
    ),
    LETTERS: (
        "dc502247fb3eb8376109eda32d361d82",
        "eba9fa6050f24c07c29d1834a60900ea4e32e61b",
        "a25e1456e6863e7d7c74017bb3e098e086ad4be0580d7056",
        "06ae38ebc43db58bd6b1d477c7b4e01b85a1e7b19b0bd088e33b58d1",
        "72fad4bde1da8c8332fb60561a780e7f504f21547b98686824fc33fc796afa76",
    ),
    LETTERS.upper() + LETTERS + DIGITS: (
        "de5eb3f7d9eb08fae7a07d68e3047ec6",
        "97dc988d97caae757be7523c4e8d4ea63007a4b9",
        "def6653091e3005b43a61681014a066cd189009d00856ee7",
        "939f7ed7801c1ce4b32bc74a4056eee6081c999ed246907adba880a7",
        "899397d96489281e9e76d5e65abab751f312e06c06c07c9c1d42abd31bb6a404",
    ),
    (LETTERS + LETTERS.upper().replace("N", "") + DIGITS) * 3: (
        "ddf4304cc5ffa3db8aab60d4f8fc2a00",
        "e709559359b15917623050e41d27a306c6c3a9db",
        "51e25280ad356c06f4b913b3cdb3abaaac5879dda0a4fea4",
        "28aa2c164e10bb3076574cc8aa8584fd6d04f6d82c37ea5c21e451b3",
        "5537364e3d75174b846d21adf9b113f9d8f97e4750df64d428c01e782f9ade4d",
    ),
}
"""Three passes, from 128 bits to 256. Source: the vectors of haval-1.1; the last (two blocks, and no N) is PHP's."""

ORIGINAL = [
    pytest.param(volume["final"]["info"], source, id=f"{name}-{source['seed']}")
    for name, volume in GOLDEN.items()
    for source in volume["inputs"].values()
    if "tool_digest" in source
]


def digest_of(function: HashFunction, length: int, data: bytes) -> bytes:
    hasher = new(function, length)
    hasher.update(data)
    return hasher.digest()


@pytest.mark.parametrize("message", HAVAL, ids=len)
def test_haval_is_what_was_published(message: str) -> None:
    digests = [digest_of(HashFunction.HAVAL, length, message.encode()).hex() for length in (16, 20, 24, 28, 32)]

    assert digests == list(HAVAL[message])


@pytest.mark.parametrize(
    ("message", "stored"),
    # The check value of the catalogue of CRCs, and one that a volume has: lowest byte first.
    [(b"123456789", "181989fc"), (b"hello world", "7813f744"), (b"", "00000000")],
)
def test_a_crc_is_that_of_bzip2_with_its_lowest_byte_first(message: bytes, stored: str) -> None:
    assert digest_of(HashFunction.CRC, 4, message).hex() == stored


@pytest.mark.parametrize(
    ("length", "name"), [(20, "sha1"), (28, "sha224"), (32, "sha256"), (48, "sha384"), (64, "sha512")]
)
def test_the_length_of_a_sha_says_which_it_is(length: int, name: str) -> None:
    assert digest_of(HashFunction.SHA, length, b"abc") == hashlib.new(name, b"abc").digest()


@pytest.mark.parametrize(("volume", "source"), ORIGINAL)
def test_the_compatible_digest_is_that_of_the_original_tool(volume: Record, source: Record) -> None:
    covered = content(source)[: compat_length(source["len"], volume["chunk"])]

    assert digest_of(HashFunction(volume["hfunc"]), volume["hlen"], covered).hex() == source["tool_digest"]


@pytest.mark.parametrize(
    ("size", "covered"), [(0, 0), (1, 1), (4095, 4095), (4096, 0), (4097, 4097), (8192, 4096), (8193, 8193)]
)
def test_the_original_leaves_out_a_last_chunk_that_is_full(size: int, covered: int) -> None:
    assert compat_length(size, 4096) == covered


@pytest.mark.parametrize(("function", "length"), EVERY)
def test_it_does_not_matter_in_which_pieces_an_object_comes(
    function: HashFunction, length: int, seeded: random.Random
) -> None:
    kinds = (bytes, bytearray, memoryview)
    for _ in range(20):
        data = seeded.randbytes(seeded.choice([seeded.randrange(300), seeded.randrange(3000)]))
        cuts = sorted(seeded.choices(range(len(data) + 1), k=seeded.randrange(12)))
        hasher = new(function, length)
        for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            hasher.update(seeded.choice(kinds)(data[begin:end]))
            # To look at a digest does not end it.
            assert hasher.digest() == digest_of(function, length, data[:end])


@pytest.mark.parametrize(("function", "length"), EVERY)
def test_a_digest_has_the_length_that_was_asked_for(function: HashFunction, length: int) -> None:
    assert len(new(function, length).digest()) == length


@pytest.mark.parametrize(
    ("name", "number", "label", "lengths"),
    [
        ("manual", 1, "Manual", [16, *range(1, 16), *range(17, 65)]),
        ("sha", 2, "SHA", [32, 20, 28, 48, 64]),
        ("crc", 3, "CRC", [4]),
        ("md5", 4, "MD5", [16]),
        ("haval", 5, "HAVAL", [32, 16, 20, 24, 28]),
    ],
)
def test_the_functions_are_those_of_the_format(name: str, number: int, label: str, lengths: list[int]) -> None:
    function = HashFunction.named(name)

    assert function == number
    assert function.label == label
    assert list(function.lengths) == lengths


@pytest.mark.parametrize("name", ["SHA", "sha256", "", "2"])
def test_no_other_name_is_one_of_a_function(name: str) -> None:
    with pytest.raises(InputError) as refused:
        HashFunction.named(name)

    assert refused.value.hint == "there are manual, sha, crc, md5, haval"


@pytest.mark.parametrize(
    ("function", "length", "message", "hint"),
    [
        (HashFunction.SHA, 24, "SHA has no digest of 24 bytes", "it can have 20, 28, 32, 48 or 64"),
        (HashFunction.CRC, 8, "CRC has no digest of 8 bytes", "it can have 4"),
        (HashFunction.MD5, 0, "MD5 has no digest of 0 bytes", "it can have 16"),
        (HashFunction.HAVAL, 48, "HAVAL has no digest of 48 bytes", "it can have 16, 20, 24, 28 or 32"),
        (HashFunction.MANUAL, 65, "a digest of 65 bytes", "a digest has 1 to 64 bytes"),
        (HashFunction.MANUAL, 0, "a digest of 0 bytes", "a digest has 1 to 64 bytes"),
    ],
)
def test_a_wrong_length_is_refused_with_those_that_there_are(
    function: HashFunction, length: int, message: str, hint: str
) -> None:
    for begin in (check_length, new):
        with pytest.raises(InputError) as refused:
            begin(function, length)
        assert (refused.value.message, refused.value.hint) == (message, hint)


def test_manual_computes_nothing() -> None:
    check_length(HashFunction.MANUAL, 20)

    with pytest.raises(InputError, match="computes no digests"):
        new(HashFunction.MANUAL, 20)


class Sum:
    """The shortest of own functions: the sum of all bytes."""

    def __init__(self, length: int) -> None:
        if length > 8:
            raise ValueError("no sum is that long")
        self.length = length
        self.sum = 0

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        self.sum += sum(data)

    def digest(self) -> bytes:
        return self.sum.to_bytes(self.length, "little")


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module in which an operator keeps his functions."""
    module = types.ModuleType("shfs_own_digests")
    vars(module).update(Sum=Sum, of_64_bytes=lambda length: hashlib.sha512(), number=5)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


def test_an_own_function_that_was_registered_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shfs.digests._registered", {})
    register("sum", [1, 4], Sum)
    hasher = provider("sum")(4)
    hasher.update(b"\x01\x02")

    assert hasher.digest() == b"\x03\0\0\0"
    with pytest.raises(InputError, match="'sum' has no digest of 2 bytes"):
        provider("sum")(2)
    with pytest.raises(InputError, match="'sum' already"):
        register("sum", [2], Sum)


@pytest.mark.parametrize(("name", "lengths"), [("a:b", [4]), ("long", [65]), ("none", [0])])
def test_what_cannot_be_registered_is_not(name: str, lengths: list[int]) -> None:
    with pytest.raises(InputError):
        register(name, lengths, Sum)
    with pytest.raises(InputError):
        provider(name)


def test_blake2b_is_there_in_every_length() -> None:
    begin = provider("blake2b")

    assert [begin(length).digest() for length in range(1, 65)] == [
        hashlib.blake2b(digest_size=length).digest() for length in range(1, 65)
    ]


def test_an_own_function_can_be_named_by_its_module(own_module: str) -> None:
    hasher = provider(f"{own_module}:Sum")(2)
    hasher.update(b"\x05\x06")

    assert hasher.digest() == b"\x0b\0"


def test_an_installed_package_can_offer_a_function(
    own_module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "own_digests-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: own-digests\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[shfs.digests]\ntotal = {own_module}:Sum\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert provider("total")(3).digest() == b"\0\0\0"
    with pytest.raises(InputError) as refused:
        provider("totals")
    assert refused.value.hint == "there are blake2b, total, and any module:callable"


@pytest.mark.parametrize(
    ("called", "said"),
    [
        ("", "cannot be called"),
        ("Product", "cannot be loaded"),
        ("number", "cannot be called"),
    ],
)
def test_a_module_without_such_a_function_is_refused(own_module: str, called: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        provider(f"{own_module}:{called}")


@pytest.mark.parametrize("name", ["no_such_module:Sum", ":Sum", ".relative:Sum", "blake2c", ""])
def test_a_function_that_nobody_has_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        provider(name)


@pytest.mark.parametrize(
    ("name", "length", "said"),
    [
        ("shfs_own_digests:Sum", 9, "no sum is that long"),
        ("shfs_own_digests:of_64_bytes", 32, "makes digests of 64 bytes where 32 were asked for"),
        ("hashlib:sha256", 32, "cannot begin a digest of 32 bytes"),
        ("builtins:bytes", 32, "cannot begin a digest of 32 bytes"),
    ],
)
def test_a_function_that_does_not_fit_the_volume_is_refused_before_the_first_byte(
    own_module: str, name: str, length: int, said: str
) -> None:
    begin = provider(name)

    with pytest.raises(InputError, match=said):
        begin(length)
