"""The device tree that an ARM guest of Xen is started with: the machine that Xen makes for it.

Format: devicetree.org's specification, version 17 of a flattened tree. Nodes are those that libxl writes for Xen 4.17
(tools/libs/light/libxl_arm.c); addresses are Xen's GUEST_* of xen/include/public/arch-arm.h.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

RAM_BASE = 0x40000000
LARGEST_BANK = 3 << 30
"""Bytes from `RAM_BASE` on; what goes beyond has a second bank, which is not made here."""

SEED_BYTES = 128
_NO_SEED = b"\xff" * SEED_BYTES
"""Holds a seed's place. No text is like it, and nothing else is as long."""

_GRANT_TABLE, _GRANT_TABLE_SIZE = 0x38000000, 0x01000000
_GIC_PHANDLE = 65000
_PPI, _LEVEL_LOW_ALL_CPUS = 1, 0xF08
_TIMER_INTERRUPTS = (29, 30, 27)
"""Secure, non-secure and virtual."""
EVENT_INTERRUPT = 31
"""GUEST_EVTCHN_PPI, by which Xen tells the guest of events."""

_SMALLEST_EXTENSION, _EXTENSION_ALIGNMENT = 64 << 20, 2 << 20

_MAGIC, _VERSION, _OLDEST_COMPATIBLE = 0xD00DFEED, 17, 16
_BEGIN_NODE, _END_NODE, _PROPERTY, _END = 1, 2, 3, 9
_HEADER = struct.Struct(">10I")

Value = bytes | int | str | Sequence[int] | Sequence[str]
"""Bytes as they are, a cell, a text, cells, or texts."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a tree: its properties come before its children."""

    name: str
    properties: Mapping[str, Value] = field(default_factory=dict)
    children: Sequence["Node"] = ()


@dataclass(frozen=True, slots=True)
class Machine:
    """What the guest has. `memory` is in bytes, at most `LARGEST_BANK`; `initrd` is its first address and the one
    behind its last, (0, 0) for none or not known yet: the tree is equally long whatever it is."""

    memory: int
    cmdline: str
    seed: bytes
    vcpus: int = 1
    wide: bool = False
    """64-bit processors."""
    gic: int = 2
    initrd: tuple[int, int] | None = None


def device_tree(machine: Machine) -> bytes:
    """The tree, flattened; about 1.3 kB."""
    before, after = _around_seed(replace(machine, seed=_NO_SEED))
    return before + machine.seed + after


@lru_cache(maxsize=256)
def _around_seed(machine: Machine) -> tuple[bytes, bytes]:
    """What stands before the seed, and after it: the same for every guest of a service."""
    before, _, after = _tree(machine).partition(_NO_SEED)
    return before, after


def _tree(machine: Machine) -> bytes:
    return flatten(
        Node(
            "",
            {
                "#address-cells": 2,
                "#size-cells": 2,
                "interrupt-parent": _GIC_PHANDLE,
                "model": "XENVM-4.17",
                "compatible": ("xen,xenvm-4.17", "xen,xenvm"),
            },
            (
                _chosen(machine),
                _processors(machine),
                Node(
                    "psci",
                    {
                        "compatible": ("arm,psci-1.0", "arm,psci-0.2", "arm,psci"),
                        "method": "hvc",
                        "cpu_off": 1,
                        "cpu_on": 2,
                    },
                ),
                Node(f"memory@{RAM_BASE:x}", {"device_type": "memory", "reg": _region(RAM_BASE, machine.memory)}),
                _interrupt_controller(machine.gic),
                Node(
                    "timer",
                    {
                        "compatible": "arm,armv8-timer" if machine.wide else "arm,armv7-timer",
                        "interrupts": [cell for number in _TIMER_INTERRUPTS for cell in _interrupt(number)],
                    },
                ),
                _hypervisor(machine.memory),
            ),
        )
    )


