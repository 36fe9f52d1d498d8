"""`jitsu board`."""

import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from boards import definition
from boards.definition import MIB, Board
from jitsu.cli.options import output_option, print_json

if TYPE_CHECKING:
    from boards.emulator import EmulatedBoard

_F = TypeVar("_F", bound=Callable[..., Any])


class _Aliased(click.Group):
    """`ls` is what fingers type for `list`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, {"ls": "list"}.get(cmd_name, cmd_name))


def _paths(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """Pairs of paths with a colon between them, the first as far as the last colon."""
    pairs = [(source, target) for source, _, target in (value.rpartition(":") for value in values)]
    if not all(source and target for source, target in pairs):
        raise click.BadParameter("wanted are two paths with a colon between them, as in FROM:TO", ctx, param)
    return pairs


def _complete_board(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in definition.names() if name.startswith(incomplete)]


def _board_argument(function: _F) -> _F:
    return click.argument(
        "board",
        metavar="BOARD",
        shell_complete=_complete_board,
        callback=lambda ctx, param, name: definition.read(name),
    )(function)


def _xenstored_option(function: _F) -> _F:
    return click.option(
        "--xenstored",
        type=click.Choice(definition.XENSTOREDS),
        default=definition.XENSTOREDS[0],
        show_default=True,
        help="Which XenStore dom0 starts: Xen's own in C, the one in OCaml, or none.",
    )(function)


def _jitsu_option(function: _F) -> _F:
    return click.option("--jitsu", is_flag=True, help="Install jitsu of this checkout in dom0 first.")(function)


@click.group("board", cls=_Aliased)
def command() -> None:
    """Boards with Xen: their definitions, images of dom0, and emulated ones that boot here."""
    # Whoever ends this by SIGTERM, timeout(1) as a rule, means what Ctrl-C means: nothing of a board may be left.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@command.command("list")
@output_option
def list_boards(output: str) -> None:
    """List the boards (also: ls)."""
    boards = [definition.read(name) for name in definition.names()]
    if output == "json":
        print_json([_facts(board) for board in boards])
        return
    for board in boards:
        kind = "emulated" if board.emulated else "real"
        click.echo(f"{board.name:16} {board.architecture:6} {board.hypervisor:4} {kind:9} {board.description}")


@command.command("inspect", epilog="Example: jitsu board inspect cubietruck")
@_board_argument
@output_option
def inspect(board: Board, output: str) -> None:
    """Show what a board's definition comes to, and whether its image is in the cache."""
    facts = _facts(board) | _image_facts(board)
    if output == "json":
        print_json(facts)
        return
    for name, value in facts.items():
        shown = f"{value // MIB} MiB" if name.endswith("memory") else value
        click.echo(f"{name.replace('_', ' ') + ':':15} {shown}")


@command.command("build", epilog="Example: jitsu board build qemu-virt-armv7")
@click.argument("names", nargs=-1, required=True, metavar="BOARD...", shell_complete=_complete_board)
def build(names: tuple[str, ...]) -> None:
    """Build the images of boards, unless they are in the cache, and print the folder of each."""
    from boards.snapshots import image

    for board in [definition.read(name) for name in names]:
        click.echo(image(board, _say))


@command.command("sdcard", epilog="Example: jitsu board sdcard cubietruck -o cubietruck.img")
@_board_argument
@click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to make. Devices are refused.",
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def sdcard(board: Board, target: Path, force: bool) -> None:
    """Make the image of an SD card for a real board: U-Boot, Xen, dom0 and jitsu, which serves when the board is on.

    What is served, and the board's name and network, is in jitsu.toml on the card's first partition.
    """
    from boards.card import make_card

    make_card(board, target, force=force, say=_say)
    facts = target.stat()
    click.echo(f"{target}: {facts.st_size // MIB} MiB, of which {facts.st_blocks * 512 // MIB} MiB are written to disk")


@command.command("snapshot", epilog="Example: jitsu board snapshot qemu-virt-armv7")
@_board_argument
@_xenstored_option
def snapshot(board: Board, xenstored: str) -> None:
    """Boot an emulated board and keep it as it is then, unless that is in the cache, and print the folder."""
    from boards.snapshots import snapshot as keep

    click.echo(keep(board, xenstored, _say))


