"""The summoner with a fake network and a fake driver: what packets and people bring about, and in which order."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.domains.driver import DomainSpec, Happening
from jitsu.domains.fake import Behaviour
from jitsu.errors import DomainError, HostError
from jitsu.network.frames import ACK, FIN, mac_bytes
from jitsu.network.host import Port
from jitsu.network.neighbours import enquiry
from jitsu.summon.tenant import spec_of
from jitsu.xenstore.domains import LAST_DOMID
from tests.unit.box import (
    CLIENT,
    CLIENT6,
    CLIENT_MAC,
    HELLO,
    LINK_LOCAL6,
    MIB,
    NETWORK,
    NEVER,
    PROBED,
    STRANGER,
    STRANGER6,
    WORLD,
    Box,
    boxed,
    eventually,
    own_address,
    packet,
    settled,
)


@pytest.fixture
async def box() -> AsyncIterator[Box]:
    async with boxed() as box:
        yield box


class TestSummon:
    async def test_a_question_is_answered_when_resources_are_granted_not_when_the_guest_is_ready(
        self, box: Box
    ) -> None:
        box.driver.behaviours["hello"] = NEVER
        answers = box.ask()
        at_once = list(answers)
        await eventually(lambda: bool(answers))

        assert (at_once, answers) == ([], [True])
        assert box.state() == "booting"
        assert box.network.gates == {}

    async def test_many_questions_and_syns_are_one_summon(self, box: Box) -> None:
        asked = [box.ask() for _ in range(5)]
        for number in range(5):
            box.knock(number)
        await eventually(lambda: box.state() == "serving")
        asked += [box.ask() for _ in range(5)]
        await settled()

        assert asked == [[True]] * 10
        assert box.launches() == [1]
        assert box.summoner.tenant("hello").row()["summons"] == 1

    async def test_each_service_gets_its_own_domain_with_its_own_number(self, box: Box) -> None:
        box.ask("hello")
        box.ask("world")
        await eventually(lambda: box.state("hello") == box.state("world") == "serving")

        assert sorted(box.driver.running) == [1, 2]
        assert box.network.gates == {HELLO.mac: "fake1", WORLD.mac: "fake2"}

    async def test_domids_go_round_and_leave_out_those_in_use(self, box: Box) -> None:
        await box.serve("world")
        box.summoner._executor.builder.count_domids_from(LAST_DOMID)
        await box.serve("hello")
        await box.summoner.stop("hello")
        # Another toolstack's, on Xen.
        box.driver.taken = {2, 3}
        await box.serve("hello")

        assert box.launches() == [1, LAST_DOMID, 4]

    async def test_the_domain_is_what_was_configured_and_is_told_who_and_where_it_is(self) -> None:
        spec = spec_of(HELLO, NETWORK, domid=3)

        assert spec == DomainSpec(
            service="hello",
            domid=3,
            kernel=Path("/boot/hello"),
            memory=16 * MIB,
            cmdline="quiet name=hello ip=10.77.0.10/24 gw=10.77.0.1 ip6=fd77::10/64 gw6=fd77::1 mac=52:54:00:00:00:0a",
            mac="52:54:00:00:00:0a",
            fingerprint=HELLO.fingerprint,
            config=(
                *(("name", "hello"), ("ip", "10.77.0.10/24"), ("gw", "10.77.0.1")),
                *(("ip6", "fd77::10/64"), ("gw6", "fd77::1"), ("mac", "52:54:00:00:00:0a")),
            ),
        )
        assert spec_of(PROBED, NETWORK).tells_ready is False
        stored = spec_of(replace(HELLO, ready="store"), NETWORK, domid=3)
        assert stored == replace(
            spec, cmdline="quiet", tells_ready=False, store_port=True, fingerprint=stored.fingerprint
        )

    async def test_our_copy_of_the_tap_is_closed(self, box: Box) -> None:
        await box.serve()

        (call,) = [call for call in box.driver.calls if call.method == "launch"]
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(call.taps[0])

    async def test_a_summon_leaves_a_trace(self, box: Box) -> None:
        box.ask()
        box.knock()
        await eventually(lambda: box.state() == "serving")

        trace = box.trace()
        assert (trace["service"], trace["cause"], trace["domid"], trace["outcome"]) == ("hello", "dns", 1, "serving")
        names = [span["name"] for span in trace["spans"]]
        assert names == ["decide", "tap", "spawn", "boot", "port", "answer", "gate", "deliver"]

    async def test_a_trace_begins_with_the_packet_that_caused_it_and_not_with_one_before(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER
        box.ask()
        await eventually(lambda: box.state() == "booting")
        box.knock()
        held_at = box.summoner.tenant("hello").active
        box.driver.happen(box.domain(), Happening.READY)
        box.driver.happen(box.domain(), Happening.CRASHED, "the guest reset itself")
        box.ask()
        await eventually(lambda: box.launches() == [1, 2])

        assert box.summoner.traces.last(1)[0].origin > held_at

    async def test_a_trace_does_not_begin_with_a_wish_that_was_disappointed(self, box: Box) -> None:
        await box.serve()
        box.driver.may_end.clear()
        stopping = [asyncio.create_task(box.summoner.stop("hello"))]
        await eventually(lambda: box.state() == "dismissing")
        disappointed = box.ask()
        asked_at = box.summoner.tenant("hello").active
        stopping.append(asyncio.create_task(box.summoner.stop("hello")))
        await eventually(lambda: bool(disappointed))
        box.driver.may_end.set()
        await asyncio.gather(*stopping)
        box.ask()
        await eventually(lambda: box.launches() == [1, 2])

        assert disappointed == [False]
        assert box.summoner.traces.last(1)[0].origin > asked_at


class TestRefusal:
    async def test_a_full_box_refuses_and_says_so(self, box: Box) -> None:
        box.budget.grant(99, 480 * MIB, 1)
        answers = box.ask()
        box.knock(7)
        await eventually(lambda: bool(answers))
        box.budget.release(99)

        assert answers == [False]
        assert box.resets() == [7]
        assert box.state() == "asleep"
        assert box.launches() == []
        assert "the box is full" in box.summoner.tenant("hello").row()["last"]

    async def test_a_tap_that_cannot_be_made_refuses(self, box: Box) -> None:
        box.network.broken = HostError("no permission to open /dev/net/tun")
        answers = box.ask()
        await eventually(lambda: bool(answers))

        assert answers == [False]
        assert box.launches() == []
        assert box.trace()["outcome"] == "no permission to open /dev/net/tun"

    async def test_a_domain_that_cannot_be_built_refuses(self, box: Box) -> None:
        box.driver.behaviours["hello"] = Behaviour(refusal=DomainError("kernel /boot/hello is missing"))
        answers = box.ask()
        await eventually(lambda: bool(answers))

        assert answers == [False]
        assert box.summoner.tenant("hello").row()["last"] == "kernel /boot/hello is missing"

    async def test_a_port_that_cannot_be_plugged_refuses_and_ends_the_domain(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def plug(domid: int) -> Port:
            raise HostError("port cannot join bridge jitsu0")

        monkeypatch.setattr(box.network, "plug", plug)
        answers = box.ask()
        await eventually(lambda: bool(answers))

        assert answers == [False]
        assert box.driver.running == {}

    async def test_what_was_booked_for_a_refused_start_is_given_back(self, box: Box) -> None:
        box.driver.behaviours["hello"] = Behaviour(refusal=DomainError("no"))
        answers = box.ask()
        await eventually(lambda: bool(answers))

        assert (box.budget.guests_used, box.budget.memory_used) == (0, 0)

    async def test_the_next_question_tries_again(self, box: Box) -> None:
        box.network.broken = HostError("not now")
        first = box.ask()
        await eventually(lambda: bool(first))
        box.network.broken = None
        second = box.ask()
        await eventually(lambda: box.state() == "serving")

        assert (first, second) == ([False], [True])

    async def test_one_that_is_refused_does_not_keep_others_out(self, box: Box) -> None:
        box.driver.behaviours["hello"] = Behaviour(refusal=DomainError("no"))
        refused, granted = box.ask("hello"), box.ask("world")
        await eventually(lambda: bool(refused and granted))

        assert (refused, granted) == ([False], [True])


class TestHold:
    @pytest.mark.parametrize("client", [CLIENT, CLIENT6], ids=["ipv4", "ipv6"])
    async def test_the_gate_is_opened_then_the_neighbour_made_known_then_the_syn_delivered(
        self, box: Box, client: bytes
    ) -> None:
        frame = box.knock(client=client)
        await eventually(lambda: box.state() == "serving")

        assert box.network.done == ["open", "enquiry", "frame"]
        asked, delivered = box.guest().sent
        assert delivered == frame
        assert asked == enquiry(CLIENT_MAC, client, own_address(client), mac_bytes(HELLO.mac))

    async def test_the_sentinel_answers_for_the_guest_until_it_serves(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER
        asleep = await box.sentinel_answers()
        box.knock()
        await eventually(lambda: box.state() == "booting")
        booting = await box.sentinel_answers()
        box.driver.happen(box.domain(), Happening.READY)

        assert (asleep, booting, await box.sentinel_answers()) == (True, True, False)

    @pytest.mark.parametrize(
        ("client", "neighbour"),
        [
            (STRANGER, NETWORK.half(4).gateway.packed),
            (STRANGER6, NETWORK.half(6).gateway.packed),
            (LINK_LOCAL6, LINK_LOCAL6),
        ],
        ids=["ipv4", "ipv6", "link-local"],
    )
    async def test_the_way_to_a_client_from_far_away_is_the_gateway(
        self, box: Box, client: bytes, neighbour: bytes
    ) -> None:
        box.knock(client=client)
        await eventually(lambda: box.state() == "serving")

        assert box.guest().sent[0] == enquiry(CLIENT_MAC, neighbour, own_address(client), mac_bytes(HELLO.mac))

    async def test_nothing_is_delivered_before_the_guest_can_answer(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER
        box.knock()
        await eventually(lambda: box.state() == "booting")
        await settled()

        assert box.guest().sent == []
        assert box.summoner.tenant("hello").row()["held"] == 1

    async def test_syns_are_delivered_once_and_in_order(self, box: Box) -> None:
        frames = [box.knock(number) for number in (3, 1, 2)]
        box.knock(1)
        await eventually(lambda: box.state() == "serving")
        box.knock(2)

        assert box.guest().sent[1::2] == frames
        assert box.summoner.tenant("hello").row()["connections"] == 1, "one client and port, three numbers"

    async def test_a_client_that_had_to_repeat_itself_is_noted(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER
        box.knock()
        await eventually(lambda: box.state() == "booting")
        box.knock()

        (note,) = box.trace()["notes"]
        assert note.startswith("10.77.0.200:40000 repeated its SYN after ")

    async def test_a_syn_that_reaches_the_sentinel_through_an_open_gate_is_passed_on(self, box: Box) -> None:
        await box.serve()
        frame = box.knock()

        assert box.guest().sent[1] == frame
        assert box.launches() == [1]

    async def test_a_frame_that_strayed_is_passed_on_and_nobody_is_bothered_when_it_cannot(self, box: Box) -> None:
        box.summoner.strayed("hello", packet(ACK))
        await box.serve()
        box.summoner.strayed("hello", packet(ACK))
        box.guest().closed = True
        box.summoner.strayed("hello", packet(FIN | ACK))

        assert box.guest().sent == [packet(ACK)]

    async def test_one_client_takes_a_sixteenth_of_the_places_on_hold(
        self, box: Box, caplog: pytest.LogCaptureFixture
    ) -> None:
        box.driver.behaviours["hello"] = NEVER
        for number in range(600):
            box.knock(number)

        assert box.summoner.tenant("hello").row()["held"] == 256
        assert caplog.text.count("1 SYNs for sleepers are not listened to: 1 by held ([limits])") == 1

    async def test_when_places_run_out_only_those_who_ask_again_wait(
        self, box: Box, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        box.driver.behaviours["hello"] = NEVER
        for number in range(1000):
            box.knock(number, client=bytes([100, 64, number // 256, number % 256]))
        assert box.summoner.tenant("hello").held == 257, "half of the eighth that one service may take, and one"

        later = time.monotonic() + 1
        monkeypatch.setattr("jitsu.summon.summoner.time.monotonic", lambda: later)
        box.knock(999, client=bytes([100, 64, 999 // 256, 999 % 256]))
        box.knock(5000, client=STRANGER)
        assert box.summoner.tenant("hello").held == 258


class TestPeople:
    async def test_a_start_returns_when_the_guest_serves(self, box: Box) -> None:
        await box.summoner.start("hello")

        assert box.state() == "serving"
        assert box.trace()["cause"] == "start"

    async def test_a_start_of_what_serves_returns_at_once(self, box: Box) -> None:
        await box.serve()
        await box.summoner.start("hello")

        assert box.launches() == [1]

    async def test_a_start_that_fails_says_which_service_and_why(self, box: Box) -> None:
        box.driver.behaviours["hello"] = Behaviour(refusal=DomainError("kernel /boot/hello is missing"))

        with pytest.raises(DomainError, match="service hello: kernel /boot/hello is missing") as raised:
            await box.summoner.start("hello")
        assert raised.value.hint == "see: jitsu logs hello"

    async def test_a_stop_returns_when_the_domain_is_gone(self, box: Box) -> None:
        await box.serve()
        await box.summoner.stop("hello")

        assert box.driver.running == {}
        row = box.summoner.tenant("hello").row()
        assert (row["state"], row["domid"], row["pid"], row["up"]) == ("asleep", None, None, None)
        assert row["last"] == "stopped by hand"

    async def test_a_stop_of_a_sleeper_returns_at_once(self, box: Box) -> None:
        await box.summoner.stop("hello")

        assert box.driver.calls == []

    async def test_a_stop_during_the_start_ends_it_and_disappoints_who_waits(self, box: Box) -> None:
        box.driver.behaviours["hello"] = Behaviour(ready_after=None, build_time=0.2)
        answers = box.ask()
        box.knock(5)
        starting = asyncio.create_task(box.summoner.start("hello"))
        await settled()
        await box.summoner.stop("hello")

        with pytest.raises(DomainError, match="stopped by hand"):
            await starting
        assert answers == [False]
        assert box.resets() == [5]
        assert box.driver.running == {}

    async def test_a_command_that_is_interrupted_disturbs_nobody(self, box: Box) -> None:
        box.driver.behaviours["hello"] = NEVER
        interrupted = asyncio.create_task(box.summoner.start("hello"))
        patient = asyncio.create_task(box.summoner.start("hello"))
        await eventually(lambda: box.state() == "booting")
        interrupted.cancel()
        await settled()
        box.driver.happen(box.domain(), Happening.READY)
        await patient

        assert interrupted.cancelled()
        assert box.state() == "serving"

    @pytest.mark.parametrize("order", ["start", "stop"])
    async def test_a_service_that_is_not_there_is_said_not_to_be(self, box: Box, order: str) -> None:
        with pytest.raises(DomainError, match="there is no service nobody") as raised:
            await getattr(box.summoner, order)("nobody")
        assert raised.value.hint == "the services are: hello, world, probed"

    async def test_every_service_has_a_row(self, box: Box) -> None:
        await box.serve()
        rows = {row["service"]: row for row in await box.summoner.register.rows()}

        assert {name: row["state"] for name, row in rows.items()} == {
            "hello": "serving",
            "world": "asleep",
            "probed": "asleep",
        }
        assert (rows["hello"]["domid"], rows["hello"]["address"]) == (1, "10.77.0.10")
