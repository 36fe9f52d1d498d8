"""`jitsu config`."""

import json
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from jitsu.cli.main import report
from jitsu.cli.options import config_option, output_option, print_json
from jitsu.config import Config, settings
from jitsu.errors import ConfigError, JitsuError


@click.group("config")
def command() -> None:
    """The configuration: whether it can be served, and what is in effect."""


@command.command("check", epilog="Example: jitsu config check -c jitsu.toml && systemctl restart jitsu")
@config_option
@output_option
def check(config: Config, output: str) -> int:
    """Check all that `jitsu serve` checks before it begins, and change nothing. The exit code is 0 or 3.

    The file itself, and of each service the kernel, the initrd, the disks, the machine and the memory.
    """
    # Where QEMU is not installed, every service says so.
    problems = {error.message: error for error in _problems(config)}
    if output == "json":
        print_json(
            {
                "file": str(config.path),
                "services": len(config.services),
                "problems": [error.as_json() for error in problems.values()],
            }
        )
    else:
        for error in problems.values():
            report(error, as_json=False)
        verdict = "all is well" if not problems else f"problems: {len(problems)}"
        click.echo(f"{config.path}: services: {len(config.services)}, {verdict}")
    return ConfigError.exit_code if problems else 0


@command.command("show", epilog="Example: jitsu config show --origin")
@config_option
@output_option
@click.option("--origin", is_flag=True, help="Say of each value where it comes from: the file, or a default.")
def show(config: Config, output: str, origin: bool) -> None:
    """Print the configuration that is in effect, every default filled in; it can be used as a file again."""
    in_effect = settings(config.path)
    sources = {True: str(config.path), False: "default"}
    if output == "json":
        print_json(
            [
                {"section": each.section, "key": each.key, "value": each.value, "origin": sources[each.stated]}
                for each in in_effect
            ]
        )
        return
    for number, (section, entries) in enumerate(groupby(in_effect, key=lambda each: each.section)):
        click.echo(f"{'' if number == 0 else chr(10)}[{section}]")
        for each in entries:
            line = f"{each.key} = {_toml(each.value)}"
            click.echo(f"{line:40} # {sources[each.stated]}" if origin else line)


def _problems(config: Config) -> Iterator[JitsuError]:
    """What the driver has against the services, asked as the daemon asks it, but in a folder of its own."""
    from jitsu.domains.console_keeper import ConsoleKeeper
    from jitsu.domains.driver import Verdict
    from jitsu.domains.qemu import QemuDriver
    from jitsu.summon.tenant import spec_of

    with tempfile.TemporaryDirectory(prefix="jitsu-check-") as scratch:
        place = Path(scratch)
        consoles = ConsoleKeeper(place, place)
        driver = QemuDriver(config.daemon.instance, place, place, consoles, Verdict("none", ""), lambda event: None)
        for service in config.services.values():
            try:
                driver.check(spec_of(service, config.network))
            except JitsuError as error:
                yield error


def _toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, str):
        # The escapes are JSON's, but for DEL, which JSON lets stand as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_toml(key)} = {_toml(item)}' for key, item in value.items())} }}"
    return str(value)
