"""Taps: Ethernet ports whose other end is a file descriptor.

A tap of ours is never persistent: it lives as long as somebody holds its descriptor, which after a launch is the
domain's monitor alone. It carries no virtio-net header, so that every frame read from it has a complete checksum.
"""

import errno
import fcntl
import os
import struct

from jitsu.errors import HostError, ResourceBusy

DEVICE = "/dev/net/tun"

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_TUN_EXCL = 0x0002, 0x1000, 0x8000


def open_tap(name: str) -> int:
    """Make the tap `name` and return its only descriptor (non-blocking, close-on-exec).

    Raises HostError without permission or tun support, ResourceBusy if an interface of that name exists.
    """
    fd = _open_device()
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_TUN_EXCL
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError as error:
        os.close(fd)
        if error.errno == errno.EBUSY:
            raise ResourceBusy(
                f"interface {name} exists already", hint=f"remove it with: ip link delete {name}"
            ) from error
        raise HostError(
            f"tap {name} cannot be made: {error.strerror}", hint="run as root, or with CAP_NET_ADMIN"
        ) from error
    return fd


def check_device() -> None:
    """Say now that no tap could be made for want of the device. Raises HostError."""
    os.close(_open_device())


def _open_device() -> int:
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise HostError(
                f"no permission to open {DEVICE}",
                hint=f"run as root, or let this user have it: chmod o+rw {DEVICE}",
            ) from error
        raise HostError(f"{DEVICE} cannot be opened: {error.strerror}", hint="load it with: modprobe tun") from error
