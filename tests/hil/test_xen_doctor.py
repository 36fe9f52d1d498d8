"""`jitsu doctor` in the dom0 of a board: what is there, and what is missing once it was taken away."""

import json

import pytest

from boards.emulator import EmulatedBoard
from tests.hil.dom0 import Dom0

pytestmark = pytest.mark.timeout(1800)

CONFIGURATION = """
[daemon]
driver = "xen"
[limits]
memory = "128 MiB"
[service.talker]
kernel = "/tmp/talker"
address = "10.77.0.10"
"""


def states(board: EmulatedBoard) -> dict[str, tuple[str, str]]:
    """By subject, the state and the message of what was found."""
    said = board.run("jitsu", "doctor", "-c", "/tmp/jitsu.toml", "-o", "json").out
    return {found["subject"]: (found["state"], found["message"]) for found in json.loads(said)}


def test_what_dom0_has_and_lacks(armv7: EmulatedBoard) -> None:
    Dom0(armv7)
    armv7.put(CONFIGURATION.encode(), "/tmp/jitsu.toml")
    found = states(armv7)
    assert found["hypervisor"] == ("ok", "Xen 4.17")
    assert found["xen memory"][0] == "ok"
    assert found["xenstored"][0] == "ok"
    assert found["xenconsoled"] == (
        "note",
        "it writes all that guests print to /var/log/xen/console as well, without bound",
    )
    assert found["netback"] == ("ok", "xen-netback is loaded")
    assert "accelerator" not in found

    armv7.check("sh", "-c", "kill $(pidof xenconsoled) $(pidof xenstored); rmmod xen_netback")
    armv7.put(CONFIGURATION.replace("128 MiB", "64 GiB").encode(), "/tmp/jitsu.toml")
    found = states(armv7)
    lacking = {subject: found[subject][0] for subject in ("xen memory", "xenstored", "xenconsoled", "netback")}
    assert lacking == {"xen memory": "note", "xenstored": "bad", "xenconsoled": "bad", "netback": "bad"}
