"""How much one client gets, by a clock of the test's own; and the same at a running directory."""

import pytest

from jitsu.directory.enquiries import Limits
from jitsu.directory.flood import SLIP, AnswerLimit, Rates, Verdict, prefix_of
from tests.unit.dns_clients import Summoner, UdpClient, ask, connected, serving, stop_the_clock

CLIENT, OTHER = "192.0.2.1", "192.0.2.2"


def allowed(rates: Rates, client: str, now: float, tries: int) -> int:
    return sum(rates.take(client, now) for _ in range(tries))


def test_twice_the_rate_is_allowed_at_once_and_then_the_rate() -> None:
    rates = Rates(10)
    assert allowed(rates, CLIENT, 100.0, 50) == 20
    assert allowed(rates, CLIENT, 100.5, 50) == 5
    assert allowed(rates, CLIENT, 101.5, 50) == 10
    assert allowed(rates, CLIENT, 200.0, 50) == 20


def test_over_any_time_no_more_than_the_rate_and_the_burst() -> None:
    rates = Rates(7)
    assert sum(rates.take(CLIENT, tick / 1000) for tick in range(60_000)) == 14 + 60 * 7


def test_what_is_refused_is_not_counted() -> None:
    rates = Rates(1)
    assert allowed(rates, CLIENT, 0.0, 1000) == 2
    assert rates.take(CLIENT, 1.0)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    rates = Rates(10)
    assert allowed(rates, CLIENT, 100.0, 50) == 20
    assert allowed(rates, CLIENT, 90.0, 50) == 0


def test_each_client_has_its_own_share() -> None:
    rates = Rates(1)
    assert allowed(rates, CLIENT, 0.0, 9) == allowed(rates, OTHER, 0.0, 9) == 2


def test_a_rate_of_zero_allows_everything_and_remembers_nobody() -> None:
    rates = Rates(0)
    assert allowed(rates, CLIENT, 0.0, 1000) == 1000
    assert len(rates) == 0


def test_those_who_have_been_quiet_longest_are_forgotten() -> None:
    rates = Rates(1, most=100)
    for number in range(100):
        assert allowed(rates, f"192.0.2.{number}", 0.0, 3) == 2
    rates.take("192.0.2.0", 0.1)
    for number in range(50):
        rates.take(f"198.51.100.{number}", 0.1)
    assert len(rates) == 100
    assert not rates.take("192.0.2.0", 0.2), "it was heard of last, and is remembered"
    assert rates.take("192.0.2.1", 0.2), "it is a stranger again"


@pytest.mark.parametrize(
    ("one", "another", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
    ],
)
def test_an_ipv4_address_or_an_ipv6_64_is_one_client(one: str, another: str, same: bool) -> None:
    assert (prefix_of(one) == prefix_of(another)) is same


def test_of_the_answers_that_are_too_many_some_send_the_client_to_tcp() -> None:
    limit = AnswerLimit(10)
    verdicts = [limit.judge(CLIENT, 0.0) for _ in range(120)]
    assert verdicts[:20] == [Verdict.ANSWER] * 20
    assert verdicts[20:].count(Verdict.TRUNCATE) == 100 / SLIP
    assert verdicts[20:].count(Verdict.DROP) == 100 - 100 / SLIP
    assert limit.judge(OTHER, 0.0) is Verdict.ANSWER


class TestDirectory:
    @pytest.fixture(autouse=True)
    def no_time_passes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stop_the_clock(monkeypatch)

    async def test_too_many_questions_over_udp_are_sent_to_tcp_and_answered_there(self) -> None:
        async with serving(Summoner(), Limits(answers=1)) as server:
            with UdpClient(server.listening[0]) as client:
                answers = [await client.ask(ask("nope.jitsu.test")) for _ in range(2)]
                assert [answer.header.rcode for answer in answers] == [3, 3]
                for _ in range(6):
                    client.send(ask("nope.jitsu.test", ident=7))
                for _ in range(3):
                    answer = await client.receive()
                    assert (answer.header.id, answer.header.tc, answer.rr, answer.auth) == (7, 1, [], [])
            assert server.stats["udp", "limited"] == 6
            async with connected(server) as tcp:
                for _ in range(9):
                    tcp.send(ask("nope.jitsu.test"))
                    assert (await tcp.receive()).header.rcode == 3

    async def test_a_client_summons_no_more_than_its_share_on_either_transport(self) -> None:
        summoner = Summoner()
        async with serving(summoner, Limits(summons=1)) as server, connected(server) as tcp:
            with UdpClient(server.listening[0]) as udp:
                answers = [await udp.ask(ask(size=1232)) for _ in range(5)]
                assert [answer.header.tc for answer in answers] == [0, 0, 1, 1, 1]
                assert [len(answer.ar) for answer in answers] == [1] * 5, "OPT for OPT"
                assert len(summoner.calls) == 2
                tcp.send(*[ask()] * 5)
                rcodes = [(await tcp.receive()).header.rcode for _ in range(5)]
                assert rcodes == [0, 0, 2, 2, 2]
                assert len(summoner.calls) == 4
                assert (await udp.ask(ask("nope.jitsu.test"))).header.rcode == 3, "only summons are counted"

    async def test_questions_for_a_service_that_is_awake_are_no_summons(self) -> None:
        summoner = Summoner()
        async with serving(summoner, Limits(summons=1), awake=lambda service: service == "web") as server:
            with UdpClient(server.listening[0]) as client:
                assert [(await client.ask(ask())).header.tc for _ in range(20)] == [0] * 20
        assert len(summoner.calls) == 20
