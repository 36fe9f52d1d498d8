"""The table of open connections: a count, made of SYN, FIN and RST segments."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jitsu.network.frames import ACK, FIN, RST, SYN, Segment
from jitsu.synjitsu.connections import ConnectionTable

CLIENT, GUEST = bytes([10, 77, 0, 200]), bytes([10, 77, 0, 10])


@pytest.fixture
def table() -> ConnectionTable:
    return ConnectionTable(capacity=4)


def from_client(table: ConnectionTable, flags: int, port: int = 40000) -> None:
    table.see(Segment(b"c" * 6, b"g" * 6, CLIENT, GUEST, port, 80, 1000, 0, flags, 0), to_guest=True)


def from_guest(table: ConnectionTable, flags: int, port: int = 40000) -> None:
    table.see(Segment(b"g" * 6, b"c" * 6, GUEST, CLIENT, 80, port, 5000, 0, flags, 0), to_guest=False)


def test_a_syn_opens_a_connection(table: ConnectionTable) -> None:
    from_client(table, SYN)
    from_guest(table, SYN | ACK)

    assert len(table) == 1


def test_a_repeated_syn_opens_no_second_one(table: ConnectionTable) -> None:
    from_client(table, SYN)
    from_client(table, SYN)

    assert len(table) == 1


def test_connections_are_told_apart_by_client_and_both_ports(table: ConnectionTable) -> None:
    first = Segment(b"c" * 6, b"g" * 6, CLIENT, GUEST, 40000, 80, 1000, 0, SYN, 0)
    for other in (
        first,
        replace(first, source_port=40001),
        replace(first, target_port=443),
        replace(first, source=bytes([10, 77, 0, 201])),
    ):
        table.see(other, to_guest=True)

    assert len(table) == 4


def test_it_is_over_when_both_ends_said_fin_the_client_first(table: ConnectionTable) -> None:
    from_client(table, SYN)
    from_client(table, FIN | ACK)
    half_closed = len(table)
    from_guest(table, FIN | ACK)

    assert (half_closed, len(table)) == (1, 0)


def test_it_is_over_when_both_ends_said_fin_the_guest_first(table: ConnectionTable) -> None:
    from_client(table, SYN)
    from_guest(table, FIN | ACK)
    half_closed = len(table)
    from_client(table, FIN | ACK)

    assert (half_closed, len(table)) == (1, 0)


def test_a_repeated_fin_of_one_end_ends_nothing(table: ConnectionTable) -> None:
    from_client(table, SYN)
    from_client(table, FIN | ACK)
    from_client(table, FIN | ACK)

    assert len(table) == 1


def test_a_reset_of_either_end_ends_it(table: ConnectionTable) -> None:
    from_client(table, SYN, port=1)
    from_client(table, SYN, port=2)
    from_client(table, RST, port=1)
    from_guest(table, RST | ACK, port=2)

    assert len(table) == 0


def test_the_end_of_one_leaves_the_others(table: ConnectionTable) -> None:
    from_client(table, SYN, port=1)
    from_client(table, SYN, port=2)
    from_guest(table, RST, port=1)

    assert len(table) == 1


def test_a_port_that_is_used_again_is_open_again(table: ConnectionTable) -> None:
    from_client(table, SYN)
    from_client(table, FIN | ACK)
    from_client(table, SYN)
    from_guest(table, FIN | ACK)

    assert len(table) == 1


@pytest.mark.parametrize("flags", [FIN | ACK, RST, ACK, SYN | ACK, SYN | FIN, SYN | RST])
def test_what_opens_nothing_counts_for_nothing(table: ConnectionTable, flags: int) -> None:
    from_client(table, flags)
    from_guest(table, flags)

    assert len(table) == 0


def test_a_connection_that_the_guest_opens_keeps_nobody_awake(table: ConnectionTable) -> None:
    from_guest(table, SYN)

    assert len(table) == 0


def test_a_flood_makes_the_oldest_be_forgotten_first(table: ConnectionTable) -> None:
    for port in range(10):
        from_client(table, SYN, port=port)
    size = len(table)
    for port in range(6):
        from_client(table, RST, port=port)
    forgotten = len(table)
    from_client(table, RST, port=9)

    assert (size, forgotten, len(table)) == (4, 4, 3)


def test_a_client_that_knocks_again_is_not_the_oldest(table: ConnectionTable) -> None:
    for port in range(4):
        from_client(table, SYN, port=port)
    from_client(table, SYN, port=0)
    from_client(table, SYN, port=99)
    from_client(table, RST, port=1)
    without_the_oldest = len(table)
    from_client(table, RST, port=0)

    assert (without_the_oldest, len(table)) == (4, 3)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 0xFF)), max_size=80))
@settings(deadline=None)
def test_whatever_passes_there_are_never_more_than_so_many_and_a_reset_ends_all(
    seen: list[tuple[bool, int, int]],
) -> None:
    table = ConnectionTable(capacity=4)
    for to_guest, port, flags in seen:
        (from_client if to_guest else from_guest)(table, flags, port)
        assert len(table) <= 4
    for port in range(10):
        from_client(table, RST, port)

    assert len(table) == 0
