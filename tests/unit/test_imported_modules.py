"""What each command imports, as it runs, and what each daemon does: a slow board takes 10 ms and more for a module."""

import subprocess
import sys

import pytest

DAEMONS_PARTS = {
    "asyncio",
    "sqlite3",
    "jitsu.demo",
    "jitsu.directory",
    "jitsu.domains",
    "jitsu.network",
    "jitsu.summon",
    "jitsu.synjitsu",
    "jitsu.xenstore",
}
LIBRARIES = {"dns", "dnslib", "libvirt", "prometheus_client", "pyroute2", "rich"}

RUN = """
import sys
from jitsu.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    sys.stdout = sys.stderr
    print(*sys.modules)
    sys.exit(ended.code)
"""


def ran(*arguments: str) -> set[str]:
    """The modules of an interpreter that ran this command of jitsu to its good end."""
    program = [sys.executable, "-c", RUN, *arguments]
    return set(subprocess.run(program, capture_output=True, text=True, check=True).stderr.split())


def imported(module: str) -> set[str]:
    """The modules of an interpreter that imported this one."""
    program = [sys.executable, "-c", f"import sys\nimport {module}\nprint(*sys.modules)"]
    return set(subprocess.run(program, capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_options_of_jitsu_itself_import_nothing_but_click(option: str) -> None:
    modules = ran(option)

    assert {name for name in modules if name.startswith("jitsu.")} == {"jitsu.cli", "jitsu.cli.main", "jitsu.errors"}
    assert modules & (DAEMONS_PARTS | LIBRARIES) == set()


@pytest.mark.parametrize(
    "command",
    [
        "ps",
        "ps -q",
        "ps -v",
        "ps -o json",
        "events -o json",
        "service ls",
        "start hello",
        "top -o json",
        "trace --last 2",
        "trace -o json",
    ],
)
def test_a_command_that_asks_the_daemon_imports_nothing_of_it(command: str, daemon: str) -> None:
    modules = ran(*command.split(), "-c", daemon)

    assert "jitsu.daemon.client" in modules
    assert modules & (DAEMONS_PARTS | LIBRARIES) == set()


@pytest.mark.parametrize("command", ["top --once", "trace"])
def test_pictures_are_drawn_with_rich(command: str, daemon: str) -> None:
    assert "rich" in ran(*command.split(), "-c", daemon)


QEMU = {"jitsu.domains.qemu", "jitsu.domains.qemu_process", "jitsu.domains.qmp"}
LIBVIRT = {"jitsu.domains.libvirt", "jitsu.domains.libvirt_xml", "xml", "libvirt"}
XEN = {"jitsu.domains.xen", "jitsu.domains.xen_build", "_cffi_backend"}


def test_the_daemon_imports_no_driver_no_other_daemon_and_nothing_that_few_configurations_have() -> None:
    modules = imported("jitsu.daemon.serve")

    other_daemons = {"jitsu.daemon.consoled", "jitsu.daemon.xenstored", "jitsu.xenstore.store"}
    for_few = {"jitsu.daemon.metrics", "jitsu.directory.forwarder", "jitsu.directory.guestbook", "http"}
    assert modules & (QEMU | LIBVIRT | XEN | other_daemons | for_few | LIBRARIES - {"dnslib"}) == set()


@pytest.mark.parametrize(
    ("driver", "others"),
    [("qemu", LIBVIRT | XEN), ("xen", LIBVIRT | QEMU), ("libvirt", XEN | {"jitsu.domains.qemu"})],
)
def test_a_driver_imports_no_other_driver(driver: str, others: set[str]) -> None:
    modules = imported(f"jitsu.domains.{driver}")

    assert modules & (others | LIBRARIES) == set()


@pytest.mark.parametrize(
    ("module", "unused"),
    [
        ("jitsu.daemon.consoled", {"jitsu.config", "jitsu.network", "jitsu.summon", "jitsu.xenstore", "sqlite3"}),
        ("jitsu.daemon.xenstored", {"asyncio", "jitsu.config", "jitsu.domains", "jitsu.network", "jitsu.summon"}),
    ],
)
def test_a_daemon_beside_it_imports_its_own_part(module: str, unused: set[str]) -> None:
    assert imported(module) & (unused | LIBRARIES) == set()
