"""`shfs` as it is called: arguments and standard input in, exit code and both outputs back."""

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from shfs.cli.main import main
from tests.unit.shfs_decoder import Volume


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def shfs(*arguments: object, stdin: bytes = b"") -> Ran:
    """Run it in this process; paths are as the system has them."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with _standard_input(stdin), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        with pytest.raises(SystemExit) as ended:
            main([os.fspath(one) if isinstance(one, os.PathLike) else str(one) for one in arguments])
        out.flush()
        err.flush()
    code = ended.value.code
    assert isinstance(code, int)
    return Ran(code, out.buffer.getvalue().decode(), err.buffer.getvalue().decode())  # type: ignore[attr-defined]


def done(*arguments: object, stdin: bytes = b"") -> Ran:
    """Run it; it must succeed."""
    ran = shfs(*arguments, stdin=stdin)
    assert ran.code == 0, ran.err
    return ran


def failed(code: int, *arguments: object, stdin: bytes = b"") -> str:
    """Run it; it must fail with that code, in two lines at the end of what it has to say, which are returned."""
    ran = shfs(*arguments, stdin=stdin)
    assert ran.code == code, ran.err
    message, hint = ran.err.splitlines()[-2:]
    assert message.startswith("error: ")
    assert hint.startswith(" hint: ")
    return f"{message}\n{hint}"


def names(image: Path) -> dict[str, bytes]:
    """What the referee reads: contents of files by name. The volume must be sound."""
    volume = Volume.read([image])
    assert volume.findings() == []
    return {slot.name.decode("utf-8", "surrogateescape"): volume.content(slot) for slot in volume.live}


@contextlib.contextmanager
def _standard_input(data: bytes) -> Iterator[None]:
    """As descriptor 0 and as sys.stdin."""
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as undo:
        file.write(data)
        file.seek(0)
        kept = os.dup(0)
        undo.callback(os.close, kept)
        os.dup2(file.fileno(), 0)
        undo.callback(os.dup2, kept, 0)
        with open(0, encoding="utf-8", closefd=False) as stdin, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", stdin)
            yield
