"""The system refuses a write, a sync, a rename: the command fails, and the volume is the old one or the new one."""

import errno
import itertools
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from shfs import Volume
from shfs.batch import Batch
from shfs.errors import HostError
from tests.unit.shfs_crash_scene import NOW, OPERATIONS, VOLUMES, Scene, States, add, as_ours, remove
from tests.unit.shfs_disk import Recorder


@pytest.fixture(params=["one member", "two independent", "backup table"])
def scene(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    members, options = VOLUMES[request.param]
    scene = Scene(tmp_path, members)
    scene.make(**options)
    return scene


class _Refusal:
    """One call is refused, or all from it on."""

    def __init__(self, at: int, *, lasting: bool) -> None:
        self._at = at
        self._lasting = lasting
        self.happened = False

    def __call__(self, made: int) -> None:
        if made == self._at or (self._lasting and made > self._at):
            self.happened = True
            raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("name", ["add one", "add many", "remove one", "another default", "apply"])
def test_a_call_is_refused(scene: Scene, name: str, lasting: bool) -> None:
    """Every single one, or every one from some moment on."""
    before, files = scene.decoded(), scene.files()
    OPERATIONS[name](scene.paths)
    states = States.of(before, scene.decoded())
    for at in itertools.count():
        scene.put(files)
        refusal, done = _Refusal(at, lasting=lasting), False
        with Recorder(scene.folder, asked=refusal), suppress(HostError):
            OPERATIONS[name](scene.paths)
            done = True
        if not refusal.happened:
            assert done
            assert as_ours(scene.paths) == states.views[1]
            return
        scene.judge(scene.files(), states, states.views[1:] if done else states.views, f"call {at} was refused")


@pytest.mark.parametrize("change", [add("new-4097"), add("new-4097", "new-1"), remove("page"), remove("page", "last")])
def test_a_volume_that_stays_open_goes_on_after_a_refusal(scene: Scene, change: Callable[[Batch], None]) -> None:
    """What was refused is there or not, and what comes next is not harmed by it."""
    files = scene.files()
    for at in itertools.count():
        scene.put(files)
        refusal = _Refusal(at, lasting=False)
        with Volume.open(scene.paths, write=True) as volume:
            with Recorder(scene.folder, asked=refusal), suppress(HostError), volume.batch(now=NOW) as batch:
                change(batch)
            if not refusal.happened:
                return
            with volume.batch(now=NOW) as batch:
                add("new-12288", "new-100")(batch)
            names = sorted(item.name for item in volume.objects())
        seen = as_ours(scene.paths)
        assert sorted(entry[1] for entry in seen.objects) == names, f"call {at} was refused"
        decoded = scene.decoded()
        assert decoded.findings() == [], f"call {at} was refused"
