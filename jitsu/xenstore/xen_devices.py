"""What a XenStore needs of Xen, through the kernel's own devices: event channels, pages of others, who is alive.

Sources: Linux's include/uapi/xen/{evtchn,gntdev,privcmd}.h and include/xen/xenbus_dev.h; Xen's public/domctl.h. Xen's
libraries would do the same calls; but those that ask for domains belong to one release of Xen each, and of the answer
two words are needed, whose place has not changed since Xen 3. What did change is a number of the interface, which Xen
compares with its own: it is found by trying.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import struct
from contextlib import suppress
from pathlib import Path

from jitsu.errors import HostError
from jitsu.xenstore.ring import PAGE

VIRQ_DOM_EXC = 3
"""The interrupt that says that a domain has ended, in one way or another. One program may have it."""

GRANT_OF_STORE = 1
"""GNTTAB_RESERVED_XENSTORE: by this entry of its grant table a domain's builder lets us have the shared page."""

_DEVICES = "/dev/xen"


def _ioctl(kind: str, number: int, size: int) -> int:
    """_IOC(_IOC_NONE, kind, number, size)."""
    return size << 16 | ord(kind) << 8 | number


_BIND_VIRQ = _ioctl("E", 0, 4)
_BIND_INTERDOMAIN = _ioctl("E", 1, 8)
_UNBIND = _ioctl("E", 3, 4)
_NOTIFY = _ioctl("E", 4, 4)
_MAP_GRANT = _ioctl("G", 0, 24)
_UNMAP_GRANT = _ioctl("G", 1, 16)
_PORT_OF_DOM0 = _ioctl("B", 0, 0)
_HYPERCALL = _ioctl("P", 0, 48)

_PORT = struct.Struct("I")
_PORTS_AT_ONCE = 1024

_DOMCTL = 36
"""__HYPERVISOR_domctl."""
_GETDOMAININFO = 5
_INTERFACES = range(0x0B, 0x30)
"""XEN_DOMCTL_INTERFACE_VERSION of Xen 4.6 (0x0b), 4.17 (0x15), and of those that are to come."""
_QUESTION = struct.Struct("=IIH6xH")
"""struct xen_domctl: command, interface, domain, padding; then of getdomaininfo the domain that the answer is of."""
_FLAGS_AT = 20
_DYING, _SHUTDOWN = 1 << 0, 1 << 2
"""XEN_DOMINF_*."""


class EventChannels:
    """All event channels of this process, on one descriptor that is readable when any has had an event."""

    def __init__(self) -> None:
        """Raises `HostError`."""
        self._fd = _open("evtchn")

    def fileno(self) -> int:
        return self._fd

    def bind(self, domid: int, port: int) -> int:
        """Connect to a port that a domain left open for us: the number of our end. Raises `OSError`."""
        return int(fcntl.ioctl(self._fd, _BIND_INTERDOMAIN, bytearray(struct.pack("II", domid, port))))

    def bind_virq(self, virq: int) -> int:
        """Hear an interrupt of Xen's: the number of our port. Raises `OSError` EEXIST if another program does."""
        return int(fcntl.ioctl(self._fd, _BIND_VIRQ, bytearray(_PORT.pack(virq))))

    def unbind(self, port: int) -> None:
        fcntl.ioctl(self._fd, _UNBIND, bytearray(_PORT.pack(port)))

    def notify(self, port: int) -> None:
        """Wake the other end. One that is gone does not hear it."""
        with suppress(OSError):
            fcntl.ioctl(self._fd, _NOTIFY, bytearray(_PORT.pack(port)))

    def pending(self) -> list[int]:
        """Our ports that have had events; each can have one again from now on."""
        try:
            data = os.read(self._fd, _PORTS_AT_ONCE * _PORT.size)
        except BlockingIOError:
            return []
        os.write(self._fd, data)
        return [port for (port,) in _PORT.iter_unpack(data)]


