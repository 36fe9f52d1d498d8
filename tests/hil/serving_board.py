"""`jitsu serve` in the dom0 of a board, and what a machine beside the board asks of it."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dnslib import RCODE, DNSRecord

from boards.emulator import EmulatedBoard
from jitsu import artifacts
from jitsu.summon.tenant import Row
from tests.hil.hello_guest import kernel

ZONE = "board.example"
BOARD = "10.78.0.2"
LOG = "/var/log/jitsu.log"
LIBRARIES = "/usr/local/lib/python3.11/dist-packages"
KERNEL = "/opt/hello"
PATIENCE = 120.0
"""Seconds for anything; an emulated board that shares two processors is slow."""

SETTINGS = f"""
[daemon]
driver = "xen"
[dns]
zone = "{ZONE}"
listen = ["{BOARD}:53"]
[network]
bridge = "xenbr0"
existing = true
address = "{BOARD}/24"
probe = "10.78.0.254"
[limits]
memory = "8 GiB"
"""

# What commands do, without the second that their imports take on a slow board.
ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as asking:
    asking.connect("/run/jitsu/control.sock")
    asking.sendall(sys.argv[1].encode() + b"\\n")
    print(asking.makefile().readline())
"""


def service(name: str, address: str, **settings: Any) -> str:
    """A service of hello's kernel as jitsu.toml has it; JSON writes strings, numbers and lists of TOML."""
    table = {"kernel": KERNEL, "address": address, "memory": "16 MiB", "idle": 2.0} | settings
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join([f"[service.{name}]", *lines, ""])


