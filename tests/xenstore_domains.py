"""`jitsu xenstored` as a process, and connections of several domains to it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from jitsu.xenstore.wire import Type
from tests.peers.xenstore_daemons import Daemon, jitsu_xenstored
from tests.xenstore_peer import Answer, Peer


class Host:
    """A daemon that runs, and who is connected to it."""

    def __init__(self, daemon: Daemon, folder: Path, opened: ExitStack) -> None:
        self.daemon = daemon
        self.folder = folder
        self._opened = opened
        self._peers: dict[int, Peer] = {}

    def socket(self, domid: int) -> Path:
        return self.folder / f"{domid}.sock" if domid else self.daemon.socket

    def connect(self, domid: int) -> Peer:
        """A connection more."""
        return self._opened.enter_context(Peer(self.socket(domid)))

    def __getitem__(self, domid: int) -> Peer:
        """A domain's connection, always the same."""
        if domid not in self._peers:
            self._peers[domid] = self.connect(domid)
        return self._peers[domid]

    def release(self, *domids: int) -> None:
        """Domains are no more, whether they were introduced or not; who connects then is somebody else."""
        for domid in domids:
            self[0].ask(Type.INTRODUCE, b"%d" % domid, b"1", b"1")
            done(self[0].ask(Type.RELEASE, b"%d" % domid))
            if domid in self._peers:
                self._peers.pop(domid).close()

    def make(self, path: bytes, *perms: bytes, value: bytes = b"") -> None:
        """Domain 0 makes a node."""
        done(self[0].write(path, value))
        done(self[0].ask(Type.SET_PERMS, path, *perms))

    def log(self) -> str:
        """What the daemon said so far."""
        return (self.daemon.socket.parent / "log").read_text(errors="replace")

    def resident(self) -> int:
        """Bytes of memory that the daemon has."""
        status = Path(f"/proc/{self.daemon.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@contextmanager
def domains(*options: str, domids: str = "0-40") -> Iterator[Host]:
    """A daemon with sockets for domains. `options` are further ones of the command line."""
    with TemporaryDirectory(prefix="xenstore-", dir="/tmp") as folder, ExitStack() as opened:
        sockets = Path(folder) / "domains"
        daemon = jitsu_xenstored("--domains", domids, "--domain-sockets", str(sockets), *options)
        yield Host(opened.enter_context(daemon), sockets, opened)


def done(answer: Answer) -> bytes:
    """The payload of an answer that is no error."""
    assert answer.error is None, answer
    return answer.payload
