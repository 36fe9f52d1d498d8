"""What `shfs apply` and `shfs add-hls` have in common: a plan is made, shown, and carried out."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from shfs.cli.options import console, human, output_option, printable
from shfs.cli.progress import bar
from shfs.fingerprint import Fingerprints
from shfs.fit import fit
from shfs.plan import Action, Plan, Step, make_plan
from shfs.volume import StoredObject, Volume
from shfs.wanted import Wanted, WantedFile

Progress = Callable[[int, int], None]
"""Is told the bytes that are done, and all."""

_STYLES = {Action.ADD: "green", Action.REPLACE: "yellow", Action.CHANGE: "yellow", Action.REMOVE: "red"}


@dataclass(frozen=True, slots=True)
class Planning:
    """The values of the options that both commands have."""

    dry_run: bool
    compat_digest: bool
    reuse_removed: bool
    output: str


def planning_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options, given to the function as `planning`."""

    def gathered(dry_run: bool, compat_digest: bool, reuse_removed: bool, output: str, **others: Any) -> None:
        function(planning=Planning(dry_run, compat_digest, reuse_removed, output), **others)

    gathered.__doc__ = function.__doc__
    for option in (
        output_option,
        click.option(
            "--reuse-removed",
            is_flag=True,
            help="All readers have remounted: use chunks of removed objects, as if trimmed.",
        ),
        click.option(
            "--compat-digest",
            is_flag=True,
            help="Digests as the original makes them: a last chunk that is full is left out.",
        ),
        click.option(
            "-n", "--dry-run", is_flag=True, help="Only say what would be done, and whether there is room for it."
        ),
    ):
        gathered = option(gathered)
    return gathered


def carry_out(
    paths: Sequence[str],
    planning: Planning,
    ask: Callable[[Volume, Progress], tuple[Wanted, Fingerprints]],
    *,
    keep: bool,
    sure: bool = True,
) -> dict[str, Any]:
    """Make the volume hold what `ask` says of it; returns what was done, for programs. Unless the caller is `sure`,
    somebody at a terminal is asked before objects go."""
    with Volume.open(paths, write=not planning.dry_run) as volume:
        with bar(None if planning.output == "json" else "reading") as progress:
            wanted, fingerprints = ask(volume, progress)
            plan = make_plan(volume, wanted, fingerprints, keep=keep, progress=progress)
        if planning.output == "table":
            _show(volume, plan)
        room = fit(volume, plan, reuse_removed=planning.reuse_removed)
        if planning.output == "table" and not plan.is_empty:
            counts = ", ".join(f"{plan.count(action)} to {action.value}" for action in Action)
            click.echo(f"{counts}, {plan.unchanged} stay; {room.needed} chunks are needed, and {room.free} free")
            if not sure and sys.stdin.isatty() and (plan.count(Action.REMOVE) or plan.count(Action.REPLACE)):
                click.confirm("Is this to be done?", abort=True)
        done = not planning.dry_run and not plan.is_empty
        if done:
            with (
                bar(None if planning.output == "json" else "writing") as progress,
                volume.batch(
                    compat_digest=planning.compat_digest,
                    reuse_removed=planning.reuse_removed,
                    provider=fingerprints.provider,
                ) as batch,
            ):
                plan.carry_out(volume, batch, progress)
    if done and planning.output == "table":
        click.echo("done")
    return plan.as_json() | {"chunks": {"needed": room.needed, "free": room.free}, "done": done}


def _show(volume: Volume, plan: Plan) -> None:
    if plan.is_empty:
        click.echo(f"nothing to do: {plan.unchanged} objects are as they should be")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(justify="left", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for step in plan.steps:
        size = human(step.size) if _is_file(step) else ""
        table.add_row(Text(step.action.value, style=_STYLES[step.action]), size, Text(_told(step)))
    if plan.default_before != plan.default_after:
        table.add_row(Text("default", style="yellow"), "", Text(_told_default(volume, plan)))
    console().print(table)


def _is_file(step: Step) -> bool:
    return isinstance(step.wanted, WantedFile) or (step.wanted is None and step.old is not None and not step.old.link)


def _told(step: Step) -> str:
    """The object, and what changes of its entry."""
    old, name = step.old, printable(step.name or f"?{step.digest.hex()}")
    if step.action is Action.CHANGE and old is not None:
        told = [
            f"{key} {printable(was or '(none)')} -> {printable(will or '(none)')}"
            for key, was, will in _changes(step, old)
        ]
        return f"{name}: {', '.join(told)}"
    if step.target is not None:
        return f"{name} -> {printable(step.target.url)}"
    if step.action is Action.REMOVE and old is not None and old.target:
        return f"{name} -> {printable(old.target)}"
    return f"{name}  {printable(step.wanted.mime)}" if isinstance(step.wanted, WantedFile) else name


def _changes(step: Step, old: StoredObject) -> list[tuple[str, str, str]]:
    """Each field that changes: what, from what, to what."""
    if isinstance(step.wanted, WantedFile):
        one = step.wanted
        pairs = [
            ("name", old.name, step.name),
            ("type", old.mime, one.mime),
            ("encoding", old.encoding, one.encoding),
        ]
    elif step.wanted is not None:
        target = "" if step.target is None else step.target.url
        pairs = [
            ("name", old.name, step.name),
            ("target", old.target or "", target),
            ("type", old.type, step.wanted.kind.name.lower()),
        ]
    else:
        pairs = []
    return [pair for pair in pairs if pair[1] != pair[2]]


def _told_default(volume: Volume, plan: Plan) -> str:
    before = {item.digest: item.name for item in volume.objects()}
    after = before | {step.digest: step.name for step in plan.steps if step.action is not Action.REMOVE}
    return f"{_called(plan.default_before, before)} -> {_called(plan.default_after, after)}"


def _called(digest: bytes | None, names: dict[bytes, str]) -> str:
    return "none" if digest is None else printable(names[digest] or f"?{digest.hex()}")
