"""A private world: a network namespace with a `jitsu serve` in it, and another one with a client, joined by a veth.

Nothing outside sees any of it, and nothing of it is left: namespaces, bridge, taps and processes go with the stage.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from dnslib import DNSRecord

from jitsu.config import Config, load
from jitsu.daemon.client import ask
from jitsu.errors import DaemonError
from jitsu.network.namespace import inside, new_network

Value = str | int | float | Sequence[str]
"""What stands behind a key."""

ZONE = "jitsu.test"
BOARD = IPv4Address("10.77.0.1")
FIRST_GUEST = IPv4Address("10.77.0.10")
CLIENT = IPv4Address("10.77.0.200")
UPLINK, CLIENT_LINK = "uplink0", "client0"
SERVE = (sys.executable, "-m", "jitsu.cli.main", "serve")
"""The daemon's command, but for its configuration."""

PATIENCE = 20.0
"""Seconds that a daemon may take to begin or to end."""


@dataclass(frozen=True, slots=True)
class Cast:
    """One service on the stage; `options` are further keys of its section, as TOML values; an empty text leaves out a
    key that it would have otherwise."""

    name: str
    kernel: Path
    options: Mapping[str, Value] = field(default_factory=dict)


class Stage:
    """The board's namespace is the one the caller is in (see `unshare_network`); the client's is `client`.

    `serve` is the command of the daemon, for who wants it in other surroundings; `-c` and the configuration are added.
    Entering it lays the wire and starts the daemon, leaving it ends the daemon (SIGTERM, and its exit code must be 0).
    """

    def __init__(
        self,
        cast: Sequence[Cast],
        *,
        sections: Mapping[str, Mapping[str, Value]] | None = None,
        folder: Path | None = None,
        serve: Sequence[str] = SERVE,
    ) -> None:
        self._stack = ExitStack()
        self._serve = serve
        self.folder = folder or Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="jitsu-stage-")))
        self.path = self.folder / "jitsu.toml"
        self.path.write_text(_toml(self.folder, cast, sections or {}))
        self.log = self.folder / "serve.log"
        self.config: Config = load(self.path)
        self.client = -1
        self.daemon: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._lay_wire()
            self.start_daemon()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._stack:
            self.stop_daemon()

    def start_daemon(self) -> None:
        """Start `jitsu serve` and wait until it answers. Raises DaemonError with what it said."""
        with self.log.open("ab") as log:
            self.daemon = subprocess.Popen(
                [*self._serve, "-c", str(self.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            try:
                status = self.ask("status")
                if status["consoled"] is not None and status["xenstored"] is not None:
                    self._settle()
                    return
            except DaemonError:
                if self.daemon.poll() is not None:
                    break
            time.sleep(0.02)
        raise self._refusal()

    def _settle(self) -> None:
        """Wait until the board hears the client: a veth that was just plugged in takes a moment to forward."""
        with inside(self.client):
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        question = DNSRecord.question(ZONE, "SOA").pack()
        with probe:
            probe.settimeout(0.05)
            probe.connect((str(BOARD), 53))
            give_up = time.monotonic() + PATIENCE
            while time.monotonic() < give_up:
                with suppress(TimeoutError, ConnectionRefusedError):
                    probe.send(question)
                    probe.recv(4096)
                    return
        raise DaemonError(f"the directory does not hear the client: {self.last_words()}")

    def stop_daemon(self) -> None:
        """End the daemon in good order. Raises DaemonError if it does not end so."""
        if self.daemon is None or self.daemon.returncode is not None:
            return
        self.daemon.send_signal(signal.SIGTERM)
        try:
            code = self.daemon.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
            raise DaemonError(f"jitsu serve did not end: {self.last_words()}") from None
        if code != 0:
            raise DaemonError(f"jitsu serve ended with {code}: {self.last_words()}")

    def kill_daemon(self) -> None:
        """End the daemon as a power cut would (SIGKILL)."""
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()

    def ask(self, do: str, **fields: Any) -> Any:
        """A request on the daemon's control socket."""
        return ask(self.config.daemon.runtime, do, **fields)

    def await_spare(self, service: str, warm: str) -> None:
        """Wait until the service sleeps and this is kept for it, as `ps` tells. Raises DaemonError."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up:
            row = next(row for row in self.ask("ps") if row["service"] == service)
            if row["warm"] == warm and row["state"] in ("asleep", "paused"):
                return
            time.sleep(0.01)
        raise DaemonError(f"nothing is kept for {service}: {self.last_words()}")

    def _refusal(self) -> DaemonError:
        """Why the daemon did not begin, in its own two lines if it could still say them."""
        said = self.log.read_text(errors="replace").splitlines()
        error = next((line.removeprefix("error: ") for line in said if line.startswith("error: ")), self.last_words())
        hint = next((line.removeprefix(" hint: ") for line in said if line.startswith(" hint: ")), "see: jitsu doctor")
        return DaemonError(f"jitsu serve did not begin: {error}", hint=hint)

    def complaints(self) -> str:
        """What the daemon warned of so far."""
        said = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in said if " WARNING " in line or " ERROR " in line)

    def last_words(self) -> str:
        """The end of the daemon's log."""
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.exists() else []
        return " / ".join(lines[-4:]) or "it said nothing"

    def _lay_wire(self) -> None:
        """The client's namespace, and a veth whose near end the daemon takes as uplink."""
        from pyroute2 import IPRoute

        self.client = new_network()
        self._stack.callback(os.close, self.client)
        with IPRoute() as ip:
            ip.link("set", index=1, state="up")
            ip.link("add", ifname=UPLINK, kind="veth", peer={"ifname": CLIENT_LINK, "net_ns_fd": self.client})
            self._stack.callback(_remove_link, UPLINK)
        with inside(self.client), IPRoute() as ip:
            index = ip.link_lookup(ifname=CLIENT_LINK)[0]
            ip.link("set", index=1, state="up")
            prefix = self.config.network.address.network.prefixlen
            ip.addr("add", index=index, address=str(CLIENT), prefixlen=prefix)
            ip.link("set", index=index, state="up")


def _remove_link(name: str) -> None:
    from pyroute2 import IPRoute

    with IPRoute() as ip:
        for index in ip.link_lookup(ifname=name):
            ip.link("del", index=index)


def interface_names() -> list[str]:
    """The interfaces of the namespace that the caller is in."""
    return sorted(name for _, name in socket.if_nameindex())


def _toml(folder: Path, cast: Sequence[Cast], sections: Mapping[str, Mapping[str, Value]]) -> str:
    """A jitsu.toml for this stage; `sections` adds keys to [dns], [limits] and the like, or replaces them."""
    tables: dict[str, dict[str, Value]] = {
        # Its own instance: a stage beside this one on the host must neither adopt its guests nor end them.
        "daemon": {
            "instance": f"stage-{secrets.token_hex(4)}",
            "runtime": str(folder / "run"),
            "state": str(folder / "state"),
        },
        "dns": {"zone": ZONE, "ttl": 1},
        "network": {"bridge": "jitsu0", "address": f"{BOARD}/24", "uplink": UPLINK},
        "limits": {"memory": "2 GiB", "guests": 32},
    }
    for name, keys in sections.items():
        tables.setdefault(name, {}).update(keys)
    for number, service in enumerate(cast):
        own = {"kernel": str(service.kernel), "address": str(FIRST_GUEST + number), "memory": "8 MiB"}
        tables[f"service.{service.name}"] = {k: v for k, v in {**own, **service.options}.items() if v != ""}
    lines = []
    for name, keys in tables.items():
        lines.append(f"[{name}]")
        # What is in JSON's quotes and brackets is in TOML's, for all that is printable.
        lines += [f"{key} = {_value(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def _value(value: Value) -> str:
    return json.dumps(value)
