"""The device tree for ARM guests, read back by a reader of its own."""

import struct
from dataclasses import replace
from typing import Any

from jitsu.domains.xen_devicetree import LARGEST_BANK, RAM_BASE, Machine, device_tree

MIB = 1 << 20
MACHINE = Machine(memory=16 * MIB, cmdline="name=hello", seed=bytes(range(128)))


def parsed(tree: bytes) -> dict[str, Any]:
    """Nodes as dicts; properties as bytes. As in the specification, chapter 5."""
    magic, total, at, texts, reserved, version, oldest, processor, texts_size, size = struct.unpack_from(">10I", tree)
    assert (magic, total, version, oldest, processor) == (0xD00DFEED, len(tree), 17, 16, 0)
    assert tree[reserved : reserved + 16] == bytes(16)
    assert at % 4 == 0
    assert reserved % 8 == 0
    assert texts + texts_size == total
    end = at + size
    stack: list[dict[str, Any]] = [{}]
    while True:
        (token,) = struct.unpack_from(">I", tree, at)
        at += 4
        if token == 1:
            stop = tree.index(b"\0", at)
            node: dict[str, Any] = {}
            stack[-1][tree[at:stop].decode()] = node
            stack.append(node)
            at = stop + 4 & ~3
        elif token == 2:
            stack.pop()
        elif token == 3:
            length, name = struct.unpack_from(">2I", tree, at)
            name_end = tree.index(b"\0", texts + name)
            assert not any(isinstance(each, dict) for each in stack[-1].values()), "a property behind a child"
            stack[-1][tree[texts + name : name_end].decode()] = tree[at + 8 : at + 8 + length]
            at += 8 + (length + 3 & ~3)
        else:
            assert token == 9
            assert at == end
            return stack[0][""]


def cells(value: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(value) // 4}I", value)


def test_the_machine_that_xen_makes() -> None:
    root = parsed(device_tree(MACHINE))
    assert root["compatible"] == b"xen,xenvm-4.17\0xen,xenvm\0"
    assert cells(root["#address-cells"]) == cells(root["#size-cells"]) == (2,)
    assert cells(root["memory@40000000"]["reg"]) == (0, RAM_BASE, 0, 16 * MIB)
    assert root["chosen"] == {"bootargs": b"name=hello\0", "rng-seed": bytes(range(128))}
    controller = root["interrupt-controller@3001000"]
    assert controller["phandle"] == root["interrupt-parent"]
    assert cells(controller["reg"]) == (0, 0x03001000, 0, 0x1000, 0, 0x03002000, 0, 0x2000)
    assert cells(root["timer"]["interrupts"]) == (1, 13, 0xF08, 1, 14, 0xF08, 1, 11, 0xF08)
    assert cells(root["hypervisor"]["interrupts"]) == (1, 15, 0xF08)
    assert root["psci"]["method"] == b"hvc\0"
    assert root["cpus"]["cpu@0"]["compatible"] == b"arm,cortex-a15\0"


def test_each_guest_has_its_own_seed_and_all_else_is_the_same() -> None:
    first, second = (device_tree(replace(MACHINE, seed=bytes([seed]) * 128)) for seed in (0, 255))
    assert parsed(first)["chosen"]["rng-seed"] == bytes(128)
    assert parsed(second)["chosen"]["rng-seed"] == b"\xff" * 128
    assert first == second.replace(b"\xff" * 128, bytes(128))


def test_processors_and_their_width() -> None:
    root = parsed(device_tree(replace(MACHINE, vcpus=3, wide=True, gic=3)))
    processors = {name: node for name, node in root["cpus"].items() if name.startswith("cpu@")}
    assert {name: cells(node["reg"]) for name, node in processors.items()} == {
        "cpu@0": (0,),
        "cpu@1": (1,),
        "cpu@2": (2,),
    }
    assert processors["cpu@2"]["compatible"] == b"arm,armv8\0"
    assert root["timer"]["compatible"] == b"arm,armv8-timer\0"
    assert root["interrupt-controller@3001000"]["compatible"] == b"arm,gic-v3\0"


def test_the_initrd_may_be_filled_in_later() -> None:
    unknown = device_tree(replace(MACHINE, initrd=(0, 0)))
    known = device_tree(replace(MACHINE, initrd=(0x48000000, 0x48012345)))
    assert len(unknown) == len(known)
    chosen = parsed(known)["chosen"]
    assert struct.unpack(">Q", chosen["linux,initrd-start"]) == (0x48000000,)
    assert struct.unpack(">Q", chosen["linux,initrd-end"]) == (0x48012345,)


def test_empty_addresses_are_offered_where_there_are_enough() -> None:
    some = parsed(device_tree(MACHINE))["hypervisor"]["reg"]
    assert cells(some)[4:] == (0, RAM_BASE + 16 * MIB, 0, LARGEST_BANK - 16 * MIB)
    none = parsed(device_tree(replace(MACHINE, memory=LARGEST_BANK - 63 * MIB)))["hypervisor"]["reg"]
    assert cells(none) == (0, 0x38000000, 0, 0x01000000)
    odd = parsed(device_tree(replace(MACHINE, memory=17 * MIB)))["hypervisor"]["reg"]
    assert cells(odd)[5] == RAM_BASE + 18 * MIB