@command.command("boot", epilog="Example: jitsu board boot qemu-virt-armv7")
@_board_argument
@_xenstored_option
def boot(board: Board, xenstored: str) -> None:
    """Boot an emulated board from power, and be at its serial console, which begins with all that it said.

    Ctrl-] powers it off, and so does Ctrl-C where input is no terminal.
    """
    from boards.snapshots import booted

    _attend(booted(board, xenstored, _say), jitsu=False)


@command.command("shell", epilog="Example: jitsu board shell --jitsu qemu-virt-armv7")
@_board_argument
@_xenstored_option
@_jitsu_option
def shell(board: Board, xenstored: str, jitsu: bool) -> None:
    """Restore an emulated board that has booted, and be at its serial console, where root has a shell.

    Ctrl-] powers it off, and so does Ctrl-C where input is no terminal.
    """
    from boards.snapshots import restored

    _attend(restored(board, xenstored, _say), jitsu=jitsu)


@command.command("run", epilog="Example: jitsu board run qemu-virt-armv7 -- xl list")
@_board_argument
@click.argument("arguments", nargs=-1, required=True, metavar="COMMAND...")
@_xenstored_option
@_jitsu_option
@click.option("--cold", is_flag=True, help="Boot from power, and not from the snapshot.")
@click.option(
    "--put", metavar="FROM:TO", multiple=True, callback=_paths, help="Copy a file to dom0 first, and its mode."
)
@click.option("--get", metavar="FROM:TO", multiple=True, callback=_paths, help="Copy a file from dom0 afterwards.")
@click.option("--timeout", type=click.FloatRange(1), default=600, show_default=True, help="Seconds the command has.")
def run(
    board: Board,
    arguments: tuple[str, ...],
    xenstored: str,
    jitsu: bool,
    cold: bool,
    put: list[tuple[str, str]],
    get: list[tuple[str, str]],
    timeout: float,
) -> int:
    """Run a command in dom0 of an emulated board that has just booted.

    The exit code is the command's, or 128 and the signal that ended it. Nothing is kept of the board afterwards.
    """
    from boards.snapshots import booted, restored

    with (booted if cold else restored)(board, xenstored, _say) as running:
        if jitsu:
            running.install_jitsu()
        for source, target in put:
            running.put(Path(source), target, Path(source).stat().st_mode & 0o777)
        outcome = running.run(*arguments, timeout=timeout)
        click.echo(outcome.out.encode("utf-8", "surrogateescape"), nl=False)
        click.echo(outcome.err.encode("utf-8", "surrogateescape"), nl=False, err=True)
        for source, target in get:
            Path(target).write_bytes(running.get(source))
    return outcome.rc if outcome.rc >= 0 else 128 - outcome.rc


def _attend(starting: AbstractContextManager["EmulatedBoard"], *, jitsu: bool) -> None:
    """Stay at the serial console until the user leaves or the board ends."""
    from jitsu.daemon.console_client import relay

    begun = time.monotonic()
    with starting as running, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
        if jitsu:
            running.install_jitsu()
        click.echo(running.log.read_bytes(), nl=False)
        _say(f"{running.board.name} is up after {time.monotonic() - begun:.1f} s; Ctrl-] powers it off")
        console.connect(str(running.serial))
        relay(console, terminal=sys.stdin.isatty())


def _facts(board: Board) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": board.name,
        "description": board.description,
        "architecture": board.architecture,
        "hypervisor": board.hypervisor,
        "emulated": board.emulated,
        "machine": board.machine.emulation or "a real one",
        "cpu": board.machine.cpu,
        "cpus": board.machine.cpus,
        "memory": board.machine.memory,
        "boot": board.boot,
        "console": board.console_port,
        "bridge": board.wire.bridge,
        "address": str(board.wire.address),
        "gateway": str(board.wire.gateway),
    }
    if board.device_tree:
        facts["device_tree"] = board.device_tree
    if board.dom0 is not None:
        facts |= {"image": board.dom0.image, "dom0_memory": board.dom0.memory, "dom0_cpus": board.dom0.cpus}
        facts |= {"xen_arguments": board.xen_line(), "dom0_arguments": board.dom0_line("xenstored")}
    return facts


def _image_facts(board: Board) -> dict[str, Any]:
    from jitsu import artifacts

    if board.dom0 is None:
        return {}
    image = artifacts.read(board.dom0.image)
    folder = artifacts.cache_folder() / f"{image.name}-{artifacts.key(image)}"
    return {"image_key": artifacts.key(image), "image_cached": folder.is_dir()}


def _say(line: str) -> None:
    click.echo(line, err=True)
