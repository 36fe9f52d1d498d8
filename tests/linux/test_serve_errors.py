"""What `jitsu serve` says when it cannot begin: two lines, an exit code, and nothing left behind."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jitsu.demo.stage import interface_names
from jitsu.domains.probe_guest import pvh_elf

pytestmark = pytest.mark.usefixtures("private_network")


@dataclass
class Host:
    """A folder with a configuration, and the command that is to fail on it."""

    folder: Path

    def configure(self, *, kernel: str = "guest.elf", network: str = "", dns: str = "", service: str = "") -> None:
        (self.folder / "jitsu.toml").write_text(
            f'[daemon]\nruntime = "{self.folder}/run"\nstate = "{self.folder}/state"\n'
            f'[network]\naddress = "10.9.0.1/24"\n{network}\n[dns]\n{dns}\n'
            f'[service.www]\nkernel = "{kernel}"\naddress = "10.9.0.10"\n{service}\n'
        )

    def serve(self, *prefix: str, path: str = os.environ["PATH"]) -> tuple[int, str]:
        """Exit code, and stderr without the daemon's log and with the folder's name replaced."""
        done = subprocess.run(
            [*prefix, sys.executable, "-m", "jitsu.cli.main", "serve", "-c", str(self.folder / "jitsu.toml")],
            env={"PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        lines = [line for line in done.stderr.splitlines(keepends=True) if line.startswith(("error:", " hint:"))]
        assert "Traceback" not in done.stderr
        return done.returncode, "".join(lines).replace(str(self.folder), "FOLDER")

    def left(self) -> list[str]:
        """Files that were not there before, the state folder aside."""
        state = self.folder / "state"
        known = {"jitsu.toml", "guest.elf", "guest.sh"}
        return [str(path) for path in self.folder.iterdir() if path != state and path.name not in known]


@pytest.fixture
def host() -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="jitsu-errors-") as folder:
        host = Host(Path(folder))
        (host.folder / "guest.elf").write_bytes(pvh_elf(b"\xf4\xeb\xfd"))
        host.configure()
        yield host
        assert [name for name in interface_names() if name not in ("lo", "jitsu0")] == []
        assert host.left() == []


def test_a_missing_kernel(host: Host) -> None:
    host.configure(kernel="nosuch.elf")
    assert host.serve() == (
        6,
        "error: kernel FOLDER/nosuch.elf: no such file\n hint: build it, or mend `kernel` in jitsu.toml\n",
    )
    assert interface_names() == ["lo"]


def test_a_kernel_of_the_wrong_format(host: Host) -> None:
    (host.folder / "guest.sh").write_text("#!/bin/sh\necho hello\n")
    host.configure(kernel="guest.sh")
    assert host.serve() == (
        6,
        "error: kernel FOLDER/guest.sh: is a script, not a kernel image\n"
        " hint: name the kernel image that the script builds or starts\n",
    )
    assert interface_names() == ["lo"]


def test_a_bridge_that_exists_already(host: Host) -> None:
    subprocess.run(["ip", "link", "add", "jitsu0", "type", "bridge"], check=True)
    assert host.serve() == (
        5,
        "error: an interface named jitsu0 exists already, and this jitsu did not make it\n"
        " hint: choose another [network] bridge, or say [network] existing = true to use that one as it is\n",
    )
    assert interface_names() == ["jitsu0", "lo"]


def test_a_port_that_is_taken(host: Host) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    host.configure(dns='listen = ["127.0.0.1:5353"]')
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 5353))
        taken.listen()
        assert host.serve() == (
            5,
            "error: 127.0.0.1 port 5353/tcp is taken\n hint: `ss -ltnp 'sport = :5353'` shows what holds it\n",
        )
    assert interface_names() == ["lo"]


def test_an_address_that_is_not_this_machines(host: Host) -> None:
    host.configure(dns='listen = ["192.0.2.1:53"]')
    assert host.serve() == (
        4,
        "error: cannot listen on 192.0.2.1 port 53/tcp: this machine does not have that address\n"
        " hint: `ip -brief address` lists those it has; is the bridge up?\n",
    )
    assert interface_names() == ["lo"]


def test_no_permission(host: Host) -> None:
    # A root that lost the capability on the way: setpriv (util-linux) takes it out of the bounding set.
    assert host.serve("setpriv", "--inh-caps=-net_admin", "--bounding-set=-net_admin") == (
        4,
        "error: jitsu serve makes bridges and taps, and may not here: CAP_NET_ADMIN is missing\n"
        " hint: run it as root: sudo jitsu serve (or look at `jitsu demo`, which needs no root)\n",
    )


def test_no_qemu(host: Host) -> None:
    assert host.serve(path="/nonexistent") == (
        4,
        "error: qemu-system-x86_64 is not in PATH\n hint: apt install qemu-system-x86\n",
    )
    assert interface_names() == ["lo"]


def test_too_little_memory_for_the_kernel(host: Host) -> None:
    (host.folder / "guest.elf").write_bytes(pvh_elf(b"\xf4" * (3 << 20)))
    host.configure(service='memory = "2 MiB"')
    code, said = host.serve()
    assert code == 6
    assert said.startswith("error: service www: 2 MiB of memory are too few\n hint: ")


def test_a_missing_uplink(host: Host) -> None:
    host.configure(network='uplink = "eth9"')
    assert host.serve() == (
        4,
        "error: there is no interface eth9, named as [network] uplink\n hint: list the interfaces with: ip -br link\n",
    )
    assert interface_names() == ["lo"]


def test_a_second_daemon_of_the_same_instance(host: Host) -> None:
    command = [sys.executable, "-m", "jitsu.cli.main", "serve", "-c", str(host.folder / "jitsu.toml")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if "serving 1 services" in line:
                break
        assert host.serve() == (
            5,
            f"error: another jitsu serve (process {first.pid}) runs with FOLDER/run\n"
            " hint: stop it first, or give this one its own [daemon] instance and runtime\n",
        )
        first.terminate()
        # Its last words must find a reader, or the interpreter itself complains at its end.
        first.communicate(timeout=20)
    assert first.returncode == 0
    assert interface_names() == ["lo"]
