"""`jitsu xs`."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from jitsu.cli.options import output_option, print_json
from jitsu.config import DEFAULT_PATH, load_daemon
from jitsu.daemon.sockets import XENSTORED
from jitsu.domains.guest_text import printable
from jitsu.errors import ConfigError, JitsuError
from jitsu.xenstore import request
from jitsu.xenstore.client import StoreClient, Transaction, default_socket
from jitsu.xenstore.request import encoded
from jitsu.xenstore.survey import Node, survey

_T = TypeVar("_T")
_F = TypeVar("_F", bound=Callable[..., Any])


def _socket_option(function: _F) -> _F:
    """`--socket PATH`: which daemon."""
    return click.option(
        "--socket",
        "path",
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="Where the daemon listens, if not at $XENSTORED_PATH, $XENSTORED_RUNDIR/socket, Xen's usual place, or "
        "where `jitsu serve` has its own.",
    )(function)


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The nodes right below what is typed so far, for the shell; none if no daemon says any."""
    above = incomplete.rpartition("/")[0]
    with suppress(JitsuError):
        names = _ask(ctx.params.get("path"), lambda store: store.list(above or "/"))
        found = (f"{above}/{name}" for name in names)
        return [CompletionItem(path) for path in found if path.startswith(incomplete) and path.isprintable()]
    return []


def _nodes(required: bool = True) -> Callable[[_F], _F]:
    return click.argument("nodes", nargs=-1, required=required, metavar="NODE...", shell_complete=_complete)


@click.group("xs")
def command() -> None:
    """Read and change the XenStore, of `jitsu xenstored` or of any other daemon.

    Whatever guests wrote is shown without control characters; -o json and --raw have it exactly.
    """


@command.command("ls", epilog="Example: jitsu xs ls -p /local/domain/3")
@_socket_option
@output_option
@click.option("-p", "--permissions", is_flag=True, help="Also who owns each node, and who may do what with it.")
@click.option("-d", "--depth", type=click.IntRange(0), metavar="N", help="Only so many levels below the node.")
@click.argument("node", default="/", shell_complete=_complete)
def list_nodes(path: Path | None, output: str, permissions: bool, depth: int | None, node: str) -> None:
    """Show a node and all below it as a tree, with their values.

    Permissions are a letter and a domain each, the owner first, whose letter is for everybody else: n none, r read,
    w write, b both.
    """
    as_json = output == "json"
    tree = _ask(path, lambda store: survey(store, node, depth=depth, permissions=permissions or as_json))
    if as_json:
        print_json([_row(each.path, each.value) | {"permissions": each.permissions} for each in tree.walk()])
    else:
        click.echo("".join(f"{line}\n" for line in _drawn(tree, permissions)), nl=False)


@command.command("read", epilog="Example: jitsu xs read /local/domain/3/name")
@_socket_option
@output_option
@click.option("--raw", is_flag=True, help="Every byte as it is, without a line feed: for one node, and into a file.")
@_nodes()
def read(path: Path | None, output: str, raw: bool, nodes: tuple[str, ...]) -> None:
    """Print the values of nodes, each on a line."""
    if raw and (len(nodes) > 1 or output == "json"):
        raise click.UsageError("--raw is for the value of one node, and no JSON")

    async def ask(store: StoreClient) -> list[bytes]:
        asked = [request.read(node) for node in nodes]
        return [each.result(answer) for each, answer in zip(asked, await store.answers(asked), strict=True)]

    values = _ask(path, ask)
    if raw:
        click.echo(values[0], nl=False)
    elif output == "json":
        print_json([_row(node, value) for node, value in zip(nodes, values, strict=True)])
    else:
        click.echo("".join(f"{printable(value)}\n" for value in values), nl=False)


@command.command("write", epilog="Example: jitsu xs write /local/domain/3/name web /local/domain/3/uuid 5f1c")
@_socket_option
@click.option("--stdin", is_flag=True, help="The value is standard input, every byte of it; for one node.")
@click.argument("words", nargs=-1, required=True, metavar="NODE VALUE...", shell_complete=_complete)
def write(path: Path | None, stdin: bool, words: tuple[str, ...]) -> None:
    """Set values, all of them or none; nodes are made where they are missing.

    A value that begins with - comes after --.
    """
    if stdin:
        if len(words) != 1:
            raise click.UsageError("--stdin is for the value of one node")
        pairs = [(words[0], sys.stdin.buffer.read())]
    elif len(words) % 2:
        raise click.UsageError(f"{words[-1]} has no value: give pairs of NODE and VALUE")
    else:
        pairs = [(node, encoded(value)) for node, value in zip(words[::2], words[1::2], strict=True)]

    async def ask(store: StoreClient) -> None:
        pipeline = store.pipeline()
        for node, value in pairs:
            pipeline.write(node, value)
        await pipeline.commit()

    _ask(path, ask)


@command.command("mkdir", epilog="Example: jitsu xs mkdir /local/domain/3/data")
@_socket_option
@_nodes()
def make(path: Path | None, nodes: tuple[str, ...]) -> None:
    """Make nodes without a value, all of them or none; those that are there stay as they are."""

    async def ask(store: StoreClient) -> None:
        pipeline = store.pipeline()
        for node in nodes:
            pipeline.mkdir(node)
        await pipeline.commit()

    _ask(path, ask)


