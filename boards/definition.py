"""What a board is: the definitions beside this file, read strictly.

An emulated board is booted by QEMU here; a real one is what an SD card or a disk is made for. `boards/NAME.toml`:

    [board]     description, architecture (armhf, arm64, amd64: Debian's words), hypervisor (xen, kvm)
    [machine]   cpu, cpus, memory; emulation: QEMU's machine, for an emulated board, whose cpu is QEMU's model
    [boot]      method; for u-boot: device-tree, the file that the kernel's package has for the board; card, the recipe
                of what an SD card has, with u-boot-at, where on it the machine looks for U-Boot; or lacking, what there
                is not for one
    [console]   port: where the serial console is, and xen: as which of Xen's consoles
    [xen]       arguments, beside those for dom0 and console
    [dom0]      image: the recipe; memory, cpus, arguments of its kernel beside those for console and network
    [network]   bridge, address: dom0's on it, gateway: who is at the other end of the wire
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError
from pathlib import Path

from jitsu import artifacts
from jitsu.config.table import Table, parse
from jitsu.errors import ConfigError

DEFINITIONS = Path(__file__).resolve().parent

MIB = 1 << 20
SECTOR = 512
"""Bytes of a disk or card."""

ARCHITECTURES = ("armhf", "arm64", "amd64")
HYPERVISORS = ("xen", "kvm")
EMULATED = {"armhf": "guest-loader", "arm64": "guest-loader", "amd64": "multiboot"}
"""How QEMU itself loads Xen and a dom0, without firmware."""

REAL = ("u-boot", "grub")

XENSTOREDS = ("xenstored", "oxenstored", "none")
"""What dom0 starts: Xen's own in C, the one in OCaml, or none, and the board waits for somebody to start a XenStore."""

SECTIONS = ("board", "machine", "boot", "console", "xen", "dom0", "network")

_MOST_CPUS = 128
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,14}")


@dataclass(frozen=True, slots=True)
class Machine:
    """`memory` in bytes. `emulation` is QEMU's `-M`, and empty for a real board. A `counted` one is emulated with a
    clock that counts instructions: how busy this machine is does not show there."""

    cpu: str
    cpus: int
    memory: int
    emulation: str
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Dom0:
    """The first domain of a board with Xen: `image` is the recipe's name, `memory` in bytes."""

    image: str
    memory: int
    cpus: int
    arguments: str


@dataclass(frozen=True, slots=True)
class Wire:
    """dom0's bridge and its address there, and the address at the other end of the wire."""

    bridge: str
    address: IPv4Interface
    gateway: IPv4Address


@dataclass(frozen=True, slots=True)
class Card:
    """What an SD card is made of: `recipe` is its name, and U-Boot begins `u_boot_at` bytes into the card."""

    recipe: str
    u_boot_at: int


@dataclass(frozen=True, slots=True)
class Board:
    """One definition. `dom0` is there if and only if the hypervisor is Xen.

    `card` is there if an SD card can be made, and if none can, `lacking` may say what there is not.
    """

    name: str
    description: str
    architecture: str
    hypervisor: str
    machine: Machine
    boot: str
    device_tree: str
    card: Card | None
    lacking: str
    console: str
    console_port: str
    xen_arguments: str
    dom0: Dom0 | None
    wire: Wire

    @property
    def emulated(self) -> bool:
        return bool(self.machine.emulation)

    def domain0(self) -> Dom0:
        """dom0, of a board that has one. Raises ConfigError."""
        if self.dom0 is None:
            raise ConfigError(
                f"board {self.name} has no dom0: its hypervisor is {self.hypervisor}",
                hint="install jitsu on its own system",
            )
        return self.dom0

    def xen_line(self) -> str:
        """The command line of Xen: dom0's share, the console, and what else the definition says. Raises ConfigError."""
        dom0 = self.domain0()
        memory = f"{dom0.memory // MIB}M"
        share = f"dom0_mem={memory},max:{memory} dom0_max_vcpus={dom0.cpus}"
        return f"{share} console={self.console} {self.console}={self.console_port} {self.xen_arguments}".rstrip()

    def dom0_line(self, xenstored: str) -> str:
        """The command line of dom0's kernel, and in it what `images/dom0/init` is told. Raises ConfigError."""
        dom0, wire = self.domain0(), self.wire
        told = f"bridge={wire.bridge} address={wire.address} gateway={wire.gateway} xenstored={xenstored}"
        # A dom0 that panics goes down with the board, and is not waited for.
        return f"console=hvc0 panic=1 {told} {dom0.arguments}".rstrip()


