"""Options and ways of printing that several commands share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from jitsu.config import DEFAULT_PATH, Config, load
from jitsu.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

_F = TypeVar("_F", bound=Callable[..., Any])


def config_option(function: _F) -> _F:
    """`-c FILE`: which configuration, and with it which daemon. Passed on as a loaded `config`."""
    return click.option(
        "-c",
        "--config",
        metavar="FILE",
        envvar="JITSU_CONFIG",
        default=str(DEFAULT_PATH),
        show_default=True,
        callback=_load,
        help="The configuration of the daemon.",
    )(function)


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
    """The services of the configuration, for the shell. None if there is no configuration that can be read."""
    config = ctx.params.get("config")
    names = config.services if isinstance(config, Config) else ()
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def known_service(config: Config, service: str) -> str:
    """The same name, if the configuration has it. Raises ConfigError."""
    if service not in config.services:
        known = ", ".join(config.services)
        raise ConfigError(f"there is no service {service} in {config.path}", hint=f"the services are: {known}")
    return service


def console() -> "Console":
    """Where pictures are printed: colours only on a terminal, and never with NO_COLOR."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document. A listing has a row on each line, which is made many times faster than an indented one
    when there are ten thousand."""
    if isinstance(value, list):
        lines = ",\n ".join(map(json.dumps, value))
        click.echo(f"[{lines}]")
    else:
        click.echo(json.dumps(value, indent=2))


def _load(ctx: click.Context, param: click.Parameter, value: str) -> Config:
    return load(Path(value))
