"""The file of keys that guests sign their DNS updates with. It holds secrets, and is no part of jitsu.toml for that."""

import base64
import binascii
import stat
from pathlib import Path
from typing import Any

from jitsu.config.names import NAME, is_name
from jitsu.config.schema import KeyConfig
from jitsu.config.table import Table, parse
from jitsu.errors import ConfigError

_ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
_SHORTEST = 16
"""Octets of a secret: half of what the least hash puts out (RFC 8945 section 8)."""


def read_keys(path: Path) -> tuple[KeyConfig, ...]:
    """The keys in a file, which nobody but its owner and group may read. Raises ConfigError."""
    sections = _sections(path)
    if path.stat().st_mode & stat.S_IRWXO:
        raise ConfigError(f"{path} holds secrets, and everybody may read or write it", hint=f"chmod o= {path}")
    return tuple(_read_key(name, Table(path, f"key.{name}", data)) for name, data in sections.items())


def _sections(path: Path) -> dict[str, Any]:
    """The tables [key.NAME]."""
    data = parse(path, "name a readable file in [dns] keys")
    sections = data.pop("key", {})
    if data or not isinstance(sections, dict):
        raise ConfigError(f"{path}: only sections [key.NAME] are known here", hint="write: [key.web]")
    return sections


def _read_key(name: str, table: Table) -> KeyConfig:
    if len(name) > 200 or not is_name(name):
        table.wrong("", "has a name that cannot be", "use a domain name in lower case, as in web or web.example.org")
    algorithm = table.choice("algorithm", "hmac-sha256", _ALGORITHMS)
    secret = table.text("secret", hint=f"make one: tsig-keygen {name}, or: openssl rand -base64 32")
    try:
        octets = len(base64.b64decode(secret, validate=True))
    except (binascii.Error, ValueError):
        table.wrong("secret", "is not base64", "make one: openssl rand -base64 32")
    if octets < _SHORTEST:
        table.wrong("secret", f"has {octets} octets", f"use {_SHORTEST} or more: openssl rand -base64 32")
    services = table.texts("services", ())
    if not services or not all(NAME.fullmatch(service) for service in services):
        table.wrong("services", "names no service", f'say whose names may be written: services = ["{name}"]')
    table.done()
    return KeyConfig(name, algorithm, secret, services)
