"""The client: questions, answers, listings, errors, and the end of a connection."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from jitsu.xenstore.client import StoreClient, default_socket
from jitsu.xenstore.link import StoreUnreachable
from jitsu.xenstore.wire import Message, StoreError, Type
from tests.unit.store_dialogue import Peer, talking


async def test_answers_find_their_questions_in_any_order() -> None:
    async def talk(peer: Peer) -> None:
        first, second = await peer.hear_all(Type.READ, Type.READ)
        assert first.request != second.request
        peer.answer(second, b"two")
        peer.answer(first, b"o\0ne")

    async with talking(talk) as client:
        assert await asyncio.gather(client.read("/a"), client.read("/b")) == [b"o\0ne", b"two"]


async def test_who_asks_nothing_is_not_kept_waiting() -> None:
    async def talk(peer: Peer) -> None:
        (heard,) = await peer.hear_all(Type.READ)
        peer.answer(heard, b"one")

    async with talking(talk) as client:
        assert await client.answers([]) == []
        assert await client.read("/a") == b"one"


@pytest.mark.parametrize(
    ("ask", "kind", "payload", "answer", "result"),
    [
        (lambda c: c.write("/a", b"x\0y"), Type.WRITE, b"/a\0x\0y", b"OK\0", None),
        (lambda c: c.mkdir("/a"), Type.MKDIR, b"/a\0", b"OK\0", None),
        (lambda c: c.rm("/a"), Type.RM, b"/a\0", b"OK\0", None),
        (lambda c: c.set_perms("/a", ["n0", "r5"]), Type.SET_PERMS, b"/a\0n0\0r5\0", b"OK\0", None),
        (lambda c: c.get_perms("/a"), Type.GET_PERMS, b"/a\0", b"n0\0r5\0", ["n0", "r5"]),
        (lambda c: c.list("/a"), Type.DIRECTORY, b"/a\0", b"x\0y\0", ["x", "y"]),
        (lambda c: c.list("/a"), Type.DIRECTORY, b"/a\0", b"", []),
        (lambda c: c.exists("/a"), Type.READ, b"/a\0", b"", True),
        (lambda c: c.introduce(3, 7, 9), Type.INTRODUCE, b"3\x007\x009\0", b"OK\0", None),
        (lambda c: c.release(3), Type.RELEASE, b"3\0", b"OK\0", None),
        (lambda c: c.is_introduced(3), Type.IS_DOMAIN_INTRODUCED, b"3\0", b"T\0", True),
        (lambda c: c.is_introduced(3), Type.IS_DOMAIN_INTRODUCED, b"3\0", b"F\0", False),
        (lambda c: c.domain_path(3), Type.GET_DOMAIN_PATH, b"3\0", b"/local/domain/3\0", "/local/domain/3"),
        (lambda c: c.control("help"), Type.CONTROL, b"help\0", b"check log\0", "check log"),
    ],
)
async def test_what_goes_over_the_wire(
    ask: Callable[[StoreClient], Awaitable[object]], kind: Type, payload: bytes, answer: bytes, result: object
) -> None:
    async def talk(peer: Peer) -> None:
        (heard,) = await peer.hear_all(kind)
        assert (heard.transaction, heard.payload) == (0, payload)
        peer.answer(heard, answer)

    async with talking(talk) as client:
        assert await ask(client) == result


async def test_bytes_that_are_no_text_survive_in_names() -> None:
    async def talk(peer: Peer) -> None:
        (listing,) = await peer.hear_all(Type.DIRECTORY)
        peer.answer(listing, b"a\xffb\0")
        (reading,) = await peer.hear_all(Type.READ)
        assert reading.payload == b"/a\xffb\0"
        peer.answer(reading, b"")

    async with talking(talk) as client:
        (name,) = await client.list("/")
        await client.read(f"/{name}")


@pytest.mark.parametrize(
    ("errno", "message"),
    [
        ("ENOENT", "read /a: there is no such node (ENOENT)"),
        ("EACCES", "read /a: not permitted (EACCES)"),
        ("EIO", "read /a: the daemon refused (EIO)"),
    ],
)
async def test_an_error_names_the_path_and_what_was_wanted(errno: str, message: str) -> None:
    async def talk(peer: Peer) -> None:
        peer.refuse(await peer.hear(), errno)

    async with talking(talk) as client:
        with pytest.raises(StoreError) as caught:
            await client.read("/a")
    assert (caught.value.errno, caught.value.message, caught.value.exit_code) == (errno, message, 1)


@pytest.mark.parametrize(("errno", "told"), [("EQUOTA", "EQUOTA"), ("\x1b[2J", "EINVAL"), ("", "EINVAL")])
async def test_an_error_that_is_none_of_the_wires_counts_as_einval(errno: str, told: str) -> None:
    async def talk(peer: Peer) -> None:
        peer.refuse(await peer.hear(), errno)

    async with talking(talk) as client:
        with pytest.raises(StoreError) as caught:
            await client.mkdir("/a")
    assert caught.value.errno == "EINVAL"
    assert caught.value.message.endswith(f"({told})")


async def test_only_what_is_missing_does_not_exist() -> None:
    async def talk(peer: Peer) -> None:
        peer.refuse(await peer.hear(), "ENOENT")
        peer.refuse(await peer.hear(), "EACCES")

    async with talking(talk) as client:
        assert await client.exists("/a") is False
        with pytest.raises(StoreError, match="EACCES"):
            await client.exists("/a")


@pytest.mark.parametrize(("path", "value", "errno"), [("/a\0b", b"", "EINVAL"), ("/a", b"x" * 4094, "E2BIG")])
async def test_what_would_cost_the_connection_is_not_sent(path: str, value: bytes, errno: str) -> None:
    async with talking(lambda peer: peer.silence()) as client:
        with pytest.raises(StoreError) as caught:
            await client.write(path, value)
    assert caught.value.errno == errno


async def test_the_longest_value_is_sent() -> None:
    async def talk(peer: Peer) -> None:
        heard = await peer.hear()
        assert len(heard.payload) == 4096
        peer.answer(heard)

    async with talking(talk) as client:
        await client.write("/a", b"x" * 4093)


async def test_a_long_listing_comes_in_parts_of_one_generation() -> None:
    """The directory changes after the first part: the listing begins anew."""

    async def talk(peer: Peer) -> None:
        peer.refuse(await peer.hear(), "E2BIG")
        for offset, part in (
            (0, b"7\0aa\0bb\0"),
            (6, b"8\0cc\0\0"),
            (0, b"8\0xx\0"),
            (3, b"8\0yy\0zz\0\0"),
        ):
            (heard,) = await peer.hear_all(Type.DIRECTORY_PART)
            assert heard.payload == b"/big\0%d\0" % offset
            peer.answer(heard, part)

    async with talking(talk) as client:
        assert await client.list("/big") == ["xx", "yy", "zz"]


async def test_a_listing_may_end_with_an_empty_part() -> None:
    async def talk(peer: Peer) -> None:
        peer.refuse(await peer.hear(), "E2BIG")
        for part in (b"7\0aa\0bb\0", b"7\0\0"):
            peer.answer(await peer.hear(), part)

    async with talking(talk) as client:
        assert await client.list("/big") == ["aa", "bb"]


async def test_a_directory_that_never_stands_still_is_given_up() -> None:
    async def talk(peer: Peer) -> None:
        peer.refuse(await peer.hear(), "E2BIG")
        for generation in range(128):
            peer.answer(await peer.hear(), b"%d\0aa\0" % generation)

    async with talking(talk) as client:
        with pytest.raises(StoreError, match="changed 64 times"):
            await client.list("/big")


async def test_everybody_who_waits_hears_that_the_connection_is_lost() -> None:
    async def talk(peer: Peer) -> None:
        first, _ = await peer.hear_all(Type.READ, Type.WRITE)
        peer.answer(first, b"in time")
        peer.close()

    async with talking(talk) as client:
        read, written = await asyncio.gather(client.read("/a"), client.write("/b", b""), return_exceptions=True)
        await client.closed()
        with pytest.raises(StoreUnreachable):
            await client.read("/a")
    assert read == b"in time"
    assert isinstance(written, StoreUnreachable)
    assert written.message == "the connection to the XenStore daemon behind /run/test/socket was closed by the daemon"
    assert written.exit_code == 7


async def test_who_closes_the_client_ends_what_is_under_way() -> None:
    async def talk(peer: Peer) -> None:
        await peer.hear()
        await peer.silence()

    async with talking(talk) as client:
        reading = asyncio.create_task(client.read("/a"))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(StoreUnreachable, match="is closed"):
            await reading


def of_nobody(request: Message) -> bytes:
    return request._replace(request=request.request + 1).encode()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (of_nobody, "what it was not asked"),
        (lambda request: request._replace(type=Type.WRITE).encode(), "another question"),
        (lambda request: Message(Type.READ, request.request, 0, b"x" * 4097).encode(), "4097 bytes"),
        (lambda request: Message(Type.WATCH_EVENT, 0, 0, b"/a\0").encode(), "without path and token"),
        (lambda request: Message(Type.WATCH_EVENT, 0, 0, b"/a").encode(), "without path and token"),
    ],
)
async def test_a_daemon_that_speaks_something_else_is_left(reply: Callable[[Message], bytes], said: str) -> None:
    async def talk(peer: Peer) -> None:
        peer.say(reply(await peer.hear()))
        await peer.silence()

    async with talking(talk) as client:
        with pytest.raises(StoreUnreachable, match=said):
            await client.read("/a")


async def test_an_answer_in_single_bytes_is_understood() -> None:
    async def talk(peer: Peer) -> None:
        for byte in (await peer.hear())._replace(payload=b"value").encode():
            peer.say(bytes([byte]))
            await asyncio.sleep(0)

    async with talking(talk) as client:
        assert await client.read("/a") == b"value"


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable) as caught:
        await StoreClient.connect(tmp_path / "socket")
    assert caught.value.message == f"no XenStore daemon listens on {tmp_path}/socket"
    assert caught.value.hint == f"start one with: jitsu xenstored --socket {tmp_path}/socket"


async def test_a_path_too_long_for_a_socket() -> None:
    with pytest.raises(StoreUnreachable, match="path too long"):
        await StoreClient.connect(Path("/" + "x" * 200))


async def test_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    """A daemon that is slow to accept, and then does; and one that never does."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(path)
        listener.listen(0)
        other.connect(path)
        with pytest.raises(StoreUnreachable, match=r"accepts nobody for 0\.05 s"):
            await StoreClient.connect(Path(path), timeout=0.05)
        connecting = asyncio.create_task(StoreClient.connect(Path(path)))
        await asyncio.sleep(0)
        listener.accept()[0].close()
        async with await connecting:
            listener.accept()[0].close()


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({}, "/var/run/xenstored/socket"),
        ({"XENSTORED_RUNDIR": "/run/x"}, "/run/x/socket"),
        ({"XENSTORED_RUNDIR": "/run/x", "XENSTORED_PATH": "/run/y/s"}, "/run/y/s"),
    ],
)
def test_where_a_daemon_is_looked_for(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], path: str) -> None:
    for name in ("XENSTORED_PATH", "XENSTORED_RUNDIR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert str(default_socket()) == path
