"""Manual pages as the tests read them, and commands as click has them."""

import re
from pathlib import Path

import click

PAGES = Path(__file__).resolve().parents[2] / "docs" / "man"

OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z0-9][a-z-]*")


def sections(page: str, macro: str) -> dict[str, str]:
    """The parts of a page below each heading of that macro (SH or SS), without roff's escapes."""
    text = (PAGES / page).read_text(encoding="utf-8").replace("\\-", "-")
    text = re.sub(r"\\f[BIR]", "", text)
    parts = re.split(rf"^\.{macro} (.*)\n", text, flags=re.MULTILINE)[1:]
    bodies = [re.split(r"^\.SH ", body, flags=re.MULTILINE)[0] for body in parts[1::2]]
    return {heading.strip('"'): body for heading, body in zip(parts[::2], bodies, strict=True)}


def tags(body: str) -> list[str]:
    """What is explained: the line after each .TP and .TQ, without macro and quotes."""
    return [re.sub(r'^\.[A-Z]+ |"', "", line) for line in re.findall(r"^\.T[PQ]\n(.*)$", body, flags=re.MULTILINE)]


def commands(group: click.Group, path: str) -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = f"{path} {name}"
        found |= commands(command, inner) if isinstance(command, click.Group) else {inner: command}
    return found


def options(command: click.Command) -> set[str]:
    return {name for param in command.params if isinstance(param, click.Option) for name in param.opts}


def told_commands(page: str) -> dict[str, str]:
    """The part of a page about each command, by the command without its arguments."""
    program = page.partition(".")[0]
    headed = {re.match(r"[a-z -]*[a-z]", heading): body for heading, body in sections(page, "SS").items()}
    return {
        match[0]: body for match, body in headed.items() if match is not None and match[0].startswith(f"{program} ")
    }
