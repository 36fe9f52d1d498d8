"""Fingerprints: what the digests of files and links will be on a volume, before anything is written there."""

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from shfs import digests
from shfs.addition import Source
from shfs.batch import accepted_digest, other_digest
from shfs.digests import Hasher, HashFunction
from shfs.errors import InputError
from shfs.members import BLOCK
from shfs.volume import Volume, encode_text
from shfs.wanted import WantedFile, WantedLink

SHA1_OF_NAME = "sha1-of-name"
"""Where digests of a volume come from that are given by hand: from the name of each object, as in the original's tool
for whole sites."""

_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Digest and size in bytes of something. `certain`: what has this digest has this content, be it on the volume
    already or not. It is not so where somebody gives the digests, or where they leave out a part."""

    digest: bytes
    size: int
    certain: bool


class Fingerprints:
    """The digests that one volume gives. `provider` says where they come from if they are given by hand: nothing,
    SHA1_OF_NAME, or the name of a digest function as `digests.provider` takes it. `compat_digest`: as the original
    makes them.

    Raises InputError if the volume has no use for the provider, or there is none of that name and length.
    """

    def __init__(self, volume: Volume, *, compat_digest: bool = False, provider: str = "") -> None:
        configuration = volume.configuration
        if provider and configuration.function is not HashFunction.MANUAL:
            raise InputError(
                f"volume {volume.name} makes its digests by {configuration.function.label}, and not by {provider}",
                hint="a provider is for volumes whose digests are given by hand: `shfs mkfs --hash manual`",
            )
        self._volume = volume
        self._length = configuration.digest_length
        self._compat = compat_digest
        self._of_names = provider == SHA1_OF_NAME
        self._known: dict[str, tuple[bytes, int]] = {}
        self.provider = digests.provider(provider) if provider and not self._of_names else None
        if self._of_names and self._length != hashlib.sha1(usedforsecurity=False).digest_size:
            raise InputError(
                f"volume {volume.name} has digests of {self._length} bytes, and {SHA1_OF_NAME} makes 20",
                hint="`shfs mkfs --hash manual --hash-len 20` makes a volume for them",
            )

    def of(self, wanted: WantedFile) -> Fingerprint:
        """The fingerprint of a file, which is read once however often this is asked. Raises InputError if it cannot be
        read, has another digest than somebody says, or one that no entry can have; HostError if reading fails."""
        unit = self._volume.geometry.chunk_size
        computed, size = self._computed(wanted)
        digest = self._decided(wanted, computed)
        covered = digests.compat_length(size, unit) if self._compat else size
        return Fingerprint(digest, size, computed is not None and covered == size)

    def of_all(
        self, wanted: Iterable[WantedFile], progress: Callable[[int, int], None] = lambda done, whole: None
    ) -> list[Fingerprint]:
        """The fingerprints of many files, several of which are read at a time. `progress` is told the bytes that are
        done, and all."""
        files = list(wanted)
        sizes = [file.expected_size for file in files]
        found, done = [], 0
        with ThreadPoolExecutor(_THREADS) as pool:
            futures = [pool.submit(self.of, file) for file in files]
            try:
                for future, size in zip(futures, sizes, strict=True):
                    found.append(future.result())
                    done += size
                    progress(done, sum(sizes))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return found

    def of_link(self, wanted: WantedLink) -> bytes:
        """The digest of a link: that of its URL as it was written."""
        hasher = self._hasher()
        if hasher is not None:
            hasher.update(wanted.url.encode("utf-8", "surrogateescape"))
        return self._decided(wanted, None if hasher is None else hasher.digest())

    def _decided(self, wanted: WantedFile | WantedLink, computed: bytes | None) -> bytes:
        if computed is not None and wanted.digest not in (None, computed):
            raise other_digest(wanted.what, computed)
        digest = wanted.digest if computed is None else computed
        if digest is None and self._of_names:
            digest = hashlib.sha1(encode_text(wanted.name), usedforsecurity=False).digest()
        return accepted_digest(self._volume, digest, wanted.what)

    def _computed(self, wanted: WantedFile) -> tuple[bytes | None, int]:
        if isinstance(wanted.content, str) and wanted.content in self._known:
            return self._known[wanted.content]
        source = Source(wanted.addition(None))
        try:
            hasher = self._hasher()
            if hasher is None:
                return None, source.size
            covered = source.size
            if self._compat:
                covered = digests.compat_length(source.size, self._volume.geometry.chunk_size)
            buffer = memoryview(bytearray(min(covered, BLOCK)))
            for done in range(0, covered, BLOCK):
                block = buffer[: min(BLOCK, covered - done)]
                source.fill(block)
                hasher.update(block)
        finally:
            source.close()
        if isinstance(wanted.content, str):
            self._known[wanted.content] = hasher.digest(), source.size
        return hasher.digest(), source.size

    def _hasher(self) -> Hasher | None:
        """A fresh one; None where digests are given by hand, or are those of names."""
        if self._volume.configuration.function is not HashFunction.MANUAL:
            return digests.new(self._volume.configuration.function, self._length)
        return None if self.provider is None else self.provider(self._length)
