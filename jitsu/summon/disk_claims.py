"""Which domain has which disk. Many may read one; who writes it has it alone."""

from collections.abc import Iterable

from jitsu.domains.disk_images import DiskImage
from jitsu.errors import DomainError


class DiskClaims:
    """The disks of one daemon's domains, by domid. They stay a domain's until nothing of it is left."""

    def __init__(self) -> None:
        self._held: dict[int, dict[tuple[int, int], bool]] = {}

    def claim(self, domid: int, service: str, images: Iterable[DiskImage]) -> None:
        """The domain has these from now on. Raises `DomainError`, and it has none then, where another one writes one of
        them, or would no longer be its only writer; or where two names mean one disk that it writes itself."""
        wanted: dict[tuple[int, int], bool] = {}
        for image in images:
            path, writable = image.disk.path, image.disk.writable
            if image.identity in wanted and (writable or wanted[image.identity]):
                raise DomainError(
                    f"service {service}: disk {path} is another one of its disks as well, by another name",
                    hint="what is written can be one disk only",
                )
            for other, held in self._held.items():
                if image.identity in held and other != domid and (writable or held[image.identity]):
                    raise DomainError(
                        f"service {service}: disk {path} is in use by domain {other}"
                        + (", which writes it" if held[image.identity] else ", and cannot be written meanwhile"),
                        hint='only those who read can share one: leave out "rw:", or stop the other (jitsu ps)',
                    )
            wanted[image.identity] = writable
        if wanted:
            self._held[domid] = wanted

    def release(self, domid: int) -> None:
        """The domain is gone; may be called twice."""
        self._held.pop(domid, None)
