"""`jitsu`: the command line. Commands are loaded when they are called, so that each starts fast on a slow board."""

import importlib
import json
import os
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from jitsu import __version__
from jitsu.errors import JitsuError

_COMMANDS = {
    "board": ("jitsu.cli.board", "Boards with Xen: images of dom0, and emulated boards that boot here."),
    "completion": ("jitsu.cli.completion", "Print the script with which a shell completes what you type."),
    "config": ("jitsu.cli.config", "Check the configuration, or show what is in effect."),
    "console": ("jitsu.cli.console", "Look at the console of a running guest, and type to it."),
    "consoled": ("jitsu.cli.consoled", "Keep the consoles of all guests, in the foreground."),
    "demo": ("jitsu.cli.demo", "See it work: private namespaces, real guests, a client, and a waterfall."),
    "doctor": ("jitsu.cli.doctor", "Look for what would keep jitsu from working here, with a cure for each finding."),
    "events": ("jitsu.cli.events", "Show what happened, and go on as it happens."),
    "gc": ("jitsu.cli.gc", "Say what a dead daemon left on this host, and remove it."),
    "image": ("jitsu.cli.image", "Build guest images from their recipes, list them, look into them."),
    "logs": ("jitsu.cli.logs", "Show what guests printed on their consoles, and follow them."),
    "ps": ("jitsu.cli.ps", "List the services and the state of each."),
    "reload": ("jitsu.cli.reload", "Let the daemon read its configuration again."),
    "serve": ("jitsu.cli.serve", "Run the daemon in the foreground."),
    "service": ("jitsu.cli.service", "Add, edit, remove and list services while the daemon runs."),
    "start": ("jitsu.cli.start", "Summon services by hand; returns when they serve."),
    "stop": ("jitsu.cli.stop", "Dismiss services by hand; returns when they are gone."),
    "top": ("jitsu.cli.top", "Watch the guests that run, what they take, and what happens."),
    "trace": ("jitsu.cli.trace", "Show where the milliseconds of the last summons went."),
    "xs": ("jitsu.cli.xs", "Read, change and watch the XenStore."),
    "xenstored": ("jitsu.cli.xenstored", "Serve a XenStore, in the foreground."),
}


class _LazyGroup(click.Group):
    """Imports a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_COMMANDS.items())])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the commands without importing any of them."""
        found = [(name, text) for name, (_, text) in sorted(_COMMANDS.items()) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=text) for name, text in found), *options]


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jitsu")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Jitsu is inetd for virtual machines: a DNS question or a TCP SYN summons a VM, silence dismisses it.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 configuration, 4 this machine lacks something, 5 taken by somebody
    else, 6 a domain failed, 7 no daemon or it refused, 8 a recipe failed, 130 interrupted.
    """
    ctx.color = _colour()


def main(arguments: list[str] | None = None) -> None:
    """The entry point: errors meant to be read become two lines (or JSON) on stderr and their exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        outcome = cli.main(args=given, prog_name="jitsu", standalone_mode=False)
    except JitsuError as error:
        if "--debug" in given:
            import traceback

            traceback.print_exc()
        report(error, as_json=_wants_json(given))
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    sys.exit(outcome if isinstance(outcome, int) else 0)


def report(error: JitsuError, *, as_json: bool) -> None:
    """Print an error: two lines for people, one object for programs."""
    if as_json:
        click.echo(json.dumps(error.as_json()), err=True)
        return
    click.echo(f"{click.style('error:', fg='red', bold=True)} {error.message}", err=True, color=_colour())
    if error.hint:
        click.echo(f" {click.style('hint:', bold=True)} {error.hint}", err=True, color=_colour())


def _colour() -> bool | None:
    """What click is told about colours: never with NO_COLOR, else where there is a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def _wants_json(arguments: list[Any]) -> bool:
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    joined = ("--json", "-ojson", "--output=json")
    return any(a in joined or (a in ("-o", "--output") and b == "json") for a, b in pairs)


if __name__ == "__main__":
    main()
