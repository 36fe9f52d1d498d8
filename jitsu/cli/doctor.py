"""`jitsu doctor`."""

from dataclasses import asdict
from pathlib import Path

import click

from jitsu.cli.options import console, output_option, print_json
from jitsu.config import DEFAULT_PATH

_MARKS = {"ok": "[green]ok  [/]", "note": "[yellow]note[/]", "bad": "[bold red]bad [/]"}


@click.command("doctor", epilog="Example: jitsu doctor -c jitsu.toml")
@click.option(
    "-c", "--config", "path", metavar="FILE", envvar="JITSU_CONFIG", default=str(DEFAULT_PATH), show_default=True
)
@output_option
def command(path: str, output: str) -> int:
    """Look for what would keep jitsu from working here. Each finding has its cure; the exit code is 1 if one is bad."""
    from jitsu.daemon.diagnosis import diagnose

    findings = diagnose(Path(path))
    if output == "json":
        print_json([asdict(finding) for finding in findings])
    else:
        from rich.markup import escape

        out = console()
        for finding in findings:
            out.print(f"{_MARKS[finding.state]} {escape(f'{finding.subject}: {finding.message}')}")
            if finding.cure:
                out.print(f"     [dim]cure:[/] {escape(finding.cure)}")
    return 1 if any(finding.state == "bad" for finding in findings) else 0
