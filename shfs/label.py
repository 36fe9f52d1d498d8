"""The label: what each member of a volume says about itself and the others (SHFS 2.01, "common header").

334 bytes at offset 1024 of each member; 1024 zero bytes in front of it and zeros behind it fill 4096.
"""

import struct
import uuid
from dataclasses import dataclass, field

from shfs.errors import VolumeError
from shfs.geometry import LABEL_SIZE, LEAST_STRIPE, MOST_MEMBERS, MOST_STRIPE, Geometry, StripeMode

_OFFSET = 1024
_HEADER = struct.Struct("<4sBB16s16sBBQQBI16sB256s")
_MAGIC = b"SHFS"
_VERSION = (2, 1)
_LITTLE_ENDIAN = 0
NAME_SIZE = 16
"""Bytes of a volume's name."""


@dataclass(frozen=True, slots=True)
class Label:
    """The label of one member. `created` is in Unix seconds; `members` in the order that places stripes."""

    volume: uuid.UUID
    name: bytes
    created: int
    geometry: Geometry
    member: uuid.UUID
    members: tuple[uuid.UUID, ...]
    encoding: int = field(default=0)

    @property
    def position(self) -> int:
        """Which member this is: its place in the table of members."""
        return self.members.index(self.member)

    def encode(self) -> bytes:
        """4096 bytes, as each member begins."""
        table = b"".join(member.bytes for member in self.members)
        header = _HEADER.pack(
            _MAGIC,
            *_VERSION,
            self.volume.bytes,
            self.name,
            _LITTLE_ENDIAN,
            self.encoding,
            self.geometry.chunks,
            self.created,
            self.geometry.mode,
            self.geometry.stripe,
            self.member.bytes,
            len(self.members),
            table,
        )
        return (bytes(_OFFSET) + header).ljust(LABEL_SIZE, b"\0")


def decode_label(data: bytes, path: str) -> Label:
    """Read the first 4096 bytes of the member at `path`. Raises VolumeError for anything that a reader must refuse."""
    if len(data) < _OFFSET + _HEADER.size:
        raise VolumeError(f"{path} is no SHFS volume: it is too short for a label", hint="`shfs mkfs` makes one")
    (magic, major, minor, volume, name, order, encoding, chunks, created, mode, stripe, member, count, table) = (
        _HEADER.unpack_from(data, _OFFSET)
    )
    if magic != _MAGIC:
        raise VolumeError(f"{path} is no SHFS volume: it has no label", hint="`shfs mkfs` makes one")
    if (major, minor) != _VERSION:
        raise VolumeError(
            f"{path} is an SHFS volume of version {major}.{minor:02}, and not of 2.01",
            hint="make it anew from its contents: other versions have other structures",
        )
    if order != _LITTLE_ENDIAN:
        raise VolumeError(
            f"{path} was made on a big-endian machine", hint="make it anew from its contents on a little-endian one"
        )
    if not 1 <= count <= MOST_MEMBERS:
        raise _damaged(path, f"it speaks of {count} members, and there can be 1 to {MOST_MEMBERS}")
    if mode not in (StripeMode.INDEPENDENT, StripeMode.COMBINED):
        raise _damaged(path, f"there is no stripe mode {mode}")
    if not LEAST_STRIPE <= stripe <= MOST_STRIPE or stripe & (stripe - 1):
        raise _damaged(path, f"a stripe has {stripe} bytes, and not 4096, 8192, 16384 or 32768")
    members = tuple(uuid.UUID(bytes=table[at : at + 16]) for at in range(0, 16 * count, 16))
    if len(set(members)) != count:
        raise _damaged(path, "two of its members have the same UUID")
    own = uuid.UUID(bytes=member)
    if own not in members:
        raise _damaged(path, f"its own UUID {own} is not among its members'")
    geometry = Geometry(count, stripe, StripeMode(mode), chunks)
    return Label(uuid.UUID(bytes=volume), name.rstrip(b"\0"), created, geometry, own, members, encoding)


def _damaged(path: str, what: str) -> VolumeError:
    return VolumeError(f"the label of {path} is damaged: {what}", hint="take the member from a copy of the volume")
