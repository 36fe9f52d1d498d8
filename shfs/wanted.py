"""What a volume is to hold: files, links and the default object, wherever somebody says so."""

import os
from dataclasses import dataclass, field
from io import BytesIO

from shfs.addition import Addition
from shfs.links import LinkKind


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file that is to be an object. `content` is its path, or the bytes themselves. `digest` is what somebody says
    that it is; `place` is where it was asked for, for messages. With `any_name` it is known by its digest: an object
    that has it serves, whatever it is called, and none has to make way for the name."""

    content: str | bytes
    name: str
    mime: str = ""
    encoding: str = ""
    digest: bytes | None = None
    place: str = ""
    any_name: bool = False

    @property
    def what(self) -> str:
        """What messages call it."""
        return self.place or (self.content if isinstance(self.content, str) else self.name)

    @property
    def expected_size(self) -> int:
        """Its bytes as they are now; 0 for a file that is not there, which whoever opens it will tell."""
        if isinstance(self.content, bytes):
            return len(self.content)
        try:
            return os.stat(self.content).st_size
        except OSError:
            return 0

    def addition(self, digest: bytes | None) -> Addition:
        """It on its way into a volume."""
        if isinstance(self.content, bytes):
            size = len(self.content)
            return Addition(BytesIO(self.content), self.name, self.mime, self.encoding, digest, size)
        return Addition(self.content, self.name, self.mime, self.encoding, digest)


@dataclass(frozen=True, slots=True)
class WantedLink:
    """A link that is to be an object; the fields are those of `WantedFile`."""

    url: str
    kind: LinkKind
    name: str
    digest: bytes | None = None
    place: str = ""
    any_name: bool = False

    @property
    def what(self) -> str:
        """What messages call it."""
        return self.place or self.url


@dataclass(frozen=True, slots=True)
class Wanted:
    """All of it. `default` is a name or ?DIGEST, or None. `provider` says where the digests of a volume come from whose
    digests are given by hand: nothing, or what `Fingerprints` knows."""

    files: list[WantedFile] = field(default_factory=list)
    links: list[WantedLink] = field(default_factory=list)
    default: str | None = None
    provider: str = ""
