"""200,000 random and mutated packets (a twentieth in `make test`) before the function that decides: it never raises,
what it answers is a message that others can read, and memory does not grow."""

import random
import tracemalloc

import dns.flags
import dns.message
import pytest

from jitsu.config import KeyConfig
from jitsu.directory.answer import Question, Reply, consider
from jitsu.directory.enquiries import Done, Enquiries, Limits
from jitsu.directory.guestbook import Guestbook, MemoryRecordStore
from jitsu.directory.update import MOST_RECORDS
from jitsu.directory.zone import Host, Zone
from tests.unit.dns_clients import ZONE
from tests.unit.dns_mutations import SECRET, packets


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
            message = _readable(reply.packet)
            assert message.flags & dns.flags.QR
            assert not message.flags & dns.flags.RA
            assert not udp or len(reply.packet) <= 1232
    assert min(seen.values()) > count / 50, seen


@pytest.mark.timeout(900)
def test_no_packet_confuses_one_that_takes_updates(full: bool, seeded: random.Random) -> None:
    zone = a_zone()
    keys = [KeyConfig("web-key", "hmac-sha256", SECRET, ("web",))]
    store = MemoryRecordStore()
    enquiries = Enquiries([zone], grant, Limits(), lambda service: True, None, Guestbook(keys, store))
    count = 200_000 if full else 10_000
    for packet in packets(seeded, count):
        answers: list[bytes] = []
        taken = enquiries.ask(packet, "192.0.2.1", seeded.choice(("udp", "tcp")), 0.0, answers.append)
        assert len(answers) == taken
        for answer in answers:
            assert answer[:2] == packet[:2]
            _readable(answer)
    rcodes = {rcode for _, rcode in enquiries.stats}
    assert rcodes >= {"NOERROR", "NXDOMAIN", "FORMERR", "REFUSED", "NOTAUTH", "NXRRSET", "NOTIMP", "dropped"}
    assert {record.service for _, record in store.kept} == {"web"}
    assert len(store.kept) <= MOST_RECORDS


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


def grant(service: str, client: str, arrived: float, done: Done) -> None:
    done(True)


def a_zone() -> Zone:
    return Zone("jitsu.test", (("ns.jitsu.test", "192.0.2.1"),), {"web.jitsu.test": Host("web", ("192.0.2.10",), 7)})


def _readable(answer: bytes) -> dns.message.Message:
    """The answer as others read it: as one to a query, for other opcodes have formats of their own."""
    plain = answer[:2] + bytes([answer[2] & 0x87]) + answer[3:]
    return dns.message.from_wire(plain, ignore_trailing=False, keyring=False)
