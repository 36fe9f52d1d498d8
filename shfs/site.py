"""A whole web site as a volume of its own, laid out as the original's mkwebfs does it.

Digests are the SHA-1 of a file's path within the site, without a leading slash, so that a cache that looks a request's
path up by its digest or by its name finds it. The index of a folder is there under the folder's name as well, with a
slash behind it and without. These are copies, as mkwebfs makes them, though entries could have the same chunks: the
original's tool frees an object's chunks when it removes it, and the others would lose theirs.
"""

import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from shfs.addition import Addition
from shfs.configuration import FIRST_TABLE_CHUNK
from shfs.digests import HashFunction
from shfs.entry import NAME_SIZE, SLOT_SIZE
from shfs.errors import HostError, InputError, ObjectError, VolumeFull
from shfs.formatting import mkfs
from shfs.geometry import Geometry, StripeMode, check_stripe
from shfs.journal import discard_journal, journal_path, sync_folder
from shfs.naming import Naming
from shfs.tree import Found, Tree
from shfs.volume import Volume, encode_text

DEFAULT_STRIPE, DEFAULT_BUCKETS, ENTRIES = 4096, 1024, 16
_DIGEST_LENGTH = 20
_INDEXES = ("index.html", "index.htm")


@dataclass(frozen=True, slots=True)
class Page:
    """An object of the site: its name is the path that a client asks for."""

    name: str
    file: Found

    @property
    def digest(self) -> bytes:
        """By which it is found."""
        return hashlib.sha1(encode_text(self.name), usedforsecurity=False).digest()


@dataclass(frozen=True, slots=True)
class Site:
    """What the volume will hold. `default` is the page for an empty request, or None."""

    pages: Sequence[Page]
    default: Page | None

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(page.file.size for page in self.pages)


def plan_site(folder: str, tree: Tree) -> Site:
    """The pages of a folder. Raises InputError if there are none, or names that an entry cannot hold: all of them are
    told, before anything is made."""
    if not os.path.isdir(folder):
        raise InputError(f"{folder} is no folder", hint="give the folder of the site's root")
    files = {file.relative: file for file in tree.files([folder])}
    if not files:
        raise InputError(f"there are no files in {folder}", hint="give the folder of the site's root")
    long = [name for name in files if len(encode_text(name)) > NAME_SIZE]
    if long:
        raise InputError(
            f"{len(long)} names have more than {NAME_SIZE} bytes: {', '.join(long)}",
            hint="clients could not reach these: shorten them, or leave them out with --exclude",
        )
    pages = [Page(name, file) for name, file in files.items()]
    default = None
    for prefix in dict.fromkeys(name[: name.rfind("/") + 1] for name in files):
        index = next((files[prefix + name] for name in _INDEXES if prefix + name in files), None)
        if index is None:
            continue
        if prefix:
            pages += [Page(prefix.removesuffix("/"), index), Page(prefix, index)]
        else:
            default = Page(index.relative, index)
    return Site(pages, default)


def buckets_for(site: Site, least: int = DEFAULT_BUCKETS) -> int:
    """So many buckets, or twice, or four times as many, that each has entries enough for its objects."""
    buckets = least
    while _fullest(site, buckets) > ENTRIES:
        buckets *= 2
    return buckets


def make_site(
    site: Site,
    image: str,
    naming: Naming,
    *,
    stripe: int = DEFAULT_STRIPE,
    buckets: int | None = None,
    name: str = "unnamed",
    replacing: bool = False,
    threads: int = 2,
    progress: Callable[[int], None] = lambda count: None,
) -> int:
    """Write the volume, of exactly the size that it needs, which is returned in bytes. It has its name when it is
    complete; with `replacing` an image of that name is gone then.

    Raises ObjectError if there is one, VolumeFull for buckets that are too few, InputError and HostError for files that
    cannot be read or written.
    """
    check_stripe(stripe)
    if os.path.lexists(image) and not (replacing and os.path.isfile(image)):
        raise ObjectError(f"{image} is there already", hint="give another name, or --force to replace an image")
    if buckets is not None and (fullest := _fullest(site, buckets)) > ENTRIES:
        raise VolumeFull(
            f"{fullest} of the objects belong into one of {buckets} buckets, which has {ENTRIES} entries",
            hint=f"--buckets {buckets_for(site, buckets)} is enough",
        )
    chosen = buckets_for(site) if buckets is None else buckets
    size = _image_size(site, stripe, chosen)
    with _in_its_place(image, size) as unfinished:
        label = mkfs(
            [unfinished],
            name=name,
            stripe=stripe,
            buckets=chosen,
            entries=ENTRIES,
            function=HashFunction.MANUAL,
            digest_length=_DIGEST_LENGTH,
        )
        with Volume.open([unfinished], write=True) as volume, volume.batch(progress=progress) as batch:
            # An empty file needs a free chunk to point at, and at the end there is none.
            pages = sorted(site.pages, key=lambda page: page.file.size > 0)
            for _ in batch.add_all([_addition(page, naming) for page in pages], threads=threads):
                pass
            if site.default is not None:
                batch.set_default(site.default.digest)
    # If the image that was there had one, its promise was to that.
    discard_journal(journal_path(label, image, is_file=True))
    return size


def _addition(page: Page, naming: Naming) -> Addition:
    kind = naming.type(page.file.relative, page.file.path)
    return Addition(page.file.path, page.name, kind, digest=page.digest)


def _fullest(site: Site, buckets: int) -> int:
    """How many objects belong into the bucket that gets most."""
    counts = Counter(int.from_bytes(page.digest[:4], "little") % buckets for page in site.pages)
    return max(counts.values())


def _image_size(site: Site, stripe: int, buckets: int) -> int:
    """Bytes of the smallest image that holds the site."""
    geometry = Geometry(1, stripe, StripeMode.INDEPENDENT, 0)
    data = sum(geometry.chunks_of(page.file.size) for page in site.pages)
    chunks = FIRST_TABLE_CHUNK + geometry.chunks_of(buckets * ENTRIES * SLOT_SIZE) + max(data, 1)
    return replace(geometry, chunks=chunks).member_size_for(chunks)


@contextmanager
def _in_its_place(image: str, size: int) -> Iterator[str]:
    """The name of an empty file of that size, which is the image's at the end, and gone if that does not come."""
    unfinished = f"{image}.{secrets.token_hex(4)}.new"
    with ExitStack() as undo:
        try:
            with open(unfinished, "xb") as file:
                undo.callback(os.unlink, unfinished)
                file.truncate(size)
            yield unfinished
            os.rename(unfinished, image)
            undo.pop_all()
            sync_folder(Path(image).parent)
        except OSError as error:
            raise HostError(f"{image} cannot be written: {error.strerror}", hint="look at its folder") from None
