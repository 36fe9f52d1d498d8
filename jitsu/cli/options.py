"""Options and ways of printing that several commands share."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from jitsu.config import DEFAULT_PATH, Config, DaemonConfig, load, load_daemon
from jitsu.errors import ConfigError, DaemonError, JitsuError

if TYPE_CHECKING:
    from rich.console import Console

_PATH = "jitsu.configuration"
"""Where a context keeps the path of the configuration."""

_MOST_NAMED = 20

_F = TypeVar("_F", bound=Callable[..., Any])


def config_option(function: _F) -> _F:
    """`-c FILE`: which configuration, and with it which daemon. Passed on as a loaded `config`."""
    return _file_option(function, _load)


def daemon_option(function: _F) -> _F:
    """`-c FILE` for commands that only ask the daemon: its [daemon] is passed on as `daemon`, and nothing else of the
    file is read, however many services it has."""
    return _file_option(function, _load_daemon, "daemon")


def output_option(function: _F) -> _F:
    """`-o table|json`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="For people or for programs.",
    )(function)


def complete_service(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The services of the daemon, or of the file where none runs, for the shell. None if neither can be asked."""
    with suppress(JitsuError, KeyError):
        return [CompletionItem(name) for name in _services(ctx.meta[_PATH]) if name.startswith(incomplete)]
    return []


def known_service(ctx: click.Context, service: str) -> str:
    """The same name, if the daemon has it, or the file where none runs. Raises ConfigError."""
    path: Path = ctx.meta[_PATH]
    names = _services(path)
    if service not in names:
        known = ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
        raise ConfigError(f"there is no service {service} in {path}", hint=f"the services are: {known}")
    return service


def console() -> "Console":
    """Where pictures are printed: colours only on a terminal, and never with NO_COLOR."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document. A listing has a row on each line, which is made many times faster than an indented one
    when there are ten thousand."""
    if isinstance(value, list):
        # Rows hold no row: looking for circles would take a sixth of the time.
        encode = json.JSONEncoder(check_circular=False).encode
        lines = ",\n ".join(map(encode, value))
        click.echo(f"[{lines}]")
    else:
        click.echo(json.dumps(value, indent=2))


def _file_option(function: _F, read: Callable[..., Any], passed_as: str = "config") -> _F:
    return click.option(
        "-c",
        "--config",
        passed_as,
        metavar="FILE",
        envvar="JITSU_CONFIG",
        default=str(DEFAULT_PATH),
        show_default=True,
        callback=read,
        help="The configuration of the daemon.",
    )(function)


def _load(ctx: click.Context, param: click.Parameter, value: str) -> Config:
    ctx.meta[_PATH] = Path(value)
    return load(Path(value))


def _load_daemon(ctx: click.Context, param: click.Parameter, value: str) -> DaemonConfig:
    ctx.meta[_PATH] = Path(value)
    return load_daemon(Path(value))


def _services(path: Path) -> list[str]:
    """Those of the daemon, or of the file if none runs. Raises JitsuError."""
    from jitsu.daemon.client import ask

    with suppress(DaemonError):
        return [row["service"] for row in ask(load_daemon(path).runtime, "ps")]
    return list(load(path).services)
