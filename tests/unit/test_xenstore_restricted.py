"""Restricted directories: what a domain leaves in one is its own and the directory owner's, and nobody else's.

This is how a server is found and called: `/conduit/NAME/listen` belongs to it, whoever wants to talk to it leaves an
entry there, and the server knows by the entry's owner who that is.
"""

from collections.abc import Iterator

import pytest

from jitsu.xenstore.wire import Type
from tests.xenstore_domains import Host, domains, done

SERVER, CLIENT, OTHER, HELPER = 1, 2, 3, 4
LISTEN = b"/conduit/web/listen"


@pytest.fixture(scope="module")
def running() -> Iterator[Host]:
    with domains() as host:
        yield host


@pytest.fixture(params=["w", "b"], ids=["default w", "default b"])
def host(running: Host, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A server's directory, in which others may write; with `b` they may also see who is in it."""
    running.release(SERVER, CLIENT, OTHER, HELPER)
    running[0].ask(Type.RM, b"/conduit")
    running.make(b"/conduit", b"r0")
    running.make(b"/conduit/web", b"r1")
    running.make(LISTEN, request.param.encode() + b"1")
    done(running[SERVER].ask(Type.CONTROL, b"restrict", LISTEN, b"on"))
    yield running
    assert "Traceback" not in running.log()


def call(host: Host, transaction: int = 0) -> None:
    """A client leaves its entry."""
    done(host[CLIENT].write(LISTEN + b"/c", b"ref 7 port 9", transaction))


def refused(host: Host, domid: int, path: bytes, transaction: int = 0) -> None:
    """Every way in which an entry could be seen or touched."""
    peer = host[domid]

    def error(kind: Type, *words: bytes) -> str | None:
        return peer.ask(kind, path, *words, transaction=transaction).error

    assert error(Type.READ) == "EACCES"
    assert error(Type.DIRECTORY) == "EACCES"
    assert error(Type.DIRECTORY_PART, b"0") == "EACCES"
    assert error(Type.GET_PERMS) == "EACCES"
    assert error(Type.MKDIR) == "EACCES"
    assert error(Type.RM) == "EACCES"
    assert error(Type.SET_PERMS, b"b%d" % domid) == "EACCES"
    assert error(Type.SET_PERMS, b"b%d" % CLIENT) == "EACCES"
    assert peer.write(path, b"forged", transaction).error == "EACCES"
    for below in (b"/x", b"/x/y"):
        assert peer.ask(Type.READ, path + below, transaction=transaction).error == "EACCES"
        assert peer.write(path + below, b"", transaction).error == "EACCES"
        assert peer.ask(Type.RM, path + below, transaction=transaction).error == "EACCES"
    assert peer.ask(Type.CONTROL, b"restrict", path, b"off").error == "EACCES"


def test_an_entry_is_its_creators_and_the_owner_of_the_directory_may_read_it(host):
    call(host)
    assert done(host[SERVER].ask(Type.DIRECTORY, LISTEN)) == b"c\0"
    assert done(host[SERVER].ask(Type.READ, LISTEN + b"/c")) == b"ref 7 port 9"
    assert done(host[SERVER].ask(Type.GET_PERMS, LISTEN + b"/c")) == b"n2\0r1\0", "who calls, beyond doubt"
    done(host[CLIENT].write(LISTEN + b"/c", b"changed"))
    assert done(host[CLIENT].ask(Type.READ, LISTEN + b"/c")) == b"changed"
    assert host[SERVER].write(LISTEN + b"/c", b"forged").error == "EACCES"
    assert host[SERVER].ask(Type.SET_PERMS, LISTEN + b"/c", b"b1").error == "EACCES"


def test_nobody_else_sees_or_touches_it(host):
    call(host)
    refused(host, OTHER, LISTEN + b"/c")
    transaction = host[OTHER].start()
    refused(host, OTHER, LISTEN + b"/c", transaction)
    host[OTHER].end(transaction)
    assert done(host[CLIENT].ask(Type.READ, LISTEN + b"/c")) == b"ref 7 port 9"
    assert done(host[0].ask(Type.GET_PERMS, LISTEN + b"/c")) == b"n2\0r1\0"


def test_the_same_inside_of_a_transaction_and_when_it_merges(host):
    transaction = host[CLIENT].start()
    call(host, transaction)
    done(host[CLIENT].write(LISTEN + b"/deep/er", b"v", transaction))
    done(host[OTHER].write(LISTEN + b"/o", b""))
    done(host[CLIENT].end(transaction))
    assert done(host[SERVER].ask(Type.DIRECTORY, LISTEN)) == b"o\0c\0deep\0"
    refused(host, OTHER, LISTEN + b"/c")
    refused(host, OTHER, LISTEN + b"/deep/er")
    for path in (b"/deep", b"/deep/er"):
        assert done(host[SERVER].ask(Type.GET_PERMS, LISTEN + path)) == b"n2\0r1\0"


def test_directories_and_paths_that_are_made_on_the_way(host):
    done(host[CLIENT].ask(Type.MKDIR, LISTEN + b"/m"))
    done(host[CLIENT].write(LISTEN + b"/a/b/c", b"v"))
    done(host[CLIENT].ask(Type.MKDIR, LISTEN + b"/m/inside"))
    for path in (b"/m", b"/m/inside", b"/a", b"/a/b", b"/a/b/c"):
        assert done(host[SERVER].ask(Type.GET_PERMS, LISTEN + path)) == b"n2\0r1\0"
        refused(host, OTHER, LISTEN + path)
    done(host[SERVER].ask(Type.RM, LISTEN + b"/a"))
    assert host[0].ask(Type.READ, LISTEN + b"/a/b/c").error == "ENOENT", "its own directory it may clear away"


def test_the_directory_itself_is_not_removed_by_who_may_write_in_it(host):
    call(host)
    assert host[OTHER].ask(Type.RM, LISTEN).error == "EACCES"
    assert host[CLIENT].ask(Type.RM, LISTEN).error == "EACCES"
    transaction = host[OTHER].start()
    assert host[OTHER].ask(Type.RM, LISTEN, transaction=transaction).error == "EACCES"
    host[OTHER].end(transaction)
    done(host[0].ask(Type.SET_PERMS, b"/conduit/web", b"b1"))
    assert host[OTHER].ask(Type.RM, b"/conduit/web").error == "EACCES", "nor with one above it"
    assert host[OTHER].ask(Type.SET_PERMS, LISTEN, b"b3").error == "EACCES"
    assert done(host[SERVER].ask(Type.READ, LISTEN + b"/c")) == b"ref 7 port 9"
    done(host[SERVER].ask(Type.RM, LISTEN))


def test_a_removal_in_a_transaction_does_not_pass_by_a_mark_set_meanwhile(host):
    done(host[SERVER].ask(Type.CONTROL, b"restrict", LISTEN, b"off"))
    transaction = host[OTHER].start()
    done(host[OTHER].ask(Type.RM, LISTEN, transaction=transaction))
    done(host[SERVER].ask(Type.CONTROL, b"restrict", LISTEN, b"on"))
    call(host)
    assert host[OTHER].end(transaction).error == "EAGAIN"
    done(host[SERVER].ask(Type.RM, LISTEN))
    done(host[SERVER].write(b"/conduit/web/listen/deep", b""))
    done(host[SERVER].ask(Type.SET_PERMS, LISTEN, b"b1"))
    transaction = host[OTHER].start()
    done(host[OTHER].ask(Type.RM, LISTEN, transaction=transaction))
    done(host[SERVER].ask(Type.CONTROL, b"restrict", LISTEN + b"/deep", b"on"))
    assert host[OTHER].end(transaction).error == "EAGAIN"


def test_taking_a_name_that_is_free_again_makes_nobody_somebody_else(host):
    call(host)
    done(host[CLIENT].ask(Type.RM, LISTEN + b"/c"))
    done(host[OTHER].write(LISTEN + b"/c", b"ref 7 port 9"))
    assert done(host[SERVER].ask(Type.GET_PERMS, LISTEN + b"/c")) == b"n3\0r1\0"
    refused(host, CLIENT, LISTEN + b"/c")


def test_the_owner_of_an_entry_cannot_be_forged(host):
    call(host)
    for words in ([b"n3"], [b"n1"], [b"n0"], [b"n3", b"n2"]):
        assert host[CLIENT].ask(Type.SET_PERMS, LISTEN + b"/c", *words).error == "EPERM"
    done(host[CLIENT].ask(Type.SET_PERMS, LISTEN + b"/c", b"n2", b"r1", b"r3"))
    assert done(host[OTHER].ask(Type.READ, LISTEN + b"/c")) == b"ref 7 port 9", "one's own may be shown to others"
    assert host[OTHER].write(LISTEN + b"/c", b"").error == "EACCES"


def test_the_mark_survives_set_perms_also_in_a_transaction_that_began_before_it(host):
    done(host[SERVER].ask(Type.SET_PERMS, LISTEN, b"w1", b"b3"))
    done(host[CLIENT].write(LISTEN + b"/c", b""))
    assert done(host[SERVER].ask(Type.GET_PERMS, LISTEN + b"/c")) == b"n2\0r1\0"
    done(host[SERVER].ask(Type.CONTROL, b"restrict", LISTEN, b"off"))
    transaction = host[SERVER].start()
    done(host[SERVER].ask(Type.SET_PERMS, LISTEN, b"w1", transaction=transaction))
    done(host[SERVER].ask(Type.CONTROL, b"restrict", LISTEN, b"on"))
    done(host[SERVER].end(transaction))
    done(host[CLIENT].write(LISTEN + b"/d", b""))
    refused(host, OTHER, LISTEN + b"/d")


def test_an_entry_that_was_made_in_a_transaction_before_the_mark(host):
    done(host[SERVER].ask(Type.CONTROL, b"restrict", LISTEN, b"off"))
    transaction = host[CLIENT].start()
    call(host, transaction)
    done(host[SERVER].ask(Type.CONTROL, b"restrict", LISTEN, b"on"))
    done(host[CLIENT].end(transaction))
    refused(host, OTHER, LISTEN + b"/c")


def test_who_may_mark(host):
    for domid in (CLIENT, OTHER):
        assert host[domid].ask(Type.CONTROL, b"restrict", LISTEN, b"off").error == "EACCES"
        assert host[domid].ask(Type.CONTROL, b"restrict", b"/conduit/not/there", b"on").error == "EACCES"
    assert host[0].ask(Type.CONTROL, b"restrict", b"/conduit/not/there", b"on").error == "ENOENT"
    done(host[0].ask(Type.CONTROL, b"restrict", LISTEN, b"off"))
    done(host[0].ask(Type.CONTROL, b"restrict", LISTEN, b"on"))
    for words in ([], [LISTEN], [LISTEN, b"maybe"], [LISTEN, b"on", b"off"], [b"@releaseDomain", b"on"], [b"", b"on"]):
        assert host[SERVER].ask(Type.CONTROL, b"restrict", *words).error == "EINVAL"
    call(host)
    refused(host, OTHER, LISTEN + b"/c")


def test_what_domain_0_leaves_is_seen_by_the_owner_only(host):
    done(host[0].write(LISTEN + b"/z", b"v"))
    assert done(host[SERVER].ask(Type.READ, LISTEN + b"/z")) == b"v"
    refused(host, OTHER, LISTEN + b"/z")


def test_who_serves_the_owner_is_the_owner(host):
    call(host)
    refused(host, HELPER, LISTEN + b"/c")
    for domid in (SERVER, HELPER):
        done(host[0].ask(Type.INTRODUCE, b"%d" % domid, b"1", b"1"))
    done(host[0].ask(Type.SET_TARGET, b"4", b"1"))
    assert done(host[HELPER].ask(Type.READ, LISTEN + b"/c")) == b"ref 7 port 9"
    done(host[HELPER].ask(Type.RM, LISTEN + b"/c"))


def test_watches_tell_the_server_and_nobody_else_who_came(host):
    for domid in (SERVER, OTHER):
        done(host[domid].ask(Type.WATCH, LISTEN, b"t"))
        host[domid].settled()
    done(host[OTHER].ask(Type.WATCH, LISTEN + b"/c", b"u"))
    host[OTHER].settled()
    call(host)
    assert host[SERVER].settled() == [(LISTEN + b"/c", b"t")]
    lists = host[OTHER].ask(Type.DIRECTORY, LISTEN).error is None
    assert host[OTHER].settled() == ([(LISTEN + b"/c", b"t"), (LISTEN + b"/c", b"u")] if lists else []), (
        "who may list may know"
    )


def test_the_end_of_a_client_or_of_the_server(host):
    call(host)
    host.release(CLIENT)
    assert done(host[SERVER].ask(Type.DIRECTORY, LISTEN)) == b""
    call(host)
    host.release(SERVER)
    assert host[CLIENT].ask(Type.READ, LISTEN + b"/c").error in ("ENOENT", "EACCES")
    assert host[0].ask(Type.DIRECTORY, b"/conduit").payload == b""
    assert done(host[0].ask(Type.CONTROL, b"check")) == b"OK\0"
