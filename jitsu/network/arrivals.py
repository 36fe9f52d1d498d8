"""Interfaces as they come and go, told by the kernel: no looking again and again."""

import asyncio
import errno
import socket
import struct
from contextlib import suppress

_SOL_NETLINK, _ADD_MEMBERSHIP, _DROP_MEMBERSHIP = 270, 1, 2
_RTNLGRP_LINK = 1
_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_IFLA_IFNAME = 3
_HEADER = struct.Struct("=IHHII")
_IFINFO_SIZE = 16
_ATTRIBUTE = struct.Struct("=HH")


class Arrivals:
    """Waits for interfaces of the network namespace in which it was made, in the running event loop."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setblocking(False)
        self._socket.bind((0, 0))
        self._waiting: dict[tuple[str, bool], list[asyncio.Future[None]]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._readable)

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()

    async def come(self, name: str, within: float) -> None:
        """Wait until there is an interface of that name. Raises TimeoutError."""
        async with asyncio.timeout(within):
            await self._until((name, True))

    async def gone(self, name: str, within: float) -> None:
        """Wait until there is no interface of that name. Raises TimeoutError."""
        async with asyncio.timeout(within):
            await self._until((name, False))

    async def _until(self, key: tuple[str, bool]) -> None:
        name, wanted = key
        while True:
            news = self._expect(key)
            try:
                if is_there(name) is wanted:
                    return
                await news
            finally:
                self._forget(key, news)

    def _expect(self, key: tuple[str, bool]) -> "asyncio.Future[None]":
        if not self._waiting:
            # Every change of every interface is told: a domain's is changed half a dozen times when it is plugged in.
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _RTNLGRP_LINK)
        news: asyncio.Future[None] = self._loop.create_future()
        self._waiting.setdefault(key, []).append(news)
        return news

    def _forget(self, key: tuple[str, bool], news: "asyncio.Future[None]") -> None:
        waiting = self._waiting[key]
        waiting.remove(news)
        if not waiting:
            del self._waiting[key]
        if not self._waiting:
            self._socket.setsockopt(_SOL_NETLINK, _DROP_MEMBERSHIP, _RTNLGRP_LINK)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            # ENOBUFS: more happened than there was room for. Everybody looks anew.
            for key in self._waiting:
                self._tell(key)
            return
        while len(data) >= _HEADER.size:
            length, kind, _, _, _ = _HEADER.unpack_from(data)
            if length < _HEADER.size:
                return
            if kind in (_RTM_NEWLINK, _RTM_DELLINK) and (name := _name(data[_HEADER.size + _IFINFO_SIZE : length])):
                self._tell((name, kind == _RTM_NEWLINK))
            data = data[(length + 3) & ~3 :]

    def _tell(self, key: tuple[str, bool]) -> None:
        for future in self._waiting.get(key, ()):
            if not future.done():
                future.set_result(None)


def is_there(name: str) -> bool:
    """Is there an interface of that name now? Raises OSError.

    Asked by binding a socket. For a name that there is not, if_nametoindex(3) has the kernel look for a module
    (dev_load, net/core/dev_ioctl.c), and wait for modprobe twice; RTM_GETLINK waits while any interface is changed.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as bound:
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode() + b"\0")
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return False
    return True


def _name(attributes: bytes) -> str:
    with suppress(struct.error):
        while attributes:
            length, kind = _ATTRIBUTE.unpack_from(attributes)
            if length < _ATTRIBUTE.size:
                break
            if kind == _IFLA_IFNAME:
                return attributes[_ATTRIBUTE.size : length].rstrip(b"\0").decode("ascii", "replace")
            attributes = attributes[(length + 3) & ~3 :]
    return ""
