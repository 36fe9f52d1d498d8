"""`shfs`: the command line. Commands are loaded when they are called, so that each starts fast."""

import importlib
import json
import os
import sys
import traceback
from typing import Any

import click
from click.shell_completion import CompletionItem

from shfs.cli.options import printable
from shfs.errors import HostError, ShfsError

_COMMANDS = {
    "add": ("shfs.cli.add", "Add files, and folders of them."),
    "add-hls": ("shfs.cli.add_hls", "Add an HLS playlist and all that it names."),
    "apply": ("shfs.cli.apply", "Make the volume hold what a manifest says."),
    "backup": ("shfs.cli.backup", "Make a second copy of the hash table, or give it up."),
    "cat": ("shfs.cli.cat", "Write an object's bytes to standard output."),
    "check": ("shfs.cli.check", "Look for everything that is wrong with a volume."),
    "completion": ("shfs.cli.completion", "Print the script with which a shell completes what you type."),
    "default": ("shfs.cli.default", "Show, set or clear the object that is served for an empty request."),
    "export": ("shfs.cli.export", "Write the objects to files, with a manifest."),
    "import": ("shfs.cli.import_tar", "Add the files of a tar archive."),
    "info": ("shfs.cli.info", "Describe a volume: geometry, hash table, room."),
    "link": ("shfs.cli.link", "Add a link to what another server has."),
    "ls": ("shfs.cli.ls", "List the objects."),
    "mkfs": ("shfs.cli.mkfs", "Make a volume on files or devices."),
    "mount": ("shfs.cli.mount", "Mount a volume on a folder, to be read."),
    "rm": ("shfs.cli.rm", "Remove objects."),
    "serve": ("shfs.cli.serve", "Serve a volume by HTTP, for a look at it in a browser."),
    "site": ("shfs.cli.site", "Make a volume of a whole web site."),
    "stat": ("shfs.cli.stat", "Show everything that a volume says about objects."),
    "stats": ("shfs.cli.stats", "Show how often objects were asked for."),
    "trim": ("shfs.cli.trim", "Free the chunks of removed objects, once every reader has remounted."),
    "undelete": ("shfs.cli.undelete", "Have removed objects back."),
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


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"shfs, version {version('jitsu')}, of the format SHFS 2.01")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Make, fill, check and serve SHFS volumes, the content disks of MiniCache.

    A volume is given as its one member, in front of what else a command takes, or with -v for each member.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no volume or a damaged one, 4 this machine lacks or refuses
    something, 5 somebody else is changing the volume, 6 no room, 7 no such object or one already, 8 unusable input,
    9 the check found faults, 130 interrupted.
    """
    ctx.color = _colour()


def main(arguments: list[str] | None = None) -> None:
    """The entry point: errors meant to be read become two lines (or JSON) on stderr and their exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        outcome = cli.main(args=given, prog_name="shfs", standalone_mode=False)
    except ShfsError as error:
        if "--debug" in given:
            traceback.print_exc()
        _report(error, as_json=_wants_json(given))
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read us has seen enough.
        _leave_output()
        sys.exit(1)
    except OSError as error:
        # What reads or writes a file says which: this is where we print.
        _leave_output()
        refusal = HostError(
            f"{error.filename or 'the output'} cannot be written: {error.strerror}", hint="make room where it goes"
        )
        _report(refusal, as_json=_wants_json(given))
        sys.exit(refusal.exit_code)
    sys.exit(outcome if isinstance(outcome, int) else 0)


def _leave_output() -> None:
    """What is still in the buffer must not be tried again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: ShfsError, *, as_json: bool) -> None:
    """Print an error: two lines for people, one object for programs."""
    if as_json:
        click.echo(json.dumps(error.as_json()), err=True)
        return
    click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(error.message)}", err=True, color=_colour())
    if error.hint:
        click.echo(f" {click.style('hint:', bold=True)} {printable(error.hint)}", err=True, color=_colour())


def _colour() -> bool | None:
    """What click is told about colours: never with NO_COLOR, else where there is a terminal."""
    return False if os.environ.get("NO_COLOR") else None


def _wants_json(arguments: list[Any]) -> bool:
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    joined = ("-ojson", "--output=json")
    return any(a in joined or (a in ("-o", "--output") and b == "json") for a, b in pairs)


if __name__ == "__main__":
    main()
