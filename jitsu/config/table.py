"""One TOML table being read, key by key; every finding names the file, the section and the key."""

import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, NoReturn

from jitsu.errors import ConfigError

_SIZE = re.compile(r"(\d{1,9})\s*(KiB|MiB|GiB)")
_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def parse(path: Path, hint: str) -> dict[str, Any]:
    """The tables of a TOML file; `hint` is the way out if it cannot be read. Raises ConfigError."""
    return parse_text(path, text_of(path, hint))


def text_of(path: Path, hint: str) -> str:
    """What is in a file; `hint` is the way out if it cannot be read. Raises ConfigError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        one = hint.replace("a readable file", "one")
        raise ConfigError(f"there is no configuration file {path}", hint=one) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path} cannot be read: {reason}", hint=hint) from error


def parse_text(path: Path, text: str) -> dict[str, Any]:
    """The tables of the TOML that is in the file at `path`. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # TOMLDecodeError is a ValueError; so is a number of thousands of digits, which tomllib lets pass.
        raise ConfigError(f"{path} is not TOML: {error}", hint="mend that line; strings want quotes") from error


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that is in effect, its value as TOML has it; `stated` if the file says so, else it is a default."""

    section: str
    key: str
    value: Any
    stated: bool


class Table:
    """One TOML table being read. Keys are taken out one by one; what is left at the end nobody knows.

    What is in effect is appended to `settings`, for those who want to know: ten thousand services have 200,000 keys.
    """

    def __init__(self, path: Path, name: str, data: Any, settings: list[Setting] | None = None) -> None:
        self.path, self.name = path, name
        if not isinstance(data, dict):
            raise ConfigError(f"{path}: {name} is not a table", hint=f"write it as a section: [{name}]")
        self._left: dict[str, Any] = dict(data)
        self._known: list[str] = []
        self._settings = settings

    def wrong(self, key: str, problem: str, hint: str) -> NoReturn:
        raise ConfigError(" ".join(filter(None, (f"{self.path}: [{self.name}]", key, problem))), hint=hint)

    def has(self, key: str) -> bool:
        self._known.append(key)
        return key in self._left

    def text(self, key: str, default: str | None = None, hint: str = "") -> str:
        value = self._take(key, default, hint or f'add a line: {key} = "..."')
        if not isinstance(value, str):
            self.wrong(key, f"is {_kind(value)}, not text", f'write it in quotes: {key} = "..."')
        return value

    def choice(self, key: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key, default)
        if value not in allowed and value != default:
            self.wrong(key, f"cannot be {value!r}", "use one of: " + ", ".join(allowed))
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self._take(key, default, "")
        if not isinstance(value, bool):
            self.wrong(key, f"is {_kind(value)}, not true or false", f"write: {key} = true")
        return value

    def number(self, key: str, default: int, low: int, high: int) -> int:
        value = self._take(key, default, "")
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.wrong(key, f"cannot be {value!r}", f"use a whole number from {low} to {high}")
        return value

    def seconds(self, key: str, default: float, low: float) -> float:
        value = self._take(key, default, "")
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= 1e8:
            self.wrong(key, f"cannot be {value!r}", f"use a number of seconds, at least {low:g}")
        return float(value)

    def size(self, key: str, default: str, low: int) -> int:
        value = self.text(key, default)
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            self.wrong(key, f"cannot be {value!r}", 'write a size with its unit, as in "64 MiB" (KiB, MiB, GiB)')
        size = int(match[1]) * _UNITS[match[2]]
        if size < low:
            self.wrong(key, f"is too small: {value!r}", f"give it at least {low >> 20} MiB")
        return size

    def file(self, key: str) -> Path:
        """A path; a relative one is looked for beside the configuration file."""
        value = self.text(key)
        if not value:
            self.wrong(key, "is empty", "name a file")
        return self.beside(key, value)

    def beside(self, key: str, value: str) -> Path:
        """The path that `value`, of that key, stands for."""
        if "\0" in value:
            self.wrong(key, f"cannot be {value!r}", "no file name has a NUL character in it")
        return _beside(self.path, value)

    def ipv4(self, key: str, default: str | None = None) -> IPv4Address:
        value = self.text(key, default, f'add a line: {key} = "10.77.0.10"')
        try:
            return IPv4Address(value)
        except AddressValueError:
            self.wrong(key, f"is not an IPv4 address: {value!r}", "write it as four numbers, as in 10.77.0.10")

    def ipv6(self, key: str, default: str | None = None) -> IPv6Address:
        value = self.text(key, default, f'add a line: {key} = "fd77::10"')
        try:
            address = IPv6Address(value)
        except AddressValueError:
            self.wrong(key, f"is not an IPv6 address: {value!r}", "write it in hexadecimal groups, as in fd77::10")
        if address.scope_id is not None:
            self.wrong(key, f"names an interface: {value!r}", "leave out the % and what follows it")
        return address

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._take(key, list(default), "")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.wrong(key, "is not a list of texts", f'write it in brackets: {key} = ["...", "..."]')
        return tuple(value)

    def done(self) -> None:
        """Nothing may be left over: a misspelt key must not be silently without effect."""
        for key in self._left:
            self.wrong(key, "is not a key that exists", "the keys here are: " + ", ".join(sorted(set(self._known))))

    def _take(self, key: str, default: Any, hint: str) -> Any:
        self._known.append(key)
        stated = key in self._left
        if not stated and default is None:
            self.wrong(key, "is missing", hint)
        value = self._left.pop(key) if stated else default
        if self._settings is not None:
            self._settings.append(Setting(self.name, key, value, stated))
        return value


@lru_cache(maxsize=1024)
def _beside(file: Path, name: str) -> Path:
    """One object for all the services that have this kernel."""
    return (file.parent / name).absolute()


def _kind(value: object) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}
    return kinds.get(type(value), "something else")