def names() -> list[str]:
    """The names of all boards."""
    return sorted(path.stem for path in DEFINITIONS.glob("*.toml"))


def read(name: str) -> Board:
    """The board of that name. Raises ConfigError."""
    if name not in names():
        raise ConfigError(f"there is no board {name}", hint="the boards are: " + ", ".join(names()))
    return load(DEFINITIONS / f"{name}.toml")


def load(path: Path) -> Board:
    """The board that the file defines; its name is the file's. Raises ConfigError."""
    data = parse(path, "name a readable file")
    for section in data:
        if section not in SECTIONS:
            raise ConfigError(
                f"{path}: there is no section [{section}]", hint="the sections are: " + ", ".join(SECTIONS)
            )
    tables = {section: Table(path, section, data.get(section, {})) for section in SECTIONS}
    architecture = _one_of(tables["board"], "architecture", ARCHITECTURES)
    hypervisor = _one_of(tables["board"], "hypervisor", HYPERVISORS)
    machine = _machine(tables["machine"])
    method = _method(tables["boot"], architecture, machine)
    xen = hypervisor == "xen"
    if machine.emulation and not xen:
        tables["machine"].wrong("emulation", f"does not go with {hypervisor}", "an emulated board is one with Xen")
    board = Board(
        name=path.stem,
        description=tables["board"].text("description"),
        architecture=architecture,
        hypervisor=hypervisor,
        machine=machine,
        boot=method,
        device_tree=tables["boot"].text("device-tree") if method == "u-boot" else "",
        card=_card(tables["boot"]) if method == "u-boot" else None,
        lacking=tables["boot"].text("lacking", "") if method == "u-boot" else "",
        console=_one_of(tables["console"], "xen", ("dtuart", "com1", "com2")) if xen else "",
        console_port=tables["console"].text("port"),
        xen_arguments=tables["xen"].text("arguments", "") if xen else "",
        dom0=_dom0(tables["dom0"], architecture, machine) if xen else None,
        wire=_wire(tables["network"]),
    )
    for table in tables.values():
        table.done()
    return board


def _machine(table: Table) -> Machine:
    return Machine(
        cpu=table.text("cpu"),
        cpus=table.number("cpus", 1, 1, _MOST_CPUS),
        memory=_size(table, "memory"),
        emulation=table.text("emulation", ""),
    )


def _method(table: Table, architecture: str, machine: Machine) -> str:
    return _one_of(table, "method", (EMULATED[architecture],) if machine.emulation else REAL)


def _card(table: Table) -> Card | None:
    if not table.has("card"):
        return None
    return Card(_one_of(table, "card", tuple(artifacts.recipes())), table.size("u-boot-at", "8 KiB", 1))


def _dom0(table: Table, architecture: str, machine: Machine) -> Dom0:
    images = tuple(name for name in artifacts.recipes() if name.endswith(f"@{architecture}"))
    dom0 = Dom0(
        image=_one_of(table, "image", images),
        memory=_size(table, "memory"),
        cpus=table.number("cpus", 1, 1, _MOST_CPUS),
        arguments=table.text("arguments", ""),
    )
    if dom0.memory >= machine.memory:
        table.wrong("memory", "is all that the machine has", "leave some to Xen and to guests")
    if dom0.cpus > machine.cpus:
        table.wrong("cpus", f"cannot be {dom0.cpus}", f"the machine has {machine.cpus}")
    return dom0


def _wire(table: Table) -> Wire:
    text = table.text("address", "10.78.0.2/24")
    try:
        address = IPv4Interface(text)
    except (AddressValueError, NetmaskValueError):
        table.wrong("address", f"is not an IPv4 address with its prefix: {text!r}", "write it as in 10.78.0.2/24")
    gateway = table.ipv4("gateway", "10.78.0.1")
    if gateway not in address.network or gateway == address.ip:
        table.wrong("gateway", f"cannot be {gateway}", f"choose another address of {address.network}")
    bridge = table.text("bridge", "xenbr0")
    if not _INTERFACE.fullmatch(bridge):
        table.wrong("bridge", f"cannot be {bridge!r}", "use letters, digits and hyphens, 15 at most")
    return Wire(bridge, address, gateway)


def _one_of(table: Table, key: str, allowed: tuple[str, ...]) -> str:
    value = table.text(key)
    if value not in allowed:
        table.wrong(key, f"cannot be {value!r}", "use one of: " + ", ".join(allowed))
    return value


def _size(table: Table, key: str) -> int:
    if not table.has(key):
        table.wrong(key, "is missing", f'add a line: {key} = "1024 MiB"')
    return table.size(key, "", MIB)
