"""Who may see and do what: each rule, as several domains at a daemon that runs."""

from collections.abc import Iterator

import pytest

from jitsu.xenstore.wire import Type
from tests.xenstore_domains import Host, domains, done

OWNER, FRIEND, STRANGER, HELPER = 1, 2, 3, 4


@pytest.fixture(scope="module")
def running() -> Iterator[Host]:
    with domains() as host:
        yield host


@pytest.fixture
def host(running: Host) -> Iterator[Host]:
    """A daemon in whose store nothing is left of the test before: nobody watches, and domains 1 to 9 are new."""
    done(running[0].ask(Type.RESET_WATCHES, b""))
    running.release(*range(1, 6))
    running[0].events.clear()
    running[0].ask(Type.RM, b"/t")
    done(running[0].write(b"/t", b""))
    yield running
    assert "Traceback" not in running.log()


def introduce(host: Host, *domids: int) -> None:
    for domid in domids:
        done(host[0].ask(Type.INTRODUCE, b"%d" % domid, b"1", b"1"))


def test_owner_and_domain_0_may_everything_whatever_the_letters_say(host):
    host.make(b"/t/n", b"n1", value=b"old")
    for domid in (OWNER, 0):
        assert done(host[domid].ask(Type.READ, b"/t/n")) == b"old"
        assert done(host[domid].ask(Type.DIRECTORY, b"/t/n")) == b""
        assert done(host[domid].ask(Type.GET_PERMS, b"/t/n")) == b"n1\0"
        done(host[domid].write(b"/t/n", b"old"))
        done(host[domid].ask(Type.SET_PERMS, b"/t/n", b"n1"))
    done(host[OWNER].ask(Type.RM, b"/t/n"))
    assert host[0].ask(Type.READ, b"/t/n").error == "ENOENT"


@pytest.mark.parametrize(
    ("letter", "reads", "writes"), [("n", False, False), ("r", True, False), ("w", False, True), ("b", True, True)]
)
@pytest.mark.parametrize("entry", ["the first, for who is not listed", "one's own"])
def test_letters(host, entry, letter, reads, writes):
    first = f"{letter}1" if entry.startswith("the first") else "n1"
    host.make(b"/t/n", first.encode(), *([] if first != "n1" or letter == "n" else [f"{letter}3".encode()]))
    peer = host[STRANGER]
    for kind in (Type.READ, Type.DIRECTORY, Type.GET_PERMS):
        assert peer.ask(kind, b"/t/n").error == (None if reads else "EACCES")
    assert peer.ask(Type.DIRECTORY_PART, b"/t/n", b"0").error == (None if reads else "EACCES")
    assert peer.write(b"/t/n", b"").error == (None if writes else "EACCES")
    assert peer.ask(Type.MKDIR, b"/t/n").error == (None if writes else "EACCES")
    assert peer.write(b"/t/n/below", b"").error == (None if writes else "EACCES")
    assert peer.ask(Type.SET_PERMS, b"/t/n", b"b1").error == "EACCES", "only the owner may share"
    assert peer.ask(Type.RM, b"/t/n").error == (None if writes else "EACCES")


def test_the_first_entry_that_names_a_domain_counts(host):
    host.make(b"/t/n", b"b1", b"n3", b"b3", value=b"v")
    assert host[STRANGER].ask(Type.READ, b"/t/n").error == "EACCES"
    assert done(host[FRIEND].ask(Type.READ, b"/t/n")) == b"v"


def test_an_entry_for_every_domain(host):
    host.make(b"/t/n", b"n1", b"n2", b"r32757", value=b"v")
    assert done(host[STRANGER].ask(Type.READ, b"/t/n")) == b"v"
    assert host[FRIEND].ask(Type.READ, b"/t/n").error == "EACCES", "the entry of its own comes first"
    assert host[STRANGER].write(b"/t/n", b"").error == "EACCES"


def test_a_domain_that_serves_another_has_its_rights(host):
    introduce(host, OWNER, HELPER)
    host.make(b"/t/owned", b"n1", value=b"v")
    host.make(b"/t/shared", b"n2", b"r1", value=b"v")
    assert host[HELPER].ask(Type.READ, b"/t/owned").error == "EACCES"
    done(host[0].ask(Type.SET_TARGET, b"4", b"1"))
    assert done(host[HELPER].ask(Type.READ, b"/t/owned")) == b"v"
    assert done(host[HELPER].ask(Type.READ, b"/t/shared")) == b"v"
    done(host[HELPER].ask(Type.SET_PERMS, b"/t/owned", b"n1", b"r2"))
    assert host[OWNER].ask(Type.SET_TARGET, b"1", b"4").error == "EACCES"
    assert host[HELPER].ask(Type.SET_PERMS, b"/t/owned", b"n4").error == "EPERM", "not even to itself"
    done(host[HELPER].write(b"/t/owned/new", b""))
    assert done(host[0].ask(Type.GET_PERMS, b"/t/owned/new")) == b"n4\0r2\0", "whoever creates is the owner"
    done(host[0].ask(Type.RELEASE, b"1"))
    host.make(b"/t/again", b"n1", value=b"v")
    assert host[HELPER].ask(Type.READ, b"/t/again").error == "EACCES", "who was served is gone"


