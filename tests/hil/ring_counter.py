"""Runs in dom0: counts in the XenStore, through the kernel's ring, until a file is there, and prints JSON.

    {"rounds": HOW FAR IT COUNTED, "again": HOW OFTEN IT WAS ANSWERED EAGAIN, "seen": WHAT ITS WATCH WAS TOLD}

Each round is a transaction that reads the count and writes the next. Another program shows the same count as its own
if a request is executed twice, or an answer lost.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from jitsu.xenstore.wire import HEADER, Message, Type, joined

COUNT, END = b"/count/now", b"/count/end"


class Ring:
    """The kernel passes each request on, in its own order, and gives answers and events as they come."""

    def __init__(self) -> None:
        self._fd = os.open("/dev/xen/xenbus", os.O_RDWR)
        self._heard = self._messages()
        self.events: list[bytes] = []
        """The paths of which it was told."""

    def ask(self, kind: Type, payload: bytes, transaction: int = 0) -> Message:
        os.write(self._fd, Message(kind, 1, transaction, payload).encode())
        while (message := self._next()).type == Type.WATCH_EVENT:
            pass
        return message

    def await_event(self, path: bytes) -> None:
        """Events come in their order, but answers before them."""
        while path not in self.events:
            self._next()

    def _next(self) -> Message:
        message = next(self._heard)
        if message.type == Type.WATCH_EVENT:
            self.events.append(message.payload.split(b"\0")[0])
        return message

    def _messages(self) -> Iterator[Message]:
        while True:
            kind, request, transaction, length = HEADER.unpack(self._exactly(HEADER.size))
            yield Message(kind, request, transaction, self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            data += os.read(self._fd, count - len(data))
        return data


def good(answer: Message) -> bytes:
    assert answer.type != Type.ERROR, answer
    return answer.payload


def main(end: Path) -> None:
    ring = Ring()
    good(ring.ask(Type.WRITE, COUNT + b"\0" + b"0"))
    good(ring.ask(Type.WATCH, joined(b"/count", b"token")))
    rounds = again = 0
    while not end.exists():
        number = int(good(ring.ask(Type.TRANSACTION_START, b"\0"))[:-1])
        before = int(good(ring.ask(Type.READ, COUNT + b"\0", number)))
        good(ring.ask(Type.WRITE, COUNT + b"\0" + b"%d" % (before + 1), number))
        ended = ring.ask(Type.TRANSACTION_END, b"T\0", number)
        if ended.payload == b"EAGAIN\0":
            again += 1
            continue
        good(ended)
        rounds += 1
        assert before + 1 == rounds, (before, rounds)
    good(ring.ask(Type.WRITE, END + b"\0"))
    ring.await_event(END)
    print(json.dumps({"rounds": rounds, "again": again, "seen": ring.events.count(COUNT)}))


main(Path(sys.argv[1]))
