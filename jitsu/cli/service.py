"""`jitsu service`."""

import math
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jitsu.cli.columns import columns
from jitsu.cli.options import complete_service, daemon_option, output_option, print_json
from jitsu.config import DaemonConfig, absolute, read_sections
from jitsu.daemon.client import ask

if TYPE_CHECKING:
    from jitsu.daemon.housekeeping import ServiceRow

_COMMAND_LINE = "command line"
"""Where keys come from that are in no file, as errors have it."""

_TITLES = ("SERVICE", "ORIGIN", "ADDRESS", "MEMORY", "NAMES", "KERNEL", "")


@click.group("service")
def command() -> None:
    """Services that are added, changed and removed while the daemon runs, and kept over its restarts."""


@command.command("add", epilog="Example: jitsu service add shop kernel=hello.elf address=10.77.0.20 idle=30")
@daemon_option
@output_option
@click.option("--file", "path", metavar="FILE", help="Sections [service.NAME], as in jitsu.toml; all of them or none.")
@click.argument("name", required=False)
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE...]")
def add(daemon: DaemonConfig, output: str, path: str | None, name: str | None, keys: tuple[str, ...]) -> None:
    """Add a service. The keys are those of [service.NAME] in jitsu.toml.

    Values are as there, but texts need no quotes. A key that is given more than once is a list.
    """
    if (name is None) == (path is None):
        raise click.UsageError("give a name and keys, or --file")
    source = path or _COMMAND_LINE
    sections = read_sections(Path(path)) if path else {str(name): absolute(_assigned(keys), Path.cwd())}
    ask(daemon.runtime, "service-add", services=sections, source=source)
    if output == "json":
        print_json([{"service": name, "state": "asleep"} for name in sections])
    else:
        click.echo("".join(f"{name}: added\n" for name in sections), nl=False)


@command.command("edit", epilog="Example: jitsu service edit shop idle=10 memory='32 MiB' --unset linger")
@daemon_option
@output_option
@click.option("--unset", multiple=True, metavar="KEY", help="Let the default count again; may be given more than once.")
@click.option("--now", is_flag=True, help="Dismiss a guest whose definition changed; the next one has the new one.")
@click.argument("name", shell_complete=complete_service)
@click.argument("keys", nargs=-1, metavar="[KEY=VALUE...]")
def edit(
    daemon: DaemonConfig, output: str, unset: tuple[str, ...], now: bool, name: str, keys: tuple[str, ...]
) -> None:
    """Change keys of a service that was added.

    How it is named and when it is dismissed changes under a running guest; everything else at its next start.
    """
    changes = absolute(_assigned(keys), Path.cwd()) | dict.fromkeys(unset)
    if not changes:
        raise click.UsageError("give at least one KEY=VALUE, or --unset")
    done = ask(daemon.runtime, "service-edit", service=name, changes=changes, source=_COMMAND_LINE, now=now)
    if output == "json":
        print_json({"service": name, **done})
    else:
        click.echo(
            f"{name}: edited" + ("" if done["at_once"] else "; the guest that runs stays as it is until it ends")
        )


@command.command("rm", epilog="Example: jitsu service rm shop")
@daemon_option
@output_option
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_service)
def remove(daemon: DaemonConfig, output: str, names: tuple[str, ...]) -> None:
    """Remove services that were added; returns when their guests are gone."""
    for name in names:
        ask(daemon.runtime, "service-rm", service=name)
        if output == "table":
            click.echo(f"{name}: removed")
    if output == "json":
        print_json([{"service": name, "state": "removed"} for name in names])


@command.command("ls", epilog="Example: jitsu service ls -o json | jq '.[] | select(.origin == \"added\")'")
@daemon_option
@output_option
def list_services(daemon: DaemonConfig, output: str) -> None:
    """List what services there are: those of the file, and those that were added."""
    rows: list[ServiceRow] = ask(daemon.runtime, "service-ls")
    if output == "json":
        print_json(rows)
        return
    cells = [
        (
            row["service"],
            row["origin"],
            ",".join(row["addresses"]) or "-",
            f"{row['memory'] / (1 << 20):g} MiB" if row["memory"] else "-",
            ",".join(row["names"]) or "-",
            row["kernel"] or "-",
            row["problem"] or ("changed as of its next start" if row["pending"] else ""),
        )
        for row in rows
    ]
    click.echo(columns(_TITLES, cells, paint={"ORIGIN": {"added": "green"}}))


def _assigned(words: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE words as TOML would have them; texts need no quotes, and a key that comes twice is a list."""
    found: dict[str, list[Any]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise click.UsageError(f"{word!r} is not KEY=VALUE")
        found.setdefault(key.strip(), []).append(_value(text))
    return {key: values[0] if len(values) == 1 else values for key, values in found.items()}


def _value(text: str) -> Any:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
    # Dates and times are texts to every key that there is.
    plain = isinstance(value, str | bool | int | list | dict) or (isinstance(value, float) and math.isfinite(value))
    return value if plain else text
