"""What we tell libvirt, held against libvirt itself: its schema, its parser, and what it gives back."""

import subprocess
from pathlib import Path

import libvirt
import pytest

from jitsu.domains.libvirt_xml import METADATA, identity_in
from jitsu.domains.qemu_arguments import Identity
from tests.unit.golden import FOLDER

DESCRIPTIONS = sorted((FOLDER / "libvirt").glob("*.xml"))


@pytest.mark.parametrize("path", DESCRIPTIONS, ids=lambda path: path.stem)
def test_the_schema_accepts_it(path: Path) -> None:
    run = subprocess.run(["virt-xml-validate", str(path), "domain"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("path", DESCRIPTIONS, ids=lambda path: path.stem)
def test_the_parser_takes_it_and_gives_the_identity_back(path: Path) -> None:
    connection = libvirt.open("test:///default")
    try:
        domain = connection.createXML(path.read_text(encoding="utf-8"), 0)
        metadata = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, METADATA)
        assert identity_in(metadata) == Identity("edge", "hello", 12, "a1b2c3")
        domain.destroy()
    finally:
        connection.close()


def test_there_are_descriptions_to_hold_against_it() -> None:
    assert len(DESCRIPTIONS) == 8
