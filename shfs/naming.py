"""What the object that is made of a file is called: its name, at most 64 bytes, and its MIME type, at most 32."""

import enum
import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from shfs.entry import NAME_SIZE
from shfs.errors import InputError
from shfs.media_types import ANYTHING, fits, media_type
from shfs.volume import encode_text


class Names(enum.Enum):
    """Which part of a path is the name."""

    PATH = "path"
    BASE = "base"
    NONE = "none"


class LongNames(enum.Enum):
    """What becomes of a file whose name would be too long: an error; an object without a name, which is found by its
    digest; or nothing."""

    ERROR = "error"
    NONE = "none"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Naming:
    """Rules for names and types. `names` is None for the usual: the path within a folder or an archive, and the last
    part of the path of a file that was given by itself. `prefix` comes before each name that is not empty. `mime` is
    None for the type that the extension tells. `tell` gets a sentence for whatever is not as one would expect."""

    names: Names | None = None
    prefix: str = ""
    long_names: LongNames = LongNames.ERROR
    mime: str | None = None
    tell: Callable[[str], None] = lambda note: None

    def name(self, path: str, what: str, *, alone: bool = False) -> str | None:
        """The name for a file by its path, from the folder or archive on; None if it is left out. `what` is what
        messages call the file; `alone`: it was given by itself. Raises InputError where the name is too long."""
        style = self.names or (Names.BASE if alone else Names.PATH)
        if style is Names.NONE:
            return ""
        name = self.prefix + (posixpath.basename(path) if style is Names.BASE else plain_path(path))
        size = len(encode_text(name))
        if size <= NAME_SIZE:
            return name
        if self.long_names is LongNames.ERROR:
            others = "--names base, " if style is Names.PATH else ""
            raise InputError(
                f"the name of {what} would have {size} bytes, and an entry holds {NAME_SIZE}",
                hint=f"{others}--long-names none (found by its digest only) or --long-names skip",
            )
        if self.long_names is LongNames.SKIP:
            self.tell(f"{what} is left out: its name would have {size} bytes")
            return None
        self.tell(f"{what} gets no name: it would have {size} bytes")
        return ""

    def type(self, path: str, what: str) -> str:
        """The MIME type for a file by its path."""
        if self.mime is not None:
            return self.mime
        kind = media_type(path)
        if fits(kind):
            return kind
        self.tell(f"{what} is stored as {ANYTHING}: {kind} is longer than an entry's field")
        return ANYTHING


def plain_path(path: str) -> str:
    """A path without what says nothing within a volume: a leading slash, `.` and `..`, double slashes."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
