"""`shfs check`: is a volume sound?"""

import click

from shfs.check import check
from shfs.cli.listing import print_listing
from shfs.cli.options import human, output_option, print_json, printable, split, volume_arguments
from shfs.cli.progress import bar
from shfs.errors import UnsoundVolume
from shfs.findings import Finding, Report


@click.command()
@volume_arguments()
@click.option("--no-data", is_flag=True, help="Do not read contents to compare them with their digests.")
@output_option
def command(members: tuple[str, ...], arguments: tuple[str, ...], no_data: bool, output: str) -> None:
    """Look for everything that is wrong with a volume, and say which object it is about.

    Ends with 0 if nothing is, or with 9. Notes are no faults: a sound volume may have what they tell.
    """
    paths, _ = split(members, arguments)
    with bar("checking") as progress:
        report = check(paths, data=not no_data, progress=progress)
    show(report, output)
    judge(report)


def show(report: Report, output: str) -> None:
    """Print the findings and, for people, a summary."""
    if output == "json":
        print_json([finding.as_json() for finding in report.findings])
        return
    if report.findings:
        rows = [(one.severity, one.where, _object(one), one.message) for one in report.findings]
        print_listing(("FINDING", "WHERE", "OBJECT", "WHAT"), rows)
    click.echo(
        f"volume {printable(report.volume)}: {report.errors} errors, {report.notes} notes; {report.files} files of "
        f"{human(report.bytes)}, {human(report.read)} compared with digests; "
        f"{report.links} links, {report.removed} removed objects"
    )


def judge(report: Report) -> None:
    """Raises UnsoundVolume if something is wrong."""
    if report.is_sound:
        return
    repairable = sum(finding.is_error and finding.repairable for finding in report.findings)
    raise UnsoundVolume(
        f"volume {report.volume} has {report.errors} faults",
        hint=f"`shfs check --repair` can mend {repairable} of them" if repairable else "take the volume from a copy",
    )


def _object(finding: Finding) -> str:
    if finding.digest is None:
        return finding.name or ""
    return f"{finding.digest.hex()} ({finding.name})"
