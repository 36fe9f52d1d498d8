"""The nodes of a domain of Xen, written to a real store and read as its guest."""

from jitsu.domains.xen_keys import Identity, console_node, domain_nodes, ends

IDENTITY = Identity("edge", "www", "a1b2", "00" * 16)
PORT, FRAME = 2, 0x39000


def test_without_an_interface_there_are_nine() -> None:
    nodes = domain_nodes(7, IDENTITY, PORT, FRAME)
    assert [(node.path, node.value) for node in nodes] == [
        ("/local/domain/7/jitsu", IDENTITY.encode()),
        ("/local/domain/7", None),
        ("/local/domain/7/name", b"www-7"),
        ("/local/domain/7/domid", b"7"),
        ("/local/domain/7/console/port", b"2"),
        ("/local/domain/7/console/limit", b"1048576"),
        ("/libxl/7/type", b"pvh"),
        ("/local/domain/7/data", b""),
        ("/local/domain/7/console/ring-ref", b"233472"),
    ]


def test_a_pv_domain_has_its_console_once_it_is_known_where() -> None:
    early = domain_nodes(7, IDENTITY, PORT, None, pv=True)
    late = console_node(7, 0x12345)
    assert late.path not in [node.path for node in early]
    assert {*early, late} ^ {*domain_nodes(7, IDENTITY, PORT, 0x12345)} == {
        ("/libxl/7/type", b"pv", ()),
        ("/libxl/7/type", b"pvh", ()),
    }


def test_the_guest_owns_its_frontend_and_data_and_nothing_else() -> None:
    nodes = domain_nodes(7, IDENTITY, PORT, FRAME, mac="00:16:3e:00:00:01", config=[("ip", "10.0.9.2/24")])
    owned = {node.path for node in nodes if node.perms[:1] == ("n7",)}
    assert owned == {"/local/domain/7/data", "/local/domain/7/device/vif/0"}
    # What it is told lies in its own folder, and is not its to change.
    told = {node.path: node.perms for node in nodes if "/data/jitsu" in node.path}
    assert told == {
        "/local/domain/7/data/jitsu/config": ("n0", "r7"),
        "/local/domain/7/data/jitsu/config/ip": (),
    }


def test_permissions_stand_before_anything_is_made_below_but_the_node_that_makes_it() -> None:
    nodes = domain_nodes(7, IDENTITY, PORT, FRAME, mac="00:16:3e:00:00:01", config=[("ip", "10.0.9.2/24")])
    for position, node in enumerate(nodes):
        if node.perms:
            below = [earlier.path for earlier in nodes[:position] if earlier.path.startswith(f"{node.path}/")]
            assert below == [nodes[position - 1].path] * (node.value is None), node.path


def test_what_is_asked_of_the_store_is_no_more_than_that() -> None:
    """Each is a round of its daemon's, and those for the backend three."""
    nodes = domain_nodes(7, IDENTITY, PORT, FRAME, mac="00:16:3e:00:00:01")
    asked = [request for node in nodes for request in node.requests()]
    assert len(asked) == 25
    assert sum("/backend/vif/7/0" in request.subject for request in asked) == 10


def test_both_ends_of_the_interface_name_each_other() -> None:
    values = {node.path: node.value for node in domain_nodes(7, IDENTITY, PORT, FRAME, mac="00:16:3e:00:00:01")}
    front = values["/local/domain/0/backend/vif/7/0/frontend"].decode()
    back = values[f"{front}/backend"].decode()
    assert back == "/local/domain/0/backend/vif/7/0"
    assert values[f"{front}/state"] == values[f"{back}/state"] == b"1"
    # Without it netback does not probe.
    assert f"{back}/script" in values


def test_netback_begins_when_all_else_is_there() -> None:
    """It looks at each node that is written, and begins with a domain whose backend has a state."""
    nodes = domain_nodes(7, IDENTITY, PORT, FRAME, mac="00:16:3e:00:00:01", config=[("ip", "10.0.9.2/24")])
    assert nodes[-1].path == "/local/domain/0/backend/vif/7/0/state"


def test_all_of_them_are_removed() -> None:
    nodes = domain_nodes(7, IDENTITY, PORT, FRAME, mac="00:16:3e:00:00:01", config=[("ip", "10.0.9.2/24")])
    for node in nodes:
        assert any(node.path == end or node.path.startswith(f"{end}/") for end in ends(7)), node.path
    assert not any("/70" in end or end.endswith("/backend/vif") for end in ends(7))


def test_both_ends_say_whose_they_are_and_who_is_interrupted_leaves_that_for_last() -> None:
    values = {node.path: node.value for node in domain_nodes(7, IDENTITY, PORT, FRAME, mac="00:16:3e:00:00:01")}
    homes, backends = "/local/domain/7", "/local/domain/0/backend/vif/7"
    assert Identity.decode(values[f"{homes}/jitsu"]) == Identity.decode(values[f"{backends}/0/jitsu"]) == IDENTITY
    assert ends(7)[-2:] == [backends, homes]


def test_an_identity_is_read_back_and_rubbish_is_none() -> None:
    assert Identity.decode(IDENTITY.encode()) == IDENTITY
    for rubbish in (b"", b"7", b"[]", b"{}", b"\xff", b'{"instance":"a","service":"b","domid":"x"}'):
        assert Identity.decode(rubbish) is None
