"""A tree that is read while it changes, and of which not everything is shown."""

import pytest

from jitsu.xenstore.survey import survey
from jitsu.xenstore.wire import StoreError, Type
from tests.unit.store_dialogue import Peer, talking

LOOK = (Type.DIRECTORY, Type.READ)


async def test_what_vanishes_is_left_out_and_what_is_hidden_is_marked() -> None:
    async def talk(peer: Peer) -> None:
        names, value = await peer.hear_all(*LOOK)
        peer.answer(names, b"gone\0hidden\0large\0")
        peer.answer(value, b"root")
        gone, hidden, large = [await peer.hear_all(*LOOK) for _ in range(3)]
        for message in gone:
            peer.refuse(message, "ENOENT")
        for message in hidden:
            peer.refuse(message, "EACCES")
        peer.refuse(large[0], "E2BIG")
        peer.answer(large[1], b"")
        peer.refuse(await peer.hear(), "E2BIG")
        (part,) = await peer.hear_all(Type.DIRECTORY_PART)
        peer.answer(part, b"7\0leaf\0\0")
        leaf = await peer.hear_all(*LOOK)
        assert [message.payload for message in leaf] == [b"/a/large/leaf\0"] * 2
        peer.answer(leaf[0], b"")
        peer.answer(leaf[1], b"value")

    async with talking(talk) as client:
        tree = await survey(client, "/a")
    assert [(node.path, node.value) for node in tree.walk()] == [
        ("/a", b"root"),
        ("/a/hidden", None),
        ("/a/large", b""),
        ("/a/large/leaf", b"value"),
    ]


async def test_children_of_the_root_have_one_slash() -> None:
    async def talk(peer: Peer) -> None:
        (names,) = await peer.hear_all(Type.DIRECTORY)
        peer.answer(names, b"a\0")
        (below,) = await peer.hear_all(Type.DIRECTORY)
        assert below.payload == b"/a\0"
        peer.answer(below, b"")

    async with talking(talk) as client:
        tree = await survey(client, "/", values=False)
    assert [node.name for node in tree.walk()] == ["", "a"]


async def test_without_its_root_there_is_no_tree() -> None:
    async def talk(peer: Peer) -> None:
        for message in await peer.hear_all(*LOOK):
            peer.refuse(message, "EACCES")

    async with talking(talk) as client:
        with pytest.raises(StoreError, match="list /a: not permitted"):
            await survey(client, "/a")