@pytest.mark.parametrize("kind", [Type.READ, Type.DIRECTORY, Type.GET_PERMS])
def test_what_is_not_there_looks_like_what_one_may_not_see(host, kind):
    host.make(b"/t/secret", b"n1")
    host.make(b"/t/secret/there", b"n1")
    for path in (b"/t/secret/there", b"/t/secret/not", b"/t/secret/not/there"):
        assert host[STRANGER].ask(kind, path).error == "EACCES"
    host.make(b"/t/open", b"r1")
    for path in (b"/t/open/not", b"/t/open/not/there/at/all"):
        assert host[STRANGER].ask(kind, path).error == "ENOENT", "the nearest one that is there may be read"


def test_what_is_not_there_for_who_wants_to_write(host):
    host.make(b"/t/secret", b"r1")
    assert host[STRANGER].ask(Type.RM, b"/t/secret/not").error == "EACCES"
    assert host[STRANGER].ask(Type.SET_PERMS, b"/t/secret/not", b"n3").error == "EACCES"
    host.make(b"/t/open", b"w1")
    assert done(host[STRANGER].ask(Type.RM, b"/t/open/not")) == b"OK\0"
    assert host[STRANGER].ask(Type.RM, b"/t/open/not/there").error == "ENOENT"
    assert host[STRANGER].ask(Type.SET_PERMS, b"/t/open/not", b"n3").error == "ENOENT"
    assert host[STRANGER].ask(Type.READ, b"/t/open/not").error == "EACCES"


def test_who_creates_owns_and_the_rest_is_inherited(host):
    host.make(b"/t/d", b"w1", b"r2", b"b3")
    done(host[STRANGER].write(b"/t/d/a/b", b"v"))
    for path in (b"/t/d/a", b"/t/d/a/b"):
        assert done(host[0].ask(Type.GET_PERMS, path)) == b"w3\0r2\0b3\0"
    done(host[0].write(b"/t/d/of-0", b""))
    assert done(host[0].ask(Type.GET_PERMS, b"/t/d/of-0")) == b"w1\0r2\0b3\0", "domain 0 gives it to the owner above"
    assert host[FRIEND].write(b"/t/d/c", b"").error == "EACCES"


def test_a_subtree_is_removed_by_who_may_write_to_its_root(host):
    host.make(b"/t/d", b"n1", b"w3")
    host.make(b"/t/d/private", b"n1")
    host.make(b"/t/d/private/deep", b"n2")
    assert host[STRANGER].ask(Type.RM, b"/t/d/private").error == "EACCES"
    done(host[STRANGER].ask(Type.RM, b"/t/d"))
    assert host[0].ask(Type.READ, b"/t/d/private/deep").error == "ENOENT"


def test_errors_of_set_perms(host):
    host.make(b"/t/n", b"b1", value=b"v")
    assert host[STRANGER].ask(Type.SET_PERMS, b"/t/n", b"n3").error == "EACCES"
    assert host[OWNER].ask(Type.SET_PERMS, b"/t/n", b"n3").error == "EPERM", "a node cannot be given away"
    assert host[OWNER].ask(Type.SET_PERMS, b"/t/n", b"n1", b"r99").error is None, "who is not there counts for nothing"
    assert host[OWNER].ask(Type.SET_PERMS, b"/t/n", b"n99").error == "ENOENT"
    assert host[0].ask(Type.SET_PERMS, b"/t/n", b"n99").error == "ENOENT"
    assert host[0].ask(Type.SET_PERMS, b"/t/not", b"n1").error == "ENOENT"
    assert host[OWNER].ask(Type.SET_PERMS, b"/t/n", *[b"n1"] * 6).error == "ENOSPC"
    assert host[OWNER].ask(Type.SET_PERMS, b"/t/n", *[b"n1"] * 5).error is None
    done(host[0].ask(Type.SET_PERMS, b"/t/n", *[b"n1"] * 50))
    for wrong in ([], [b"x1"], [b"n"], [b"1"], [b"n-1"], [b"n1 "], [b"n1x"], [b"n40000"], [b"n\xd9\xa1"]):
        assert host[0].ask(Type.SET_PERMS, b"/t/n", *wrong).error == "EINVAL", wrong
    assert done(host[0].ask(Type.GET_PERMS, b"/t/n")) == b"n1\0" * 50


