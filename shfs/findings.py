"""What a check finds: findings, and the report of all of them."""

import enum
from dataclasses import dataclass, field
from typing import Any


class Severity(enum.StrEnum):
    """An error is what no sound volume has. A note is what one may have, and its owner may want to know."""

    ERROR = "error"
    NOTE = "note"


class Fault(enum.StrEnum):
    """The kinds of findings: what programs go by."""

    LABEL = "label"
    CONFIGURATION = "configuration"
    JOURNAL = "journal"
    COPIES = "copies"
    UNUSED = "unused"
    FLAGS = "flags"
    BUCKET = "bucket"
    TWICE = "twice"
    PLACE = "place"
    OVERLAP = "overlap"
    LINK = "link"
    TEXT = "text"
    DEFAULT = "default"
    DIGEST = "digest"
    PADDING = "padding"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Finding:
    """`where` is the place on the volume; `slot`, `digest` and `name` say which object, where it is one's. What is
    `repairable` is set right by `repair`."""

    severity: Severity
    fault: Fault
    where: str
    message: str
    slot: int | None = None
    digest: bytes | None = None
    name: str | None = None
    repairable: bool = False

    @property
    def is_error(self) -> bool:
        """Does it make the volume an unsound one?"""
        return self.severity is Severity.ERROR

    def as_json(self) -> dict[str, Any]:
        """What `shfs check -o json` prints of it."""
        return {
            "severity": self.severity,
            "fault": self.fault,
            "where": self.where,
            "message": self.message,
            "slot": self.slot,
            "object": None if self.digest is None else self.digest.hex(),
            "name": self.name,
            "repairable": self.repairable,
        }


@dataclass(slots=True)
class Report:
    """All findings, in the order of the volume. `volume` is its name; `files`, `links`, `removed` are counts, `bytes`
    those of all files, `read` those of the files whose digests were compared."""

    volume: str
    findings: list[Finding] = field(default_factory=list)
    files: int = 0
    links: int = 0
    removed: int = 0
    bytes: int = 0
    read: int = 0

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.is_error for finding in self.findings)

    @property
    def notes(self) -> int:
        """How many findings are notes."""
        return len(self.findings) - self.errors

    @property
    def is_sound(self) -> bool:
        """Is nothing wrong?"""
        return not self.errors
