"""`jitsu image`."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from jitsu import artifacts
from jitsu.cli.options import output_option, print_json
from jitsu.errors import DomainError


class _Aliased(click.Group):
    """`ls` is what fingers type for `list`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, {"ls": "list"}.get(cmd_name, cmd_name))


def _complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in artifacts.recipes() if name.startswith(incomplete)]


@click.group("image", cls=_Aliased)
def command() -> None:
    """Guest images, built from the recipes of a checkout and cached by what went into them."""


@command.command("list")
@output_option
def list_recipes(output: str) -> None:
    """List the recipes (also: ls)."""
    recipes = [artifacts.read(name) for name in artifacts.recipes()]
    if output == "json":
        print_json([{"name": recipe.name, "description": recipe.description} for recipe in recipes])
        return
    for recipe in recipes:
        click.echo(f"{recipe.name:16} {recipe.description}")


@command.command("build", epilog="Example: jitsu image build hello")
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=_complete_recipe)
def build(names: tuple[str, ...]) -> None:
    """Build images, unless they are in the cache, and print the folder of each."""
    for name in names:
        click.echo(artifacts.build(name, say=lambda line: click.echo(line, err=True)))


@command.command("inspect", epilog="Example: jitsu image inspect hello; jitsu image inspect ./vmlinuz")
@click.argument("image", shell_complete=_complete_recipe)
@output_option
def inspect(image: str, output: str) -> None:
    """Say what a kernel image is, or what a recipe makes, under which key, and whether it is in the cache.

    A word that is the name of a recipe means the recipe; write ./NAME for a file that is called the same.
    """
    facts = _recipe(image) if image in artifacts.recipes() else _kernel(Path(image))
    if output == "json":
        print_json(facts)
        return
    kernels = facts.pop("kernels", [])
    for entry in (facts, *kernels):
        for name, value in entry.items():
            click.echo(f"{name.replace('_', ' ') + ':':15} {_shown(value)}")


@command.command("packages")
def packages() -> None:
    """Print the Debian packages that the recipes need, one a line."""
    for package in sorted({package for name in artifacts.recipes() for package in artifacts.read(name).packages}):
        click.echo(package)


def _recipe(name: str) -> dict[str, Any]:
    recipe = artifacts.read(name)
    key = artifacts.key(recipe)
    folder = artifacts.cache_folder() / f"{name}-{key}"
    made = [folder / output for output in recipe.outputs if (folder / output).is_file()]
    return {
        "recipe": name,
        "description": recipe.description,
        "key": key,
        "cached": folder.is_dir(),
        "folder": str(folder),
        "needs": list(recipe.needs),
        "packages": list(recipe.packages),
        "outputs": list(recipe.outputs),
        "kernels": list(_kernels(made)),
    }


def _kernels(made: list[Path]) -> Iterator[dict[str, Any]]:
    for path in made:
        # Recipes also make what is no kernel: an initrd, sources.
        with suppress(DomainError):
            yield _kernel(path)


def _kernel(path: Path) -> dict[str, Any]:
    from jitsu.domains.kernel import recognise
    from jitsu.domains.qemu_spec import LEAST_MEMORY

    kernel = recognise(path)
    return {
        "kernel": str(path),
        "format": kernel.format.value,
        "size": path.stat().st_size,
        "end": kernel.end,
        "least_memory": max(LEAST_MEMORY, kernel.end),
    }


def _shown(value: str | int | bool | list[str]) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "-"
    return f"{value:,} bytes" if isinstance(value, int) else value
