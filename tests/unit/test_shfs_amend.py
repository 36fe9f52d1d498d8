"""What an entry says of its object can be changed where it stands: the rest of it stays to the byte."""

from pathlib import Path

import pytest

from shfs.errors import InputError, ObjectError
from shfs.formatting import mkfs
from shfs.links import LinkKind, parse_link
from shfs.volume import Volume
from tests.unit.shfs_decoder import Volume as Referee


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "volume"
    path.write_bytes(bytes(100 * 4096))
    mkfs([str(path)], stripe=4096, buckets=16)
    (tmp_path / "file").write_bytes(b"content")
    with Volume.open([str(path)], write=True) as opened, opened.batch(now=77) as batch:
        item = batch.add(tmp_path / "file", mime="text/plain", encoding="gzip")
        batch.link("http://h.example/a", name="link")
        batch.set_default(item.digest)
    return path


def test_a_file_gets_another_name_and_type(volume: Path) -> None:
    before = {slot.name: slot for slot in Referee.read([volume]).live}[b"file"]

    with Volume.open([str(volume)], write=True) as opened, opened.batch() as batch:
        amended = batch.amend(before.digest, name="other", mime="text/html")

    assert (amended.name, amended.mime, amended.encoding, amended.default) == ("other", "text/html", "gzip", True)
    found = Referee.read([volume])
    assert found.findings() == []
    after = {slot.name: slot for slot in found.live}[b"other"]
    assert found.content(after) == b"content"
    changed = {at for at, (old, new) in enumerate(zip(before.raw, after.raw, strict=True)) if old != new}
    assert changed <= {*range(88, 120), *range(181, 245)}
    assert after.created == 77


def test_a_link_gets_another_target(volume: Path) -> None:
    (before,) = [slot for slot in Referee.read([volume]).live if slot.is_link]

    with Volume.open([str(volume)], write=True) as opened, opened.batch() as batch:
        batch.amend(before.digest, target=parse_link("http://h.example/b", LinkKind.RAW))

    (after,) = [slot for slot in Referee.read([volume]).live if slot.is_link]
    assert (after.number, after.digest, after.name) == (before.number, before.digest, b"link")
    assert (after.target, after.kind, after.created) == ("http://h.example/b", "raw", 77)


def test_what_cannot_be_is_refused_and_nothing_is_changed(volume: Path) -> None:
    before = volume.read_bytes()
    digests = {slot.name: slot.digest for slot in Referee.read([volume]).live}
    target = parse_link("http://h.example/b", LinkKind.RAW)

    with Volume.open([str(volume)], write=True) as opened, opened.batch() as batch:
        with pytest.raises(InputError, match=r"the name .* has 65 bytes"):
            batch.amend(digests[b"file"], name="n" * 65)
        with pytest.raises(InputError, match=r"the MIME type .* has 33 bytes"):
            batch.amend(digests[b"file"], mime="m" * 33)
        with pytest.raises(InputError, match=r"the content encoding .* has 17 bytes"):
            batch.amend(digests[b"file"], encoding="e" * 17)
        with pytest.raises(ObjectError, match="file is a file"):
            batch.amend(digests[b"file"], target=target)
        with pytest.raises(ObjectError, match="link is a link"):
            batch.amend(digests[b"link"], mime="text/html")
        with pytest.raises(ObjectError, match="there is no object"):
            batch.amend(bytes([1] * 32), name="n")

    assert volume.read_bytes() == before
