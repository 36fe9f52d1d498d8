"""The commands, killed after each thing that they do to files: another process finds the old volume or the new one."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from shfs.cli.main import main
from shfs.errors import InputError, VolumeError
from tests.unit import shfs_decoder as decoder
from tests.unit.shfs_crash_scene import CONTENTS, NEW, NOW, VOLUMES, Scene, States, View, as_decoded, as_ours
from tests.unit.shfs_disk import Files, Recorder

# Each command, and the volume on which it is killed where not all are gone through.
_COMMANDS: dict[str, tuple[str, list[str]]] = {
    "add one": ("one member", ["add", "new-20000"]),
    "add several": ("two independent", ["add", "new-1", "new-4097", "new-12288"]),
    "use chunks of removed objects": ("one member", ["add", "--reuse-removed", "new-4096", "new-100"]),
    "link": ("backup table", ["link", "http://example.com/live"]),
    "remove one": ("three combined", ["rm", "page"]),
    "remove several": ("one member", ["rm", "page", "last", "image"]),
    "another default": ("two independent", ["default", "image"]),
    "trim": ("backup table", ["trim"]),
    "apply": ("two independent", ["apply", "manifest.toml"]),
}


_MANIFEST = """
default = "page"
object = [{ path = "new-4096", name = "page" }, { path = "new-100" }, { path = "new-0" }]
link = [{ url = "http://example.net/", name = "net" }]
"""


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run of a command makes the same entries."""
    monkeypatch.setattr("shfs.batch.time", SimpleNamespace(time=lambda: NOW))


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Files to be added."""
    folder = tmp_path / "sources"
    folder.mkdir()
    for name in NEW:
        (folder / name).write_bytes(CONTENTS[name])
    (folder / "manifest.toml").write_text(_MANIFEST)
    return folder


def _scene(folder: Path, name: str) -> Scene:
    """A volume of this kind."""
    folder.mkdir()
    members, options = VOLUMES[name]
    scene = Scene(folder, members)
    scene.make(**options)
    return scene


def _run(scene: Scene, arguments: list[str], *, kill_after: int) -> int:
    """The command in a process of its own, which kills itself after so many calls. How it ended, as `os.waitpid` does
    say. The process is forked: its Python and its modules are those of the tests."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 70
    try:
        recorder = Recorder(scene.folder, noted=lambda: _end(recorder, kill_after))
        with recorder:
            main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)


def _end(recorder: Recorder, kill_after: int) -> None:
    if len(recorder.log) == kill_after:
        os.kill(os.getpid(), signal.SIGKILL)


def _kill_everywhere(scene: Scene, before: Files, arguments: list[str], judge: Callable[[Files, str], None]) -> int:
    """Run the command until it is not killed any more. How many times it was."""
    for calls in range(1, 1000):
        scene.put(before)
        status = _run(scene, arguments, kill_after=calls)
        judge(scene.files(), f"killed after call {calls}")
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            return calls - 1
        assert os.WTERMSIG(status) == signal.SIGKILL
    raise AssertionError("it never ends")


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_command_that_is_killed(tmp_path: Path, sources: Path, name: str, full: bool) -> None:
    volume, (command, *arguments) = _COMMANDS[name]
    given = [str(sources / part) if (sources / part).exists() else part for part in arguments]
    for kind in VOLUMES if full else [volume]:
        scene = _scene(tmp_path / kind, kind)
        before, files = scene.decoded(), scene.files()
        line = [command, *(part for path in scene.paths for part in ("-v", path)), *given]
        assert _run(scene, line, kill_after=0) == 0
        states = States.of(before, scene.decoded())
        assert any(len(slots) == 2 for slots in states.slots)

        def judge(left: Files, what: str, scene: Scene = scene, states: States = states) -> None:
            scene.judge(left, states, states.views, what)

        assert _kill_everywhere(scene, files, line, judge) >= 3


@pytest.mark.parametrize("size", [[], ["--size", "240K"]])
def test_mkfs_that_is_killed(tmp_path: Path, size: list[str]) -> None:
    """The old volume, none, or the new one. With a size, there was nothing before."""
    scene = _scene(tmp_path / "volume", "two independent")
    files = {} if size else scene.files()
    seen: list[View | None] = []

    def judge(left: Files, what: str) -> None:
        scene.put(left)
        try:
            seen.append(as_ours(scene.paths))
            assert as_decoded(scene.decoded()) == seen[-1], what
        except (VolumeError, InputError):
            seen.append(None)
            with pytest.raises((decoder.NotAVolume, FileNotFoundError)):
                scene.decoded()

    members = [part for path in scene.paths for part in ("-v", path)]
    _kill_everywhere(scene, files, ["mkfs", *members, *size, "--force", "-s", "4096", "-b", "4"], judge)
    new = View(frozenset(), None)
    assert set(seen) == {None, new}
    assert seen[-1] == new
