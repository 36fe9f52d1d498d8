"""The same messages over sockets, from domain 0 and several domains at once, at a daemon that runs: it lives, says
nothing of a fault, keeps its size, and who is beside them is answered rightly and soon."""

import random
import socket

import pytest

from jitsu.xenstore.quotas import DEFAULTS
from jitsu.xenstore.wire import Type
from tests.xenstore_domains import Host, domains, done
from tests.xenstore_mutations import HEALTHY, HEALTHY_PATH, cut, pieces

DOMIDS = (0, 0, 1, 1, 2, 3)


class Sender:
    """A connection that says what it is told, takes what comes, and comes again when it was hung up on."""

    def __init__(self, host: Host, domid: int) -> None:
        self._path = str(host.socket(domid))
        self._socket = self._connected()
        self.ended = 0
        self.heard = 0
        """Bytes of answers."""

    def say(self, data: bytes) -> bool:
        """Says whether it is still connected. What cannot be sent now is left away, and the connection ends."""
        whole = False
        try:
            sent = self._socket.send(data)
            whole = sent == len(data)
            while came := self._socket.recv(65536):
                self.heard += len(came)
            whole = False  # the end of the stream
        except BlockingIOError:
            if whole:
                return True
        except OSError:
            pass
        self.come_again()
        return False

    def come_again(self) -> None:
        self.close()
        self.ended += 1
        self._socket = self._connected()

    def close(self) -> None:
        self._socket.close()

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._path)
        connection.setblocking(False)
        return connection


def storm(host: Host, senders: list[Sender], seeded: random.Random, count: int) -> None:
    """So many messages; the healthy is asked in between."""
    asked = 0
    while count > 0:
        some = min(count, seeded.choice((1, 5, 20, 100)))
        count -= some
        sender = seeded.choice(senders)
        for data in cut(seeded, b"".join(pieces(seeded, some))):
            if not sender.say(data):
                break
        asked += 1
        value = b"%d" % asked
        healthy = host[HEALTHY]
        done(healthy.write(HEALTHY_PATH, value))
        assert done(healthy.ask(Type.READ, HEALTHY_PATH)) == value
        if asked % 200 == 0:
            sweep(host)


def sweep(host: Host) -> None:
    """Domain 0 may store as much as it likes, and change limits: that is undone."""
    for name in done(host[0].ask(Type.DIRECTORY, b"/")).split(b"\0")[:-1]:
        if b"/" + name != HEALTHY_PATH:
            host[0].ask(Type.RM, b"/" + name)


@pytest.mark.timeout(1800)
def test_no_message_harms_a_daemon(full, seeded):
    with domains(domids="0-32751") as host:
        done(host[0].ask(Type.INTRODUCE, b"%d" % HEALTHY, b"1", b"1"))
        host.make(HEALTHY_PATH, b"n%d" % HEALTHY)
        for name, value in DEFAULTS.items():
            done(host[0].ask(Type.SET_QUOTA, b"%d" % HEALTHY, name.encode(), b"%d" % value))
        senders = [Sender(host, domid) for domid in DOMIDS]
        try:
            count = 1_000_000 if full else 20_000
            storm(host, senders, seeded, count // 4)
            sweep(host)
            before = host.resident()
            storm(host, senders, seeded, count - count // 4)
            sweep(host)
            after = host.resident()
        finally:
            for sender in senders:
                sender.close()
        assert sum(sender.ended for sender in senders) > 10
        assert sum(sender.heard for sender in senders) > 8 * count, "most were answered"
        assert after - before < 24 * 1024 * 1024
        assert done(host[0].ask(Type.CONTROL, b"check")) == b"OK\0"
        assert "Traceback" not in host.log()
