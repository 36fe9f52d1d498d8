"""200,000 random and mutated packets (a twentieth in `make test`) before the function that decides: it never raises,
what it answers is a message that others can read, and memory does not grow."""

import random
import tracemalloc

import dns.flags
import dns.message
import pytest

from jitsu.directory.answer import Question, Reply, consider
from tests.unit.dns_clients import ZONE
from tests.unit.dns_mutations import packets


@pytest.mark.timeout(900)
def test_no_packet_confuses_the_directory(full: bool, seeded: random.Random) -> None:
    count = 200_000 if full else 10_000
    seen = {"reply": 0, "question": 0, "dropped": 0}
    for packet in packets(seeded, count):
        udp = seeded.random() < 0.5
        outcome = consider((ZONE,), packet, udp)
        if outcome is None:
            # Only what is an answer, or no message at all, deserves nothing.
            assert len(packet) < 12 or packet[2] & 0x80
            seen["dropped"] += 1
            continue
        replies = [outcome] if isinstance(outcome, Reply) else [outcome.finish(True), outcome.finish(False)]
        seen["question" if isinstance(outcome, Question) else "reply"] += 1
        for reply in replies:
            assert reply.packet[:2] == packet[:2]
            # Read as an answer to a query, for other opcodes have formats of their own.
            plain = reply.packet[:2] + bytes([reply.packet[2] & 0x87]) + reply.packet[3:]
            message = dns.message.from_wire(plain, ignore_trailing=False)
            assert message.flags & dns.flags.QR
            assert not message.flags & dns.flags.RA
            assert not udp or len(reply.packet) <= 1232
    assert min(seen.values()) > count / 50, seen


def test_memory_does_not_grow_with_what_is_sent(seeded: random.Random) -> None:
    some = list(packets(seeded, 3000))
    tracemalloc.start()
    try:
        for packet in some:
            consider((ZONE,), packet, True)
        before, _ = tracemalloc.get_traced_memory()
        for packet in some:
            consider((ZONE,), packet, True)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 16384
