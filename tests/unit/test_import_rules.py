"""The house has floors, and imports only go down. Every module is read, and imports inside functions count."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("jitsu", "minicache", "shfs", "boards")

FLOORS = {
    "jitsu": 0,
    "jitsu.errors": 0,
    "jitsu.config": 0,
    "jitsu.trace": 0,
    "jitsu.events": 0,
    "jitsu.artifacts": 0,
    "shfs": 0,
    "jitsu.xenstore": 1,
    "jitsu.directory": 2,
    "jitsu.synjitsu": 2,
    "jitsu.conduit": 2,
    "jitsu.domains": 2,
    "jitsu.network": 2,
    "minicache.node": 2,
    "boards": 2,
    "jitsu.summon": 3,
    "minicache.lifecycle": 3,
    "minicache.fleet": 3,
    "jitsu.daemon": 4,
    "jitsu.demo": 4,
    "minicache": 4,
    "minicache.agent": 4,
    "jitsu.cli": 5,
    "minicache.cli": 5,
    "shfs.cli": 5,
}

OPEN_FLOORS = {0, 2}
"""Where rooms may use each other: the ground is one room, and mechanisms all speak of frames."""

NEIGHBOURS = {("jitsu.demo", "jitsu.daemon")}
"""The demo is a client of the daemon that it plays with."""

LIBRARIES_OF_COMMANDS = {"click", "rich"}
HYPERVISOR_AND_NETLINK = {"pyroute2", "libvirt", "cffi"}
SKIPPED = {
    ".git",
    ".venv",
    ".venv-compiled",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".soak",
    "__pycache__",
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports_in(source: str, module: str, is_package: bool) -> Iterator[str]:
    """The full names of all modules that the source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                package = parts[: len(parts) - node.level + is_package]
                base = ".".join([*package, base]).rstrip(".")
            # What is taken from a package may be a module of it.
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in MODULES)


def imports_of(module: str) -> set[str]:
    path = MODULES[module]
    return set(imports_in(path.read_text(encoding="utf-8"), module, path.name == "__init__.py"))


def ours(name: str) -> bool:
    return name.partition(".")[0] in PACKAGES


def room_of(module: str) -> str:
    """The longest known name that the module lies below."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if (room := ".".join(parts[:length])) in FLOORS:
            return room
    pytest.fail(f"{module} stands on no floor: give its room one")


def may_import(importer: str, imported: str) -> bool:
    room, other = room_of(importer), room_of(imported)
    if room == other or FLOORS[other] < FLOORS[room]:
        return True
    same_open_floor = FLOORS[room] == FLOORS[other] and FLOORS[room] in OPEN_FLOORS
    return same_open_floor or (room, other) in NEIGHBOURS


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_or_stay_in_their_room(module: str) -> None:
    upward = [name for name in imports_of(module) if ours(name) and not may_import(module, name)]

    assert upward == [], f"{module} stands on floor {FLOORS[room_of(module)]}"


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("jitsu.summon.machine", "jitsu.domains.driver", True),
        ("jitsu.domains.driver", "jitsu.summon.machine", False),
        ("jitsu.synjitsu.sentinel", "jitsu.network.frames", True),
        ("jitsu.daemon.serve", "jitsu.cli.main", False),
        ("jitsu.demo.stage", "jitsu.daemon.client", True),
        ("jitsu.daemon.serve", "jitsu.demo.stage", False),
        ("jitsu.config", "jitsu.network.frames", False),
        ("jitsu.config", "jitsu.errors", True),
    ],
)
def test_the_floors_are_as_the_architecture_says(importer: str, imported: str, allowed: bool) -> None:
    assert may_import(importer, imported) is allowed


def test_an_import_inside_a_function_counts() -> None:
    source = "def late() -> None:\n    from jitsu.cli.main import main\n    import rich.table\n"

    assert set(imports_in(source, "jitsu.config", is_package=False)) == {"jitsu.cli.main", "rich.table"}


def test_a_relative_import_is_seen_for_what_it_is() -> None:
    source = "from .frames import SYN\nfrom ..cli import main\nfrom . import tap\n"

    assert set(imports_in(source, "jitsu.network.host", is_package=False)) == {
        "jitsu.network.frames",
        "jitsu.cli",
        "jitsu.cli.main",
        "jitsu.network",
        "jitsu.network.tap",
    }


def test_shfs_imports_nothing_of_ours() -> None:
    modules = [module for module in MODULES if module.partition(".")[0] == "shfs"]

    assert modules
    foreign = {name for module in modules for name in imports_of(module) if ours(name)}
    assert {name for name in foreign if name.partition(".")[0] != "shfs"} == set()


def test_jitsu_knows_nothing_of_minicache() -> None:
    modules = [module for module in MODULES if module.partition(".")[0] == "jitsu"]

    knowing = [module for module in modules if any(name.startswith("minicache") for name in imports_of(module))]
    assert knowing == []


def test_only_commands_import_click_and_rich() -> None:
    below = [module for module in MODULES if FLOORS[room_of(module)] < 5]

    importing = {
        module: found
        for module in below
        if (found := LIBRARIES_OF_COMMANDS & {name.partition(".")[0] for name in imports_of(module)})
    }
    assert importing == {}


def loaded_by(statement: str) -> set[str]:
    """The top-level names in sys.modules of a fresh interpreter that ran the statement."""
    program = f"{statement}\nimport sys\nprint('\\n'.join({{name.partition('.')[0] for name in sys.modules}}))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "jitsu.summon.summoner",
        "jitsu.domains.driver",
        "jitsu.domains.qemu",
        "jitsu.domains.libvirt",
        "jitsu.network.host",
        "jitsu.daemon.serve",
    ],
)
def test_the_core_imports_on_a_machine_without_hypervisor_or_netlink_libraries(module: str) -> None:
    loaded = loaded_by(f"import {module}")

    assert "jitsu" in loaded
    assert loaded & (HYPERVISOR_AND_NETLINK | LIBRARIES_OF_COMMANDS) == set()


def test_no_module_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "misc", "common"}

    files = [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]
    assert [path for path in files if path.stem in drawers or path.parent.name in drawers] == []


def test_no_room_holds_two_nouns() -> None:
    files = [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]

    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > 500} == {}


def project_files() -> Iterator[Path]:
    """Every file that is the project's, and no file that a tool made."""
    for path in ROOT.iterdir():
        if path.name in SKIPPED or path.name.endswith(".egg-info"):
            continue
        if path.is_dir():
            yield from (file for file in path.rglob("*") if file.is_file() and not SKIPPED & set(file.parts))
        else:
            yield path


def test_nothing_speaks_of_the_machine_it_was_written_on() -> None:
    # Put together here, or this file would find itself.
    private = [b"/".join((b"", b"work", b"")), b"/".join((b"..", b"shared"))]

    telling = {
        str(path.relative_to(ROOT)): word.decode()
        for path in project_files()
        for word in private
        if word in path.read_bytes()
    }
    assert telling == {}
