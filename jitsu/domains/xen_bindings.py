"""libxenctrl and libxenguest, through the module jitsu_xen that the recipe xen-bindings makes.

It belongs to one release of Xen, and is imported when a driver is made: on a machine without Xen nothing else fails.
A handle is one thread's at a time; calls let other threads run.
"""

import os
import threading
from typing import Any

from jitsu.errors import DomainError, HostError

PAGE = 4096


def load() -> tuple[Any, Any]:
    """The module's `ffi` and `lib`. Raises `HostError` where it is missing, or made for another Xen."""
    try:
        from jitsu_xen import ffi, lib
    except ImportError as error:
        raise HostError(
            f"the xen driver needs the module jitsu_xen: {error}",
            hint="jitsu image build xen-bindings@amd64 (or @armhf, @arm64) makes it for Debian's Xen 4.17: copy it "
            "into a folder of Python's path, beside apt install python3-cffi-backend libxenmisc4.17",
        ) from None
    return ffi, lib


class Xen:
    """One open handle to the hypervisor."""

    def __init__(self) -> None:
        """Raises `HostError` where there is no Xen, or we may not use it."""
        self.ffi, self.lib = load()
        self._complaints = self.lib.complaints_new()
        if self._complaints == self.ffi.NULL:
            raise MemoryError
        self.handle = self.lib.complaints_open(self._complaints)
        if self.handle == self.ffi.NULL:
            complaint = self._complaint("no reason given")
            self.lib.complaints_free(self._complaints)
            raise HostError(
                f"the hypervisor cannot be used: {complaint}",
                hint="run as root in dom0 of a machine that runs Xen 4.17 (is there a /dev/xen/privcmd?)",
            )

    def close(self) -> None:
        self.lib.xc_interface_close(self.handle)
        self.lib.complaints_free(self._complaints)

    def call(self, name: str, *arguments: Any) -> int:
        """Call a function of libxenctrl's with this handle. Raises `DomainError` when it fails."""
        return self._checked(name, getattr(self.lib, name)(self.handle, *arguments))

    def image_call(self, name: str, image: Any, *arguments: Any) -> None:
        """Call a function of libxenguest's with an image of a domain. Raises `DomainError` when it fails."""
        self._checked(name, getattr(self.lib, name)(image, *arguments))

    def image(self, cmdline: str) -> Any:
        """A new image of a domain, to be released. Raises `DomainError`."""
        image = self.lib.xc_dom_allocate(self.handle, cmdline.encode() if cmdline else self.ffi.NULL, self.ffi.NULL)
        if image == self.ffi.NULL:
            raise self._failure("xc_dom_allocate")
        return image

    def _checked(self, name: str, result: int) -> int:
        if result < 0:
            raise self._failure(name)
        self._complaints.last[0] = b"\0"
        return result

    def _failure(self, name: str) -> DomainError:
        number = self.ffi.errno
        return DomainError(f"{name}: {self._complaint(os.strerror(number) if number else 'no reason given')}")

    def _complaint(self, otherwise: str) -> str:
        said = self.ffi.string(self._complaints.last).decode("utf-8", "replace")
        self._complaints.last[0] = b"\0"
        return said or otherwise


class Handles:
    """A handle for each thread that asks, opened when it asks first."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._all: list[Xen] = []

    def mine(self) -> Xen:
        """This thread's. Raises `HostError`."""
        found: Xen | None = getattr(self._mine, "xen", None)
        if found is None:
            found = self._mine.xen = Xen()
            self._all.append(found)
        return found

    def close(self) -> None:
        """Close all, when no thread uses one any more."""
        for xen in self._all:
            xen.close()
        self._all.clear()
        self._mine = threading.local()
