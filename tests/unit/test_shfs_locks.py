"""One writer at a time; readers do not care, and a writer that is killed leaves no lock."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shfs import Volume
from shfs.cli.main import main
from shfs.errors import InputError, VolumeBusy
from shfs.formatting import mkfs

_HOLDER = """
import sys
from shfs import Volume
with Volume.open(sys.argv[1:], write=True):
    print("open", flush=True)
    sys.stdin.read()
"""

Holder = subprocess.Popen[str]


@pytest.fixture(params=[1, 3])
def members(tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """A volume of one member, and one of three."""
    paths = [str(tmp_path / f"{at}.img") for at in range(request.param)]
    for path in paths:
        Path(path).write_bytes(bytes(1 << 18))
    mkfs(paths, name="locked", stripe=4096, buckets=4, entries=4)
    with Volume.open(paths, write=True) as volume, volume.batch() as batch:
        batch.link("http://example.org/here")
    return paths


@pytest.fixture
def hold(members: list[str]) -> Iterator[Callable[[list[str]], Holder]]:
    """Another process has the volume open for writing until it is told to end."""
    holders: list[Holder] = []

    def begin(paths: list[str]) -> Holder:
        holder = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, *paths], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        return holder

    yield begin
    for holder in holders:
        holder.kill()
        holder.communicate()


def _run(capsys: pytest.CaptureFixture[str], command: str, members: list[str], *arguments: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as ended:
        main([command, *(part for member in members for part in ("-v", member)), *arguments])
    return ended.value.code, capsys.readouterr().err


def _contents(members: list[str]) -> list[bytes]:
    return [Path(member).read_bytes() for member in members]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("link", ["http://example.org/there"]), ("rm", ["here"]), ("trim", []), ("mkfs", ["--force"])],
)
def test_a_second_writer_is_told_so(
    members: list[str],
    hold: Callable[[list[str]], Holder],
    command: str,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    hold(members)
    before = _contents(members)
    code, printed = _run(capsys, command, members, *arguments)
    assert code == 5
    assert printed.splitlines() == [
        f"error: {members[0]} is being changed by another process",
        " hint: wait until it is done, and try again",
    ]
    assert _contents(members) == before


def test_readers_are_not_disturbed(members: list[str], hold: Callable[[list[str]], Holder]) -> None:
    hold(members)
    with Volume.open(members) as volume:
        assert volume.named("here") is not None
        volume.remount()


def test_a_reader_does_not_keep_a_writer_out(members: list[str], hold: Callable[[list[str]], Holder]) -> None:
    with Volume.open(members):
        hold(members)


@pytest.mark.parametrize("kill", [True, False])
def test_the_lock_ends_with_its_holder(members: list[str], hold: Callable[[list[str]], Holder], kill: bool) -> None:
    holder = hold(members)
    with pytest.raises(VolumeBusy):
        Volume.open(members, write=True)
    if kill:
        holder.kill()
    holder.communicate()
    Volume.open(members, write=True).close()


def test_a_writer_who_is_refused_keeps_nothing_locked(members: list[str], hold: Callable[[list[str]], Holder]) -> None:
    """The members that it had locked already are free again when it gives up."""
    holder = hold(members)
    with pytest.raises(VolumeBusy):
        Volume.open([*reversed(members)], write=True)
    holder.communicate()
    hold(members)


def test_one_member_of_another_writer_is_enough(members: list[str], hold: Callable[[list[str]], Holder]) -> None:
    """Members are locked one by one, in whatever order they are given."""
    hold(members[::-1])
    with pytest.raises(VolumeBusy):
        Volume.open(members, write=True)


def test_a_member_that_is_given_twice_is_not_taken_for_busy(members: list[str]) -> None:
    with pytest.raises(InputError, match="was given twice"):
        Volume.open([*members, members[0]], write=True)
