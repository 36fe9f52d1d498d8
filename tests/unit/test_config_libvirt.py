"""Which driver builds the domains, as jitsu.toml says it."""

from pathlib import Path

import pytest

from jitsu.daemon.drivers import machines_store
from jitsu.errors import ConfigError
from tests.unit.golden import expect_golden
from tests.unit.test_config import SMALLEST, complaint, configuration

XEN = '[daemon]\ndriver = "xen"\n'
LIBVIRT = '[daemon]\ndriver = "libvirt"\n'

BROKEN = {
    "driver-unknown": '[daemon]\ndriver = "vmware"\n' + SMALLEST,
    "uids-of-xens-guests": '[daemon]\ndriver = "xen"\n[limits]\nuids = "200000-200999"\n' + SMALLEST,
    "uids-of-libvirts-guests": LIBVIRT + '[limits]\nuids = "200000-200999"\n' + SMALLEST,
    "unknown-key-of-libvirt": LIBVIRT + '[libvirt]\nurl = "qemu:///system"\n' + SMALLEST,
    "uri-of-no-qemu": LIBVIRT + '[libvirt]\nuri = "lxc:///system"\n' + SMALLEST,
    "uri-of-xen": LIBVIRT + '[libvirt]\nuri = "xen:///"\n' + SMALLEST,
    "uri-no-uri": LIBVIRT + '[libvirt]\nuri = "qemu://[/system"\n' + SMALLEST,
    "uri-elsewhere": LIBVIRT + '[libvirt]\nuri = "qemu+unix://far/system"\n' + SMALLEST,
    "uri-by-ssh": LIBVIRT + '[libvirt]\nuri = "qemu+ssh://far/system"\n' + SMALLEST,
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_told(tmp_path: Path, case: str) -> None:
    with pytest.raises(ConfigError) as raised:
        configuration(tmp_path, BROKEN[case])
    expect_golden(f"libvirt/{case}.txt", complaint(tmp_path, raised.value))


def test_jitsu_starts_qemu_itself_unless_it_is_told(tmp_path: Path) -> None:
    config = configuration(tmp_path, SMALLEST)
    assert (config.daemon.driver, config.libvirt.uri) == ("qemu", "qemu:///system")


def test_the_xenstore_is_the_machines_where_xen_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENSTORED_PATH", "/run/machine/socket")
    chosen = '[xenstore]\nsocket = "/run/other/socket"\n'
    assert machines_store(configuration(tmp_path, SMALLEST)) is None
    assert machines_store(configuration(tmp_path, XEN + SMALLEST)) == Path("/run/machine/socket")
    assert machines_store(configuration(tmp_path, XEN + chosen + SMALLEST)) == Path("/run/other/socket")


@pytest.mark.parametrize("uri", ["qemu:///system", "qemu:///session", "qemu+unix:///system?socket=/run/edge/libvirt"])
def test_a_libvirt_on_this_host_can_be_said(tmp_path: Path, uri: str) -> None:
    config = configuration(tmp_path, f'{LIBVIRT}[libvirt]\nuri = "{uri}"\n{SMALLEST}')
    assert (config.daemon.driver, config.libvirt.uri) == ("libvirt", uri)
