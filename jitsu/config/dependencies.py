"""Who must serve before whom: that all of them exist, and that nobody waits for itself."""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from jitsu.config.schema import ServiceConfig
from jitsu.errors import ConfigError

_MOST_NAMED = 20


def check_dependencies(path: Path, services: Mapping[str, ServiceConfig]) -> None:
    """Raises ConfigError if a service depends on one that is not there, or, round some corners, on itself."""
    for service in services.values():
        for name in service.depends:
            if name not in services:
                known = ", ".join(list(services)[:_MOST_NAMED])
                raise ConfigError(
                    f"{path}: [service.{service.name}] depends on {name!r}, which is no service",
                    hint=f"the services are: {known}{', ...' if len(services) > _MOST_NAMED else ''}",
                )
    circle = circle_in(services)
    if circle:
        raise ConfigError(
            f"{path}: [service.{circle[0]}] depends on itself: {' -> '.join(circle)}",
            hint="take one of them out of the other's depends",
        )


def circle_in(services: Mapping[str, ServiceConfig]) -> list[str]:
    """Services that wait for each other in a circle, from whoever waits to whoever is waited for, if there are any."""
    try:
        TopologicalSorter({each.name: each.depends for each in services.values() if each.depends}).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []
