"""A server in this process, turned by hand, and clients on socket pairs: what each turn brings can be counted."""

import socket
from collections import deque

from jitsu.xenstore.server import Connection, Server
from jitsu.xenstore.store import Store
from jitsu.xenstore.transport import SocketTransport
from jitsu.xenstore.wire import Message, Parser, Type


class Client:
    """One connection of a domain, which never blocks."""

    def __init__(self, server: Server, domid: int) -> None:
        self._socket, there = socket.socketpair()
        self._socket.setblocking(False)
        self.connection: Connection = server.connect(SocketTransport(there), domid)
        self.answers = 0
        """How many came."""
        self.events = 0
        self.last: Message | None = None
        """The last answer."""
        self.over = False
        """The server hung up."""
        self._parser = Parser()
        self._unsent: deque[bytes] = deque()
        self._number = 0

    def say(self, kind: Type, payload: bytes, transaction: int = 0, times: int = 1) -> None:
        """Requests; as much as the socket does not take now is sent later."""
        for _ in range(times):
            self._number += 1
            self._unsent.append(Message(kind, self._number, transaction, payload).encode())
        self.push()

    def push(self) -> None:
        while self._unsent:
            try:
                sent = self._socket.send(self._unsent[0])
            except BlockingIOError:
                return
            if sent < len(self._unsent[0]):
                self._unsent[0] = self._unsent[0][sent:]
            else:
                self._unsent.popleft()

    def take(self) -> int:
        """Read what came: how many answers."""
        before = self.answers
        while True:
            try:
                data = self._socket.recv(65536)
            except BlockingIOError:
                return self.answers - before
            if not data:
                self.over = True
                return self.answers - before
            for message in self._parser.feed(data):
                if message.type == Type.WATCH_EVENT:
                    self.events += 1
                else:
                    self.answers += 1
                    self.last = message
                    assert message.request <= self._number

    def close(self) -> None:
        self._socket.close()


class Hall:
    """A store with a server, and a clock of its own for the store."""

    def __init__(self) -> None:
        self.store = Store()
        self.server = Server(self.store)
        self._clients: list[Client] = []
        self.zero = self.client(0)

    def client(self, domid: int) -> Client:
        self._clients.append(Client(self.server, domid))
        return self._clients[-1]

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.server.stop()
        self.server.run()

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.server.turn(0)

    def ask(self, client: Client, kind: Type, payload: bytes, transaction: int = 0) -> Message:
        """The answer to one request, of a client that has nothing else to say."""
        client.take()
        client.say(kind, payload, transaction)
        for _ in range(500):
            self.turn()
            if client.take():
                assert client.last is not None
                return client.last
        raise AssertionError("no answer")

    def make(self, path: bytes, perms: bytes, value: bytes = b"") -> None:
        """Domain 0 makes a node."""
        assert self.ask(self.zero, Type.WRITE, path + b"\0" + value).type == Type.WRITE
        assert self.ask(self.zero, Type.SET_PERMS, path + b"\0" + perms + b"\0").type == Type.SET_PERMS