def test_a_right_that_was_taken_is_gone_at_once_in_transactions_too(host):
    host.make(b"/t/n", b"n1", b"r3", value=b"before")
    transaction = host[STRANGER].start()
    host.make(b"/t/n", b"n1", value=b"after")
    assert host[STRANGER].ask(Type.READ, b"/t/n", transaction=transaction).error == "EACCES"
    late = host[STRANGER].start()
    assert host[STRANGER].ask(Type.READ, b"/t/n", transaction=late).error == "EACCES"


def test_a_commit_needs_the_rights_that_its_requests_needed(host):
    host.make(b"/t/n", b"n1", b"w3", value=b"before")
    transaction = host[STRANGER].start()
    done(host[STRANGER].write(b"/t/n", b"forged", transaction))
    done(host[OWNER].ask(Type.SET_PERMS, b"/t/n", b"n1"))
    assert host[STRANGER].end(transaction).error == "EAGAIN"
    assert done(host[OWNER].ask(Type.READ, b"/t/n")) == b"before"


def heard(host: Host, domid: int) -> list[bytes]:
    return [path for path, _ in host[domid].settled()]


def watch(host: Host, path: bytes, *domids: int) -> None:
    for domid in domids:
        done(host[domid].ask(Type.WATCH, path, b"token"))
        assert host[domid].wait_for_event() == (path, b"token"), "also where one may not look"


def test_a_watch_tells_who_may_read_the_node_or_the_one_above(host):
    host.make(b"/t/d", b"n1", b"r2")
    watch(host, b"/t/d", OWNER, FRIEND, STRANGER, 0)
    host.make(b"/t/d/n", b"n1", b"r3", value=b"v")
    assert heard(host, STRANGER) == [b"/t/d/n"], "it may read the node since SET_PERMS"
    host.make(b"/t/d/n", b"n1")
    for domid in (OWNER, FRIEND, 0):
        assert set(heard(host, domid)) == {b"/t/d/n"}
    done(host[OWNER].write(b"/t/d/n/deep", b""))
    assert heard(host, OWNER) == [b"/t/d/n/deep"]
    assert heard(host, FRIEND) == [], "neither the node nor the one above"


def test_a_watch_tells_of_the_loss_of_a_right(host):
    host.make(b"/t/n", b"n1", b"r3")
    watch(host, b"/t/n", STRANGER)
    done(host[OWNER].ask(Type.SET_PERMS, b"/t/n", b"n1"))
    assert heard(host, STRANGER) == [b"/t/n"]
    done(host[OWNER].write(b"/t/n", b"secret"))
    done(host[OWNER].ask(Type.SET_PERMS, b"/t/n", b"n1"))
    assert heard(host, STRANGER) == []


def test_a_removal_is_judged_by_the_permissions_at_that_time(host):
    host.make(b"/t/d", b"n1")
    host.make(b"/t/d/open", b"n1", b"r3")
    host.make(b"/t/d/closed", b"n1")
    for path in (b"/t/d", b"/t/d/open", b"/t/d/closed"):
        watch(host, path, STRANGER)
    done(host[OWNER].ask(Type.RM, b"/t/d"))
    assert heard(host, STRANGER) == [b"/t/d/open"]


def test_the_same_in_a_commit(host):
    host.make(b"/t/d", b"n1")
    host.make(b"/t/d/open", b"n1", b"r3")
    watch(host, b"/t/d", STRANGER)
    transaction = host[OWNER].start()
    done(host[OWNER].write(b"/t/d/secret", b"", transaction))
    done(host[OWNER].write(b"/t/d/open", b"", transaction))
    done(host[OWNER].ask(Type.SET_PERMS, b"/t/d/open", b"n1", transaction=transaction))
    assert heard(host, STRANGER) == []
    done(host[OWNER].end(transaction))
    assert heard(host, STRANGER) == [b"/t/d/open"], "it could read that until now"


