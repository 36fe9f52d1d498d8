"""Events: counted, kept for a while, and told at once."""

from jitsu.events import Event, Events, Kind


def test_an_event_is_a_record_with_everything_in_it() -> None:
    events = Events()
    events.add(Kind.READY, "hello", domid=3, detail="after 21.0 ms")
    [event] = events.since(0)
    assert {**event.record(), "time": 0} == {
        "number": 1,
        "time": 0,
        "event": "ready",
        "service": "hello",
        "domid": 3,
        "by": "",
        "detail": "after 21.0 ms",
    }


def test_only_the_last_are_kept_and_all_are_counted() -> None:
    events = Events(keep=3)
    for number in range(5):
        events.add(Kind.SUMMONED, f"s{number}")
    assert [event.service for event in events.since(0)] == ["s2", "s3", "s4"]
    assert [event.number for event in events.since(0)] == [3, 4, 5]
    assert events.counts[Kind.SUMMONED] == 5


def test_since_leaves_out_what_is_older() -> None:
    events = Events()
    events.add(Kind.ADDED, "old")
    events.add(Kind.ADDED, "new")
    old, new = events.since(0)
    assert events.since(new.time if new.time > old.time else old.time)[-1] is new
    assert events.since(new.time + 1) == []


def test_listeners_hear_what_comes_until_they_do_not_want_to() -> None:
    events = Events()
    heard: list[Event] = []
    events.add(Kind.ADDED, "before")
    unlisten = events.listen(heard.append)
    events.add(Kind.ADDED, "between")
    unlisten()
    events.add(Kind.ADDED, "after")
    assert [event.service for event in heard] == ["between"]
