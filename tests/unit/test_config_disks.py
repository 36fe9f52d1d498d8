"""`disks` of a service: what is read, what is refused, and who may share one."""

from dataclasses import replace
from pathlib import Path

import pytest

from jitsu.config import Claims, Config, Disk, absolute, load
from jitsu.errors import ConfigError

HERE = Path("command line")


def configured(folder: Path, *services: str) -> Config:
    """The configuration of services whose sections go on with these lines."""
    path = folder / "jitsu.toml"
    path.write_text(
        "".join(
            f'[service.s{number}]\nkernel = "k"\naddress = "10.77.0.{10 + number}"\n{lines}\n'
            for number, lines in enumerate(services)
        )
    )
    return load(path)


def test_a_disk_is_read_only_unless_it_is_said_and_its_path_is_beside_the_file(tmp_path: Path) -> None:
    lines = 'disks = ["content.img", "rw:state.img", "ro:/dev/vg/x", "./rw:odd", "a:b"]'
    assert configured(tmp_path, lines).services["s0"].disks == (
        Disk(tmp_path / "content.img"),
        Disk(tmp_path / "state.img", writable=True),
        Disk(Path("/dev/vg/x")),
        Disk(tmp_path / "rw:odd"),
        Disk(tmp_path / "a:b"),
    )
    assert configured(tmp_path, "").services["s0"].disks == ()


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('disks = "content.img"', "disks is not a list of texts"),
        ("disks = [1]", "disks is not a list of texts"),
        ('disks = [""]', "disks cannot contain ''"),
        ('disks = ["rw:"]', "disks cannot contain 'rw:'"),
        ('disks = ["a\\u0000"]', "NUL"),
        ('disks = ["a", "rw:./a"]', "disks has the same image twice"),
        ('disks = ["1", "2", "3", "4", "5", "6", "7"]', "disks has 7 of them"),
        ('disks = ["rw:a"]\nmode = "snapshot"', "disks has one that is written"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(tmp_path: Path, lines: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, lines)
    assert problem in caught.value.message + caught.value.hint
    assert f"{tmp_path}/jitsu.toml: [service.s0] disks" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(("first", "second"), [("rw:", ""), ("", "rw:"), ("rw:", "rw:")])
def test_nobody_shares_what_somebody_writes(tmp_path: Path, first: str, second: str) -> None:
    with pytest.raises(ConfigError, match=r"\[service.s2\] has the same disk .*/a as \[service.s1\], and s[12] writes"):
        configured(tmp_path, 'disks = ["b"]', f'disks = ["{first}a"]', f'disks = ["{second}a"]')


def test_what_only_is_read_is_shared_and_a_service_that_goes_leaves_its_disks(tmp_path: Path) -> None:
    config = configured(tmp_path, 'disks = ["a"]', 'disks = ["a"]')
    one, two = config.services.values()
    claims = Claims(config.network, config.dns)
    writer = replace(two, disks=(Disk(tmp_path / "a", writable=True),))
    claims.add(one, HERE)
    with pytest.raises(ConfigError, match="and s1 writes it"):
        claims.add(writer, HERE)
    claims.add(two, HERE)
    claims.remove(two)
    claims.remove(one)
    claims.add(writer, HERE)
    with pytest.raises(ConfigError, match="and s1 writes it"):
        claims.add(one, HERE)


def test_the_fingerprint_tells_of_disks_and_not_of_what_is_on_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(512))
    first = configured(tmp_path, 'disks = ["a"]').services["s0"].fingerprint
    (tmp_path / "a").write_bytes(bytes(1024))
    assert configured(tmp_path, 'disks = ["a"]').services["s0"].fingerprint == first
    assert (
        len({first, *(configured(tmp_path, each).services["s0"].fingerprint for each in ("", 'disks = ["rw:a"]'))}) == 3
    )


def test_paths_are_made_absolute_for_services_that_come_from_elsewhere() -> None:
    keys = {"disks": ["content.img", "rw:../state.img", "./rw:odd", "", 7]}
    assert absolute(keys, Path("/srv/x")) == {
        "disks": ["ro:/srv/x/content.img", "rw:/srv/x/../state.img", "ro:/srv/x/rw:odd", "", 7]
    }
    assert absolute({"disks": "a"}, Path("/srv")) == {"disks": "a"}
