"""`shfs check`: is a volume sound?"""

import click

from shfs.check import check
from shfs.cli.listing import print_listing
from shfs.cli.options import human, output_option, print_json, printable, split, volume_arguments
from shfs.cli.progress import bar
from shfs.errors import UnsoundVolume
from shfs.findings import Report


@click.command()
@volume_arguments()
@click.option("--no-data", is_flag=True, help="Do not read contents to compare them with their digests.")
@click.option("--repair", "mend", is_flag=True, help="Set right what something says how to; then check again.")
@click.option("--remove-damaged", is_flag=True, help="With --repair: remove objects that are damaged.")
@click.option("-n", "--dry-run", is_flag=True, help="With --repair: only say what would be done.")
@output_option
def command(
    members: tuple[str, ...],
    arguments: tuple[str, ...],
    no_data: bool,
    mend: bool,
    remove_damaged: bool,
    dry_run: bool,
    output: str,
) -> None:
    """Look for everything that is wrong with a volume, and say which object it is about.

    Ends with 0 if nothing is, or with 9. Notes are no faults: a sound volume may have what they tell.
    """
    paths, _ = split(members, arguments)
    if not mend:
        if remove_damaged or dry_run:
            raise click.UsageError("--remove-damaged and --dry-run go with --repair")
        with bar("checking") as progress:
            report = check(paths, data=not no_data, progress=progress)
        if output == "json":
            print_json([finding.as_json() for finding in report.findings])
        else:
            show(report)
        judge(report)
        return
    from shfs.repair import repair

    with bar("checking") as progress:
        repairs, report = repair(
            paths, remove_damaged=remove_damaged, dry_run=dry_run, data=not no_data, progress=progress
        )
    if output == "json":
        findings = [finding.as_json() for finding in report.findings]
        print_json({"repairs": [one.as_json() for one in repairs], "findings": findings})
    else:
        if repairs:
            rows = [(one.where, _object(one.digest, one.name), one.message) for one in repairs]
            print_listing(("TO REPAIR" if dry_run else "REPAIRED", "OBJECT", "HOW"), rows)
            click.echo()
        show(report)
    judge(report)


def show(report: Report) -> None:
    """Print the findings and a summary."""
    if report.findings:
        rows = [(one.severity, one.where, _object(one.digest, one.name), one.message) for one in report.findings]
        print_listing(("FINDING", "WHERE", "OBJECT", "WHAT"), rows)
    click.echo(
        f"volume {printable(report.volume)}: errors {report.errors}, notes {report.notes}; files {report.files} "
        f"({human(report.bytes)}, {human(report.read)} compared with digests), links {report.links}, "
        f"removed {report.removed}"
    )


def judge(report: Report) -> None:
    """Raises UnsoundVolume if something is wrong."""
    if report.is_sound:
        return
    errors = [finding for finding in report.findings if finding.is_error]
    repairable = sum(finding.repairable for finding in errors)
    if repairable:
        hint = f"`shfs check --repair` can mend {repairable} of them"
    elif any(finding.slot is not None for finding in errors):
        hint = "take the objects from a copy; `shfs check --repair --remove-damaged` removes damaged ones"
    else:
        hint = "take the volume from a copy"
    raise UnsoundVolume(f"the check of volume {report.volume} found errors: {len(errors)}", hint=hint)


def _object(digest: bytes | None, name: str | None) -> str:
    return (name or "") if digest is None else f"{digest.hex()} ({name})"
