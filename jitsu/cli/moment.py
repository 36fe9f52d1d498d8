"""A point in time as people give one on the command line: so long ago, or a date."""

import re
from datetime import UTC, datetime, timedelta

import click

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """The callback of an option: `10m` is ten minutes ago; a date without a zone is one of this machine's clock."""
    if value is None:
        return None
    try:
        if match := _AGO.fullmatch(value):
            return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{value!r} is no time; write 90s, 10m, 2h, 1d or 2026-11-23T10:00") from None