def test_the_end_of_a_domain_is_told_to_all_and_its_beginning_to_domain_0(host):
    watch(host, b"@releaseDomain", 0, STRANGER)
    watch(host, b"@introduceDomain", 0, STRANGER)
    introduce(host, 5)
    done(host[0].ask(Type.RELEASE, b"5"))
    assert heard(host, 0) == [b"@introduceDomain", b"@releaseDomain"]
    assert heard(host, STRANGER) == [b"@releaseDomain"]
    assert host[STRANGER].ask(Type.GET_PERMS, b"@introduceDomain").error == "EACCES"
    assert host[STRANGER].ask(Type.SET_PERMS, b"@introduceDomain", b"n0", b"r3").error == "EACCES"
    assert done(host[STRANGER].ask(Type.GET_PERMS, b"@releaseDomain")) == b"n0\0r32757\0"
    done(host[0].ask(Type.SET_PERMS, b"@introduceDomain", b"n0", b"r3"))
    host[STRANGER].settled()
    introduce(host, 5)
    assert heard(host, STRANGER) == [b"@introduceDomain"]
    done(host[0].ask(Type.SET_PERMS, b"@introduceDomain", b"n0"))
    for kind in (Type.READ, Type.WRITE, Type.DIRECTORY, Type.MKDIR, Type.RM):
        assert host[0].ask(kind, b"@releaseDomain").error == "EINVAL"
    assert host[STRANGER].ask(Type.GET_PERMS, b"@nothing").error == "EACCES"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Type.CONTROL, (b"check",)),
        (Type.CONTROL, (b"quota", b"set", b"nodes", b"0")),
        (Type.CONTROL, (b"memreport",)),
        (Type.CONTROL, (b"print", b"text")),
        (Type.CONTROL, (b"log", b"on")),
        (Type.CONTROL, (b"help",)),
        (Type.CONTROL, (b"nonsense",)),
        (Type.INTRODUCE, (b"5", b"1", b"1")),
        (Type.RELEASE, (b"1",)),
        (Type.RESUME, (b"1",)),
        (Type.SET_TARGET, (b"3", b"1")),
        (Type.IS_DOMAIN_INTRODUCED, (b"1",)),
        (Type.GET_FEATURE, (b"1",)),
        (Type.SET_FEATURE, (b"3", b"2")),
        (Type.GET_QUOTA, ()),
        (Type.GET_QUOTA, (b"nodes",)),
        (Type.SET_QUOTA, (b"3", b"nodes", b"0")),
    ],
)
def test_what_is_for_toolstacks(host, kind, words):
    introduce(host, OWNER, STRANGER)
    assert host[STRANGER].ask(kind, *words).error == "EACCES"


def test_who_is_no_toolstack_is_told_so_before_his_transaction_is_looked_for(host):
    for kind in (Type.INTRODUCE, Type.RELEASE, Type.SET_QUOTA):
        assert host[STRANGER].ask(kind, b"1", transaction=77).error == "EACCES"
    assert host[0].ask(Type.RELEASE, b"1", transaction=77).error == "ENOENT"


def test_nothing_is_left_of_a_domain_that_was_released(host):
    introduce(host, OWNER, FRIEND)
    host.make(b"/t/mine", b"n1", value=b"v")
    host.make(b"/t/mine/deep/of-another", b"n2", value=b"v")
    host.make(b"/t/shared", b"n2", b"b1", b"r3", value=b"v")
    host.make(b"/local/domain/1/data", b"n1", value=b"v")
    watch(host, b"/t/mine/deep/of-another", FRIEND)
    watch(host, b"/t", OWNER)
    transaction = host[OWNER].start()
    done(host[OWNER].write(b"/t/mine/late", b"", transaction))
    done(host[0].ask(Type.RELEASE, b"1"))
    assert heard(host, FRIEND) == [b"/t/mine/deep/of-another"]
    assert host[0].ask(Type.READ, b"/t/mine").error == "ENOENT"
    assert host[0].ask(Type.READ, b"/local/domain/1/data").error == "ENOENT"
    assert done(host[0].ask(Type.GET_PERMS, b"/t/shared")) == b"n2\0r3\0"
    with pytest.raises(ConnectionError):
        host[OWNER].receive()
    host.release(OWNER)
    introduce(host, OWNER)
    assert host[OWNER].ask(Type.READ, b"/t/shared").error == "EACCES", "the next with this domid is another domain"
    assert host[OWNER].ask(Type.TRANSACTION_END, b"T", transaction=transaction).error == "ENOENT"
    done(host[0].write(b"/t/mine", b""))
    assert heard(host, OWNER) == []


def test_what_cannot_be_removed_is_domain_0s_when_its_owner_is_released(host):
    introduce(host, OWNER)
    for path, before in ((b"/", b"n0"), (b"@releaseDomain", b"n0\0r32757")):
        done(host[0].ask(Type.SET_PERMS, path, b"n1", b"r3"))
        host.release(OWNER)
        assert done(host[0].ask(Type.GET_PERMS, path)) == b"n0\0r3\0"
        done(host[0].ask(Type.SET_PERMS, path, *before.split(b"\0")))