class ServingBoard:
    """A board with jitsu installed. Made by `prepared`; `start` and `stop` are the daemon's."""

    def __init__(self, board: EmulatedBoard) -> None:
        self.board = board
        self._pid = 0

    def start(self) -> None:
        """Start the daemon, and wait until it serves."""
        # nohup: the end of the command that starts it is not its own.
        started = f"setsid jitsu serve >>{LOG} 2>&1 </dev/null & echo $!"
        self._pid = int(self.board.check("sh", "-c", started))
        self._until(lambda: self._serves(), "jitsu serve answers")

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.board.check("kill", "-9", str(self._pid))
        self._gone()

    @contextmanager
    def killed(self, point: str, count: int = 1) -> Iterator[list[str]]:
        """kill -9 at a point of what the block begins (see build_killer.py); afterwards it is gone, and in the list
        stands what was there in that moment."""
        self.board.put(Path(__file__).parent / "build_killer.py", "/tmp/build_killer.py")
        killer = f"python3 /tmp/build_killer.py {self._pid} {point} {count}"
        self.board.check("sh", "-c", f"setsid {killer} >/tmp/killer 2>&1 </dev/null &")

        def said() -> list[str]:
            return self.board.run("cat", "/tmp/killer").out.splitlines()

        self._until(lambda: said() == ["looking"], "the killer looks")
        seen: list[str] = []
        yield seen
        self._until(lambda: len(said()) > 1, f"the killer strikes at {point}")
        self._gone()
        seen += said()[1:]

    def stop(self) -> None:
        """SIGTERM, and wait until it is gone."""
        self.board.check("kill", str(self._pid))
        self._gone()

    def log(self) -> str:
        return self.board.run("cat", LOG).out

    def ask(self, do: str, **fields: Any) -> Any:
        """The daemon's answer to a request."""
        return json.loads(self.board.check("python3", "-c", ASK, json.dumps({"do": do, **fields})))["result"]

    def row(self, name: str) -> Row:
        """The service as `jitsu ps` shows it."""
        rows: list[Row] = self.ask("ps")
        return next(row for row in rows if row["service"] == name)

    def until(self, name: str, so: Callable[[Row], bool]) -> Row:
        """Wait until it is so of the service; its row then."""
        seen: list[Row] = []

        def look() -> bool:
            seen[:] = [self.row(name)]
            return so(seen[0])

        self._until(look, f"{name} is as it should be: {seen}")
        return seen[0]

    def asleep(self, name: str) -> Row:
        return self.until(name, lambda row: row["state"] == "asleep")

    # From a machine beside the board.

    def resolve(self, name: str) -> tuple[str, str]:
        """The code of the DNS answer, and the address in it, if there is one."""
        question = DNSRecord.question(f"{name}.{ZONE}")
        with self._socket(socket.SOCK_DGRAM) as asking:
            asking.connect((BOARD, 53))
            # As resolvers do, it asks again after a while.
            for _ in range(int(PATIENCE / 5)):
                asking.settimeout(5.0)
                asking.send(question.pack())
                try:
                    answer = DNSRecord.parse(asking.recv(4096))
                except (TimeoutError, ConnectionRefusedError):
                    continue
                return str(RCODE[answer.header.rcode]), str(answer.rr[0].rdata) if answer.rr else ""
        raise AssertionError(f"no answer to a question for {name}\n{self.log()}")

    def get(self, address: str, path: str = "/", patience: float = PATIENCE) -> tuple[int, bytes]:
        """The status and the body of an answer over a connection of its own. Raises OSError without one."""
        with self._socket(socket.SOCK_STREAM) as connection:
            connection.settimeout(patience)
            connection.connect((address, 80))
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body

    def crash(self, address: str) -> None:
        """Have the guest there end as a crash does, which serves: nobody is left to answer."""
        with suppress(TimeoutError, ConnectionResetError):
            self.get(address, "/crash", patience=10.0)
            raise AssertionError("the guest has answered")

    # What is there.

    def belongings(self) -> dict[str, Any]:
        """All that a domain could leave behind: domains, nodes, interfaces (a gate goes with its port),
        grants and event channels."""
        return {
            "domains": [line.split()[:2] for line in self.board.check("xl", "list").splitlines()[1:]],
            "nodes": self.board.check("xenstore-ls", "-f", "/").splitlines(),
            "interfaces": self.board.check("ls", "/sys/class/net").split(),
            "event channels": len(re.findall(r"^\(XEN\) +\d+ \[", self._dump("e"), re.MULTILINE)),
            "grants": re.findall(r"^\(XEN\) \[0x.*$", self._dump("g"), re.MULTILINE),
        }

    def nothing_is_left(self, before: dict[str, Any]) -> None:
        """Assert that there is what there was before, as soon as what was just ended is gone."""
        tick = threading.Event()
        for _ in range(10):
            if (now := self.belongings()) == before:
                return
            tick.wait(1.0)
        raise AssertionError({what: (before[what], now[what]) for what in before if now[what] != before[what]})

    @contextmanager
    def witnessed(self) -> Iterator[dict[str, Any]]:
        """What a witness of all SYNs in dom0 saw, when the block is over (tests/syn_witness.py)."""
        self.board.put(Path(__file__).parent.parent / "syn_witness.py", "/tmp/syn_witness.py")
        begin = "setsid python3 /tmp/syn_witness.py eth0 vif >/tmp/witness 2>&1 </dev/null & echo $!"
        pid = self.board.check("sh", "-c", begin).strip()
        self._until(lambda: "looking" in self.board.run("cat", "/tmp/witness").out, "the witness looks")
        seen: dict[str, Any] = {}
        yield seen
        self.board.check("kill", pid)
        self._until(lambda: "syns" in self.board.run("cat", "/tmp/witness").out, "the witness speaks")
        seen |= json.loads(self.board.check("cat", "/tmp/witness").splitlines()[1])

    def _dump(self, key: str) -> str:
        """What Xen prints for a debug key."""
        self.board.check("xl", "dmesg", "-c")
        self.board.check("xl", "debug-keys", key)
        return self.board.check("xl", "dmesg")

    def _socket(self, kind: socket.SocketKind) -> socket.socket:
        with self.board.lan.inside():
            return socket.socket(socket.AF_INET, kind)

    def _serves(self) -> bool:
        assert self._alive(), self.log()
        return self.board.run("python3", "-c", ASK, '{"do": "status"}').rc == 0

    def _alive(self) -> bool:
        return self.board.run("kill", "-0", str(self._pid)).rc == 0

    def _gone(self) -> None:
        self._until(lambda: not self._alive(), "the daemon is gone")

    def _until(self, so: Callable[[], bool], what: str) -> None:
        tick = threading.Event()
        for _ in range(int(PATIENCE / 0.2)):
            if so():
                return
            tick.wait(0.2)
        raise AssertionError(f"never: {what}\n{self.log()}")


def prepared(board: EmulatedBoard, *services: str, boot: int = 60) -> ServingBoard:
    """Install jitsu of this checkout, its bindings to Xen, hello's kernel, and a configuration of these services, which
    have `boot` seconds to be ready."""
    architecture = board.board.architecture
    board.install_jitsu()
    module = artifacts.build(f"xen-bindings@{architecture}", print) / "jitsu_xen.abi3.so"
    board.put(module, f"{LIBRARIES}/{module.name}")
    board.put(kernel(architecture), KERNEL)
    board.check("mkdir", "-p", "/etc/jitsu")
    board.put("".join([SETTINGS, f"boot = {boot}\n", *services]).encode(), "/etc/jitsu/jitsu.toml")
    return ServingBoard(board)
