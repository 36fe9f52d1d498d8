"""What the labels of a volume's members say, where they do not agree or are damaged: which is right, and what is wrong
with the others."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shfs.errors import VolumeError
from shfs.findings import Fault, Finding, Severity
from shfs.geometry import Geometry
from shfs.label import Label, decode_label
from shfs.members import Members
from shfs.volume import assemble, check_sizes, decode_text, name_of

_OWN = slice(1024 + 61, 1024 + 77)
"""Where a member's own UUID stands on it."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The label of member 0 that the volume goes by, and what is wrong with those that are on the members, which are in
    its order. `certain`: if they contradict each other, is it clear that this one is right?"""

    label: Label
    findings: list[Finding]
    certain: bool

    def of(self, member: int) -> bytes:
        """The first 4096 bytes that a member should have."""
        name = self.label.name.partition(b"\0")[0]
        return replace(self.label, member=self.label.members[member], name=name, encoding=0).encode()


def read_labels(members: Members) -> Labels:
    """Read all labels, and put the members into their order. Raises VolumeError for what is no volume or not all of
    one."""
    try:
        label = assemble(members)
    except VolumeError as refused:
        label, certain = _reconciled(members, refused)
        check_sizes(members, label)
    else:
        certain = True
    findings = [finding for at in range(len(members)) for finding in _of_member(members, label, at, certain)]
    return Labels(label, findings + list(_of_all(members, label, certain)), certain)


def _of_member(members: Members, label: Label, at: int, certain: bool) -> Iterator[Finding]:
    """What is wrong with the label of one member, beside that of the volume."""
    where = f"label of member {at} ({members.paths[at]})"
    data = members.beginnings()[at]
    try:
        own = decode_label(data, members.paths[at])
    except VolumeError as error:
        yield Finding(Severity.ERROR, Fault.LABEL, where, error.message, repairable=certain)
        return
    for what, this, other in _differences(own, replace(label, member=label.members[at])):
        doubt = "" if certain else "; nothing tells which is right"
        message = f"its {what} is {this}, and by the other labels {other}{doubt}"
        yield Finding(Severity.ERROR, Fault.LABEL, where, message, repairable=certain)
    strange = [at for at, (byte, due) in enumerate(zip(data, own.encode(), strict=True)) if byte != due]
    if strange:
        message = f"{len(strange)} bytes are not zero where nothing is, the first at {strange[0]}"
        yield Finding(Severity.ERROR, Fault.LABEL, where, message, repairable=certain)


def _of_all(members: Members, label: Label, certain: bool) -> Iterator[Finding]:
    """What is wrong with the label that the volume goes by."""
    where = "label"
    if b"\0" in label.name:
        message = f"there are bytes behind the NUL that ends the volume's name: {label.name!r}"
        yield Finding(Severity.ERROR, Fault.LABEL, where, message, repairable=certain)
    if label.encoding:
        message = f"it speaks of encoding {label.encoding}, and there is none but 0"
        yield Finding(Severity.ERROR, Fault.LABEL, where, message, repairable=certain)
    if not decode_text(label.name).isprintable():
        message = f"the volume's name has characters that cannot be printed: {label.name!r}"
        yield Finding(Severity.NOTE, Fault.LABEL, where, message)
    geometry = label.geometry
    made = _geometry_of(members, geometry)
    if geometry != made:
        message = f"it speaks of {geometry.chunks} chunks, and members of this size have {made.chunks}"
        if geometry.mode != made.mode:
            message = "it speaks of combined stripes, and a volume of one member has none"
        yield Finding(Severity.NOTE, Fault.LABEL, where, message)


def _geometry_of(members: Members, geometry: Geometry) -> Geometry:
    return Geometry.of_size(geometry.members, geometry.stripe, geometry.mode, min(members.sizes()))


def _differences(own: Label, due: Label) -> Iterator[tuple[str, str, str]]:
    """Field by field: what it is, as it is, as it should be."""
    pairs = (
        ("volume UUID", own.volume, due.volume),
        ("volume name", name_of(own), name_of(due)),
        ("creation time", own.created, due.created),
        ("encoding", own.encoding, due.encoding),
        ("volume size", own.geometry.chunks, due.geometry.chunks),
        ("stripe mode", own.geometry.mode.name.lower(), due.geometry.mode.name.lower()),
        ("stripe size", own.geometry.stripe, due.geometry.stripe),
        ("member UUID", own.member, due.member),
        ("number of members", len(own.members), len(due.members)),
        ("table of members", _listed(own), _listed(due)),
    )
    for what, this, other in pairs:
        if this != other:
            yield what, str(this), str(other)


def _listed(label: Label) -> str:
    return " ".join(map(str, label.members))


def _reconciled(members: Members, refused: VolumeError) -> tuple[Label, bool]:
    """The label that the volume goes by, and whether it is clear that this one is right. Raises what refused the
    volume if no label is valid, a member is missing, or one belongs to another volume."""
    beginnings = members.beginnings()
    valid: list[Label | None] = []
    for data, path in zip(beginnings, members.paths, strict=True):
        try:
            valid.append(decode_label(data, path))
        except VolumeError:
            valid.append(None)
    common = dict.fromkeys(_common(label) for label in valid if label is not None)
    if not common:
        raise refused
    ranked = sorted(common, key=lambda label: _plausibility(members, label, valid), reverse=True)
    chosen = ranked[0]
    certain = len(ranked) == 1 or _plausibility(members, chosen, valid) > _plausibility(members, ranked[1], valid)
    order = _order(members, chosen, beginnings)
    if order is None:
        raise refused
    members.arrange(order)
    return chosen, certain


def _common(label: Label) -> Label:
    """The label as it is on member 0."""
    return replace(label, member=label.members[0])


def _plausibility(members: Members, label: Label, valid: list[Label | None]) -> tuple[int, int, bool]:
    """How well a label goes with the members: how many of them it knows, how many say the same, whether it is made for
    their size."""
    known = sum(other is not None and other.member in label.members for other in valid)
    votes = sum(other is not None and _common(other) == label for other in valid)
    return known, votes, label.geometry == _geometry_of(members, label.geometry)


def _order(members: Members, label: Label, beginnings: list[bytes]) -> list[int] | None:
    """Which of the members given has which place; None if that cannot be told. One that does not know its own place has
    the one that is left, if its label has something of this volume or was wiped: no other file is taken for a
    member."""
    places: dict[uuid.UUID, int] = {}
    left = []
    for at, data in enumerate(beginnings):
        own = uuid.UUID(bytes=data[_OWN].ljust(16, b"\0"))
        if own in label.members:
            if own in places:
                return None
            places[own] = at
        elif not any(data) or any(one.bytes in data for one in (label.volume, *label.members)):
            left.append(at)
        else:
            return None
    missing = [member for member in label.members if member not in places]
    if len(left) > 1 or len(left) != len(missing):
        return None
    places |= dict(zip(missing, left, strict=True))
    return [places[member] for member in label.members]
