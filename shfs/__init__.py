"""SHFS: the content-addressed volume format of MiniCache, its images made, changed, checked and served.

It imports nothing of ours. The format is SHFS 2.01; shfs(5) describes it to the byte.

    from shfs import Volume, mkfs

    mkfs(["cache.img"], name="cache")
    with Volume.open(["cache.img"], write=True) as volume:
        with volume.batch() as batch:
            batch.add("index.html", mime="text/html")
"""

from shfs.errors import (
    HostError,
    InputError,
    ObjectError,
    ShfsError,
    UnsoundVolume,
    VolumeBusy,
    VolumeError,
    VolumeFull,
)
from shfs.formatting import mkfs
from shfs.volume import StoredObject, Volume

__all__ = [
    "HostError",
    "InputError",
    "ObjectError",
    "ShfsError",
    "StoredObject",
    "UnsoundVolume",
    "Volume",
    "VolumeBusy",
    "VolumeError",
    "VolumeFull",
    "mkfs",
]
