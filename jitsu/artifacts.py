"""Recipes, and the cache of what they made.

A recipe is a folder below images/ with a `recipe.toml` and an executable `build`. What it makes is kept outside the
checkout, in a folder named after the hash of everything that went into it: the files it reads, the versions of the
Debian packages it needs, and the keys of the recipes it stands on. A recipe that did not change is never built twice.

One that makes the same for several machines has variants, and a name for each: `dom0@armhf`, `dom0@amd64`. A need that
ends in an `@`, as `tinyx@`, is the same variant of another recipe.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from jitsu.errors import ArtifactError

RECIPES = Path(__file__).resolve().parent.parent / "images"


def cache_folder() -> Path:
    """Where built things live: $JITSU_CACHE, or jitsu below the user's cache folder."""
    chosen = os.environ.get("JITSU_CACHE")
    if chosen:
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "jitsu"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One recipe.toml. `inputs` are files and folders, `needs` names of recipes, `packages` of Debian packages.

    `variant` is what stands in the name behind the `@`, or nothing.
    """

    name: str
    variant: str
    folder: Path
    description: str
    inputs: tuple[Path, ...]
    needs: tuple[str, ...]
    packages: tuple[str, ...]
    outputs: tuple[str, ...]


def recipes() -> list[str]:
    """The names of all recipes, and of one with variants those. Raises ArtifactError for one that is no TOML."""
    return [name for path in sorted(RECIPES.glob("*/recipe.toml")) for name in _names(path.parent.name)]


def read(name: str) -> Recipe:
    """The recipe of that name. Raises ArtifactError."""
    base, _, variant = name.partition("@")
    folder = RECIPES / base
    if not (folder / "recipe.toml").is_file():
        raise ArtifactError(f"there is no recipe {name}", hint="the recipes are: " + ", ".join(recipes()))
    if name not in _names(base):
        raise ArtifactError(f"there is no recipe {name}", hint="it has variants: " + ", ".join(_names(base)))
    data = _data(base)
    for wanted in ("description", "outputs"):
        if wanted not in data:
            raise ArtifactError(f"recipe {name} has no {wanted}", hint=f"add it to {folder}/recipe.toml")
    return Recipe(
        name=name,
        variant=variant,
        folder=folder,
        description=data["description"],
        inputs=tuple((folder / path).resolve() for path in data.get("inputs", ["."])),
        needs=tuple(need + variant if need.endswith("@") else need for need in data.get("needs", ())),
        packages=tuple(data.get("packages", ())),
        outputs=tuple(data["outputs"]),
    )


def key(recipe: Recipe) -> str:
    """The hash of everything that goes into the recipe, 16 hexadecimal digits. Raises ArtifactError."""
    digest = sha256()
    if recipe.variant:
        digest.update(f"variant {recipe.variant}\n".encode())
    for path in recipe.inputs:
        if not path.exists():
            raise ArtifactError(f"recipe {recipe.name} has no input {path}", hint=f"mend {recipe.folder}/recipe.toml")
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                content = sha256(file.read_bytes()).hexdigest()
                digest.update(f"{os.path.relpath(file, RECIPES)} {os.access(file, os.X_OK)} {content}\n".encode())
    for package in recipe.packages:
        digest.update(f"{package} {_version(package)}\n".encode())
    for need in recipe.needs:
        digest.update(f"{need} {key(read(need))}\n".encode())
    return digest.hexdigest()[:16]


def build(name: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """The folder with the recipe's outputs, built now if it is not in the cache.

    `say` is told, in one line each, what is being built. Two processes that want the same thing build it once.
    Raises ArtifactError with the last lines of the build's output and the path of all of it.
    """
    recipe = read(name)
    kept = f"{name}-{key(recipe)}"
    # What it stands on need not be there any more if it is itself.
    if (cache_folder() / kept).is_dir():
        return cache_folder() / kept
    needs = {f"NEED_{_word(need)}": str(build(need, say)) for need in recipe.needs}

    def make(out: Path, work: Path) -> None:
        say(f"building {name}: {recipe.description}")
        _build(recipe, out, work, _beside(cache_folder() / kept, ".log"), needs)

    return keep(kept, make)


def keep(name: str, make: Callable[[Path, Path], None]) -> Path:
    """The folder `name` of the cache, made now if it is not there: `make` gets the folder to fill, and one for scratch.

    The name has the hash of all that the content depends on. Two processes that want the same thing make it once, and
    one that `make` raised for is not there.
    """
    made = cache_folder() / name
    if made.is_dir():
        return made
    with _lock(made):
        if not made.is_dir():
            with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=made.parent) as scratch:
                out, work = Path(scratch, "out"), Path(scratch, "work")
                out.mkdir()
                work.mkdir()
                make(out, work)
                out.rename(made)
    return made


def _build(recipe: Recipe, out: Path, work: Path, log: Path, needs: dict[str, str]) -> None:
    own = {"OUT": str(out), "WORK": str(work), "VARIANT": recipe.variant, "PYTHON": sys.executable}
    with log.open("wb") as output:
        try:
            ended = subprocess.run(
                ["./build"],
                cwd=recipe.folder,
                env=os.environ | needs | own,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        except OSError as error:
            raise ArtifactError(
                f"recipe {recipe.name} cannot be run: {error.strerror}", hint=f"look at {recipe.folder}/build"
            ) from error
    if ended != 0:
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it printed nothing"]
        raise ArtifactError(f"recipe {recipe.name} failed: {last[0]}", hint=f"all it said is in {log}")
    missing = [output for output in recipe.outputs if not (out / output).exists()]
    if missing:
        raise ArtifactError(f"recipe {recipe.name} did not make {missing[0]}", hint=f"all it said is in {log}")
    log.unlink()


def _names(base: str) -> list[str]:
    """What the recipe in that folder is called: one name, or one for each variant."""
    variants = _data(base).get("variants", ())
    return [f"{base}@{variant}" for variant in variants] or [base]


def _data(base: str) -> dict[str, Any]:
    path = RECIPES / base / "recipe.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ArtifactError(f"recipe {base} is not TOML: {error}", hint=f"mend {path}") from error


def _word(name: str) -> str:
    """The name as a part of a variable's."""
    return name.upper().replace("-", "_").replace("@", "_")


@contextmanager
def _lock(made: Path) -> Iterator[None]:
    made.parent.mkdir(parents=True, exist_ok=True)
    # The file stays: were it removed, a third process could lock a new one while a second waits for the old.
    with _beside(made, ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _beside(made: Path, suffix: str) -> Path:
    """A file for what is made, named like it. A recipe's name may have dots in it, which are no suffix of ours."""
    return made.with_name(made.name + suffix)


def _version(package: str) -> str:
    """The installed version of a Debian package. Raises ArtifactError if it is not installed."""
    if shutil.which("dpkg-query") is None:
        raise ArtifactError("recipes are built on Debian, and there is no dpkg-query", hint="use Debian 12")
    asked = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", package]
    status, _, version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.partition(" ")
    if status != "installed":
        raise ArtifactError(
            f"package {package} is not installed", hint=f"install it with: make setup (or apt-get install {package})"
        )
    return version
