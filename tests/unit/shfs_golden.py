"""The golden volumes: made by the original shfs_mkfs and shfs_admin, with a record of the command lines that made them.

A volume's record has `members` (files, sizes), `inputs` (from which the contents of its files are made), `steps` (the
command lines, with exit code and what was printed) and `final` (label and configuration, entries, removed entries).
Those of more.json have the time of each step too, and name the `defects` of the original tools that they show.
"""

import getopt
import gzip
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.shfs_decoder import Volume

DATA = Path(__file__).resolve().parents[1] / "data" / "shfs"

Record = dict[str, Any]

GOLDEN: dict[str, Record] = {
    volume["name"]: volume
    for manifest in sorted(DATA.glob("*.json"))
    for volume in json.loads(manifest.read_text(encoding="utf-8"))["volumes"]
}


@dataclass(frozen=True)
class Format:
    """shfs_mkfs. A length of None is what the function has by default."""

    name: str = "unnamed"
    stripe: int = 16384
    combined: bool = False
    buckets: int = 2048
    entries: int = 8
    hash: str = "sha"
    length: int | None = None
    erase: bool = False


@dataclass(frozen=True)
class Add:
    """A file becomes an object; without a name it gets that of the file. A digest is given in vain where the volume's
    function computes it."""

    path: str
    mime: str = ""
    name: str | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Link:
    """A URL becomes an object; its name is that which was given, or basename(3) of the URL."""

    url: str
    type: str
    name: str
    digest: str | None = None


@dataclass(frozen=True)
class Remove:
    digest: str


@dataclass(frozen=True)
class SetDefault:
    digest: str


@dataclass(frozen=True)
class ClearDefault:
    pass


def cut(text: str, size: int) -> str:
    """The tools cut what does not fit into its field, be it in the middle of a letter."""
    return text.encode("utf-8", "surrogateescape")[:size].decode("utf-8", "surrogateescape")


Step = Format | Add | Link | Remove | SetDefault | ClearDefault


@dataclass(frozen=True)
class Command:
    """One command line: its members as they were given, and what it asked for in this order."""

    members: tuple[str, ...]
    steps: tuple[Step, ...]
    exit_code: int = 0
    errors: str = ""
    time: int | None = None
    """Unix seconds, where they were recorded."""

    @property
    def failures(self) -> int:
        """How many of the steps failed: the others were done all the same."""
        return sum(line.startswith("Error: ") for line in self.errors.splitlines())


MKFS_SHORT = "fxn:s:cb:e:F:l:"
MKFS_LONG = [
    *("force", "erase", "name=", "stripesize=", "combined-striping"),
    *("bucket-count=", "entries-per-bucket=", "hash-function=", "hash-length="),
]
MKFS_FIELDS = {
    "-n": "name",
    "--name": "name",
    "-s": "stripe",
    "--stripesize": "stripe",
    "-c": "combined",
    "--combined-striping": "combined",
    "-b": "buckets",
    "--bucket-count": "buckets",
    "-e": "entries",
    "--entries-per-bucket": "entries",
    "-F": "hash",
    "--hash-function": "hash",
    "-l": "length",
    "--hash-length": "length",
    "-x": "erase",
    "--erase": "erase",
}
ADMIN_SHORT = "fa:u:r:d:Cm:n:t:D:"
ADMIN_LONG = [
    *("force", "add-obj=", "add-lnk=", "rm-obj=", "set-default=", "clear-default"),
    *("mime=", "name=", "type=", "digest="),
]


ACTIONS = {
    **dict.fromkeys(("-a", "--add-obj"), "add"),
    **dict.fromkeys(("-u", "--add-lnk"), "link"),
    **dict.fromkeys(("-r", "--rm-obj"), "remove"),
    **dict.fromkeys(("-d", "--set-default"), "default"),
    **dict.fromkeys(("-C", "--clear-default"), "clear"),
}
DETAILS = {
    **dict.fromkeys(("-m", "--mime"), "mime"),
    **dict.fromkeys(("-n", "--name"), "name"),
    **dict.fromkeys(("-t", "--type"), "type"),
    **dict.fromkeys(("-D", "--digest"), "digest"),
}