@command.command("rm", epilog="Example: jitsu xs rm /local/domain/3/data")
@_socket_option
@_nodes()
def remove(path: Path | None, nodes: tuple[str, ...]) -> None:
    """Remove nodes and everything below them, all of them or none.

    One that is not there is no error, unless the node above it is missing too.
    """

    async def ask(store: StoreClient) -> None:
        pipeline = store.pipeline()
        for node in nodes:
            pipeline.rm(node)
        await pipeline.commit()

    _ask(path, ask)


@command.command("exists", epilog="Example: jitsu xs exists /local/domain/3/data/jitsu/ready && echo ready")
@_socket_option
@output_option
@_nodes()
def exists(path: Path | None, output: str, nodes: tuple[str, ...]) -> int:
    """Say by the exit code whether nodes are there: 0 if all are, 1 if one is not. Nothing is printed."""

    async def ask(store: StoreClient) -> list[bool]:
        return [await store.exists(node) for node in nodes]

    found = _ask(path, ask)
    if output == "json":
        print_json([{"path": node, "exists": there} for node, there in zip(nodes, found, strict=True)])
    return 0 if all(found) else 1


@command.command("chmod", epilog="Example: jitsu xs chmod -r /local/domain/3/data n0 b3")
@_socket_option
@click.option("-r", "--recursive", is_flag=True, help="Of everything below it too, all or nothing.")
@click.argument("node", shell_complete=_complete)
@click.argument("permissions", nargs=-1, required=True, metavar="PERMISSION...")
def change(path: Path | None, recursive: bool, node: str, permissions: tuple[str, ...]) -> None:
    """Set who owns a node and who may do what with it.

    Each PERMISSION is a letter and a domain: n none, r read, w write, b both. The first is the owner, who may do
    everything, and its letter is for everybody who is not listed.
    """

    async def all_below(transaction: Transaction) -> None:
        tree = await survey(transaction, node, values=False)
        asked = [request.set_perms(each.path, permissions) for each in tree.walk()]
        for each, answer in zip(asked, await transaction.answers(asked), strict=True):
            each.result(answer)

    if recursive:
        _ask(path, lambda store: store.transact(all_below))
    else:
        _ask(path, lambda store: store.set_perms(node, permissions))


@command.command("watch", epilog="Example: jitsu xs watch -n 2 /local/domain/3/data/jitsu/ready")
@_socket_option
@output_option
@click.option("-n", "--count", type=click.IntRange(1), metavar="N", help="Return after so many events.")
@_nodes()
def watch(path: Path | None, output: str, count: int | None, nodes: tuple[str, ...]) -> int:
    """Print what changes, the path of a node on each line, until Ctrl-C.

    Everything below the nodes counts too, and @introduceDomain and @releaseDomain are domains that come and go. The
    daemon begins with an event for each NODE itself.
    """

    async def ask(store: StoreClient) -> None:
        left = count
        async with await store.watch(*nodes) as events:
            async for event in events:
                if output == "json":
                    click.echo(json.dumps({"path": event.path, "missed": event.missed}))
                else:
                    missed = "  (more happened than could be told: look at all of it)" if event.missed else ""
                    click.echo(printable(encoded(event.path)) + missed)
                left = left - 1 if left else None
                if left == 0:
                    return

    try:
        _ask(path, ask)
    except KeyboardInterrupt:
        # The usual end of it, which needs no word.
        return 130
    return 0


def _ask(path: Path | None, ask: Callable[[StoreClient], Awaitable[_T]]) -> _T:
    """Connect, ask, and close. Raises StoreError and StoreUnreachable."""

    async def connected() -> _T:
        async with await StoreClient.connect(path or _usual()) as store:
            return await ask(store)

    return asyncio.run(connected())


def _usual() -> Path:
    """Where a daemon is to be looked for: as all clients do, and else where `jitsu serve` has its own."""
    usual = default_socket()
    if usual.exists() or "XENSTORED_PATH" in os.environ or "XENSTORED_RUNDIR" in os.environ:
        return usual
    runtime = Path("/run/jitsu")
    with suppress(ConfigError):
        runtime = load_daemon(Path(os.environ.get("JITSU_CONFIG") or DEFAULT_PATH)).runtime
    own = runtime / XENSTORED
    return own if own.exists() else usual


def _row(path: str, value: bytes | None) -> dict[str, Any]:
    """A node for programs. A value that is no text is in `base64`."""
    try:
        return {"path": path, "value": None if value is None else value.decode()}
    except UnicodeDecodeError:
        return {"path": path, "value": None, "base64": base64.b64encode(value or b"").decode()}


def _drawn(tree: Node, permissions: bool) -> Iterator[str]:
    """The lines of a tree."""
    left = [(tree, tree.path, "", "")]
    while left:
        node, name, branch, indent = left.pop()
        yield branch + printable(encoded(name)) + _described(node, permissions)
        for child in reversed(node.children):
            last = child is node.children[-1]
            left.append(
                (child, child.name, indent + ("└── " if last else "├── "), indent + ("    " if last else "│   "))
            )


def _described(node: Node, permissions: bool) -> str:
    text = ""
    if node.value is None:
        text = " " + click.style("(not permitted)", fg="red")
    elif node.value or not node.children:
        shown = printable(node.value).replace("\\", "\\\\").replace('"', '\\"')
        text = f' = "{shown}"'
    if permissions:
        listed = ",".join(printable(encoded(each)) for each in node.permissions or ["?"])
        text += " " + click.style(f"({listed})", fg="bright_black")
    return text
