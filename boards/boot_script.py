"""U-Boot's script for an SD card: it loads Xen and dom0, and tells Xen of them in the device tree, under /chosen.

What Xen wants there: its docs/misc/arm/device-tree/booting.txt. The commands are those of U-Boot 2023.01.
"""

from boards.definition import Board

XEN, KERNEL, INITRD = "xen", "kernel", "initrd"
"""The names of files on the card's first partition."""

# Where they are put. RAM begins at 1 GiB, and U-Boot is at the end of it, with its variables and the script between
# 1 GiB + 48 MiB and + 64 MiB on a Cubietruck. Xen and the tree begin where a page of 2 MiB does.
_TREE_AT, _XEN_AT, _INITRD_AT, _KERNEL_AT = 0x44000000, 0x45000000, 0x46000000, 0x48000000


def boot_script(board: Board, root: str, boot: str) -> str:
    """The text of the script; `root` and `boot` are the UUIDs of the file systems. Raises ConfigError without a dom0.

    A machine that brings a device tree of its own says where (`fdt_addr`), as QEMU's does, and then that one is taken:
    so the card that is for a real board boots on an emulated one too. U-Boot of a Cubietruck does not set it.
    """
    dom0 = board.domain0()
    xen_line, port = board.xen_line(), f" {board.console}={board.console_port}"
    dom0_line = f"console=hvc0 panic=10 root=UUID={root} boot=UUID={boot} board={board.name} {dom0.arguments}".rstrip()
    return f"""\
# Boots Xen on a {board.name}. boot.cmd is the text of boot.scr, which is what U-Boot reads:
#
#     mkimage -A arm -T script -C none -d boot.cmd boot.scr
#
# U-Boot says what fails; nothing ends a script (`exit` does not), so it is noted, and Xen is not started.
setenv failed
setenv from "${{devtype}} ${{devnum}}:${{distro_bootpart}}"

# The tree stays where it is: U-Boot would move it into memory in which, for all it knows, there is nothing.
setenv fdt_high 0xffffffff
setenv bootargs
if test -n "${{fdt_addr}}"; then
    setenv tree ${{fdt_addr}}
else
    setenv tree {_TREE_AT:#x}
    load ${{from}} ${{tree}} {board.device_tree} || setenv failed 1
fi
fdt addr ${{tree}} || setenv failed 1
fdt resize 0x2000 || setenv failed 1

load ${{from}} {_KERNEL_AT:#x} {KERNEL} || setenv failed 1
fdt set /chosen \\#address-cells <1> || setenv failed 1
fdt set /chosen \\#size-cells <1> || setenv failed 1
fdt mknode /chosen module@{_KERNEL_AT:x} || setenv failed 1
fdt set /chosen/module@{_KERNEL_AT:x} compatible "multiboot,kernel" "multiboot,module" || setenv failed 1
fdt set /chosen/module@{_KERNEL_AT:x} reg <{_KERNEL_AT:#x} 0x${{filesize}}> || setenv failed 1

load ${{from}} {_INITRD_AT:#x} {INITRD} || setenv failed 1
fdt mknode /chosen module@{_INITRD_AT:x} || setenv failed 1
fdt set /chosen/module@{_INITRD_AT:x} compatible "multiboot,ramdisk" "multiboot,module" || setenv failed 1
fdt set /chosen/module@{_INITRD_AT:x} reg <{_INITRD_AT:#x} 0x${{filesize}}> || setenv failed 1

# Where the tree has no {board.console_port}, Xen takes what the tree calls its console.
if fdt get value uart /aliases {board.console_port}; then
    setenv xen_line "{xen_line}"
else
    setenv xen_line "{xen_line.replace(port, "")}"
fi
fdt set /chosen xen,xen-bootargs "${{xen_line}}" || setenv failed 1
fdt set /chosen xen,dom0-bootargs "{dom0_line}" || setenv failed 1

load ${{from}} {_XEN_AT:#x} {XEN} || setenv failed 1
if test -n "${{failed}}"; then echo "Xen is not started: see above"; else bootz {_XEN_AT:#x} - ${{tree}}; fi
"""
