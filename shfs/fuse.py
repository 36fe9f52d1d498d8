"""`shfs mount`: the views of a volume in the file system, read-only, through FUSE.

mfusepy calls libfuse by ctypes, so nothing has to be compiled. An open file is of the edition of the volume that was
there when it was opened, to its end. The kernel keeps no bytes of files: two editions of one path would be mixed.
"""

import errno
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from shfs.errors import HostError, InputError, ShfsError
from shfs.live import Lease, LiveVolume
from shfs.room import Room, room_of
from shfs.views import Folder, Node, Pointer, find, tree_of
from shfs.volume import StoredObject, Volume

_LATEST = 253402300799
"""The last second of the year 9999: an entry may speak of later times, and programs may not understand them."""

_MOST_SIZE = (1 << 63) - 1

_BLOCK = 1 << 17
"""Bytes that programs had best read at once: each read is a call of ours."""


@dataclass(frozen=True, slots=True)
class _Opened:
    lease: Lease
    item: StoredObject


class MountedVolume:
    """The operations of the file system, by the names that libfuse has for them. Any number of threads calls them."""

    use_ns = True

    def __init__(self, live: LiveVolume, mounted: Callable[[], None]) -> None:
        self._live = live
        self._mounted = mounted
        self._lock = threading.Lock()
        self._handles = itertools.count(1)
        self._open: dict[int, _Opened] = {}
        self._trees: WeakKeyDictionary[Volume, Folder] = WeakKeyDictionary()
        self._rooms: WeakKeyDictionary[Volume, Room] = WeakKeyDictionary()

    def init(self, path: str) -> None:
        """Called when it is mounted."""
        self._mounted()

    def getattr(self, path: str, handle: int | None = None) -> dict[str, int]:
        """Mode, size, times; those of an open file are of what was opened."""
        opened = self._open.get(handle) if handle else None
        with self._lease() as lease:
            node = opened.item if opened else self._node(lease.volume, path)
            mode, size, when = _attributes(node, lease.volume.label.created)
        time = min(when, _LATEST) * 10**9
        return {
            "st_mode": mode,
            "st_size": size,
            "st_blocks": -(-size // 512),
            "st_blksize": _BLOCK,
            "st_nlink": 1,
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            "st_mtime": time,
            "st_ctime": time,
            "st_atime": time,
        }

    def readdir(self, path: str, handle: int) -> list[str]:
        """The names in a folder."""
        with self._lease() as lease:
            node = self._node(lease.volume, path)
        if not isinstance(node, Folder):
            raise OSError(errno.ENOTDIR, path)
        return [".", "..", *node.children]

    def readlink(self, path: str) -> str:
        """The URL of a link, or our own pointer's path."""
        with self._lease() as lease:
            node = self._node(lease.volume, path)
        if isinstance(node, Pointer):
            return node.target
        if isinstance(node, Folder) or node.target is None:
            raise OSError(errno.EINVAL, path)
        return node.target

    def open(self, path: str, flags: int) -> int:
        """A handle of a file, whose bytes lie where bytes of files can lie."""
        lease = self._lease()
        try:
            node = self._node(lease.volume, path)
            if not isinstance(node, StoredObject):
                raise OSError(errno.EINVAL, path)
            lease.volume.check_run(node)
        except ShfsError as error:
            lease.close()
            raise OSError(errno.EIO, error.message) from None
        except OSError:
            lease.close()
            raise
        with self._lock:
            handle = next(self._handles)
            self._open[handle] = _Opened(lease, node)
        return handle

    def read(self, path: str, size: int, offset: int, handle: int) -> bytes:
        """Bytes of an open file, fewer at its end."""
        opened = self._open[handle]
        try:
            return b"".join(opened.lease.volume.read(opened.item, offset, size))
        except ShfsError as error:
            raise OSError(errno.EIO, error.message) from None

    def release(self, path: str, handle: int) -> None:
        """The file is closed."""
        with self._lock:
            opened = self._open.pop(handle)
        opened.lease.close()

    def listxattr(self, path: str) -> list[str]:
        """The extended attributes that a file has."""
        return list(self._extended(path))

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        """The MIME type, the digest in hexadecimal, the content encoding."""
        value = self._extended(path).get(name)
        if value is None:
            raise OSError(errno.ENODATA, name)
        return value.encode("utf-8", "surrogateescape")

    def statfs(self, path: str) -> dict[str, int]:
        """Chunks and entries, in all and free."""
        with self._lease() as lease:
            volume = lease.volume
            with self._lock:
                if volume not in self._rooms:
                    self._rooms[volume] = room_of(volume)
                room = self._rooms[volume]
            entries = volume.configuration.slots
            left = entries - sum(1 for _ in volume.table.living())
            return {
                "f_bsize": volume.geometry.chunk_size,
                "f_frsize": volume.geometry.chunk_size,
                "f_blocks": volume.geometry.chunks,
                "f_bfree": room.free,
                "f_bavail": room.free,
                "f_files": entries,
                "f_ffree": left,
                "f_favail": left,
                "f_namemax": 255,
            }

    def _lease(self) -> Lease:
        """The volume as it is, or as it was when it could last be read."""
        try:
            return self._live.lease()
        except ShfsError:
            return self._live.last_lease()

    def _node(self, volume: Volume, path: str) -> Node:
        with self._lock:
            if volume not in self._trees:
                self._trees[volume] = tree_of(volume)
            tree = self._trees[volume]
        node = find(tree, path)
        if node is None:
            raise OSError(errno.ENOENT, path)
        return node

    def _extended(self, path: str) -> dict[str, str]:
        with self._lease() as lease:
            node = self._node(lease.volume, path)
        if not isinstance(node, StoredObject):
            return {}
        values = {
            "user.mime_type": node.mime,
            "user.shfs.digest": node.digest.hex(),
            "user.shfs.encoding": node.encoding,
        }
        return {name: value for name, value in values.items() if value}


def mount(paths: Sequence[str], folder: str, *, foreground: bool = False, allow_other: bool = False) -> None:
    """Mount a volume on a folder. Returns when it is mounted, and a process of its own serves it until it is unmounted;
    or with `foreground` when it was unmounted.

    Raises InputError for the folder, HostError where this machine cannot mount it, and what `Volume.open` raises.
    """
    target = _target(folder, paths)
    library = _library()
    live = LiveVolume([os.path.abspath(path) for path in paths])
    options = {
        "fsname": os.path.abspath(paths[0]).replace("\\", "\\\\").replace(",", "\\,"),
        "subtype": "shfs",
        "ro": True,
        "allow_other": allow_other,
        "direct_io": True,
        "attr_timeout": 0,
        "entry_timeout": 0,
        "foreground": True,
    }
    try:
        if foreground:
            _serve(library, live, target, options, lambda: None)
        else:
            _in_background(lambda mounted: _serve(library, live, target, options, mounted))
    finally:
        live.close()


def _attributes(node: Node, made: int) -> tuple[int, int, int]:
    """Mode, bytes, time; folders are as old as the volume, which was made at `made`."""
    if isinstance(node, Folder):
        return stat.S_IFDIR | 0o555, 0, made
    if isinstance(node, Pointer):
        return stat.S_IFLNK | 0o777, len(node.target), made
    if node.target is not None:
        return stat.S_IFLNK | 0o777, len(node.target.encode("utf-8", "surrogateescape")), node.created
    return stat.S_IFREG | 0o444, min(node.size, _MOST_SIZE), node.created


def _target(folder: str, paths: Sequence[str]) -> str:
    """The folder as an absolute path, if something can be mounted there."""
    try:
        is_folder = stat.S_ISDIR(os.stat(folder).st_mode)
    except OSError as error:
        if error.errno == errno.ENOTCONN:
            raise HostError(
                f"{folder} is mounted, and the process that served it is gone", hint=f"fusermount3 -u {folder}"
            ) from None
        raise InputError(f"nothing can be mounted on {folder}: {error.strerror}", hint="mkdir makes it") from None
    if not is_folder:
        raise InputError(f"nothing can be mounted on {folder}: it is no folder", hint="mkdir makes one")
    target = Path(folder).resolve()
    for path in paths:
        if target in Path(path).resolve().parents:
            raise InputError(
                f"{path} lies in {folder}, and would be behind the volume that is in it", hint="mount it elsewhere"
            )
    return str(target)


def _library() -> Any:
    """mfusepy, with the library that it needs, on a system that has FUSE."""
    try:
        import mfusepy
    except ImportError:
        raise HostError("mfusepy is not installed, which mounts volumes", hint="pip install 'jitsu[fuse]'") from None
    except OSError:
        raise HostError("libfuse is not installed", hint="on Debian: apt install fuse3") from None
    if not os.path.exists("/dev/fuse"):
        raise HostError("this system has no /dev/fuse", hint="modprobe fuse; a container must be given the device")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise HostError("you may not use /dev/fuse", hint="it takes the right to read and write it, or root's")
    if os.geteuid() and not shutil.which("fusermount3") and not shutil.which("fusermount"):
        raise HostError("fusermount3 is not installed, without which only root can mount", hint="apt install fuse3")
    return mfusepy


def _serve(library: Any, live: LiveVolume, target: str, options: dict[str, Any], mounted: Callable[[], None]) -> None:
    """Mount and serve until it is unmounted. Raises HostError if it cannot be mounted; what libfuse says then goes to
    the standard error, from which it is taken."""
    is_mounted = threading.Event()
    own = os.dup(2)
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)

    def begin() -> None:
        os.dup2(own, 2)
        is_mounted.set()
        mounted()

    try:
        library.FUSE(MountedVolume(live, begin), target, **options)
    except RuntimeError:
        # After it was mounted, this is how the end by a signal is told.
        if not is_mounted.is_set():
            os.dup2(own, 2)
            said = os.read(reading, 4096).decode(errors="replace").strip()
            raise HostError(
                f"the volume cannot be mounted on {target}: {said or 'libfuse does not say why'}",
                hint="mounting takes root, or fusermount3 and a folder of your own",
            ) from None
    finally:
        os.dup2(own, 2)
        os.close(own)
        os.close(reading)


def _in_background(serve: Callable[[Callable[[], None]], None]) -> None:
    """Run it in a process of its own. Returns when that has mounted, or raises what kept it from that."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with open(reading, "rb") as told:
            said = told.read()
        if said != b"mounted":
            os.waitpid(child, 0)
            message, _, hint = said.decode().partition("\n")
            raise HostError(message or "the process that mounts has died", hint=hint)
        return
    try:
        os.close(reading)
        os.setsid()
        os.chdir("/")
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)

        def mounted() -> None:
            os.write(writing, b"mounted")
            os.close(writing)

        try:
            serve(mounted)
        except HostError as error:
            os.write(writing, f"{error.message}\n{error.hint}".encode())
    finally:
        # Nothing of the process that it was is to be ended a second time.
        os._exit(0)
