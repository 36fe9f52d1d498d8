"""`shfs backup`: a backup table is made, kept, and given up."""

from pathlib import Path

import pytest

from shfs import HostError, InputError, Volume, VolumeFull
from shfs.backup import drop_backup, make_backup
from shfs.check import check
from shfs.cli.main import main
from shfs.findings import Fault
from shfs.members import Members
from tests.unit import shfs_decoder
from tests.unit.shfs_golden import GOLDEN, unpack
from tests.unit.shfs_samples import SAMPLES, change, place_of, slot_of


@pytest.fixture
def single(tmp_path: Path) -> list[str]:
    return SAMPLES["one member"].make(tmp_path)


def backup(paths: list[str]) -> int:
    with Volume.open(paths, write=True) as volume:
        return make_backup(volume)


@pytest.mark.parametrize("name", ["p1-sha256-4k", "p4-sha256-comb2", "p7-links", "t-3x3"])
def test_a_volume_of_the_original_tools_gets_one(name: str, tmp_path: Path) -> None:
    given = unpack(GOLDEN[name], tmp_path)
    before = shfs_decoder.Volume.read(given).listing()

    first = backup([str(path) for path in given])

    volume = shfs_decoder.Volume.read(given)
    assert (volume.configuration.backup, volume.listing()) == (first, before)
    assert volume.findings() == []
    assert check([str(path) for path in given]).is_sound


def test_it_is_kept_and_mends(single: list[str], tmp_path: Path) -> None:
    backup(single)
    with Volume.open(single, write=True) as volume, volume.batch() as batch:
        batch.link("http://h.example/new", name="new")
    assert check(single).findings == []

    change(place_of(single, slot_of(single, "new"), 180), lambda byte: 0x80)

    assert Fault.COPIES in [finding.fault for finding in check(single).findings]


def test_it_is_given_up(single: list[str]) -> None:
    with Volume.open(single, write=True) as volume:
        before = volume.batch().free_chunks
        make_backup(volume)
        assert volume.batch().free_chunks == before - 4
        with pytest.raises(InputError, match="has a backup table"):
            make_backup(volume)
        assert drop_backup(volume) == 4
        assert volume.batch().free_chunks == before
        with pytest.raises(InputError, match="has no backup table"):
            drop_backup(volume)
    assert check(single).findings == []


def test_it_takes_no_chunks_of_removed_objects(single: list[str], tmp_path: Path) -> None:
    with Volume.open(single, write=True) as volume:
        (tmp_path / "removed").write_bytes(b"x" * 4096 * 6)
        (tmp_path / "large").write_bytes(b"y" * 4096 * (volume.batch().free_chunks - 6))
        with volume.batch() as batch:
            item = batch.add(tmp_path / "removed")
            batch.add(tmp_path / "large")
        with volume.batch() as batch:
            batch.remove(item.digest)
    before = Path(single[0]).read_bytes()

    with pytest.raises(VolumeFull, match="it takes 4 chunks"):
        backup(single)

    assert Path(single[0]).read_bytes() == before


@pytest.mark.parametrize("writes", [0, 1])
def test_the_configuration_speaks_of_it_only_when_it_is_there(
    single: list[str], monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """The disk is full, or fails, at any of the writes: the volume is as it was."""
    done, real = [], Members.write

    def failing(self: Members, *arguments: object) -> None:
        if len(done) == writes:
            raise HostError("no more")
        done.append(arguments)
        real(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as there:
        there.setattr(Members, "write", failing)
        with pytest.raises(HostError):
            backup(single)

    assert check(single).findings == []
    with Volume.open(single) as volume:
        assert volume.configuration.backup == 0


def test_the_command(single: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    def shfs(*arguments: str) -> tuple[int | str | None, str]:
        with pytest.raises(SystemExit) as ended:
            main(["backup", *arguments])
        return ended.value.code, capsys.readouterr().out

    with Volume.open(single) as volume:
        first = 6 + sum(volume.geometry.chunks_of(item.size) for item in (*volume.objects(), *volume.removed()))
    assert shfs(*single) == (0, f"volume sample: backup table of 16.0 KiB at chunk {first}\n")
    assert shfs(*single)[0] == 8
    assert shfs(*single, "--drop") == (0, "volume sample: 4 chunks (16.0 KiB) freed\n")
    assert shfs(*single, "--drop")[0] == 8
