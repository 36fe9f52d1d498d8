"""What a service's console log holds, read as `jitsu logs` reads it."""

from pathlib import Path

from jitsu.domains.console import ConsoleReader


def kept_console(directory: Path, service: str = "hello") -> list[str]:
    """Every line that is kept, oldest first; none when the service has never printed."""
    reader = ConsoleReader(directory, service)
    try:
        return reader.read()
    finally:
        reader.close()
