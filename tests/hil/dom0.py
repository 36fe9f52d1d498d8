"""A board whose dom0 has this checkout's jitsu and the native driver."""

import json
from pathlib import Path
from typing import Any

from boards.emulator import EmulatedBoard
from jitsu import artifacts
from tests.hil.talking_guests import talking_guest

LIBRARIES = "/usr/local/lib/python3.11/dist-packages"
MAC = "00:16:3e:00:00:01"
LINE = "GUEST ALIVE"


class Dom0:
    """There are the bindings, a program that does what it is told with a driver, and a guest that prints LINE."""

    def __init__(self, board: EmulatedBoard) -> None:
        self.board = board
        architecture = board.board.architecture
        board.install_jitsu()
        module = artifacts.build(f"xen-bindings@{architecture}") / "jitsu_xen.abi3.so"
        board.put(module, f"{LIBRARIES}/{module.name}")
        board.put(Path(__file__).parent / "xen_program.py", "/tmp/xen_program.py")
        board.put(talking_guest(architecture, LINE), "/tmp/talker")
        # The places in which nodes are made are there from the first driver on.
        self.do()

    def do(
        self,
        *steps: list[Any],
        dies: bool = False,
        bridge: str = "xenbr0",
        consoled: bool = False,
        spoiled: dict[str, str] | None = None,
        **spec: Any,
    ) -> list[dict[str, Any]]:
        """What a program with a driver did, step by step."""
        order = {
            "bridge": bridge,
            "spec": {"kernel": "/tmp/talker", "memory": 16, "mac": MAC} | spec,
            "steps": steps,
            "consoled": consoled,
            "spoiled": spoiled or {},
        }
        ended = self.board.run("python3", "/tmp/xen_program.py", input=json.dumps(order), timeout=300)
        assert ended.rc == (-9 if dies else 0), ended.err
        return [json.loads(line) for line in ended.out.splitlines()]

    def remains(self) -> tuple[str, str, str]:
        """What a domain could leave: nodes, domains, interfaces."""
        domains = [line.split()[:2] for line in self.board.check("xl", "list").splitlines()[1:]]
        nodes = self.board.check("xenstore-ls", "-f", "/")
        return nodes, str(domains), self.board.check("ls", "/sys/class/net")

    def console_of(self, name: str) -> str:
        return self.board.check("cat", f"/var/log/xen/console/guest-{name}.log")
