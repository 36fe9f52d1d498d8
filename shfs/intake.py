"""Many files at once on their way into a volume, and what became of each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shfs.addition import Addition
from shfs.batch import Batch
from shfs.errors import ShfsError
from shfs.naming import Naming
from shfs.tree import Failed, Found
from shfs.volume import StoredObject, Volume


@dataclass(slots=True)
class Outcome:
    """What became of files: each with the object that it is now, or was already, or with its error. `notes` are
    sentences about whatever is not as one would expect."""

    added: list[tuple[str, StoredObject]] = field(default_factory=list)
    there: list[tuple[str, StoredObject]] = field(default_factory=list)
    failed: list[tuple[str, ShfsError]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _names: dict[str, StoredObject] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all that was added."""
        return sum(item.size for _, item in self.added)

    def keep(self, what: str, error: ShfsError) -> None:
        """A failure that is not the end."""
        self.failed.append((what, error))

    def take(self, batch: Batch, additions: Iterable[Addition], *, threads: int, keep_going: bool) -> None:
        """Add files. Raises the first error unless it keeps going."""

        def failed(addition: Addition, error: ShfsError) -> None:
            self.keep(addition.what, error)

        for addition, item, is_new in batch.add_all(additions, threads=threads, failed=failed if keep_going else None):
            (self.added if is_new else self.there).append((addition.what, item))
            self._names.setdefault(addition.given_name, item)
            if addition.given_name != item.name:
                self.notes.append(f"{addition.what} has the content of {item.name!r}: one object, with that name")

    def named(self, volume: Volume, name: str) -> StoredObject:
        """The object of the file that was to have that name, or another one that has it. Raises ObjectError."""
        return self._names.get(name) or volume.get(name, unique=True)

    def names_in_doubt(self, volume: Volume) -> list[str]:
        """Names that were added and that several objects have now: readers find the first of these in the table."""
        names = dict.fromkeys(item.name for _, item in self.added if item.name)
        return [name for name in names if volume.has_several(name)]


def additions(
    found: Iterable[Found],
    naming: Naming,
    failed: Failed,
    *,
    name: str | None = None,
    digest: bytes | None = None,
    must_be_new: bool = False,
) -> Iterator[Addition]:
    """What is to be added of files that were found: under this name, if it is given, or that of the rules. `failed`
    gets those that cannot have their name. `must_be_new`: those that were given by themselves are an error if the
    volume has them."""
    for file in found:
        try:
            own = naming.name(file.relative, file.path, alone=file.alone) if name is None else name
        except ShfsError as error:
            failed(file.path, error)
            continue
        if own is not None:
            kind = naming.type(file.relative, file.path)
            yield Addition(file.path, own, kind, digest=digest, must_be_new=must_be_new and file.alone)