def translate(argv: list[str], exit_code: int = 0, errors: str = "", time: int | None = None) -> Command:
    """What a command line of the original tools asks for. Options and members may stand in any order."""
    steps: tuple[Step, ...]
    if Path(argv[0]).name == "shfs_mkfs":
        options, members = getopt.gnu_getopt(argv[1:], MKFS_SHORT, MKFS_LONG)
        steps = (_format(options),)
    else:
        options, members = getopt.gnu_getopt(argv[1:], ADMIN_SHORT, ADMIN_LONG)
        steps = tuple(_actions(options))
    return Command(tuple(members), steps, exit_code, errors, time)


def _format(options: list[tuple[str, str]]) -> Format:
    fields: dict[str, Any] = {}
    for option, value in options:
        if option in ("-f", "--force"):
            continue
        field = MKFS_FIELDS[option]
        if field in ("combined", "erase"):
            fields[field] = True
        elif field in ("name", "hash"):
            fields[field] = cut(value, 16)
        else:
            fields[field] = int(value)
    return Format(**fields)


def _actions(options: list[tuple[str, str]]) -> Iterator[Step]:
    """The option of an action opens it; those that say more about it follow."""
    opened: list[tuple[str, str, dict[str, str]]] = []
    for option, value in options:
        if option in ACTIONS:
            opened.append((ACTIONS[option], value, {}))
        elif option in DETAILS:
            opened[-1][2][DETAILS[option]] = value
    for action, value, details in opened:
        digest = details.get("digest")
        name = cut(details["name"], 64) if "name" in details else None
        match action:
            case "add":
                yield Add(value, cut(details.get("mime", ""), 32), name, digest)
            case "link":
                base = cut(value.rstrip("/").rpartition("/")[2], 64)
                yield Link(value, details.get("type", "redirect").lower(), base if name is None else name, digest)
            case "remove":
                yield Remove(value)
            case "default":
                yield SetDefault(value)
            case _:
                yield ClearDefault()


def commands(volume: Record) -> list[Command]:
    """All that was done to a golden volume, in this order; the first is a Format."""
    return [translate(step["argv"], step["rc"], step["stderr"], step.get("time")) for step in volume["steps"]]


def content(source: Record) -> bytes:
    """The bytes of an input: SHA-256 of "SEED:0", then of "SEED:1", and so on, cut to length."""
    blocks = (hashlib.sha256(f"{source['seed']}:{count}".encode()).digest() for count in itertools.count())
    return b"".join(itertools.islice(blocks, -(-source["len"] // 32)))[: source["len"]]


def write_inputs(volume: Record, folder: Path) -> None:
    """Puts the input files of a volume into the folder, under the names that its steps give."""
    for name, source in volume["inputs"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(source))


def image_name(member: Record) -> str:
    """The name that the steps give to a member."""
    return str(member["file"]).removesuffix(".gz")


def unpack(volume: Record, folder: Path) -> list[Path]:
    """Writes the members of a golden volume into the folder, and returns them in the order of the label."""
    paths = [folder / image_name(member) for member in volume["members"]]
    for path, image in zip(paths, images(volume), strict=True):
        path.write_bytes(image)
    return paths


def images(volume: Record) -> list[bytes]:
    """The members of a golden volume, in the order of the label."""
    return [gzip.decompress((DATA / member["file"]).read_bytes()) for member in volume["members"]]


def blank_members(volume: Record, folder: Path) -> list[Path]:
    """Empty images of the sizes that were formatted."""
    paths = [folder / image_name(member) for member in volume["members"]]
    for path, member in zip(paths, volume["members"], strict=True):
        with path.open("wb") as image:
            image.truncate(member["size_at_mkfs"])
    return paths


def masked(volume: Record, members: list[bytes]) -> list[bytes]:
    """The members with zeros where the original tool left what its memory happened to hold."""
    place = Volume(images(volume)).place_of_slot
    cleared = [bytearray(member) for member in members]
    for mask in volume["mask_link_host"]:
        member, at = place(mask["slot"])
        start = at + mask["entry_offset"]
        cleared[member][start : start + mask["length"]] = bytes(mask["length"])
    return [bytes(member) for member in cleared]
