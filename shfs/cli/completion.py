"""`shfs completion`."""

import click
from click.shell_completion import get_completion_class


@click.command("completion", epilog="Example: shfs completion bash > /etc/bash_completion.d/shfs")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands and options."""
    completer = get_completion_class(shell)
    if completer is None:  # The shells above are those that click comes with.
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(completer(ctx.find_root().command, {}, "shfs", "_SHFS_COMPLETE").source())