class SharedPages:
    """The pages by which domains speak to the store."""

    def __init__(self) -> None:
        """Raises `HostError`."""
        self._fd = _open("gntdev")
        self._indices: dict[mmap.mmap, int] = {}

    def of_dom0(self) -> tuple[mmap.mmap, int]:
        """The page of this machine's own kernel, and the port that it left open for us. Raises `HostError`."""
        backend = _open("xenbus_backend")
        try:
            port = fcntl.ioctl(backend, _PORT_OF_DOM0)
            return mmap.mmap(backend, PAGE), port
        except OSError as error:
            raise HostError(
                f"the kernel's XenStore page cannot be had: {error.strerror}", hint="is this domain 0?"
            ) from error
        finally:
            os.close(backend)

    def of_guest(self, domid: int) -> mmap.mmap:
        """Raises `OSError` when the domain grants no page, or is gone."""
        wanted = bytearray(struct.pack("=IIQII", 1, 0, 0, domid, GRANT_OF_STORE))
        fcntl.ioctl(self._fd, _MAP_GRANT, wanted)
        index = int(struct.unpack_from("=Q", wanted, 8)[0])
        try:
            page = mmap.mmap(self._fd, PAGE, offset=index)
        except OSError:
            self._unmap(index)
            raise
        self._indices[page] = index
        return page

    def release(self, page: mmap.mmap) -> None:
        """Give a page back. Until then its domain, if it is dead, does not go away."""
        page.close()
        index = self._indices.pop(page, None)
        if index is not None:
            self._unmap(index)

    def _unmap(self, index: int) -> None:
        fcntl.ioctl(self._fd, _UNMAP_GRANT, bytearray(struct.pack("=QII", index, 1, 0)))


class Hypervisor:
    """Asks Xen about domains."""

    def __init__(self) -> None:
        """Raises `HostError`."""
        self._privcmd = _open("privcmd")
        # Xen reads and writes the question where it lies, so it has to be in a page that stays.
        pages = _open("hypercall")
        self._question = mmap.mmap(pages, PAGE)
        os.close(pages)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._question))
        self._interface = self._find_interface()

    def exists(self, domid: int) -> bool:
        """Is there such a domain, even if it is on its way out?"""
        return self._ask(domid) is not None

    def has_ended(self, domid: int) -> bool:
        """Is a domain gone for good, or about to?"""
        flags = self._ask(domid)
        return flags is None or bool(flags & _DYING)

    def has_shut_down(self, domid: int) -> bool:
        """Has a domain shut itself down, or crashed?"""
        flags = self._ask(domid)
        return flags is not None and bool(flags & _SHUTDOWN)

    def _find_interface(self) -> int:
        for self._interface in _INTERFACES:
            try:
                self._ask(0)
            except OSError as error:
                if error.errno != errno.EACCES:
                    raise HostError(
                        f"Xen does not answer questions about domains: {error.strerror}", hint="is this domain 0?"
                    ) from error
            else:
                return self._interface
        raise HostError("Xen's interface for toolstacks is none that is known", hint="Xen 4.6 and later are")

    def _ask(self, domid: int) -> int | None:
        """XEN_DOMINF_* of a domain, None if there is none. Raises `OSError`."""
        size = _QUESTION.size
        self._question[:size] = _QUESTION.pack(_GETDOMAININFO, self._interface, domid, domid)
        try:
            fcntl.ioctl(self._privcmd, _HYPERCALL, bytearray(struct.pack("=6Q", _DOMCTL, self._address, 0, 0, 0, 0)))
        except OSError as error:
            if error.errno == errno.ESRCH:
                return None
            raise
        # Xen up to 4.17 answers of the next domain that there is.
        if int.from_bytes(self._question[size - 2 : size], "little") != domid:
            return None
        return int.from_bytes(self._question[_FLAGS_AT : _FLAGS_AT + 4], "little")


class Xen:
    """All of this machine's Xen that the store needs."""

    def __init__(self) -> None:
        """Raises `HostError`."""
        self.hypervisor = Hypervisor()
        self.events = EventChannels()
        self.pages = SharedPages()
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        """Names this boot of the machine."""


def _open(name: str) -> int:
    """Raises `HostError`."""
    if platform.machine() != "x86_64":
        raise HostError(
            f"rings of Xen cannot be served on {platform.machine()}: Python cannot order its accesses to memory",
            hint="run Xen's own xenstored there",
        )
    path = f"{_DEVICES}/{name}"
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise HostError(
            f"{path} cannot be opened: {error.strerror}",
            hint="--xen is for domain 0 of Xen, as root; modprobe xen-evtchn, xen-gntdev, xen-privcmd",
        ) from error