def flatten(root: Node) -> bytes:
    """A tree as one piece of memory, without reservations."""
    strings: dict[str, int] = {}
    structure = _flat(root, strings) + struct.pack(">I", _END)
    texts = b"".join(name.encode() + b"\0" for name in strings)
    structure_at = _HEADER.size + 16
    texts_at = structure_at + len(structure)
    total = texts_at + len(texts)
    header = _HEADER.pack(
        _MAGIC,
        total,
        structure_at,
        texts_at,
        _HEADER.size,
        _VERSION,
        _OLDEST_COMPATIBLE,
        0,
        len(texts),
        len(structure),
    )
    return header + bytes(16) + structure + texts


def _chosen(machine: Machine) -> Node:
    properties: dict[str, Value] = {"bootargs": machine.cmdline, "rng-seed": machine.seed}
    if machine.initrd is not None:
        start, end = machine.initrd
        properties |= {"linux,initrd-start": struct.pack(">Q", start), "linux,initrd-end": struct.pack(">Q", end)}
    return Node("chosen", properties)


def _processors(machine: Machine) -> Node:
    compatible = "arm,armv8" if machine.wide else "arm,cortex-a15"
    return Node(
        "cpus",
        {"#address-cells": 1, "#size-cells": 0},
        [
            Node(
                f"cpu@{number:x}",
                {"device_type": "cpu", "compatible": compatible, "enable-method": "psci", "reg": number},
            )
            for number in range(machine.vcpus)
        ],
    )


def _interrupt_controller(gic: int) -> Node:
    if gic == 2:
        compatible, regions = "arm,cortex-a15-gic", _region(0x03001000, 0x1000) + _region(0x03002000, 0x2000)
    else:
        compatible, regions = "arm,gic-v3", _region(0x03001000, 0x10000) + _region(0x03020000, 0x1000000)
    return Node(
        "interrupt-controller@3001000",
        {
            "compatible": compatible,
            "#interrupt-cells": 3,
            "#address-cells": 0,
            "interrupt-controller": b"",
            "reg": regions,
            "phandle": _GIC_PHANDLE,
        },
    )


def _hypervisor(memory: int) -> Node:
    """Where the guest may have its grant table, and addresses at which nothing is, for what it maps of others."""
    regions = _region(_GRANT_TABLE, _GRANT_TABLE_SIZE)
    start = RAM_BASE + memory + _EXTENSION_ALIGNMENT - 1 & -_EXTENSION_ALIGNMENT
    room = RAM_BASE + LARGEST_BANK - start
    if room >= _SMALLEST_EXTENSION:
        regions += _region(start, room)
    return Node(
        "hypervisor",
        {"compatible": ("xen,xen-4.17", "xen,xen"), "reg": regions, "interrupts": _interrupt(EVENT_INTERRUPT)},
    )


def _region(start: int, size: int) -> list[int]:
    return [start >> 32, start & 0xFFFFFFFF, size >> 32, size & 0xFFFFFFFF]


def _interrupt(number: int) -> list[int]:
    return [_PPI, number - 16, _LEVEL_LOW_ALL_CPUS]


def _flat(node: Node, strings: dict[str, int]) -> bytes:
    parts = [struct.pack(">I", _BEGIN_NODE), _padded(node.name.encode() + b"\0")]
    for name, value in node.properties.items():
        content = _content(value)
        if name not in strings:
            strings[name] = sum(len(known) + 1 for known in strings)
        parts += [struct.pack(">3I", _PROPERTY, len(content), strings[name]), _padded(content)]
    parts += [_flat(child, strings) for child in node.children]
    return b"".join([*parts, struct.pack(">I", _END_NODE)])


def _content(value: Value) -> bytes:
    match value:
        case bytes():
            return value
        case int():
            return struct.pack(">I", value)
        case str():
            return value.encode() + b"\0"
        case _:
            return b"".join(_content(each) for each in value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
