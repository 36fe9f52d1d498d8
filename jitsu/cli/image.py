"""`jitsu image`."""

import click

from jitsu import artifacts
from jitsu.cli.options import output_option, print_json


@click.group("image")
def command() -> None:
    """Guest images, built from the recipes of a checkout and cached by what went into them."""


@command.command("list")
@output_option
def list_recipes(output: str) -> None:
    """List the recipes."""
    recipes = [artifacts.read(name) for name in artifacts.recipes()]
    if output == "json":
        print_json([{"name": recipe.name, "description": recipe.description} for recipe in recipes])
        return
    for recipe in recipes:
        click.echo(f"{recipe.name:14} {recipe.description}")


@command.command("build", epilog="Example: jitsu image build hello")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def build(names: tuple[str, ...]) -> None:
    """Build images, unless they are in the cache, and print the folder of each."""
    for name in names:
        click.echo(artifacts.build(name, say=lambda line: click.echo(line, err=True)))


@command.command("packages")
def packages() -> None:
    """Print the Debian packages that the recipes need, one a line."""
    for package in sorted({package for name in artifacts.recipes() for package in artifacts.read(name).packages}):
        click.echo(package)
