"""What a caller of `Volume.read` gets."""

from pathlib import Path

import pytest

from shfs import Volume, mkfs


@pytest.mark.parametrize("members", [1, 3])
def test_blocks_are_the_callers(tmp_path: Path, members: int) -> None:
    """They can be kept, and joined later."""
    paths = [str(tmp_path / f"m{number}") for number in range(members)]
    for path in paths:
        Path(path).write_bytes(bytes(8 << 20))
    content = bytes(range(251)) * 12_000
    (tmp_path / "large").write_bytes(content)
    mkfs(paths, buckets=16)
    with Volume.open(paths, write=True) as volume, volume.batch() as batch:
        item = batch.add(tmp_path / "large")
    with Volume.open(paths) as volume:
        assert b"".join(list(volume.read(item))) == content
        assert b"".join(list(volume.read(item, 1_000_003, 1_500_000))) == content[1_000_003:2_500_003]
