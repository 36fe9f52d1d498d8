"""What pyproject.toml cannot say: with JITSU_COMPILED=1 in the environment the XenStore is compiled by mypyc.

A wheel then has the sources, and beside them what was made of them, which Python takes first.
"""

import os
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import setup

STORE = (
    *("wire", "paths", "permissions", "tree", "view", "draft", "operations", "transaction", "watches", "quotas"),
    *("domains", "peer", "lease", "accounts", "credit", "turns", "request", "store", "toolstack", "control"),
    *("transport", "server", "ring", "xen_rings"),
)
"""What a request passes through, of jitsu/xenstore."""


def compile_store() -> None:
    """Raises SystemExit, with what to install, where it cannot."""
    mypy = _mypy()
    if {"egg_info", "dist_info", "sdist"} & set(sys.argv):
        # pip asks what a build needs, and for metadata; with the answer it installs mypy for the build itself.
        setup(setup_requires=[mypy])
        return
    if "editable_wheel" in sys.argv:
        raise SystemExit("JITSU_COMPILED=1 does not go with an editable installation, whose sources change: without -e")
    compiler = os.environ.get("CC", "gcc").split()[0]
    if shutil.which(compiler) is None:
        raise SystemExit(f"JITSU_COMPILED=1 needs a C compiler, and there is no {compiler}: apt install gcc libc6-dev")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        raise SystemExit("JITSU_COMPILED=1 needs Python's C headers: apt install python3-dev")
    try:
        from mypyc.build import mypycify
    except ImportError as error:
        raise SystemExit(f"JITSU_COMPILED=1 needs mypy: pip install '{mypy}'") from error
    # Nothing is left beside the sources, and nothing of an earlier build gets into this one.
    with TemporaryDirectory(prefix="jitsu-compiled-") as folder:
        sources = [f"jitsu/xenstore/{name}.py" for name in STORE]
        modules = mypycify(sources, group_name="jitsu_xenstore", target_dir=folder)
        setup(ext_modules=modules, options={"build": {"build_base": folder}})


def _mypy() -> str:
    """The release that `make check` has."""
    project = tomllib.loads(Path(__file__).with_name("pyproject.toml").read_text())["project"]
    return next(wanted for wanted in project["optional-dependencies"]["dev"] if wanted.startswith("mypy=="))


if os.environ.get("JITSU_COMPILED") == "1":
    compile_store()
else:
    setup()
