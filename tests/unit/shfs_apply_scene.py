"""What tests of `shfs apply` begin with."""

import json
from pathlib import Path
from typing import Any

from shfs.formatting import mkfs
from tests.unit.shfs_command import done, shfs
from tests.unit.shfs_decoder import Volume as Referee

CHUNK = 4096


def refused(*arguments: object) -> tuple[int, str, str]:
    """Exit code, message and hint of a command that failed."""
    ran = shfs(*arguments, "-o", "json")
    told = json.loads(ran.err)
    assert ran.code == told["exit_code"] != 0
    return ran.code, told["message"], told["hint"]


class Scene:
    """A folder of files, a volume, and a manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.volume = folder / "volume"
        self.manifest = folder / "manifest.json"
        self.structure: dict[str, Any] = {}

    def make(self, *, chunks: int = 200, **options: Any) -> None:
        with self.volume.open("wb") as file:
            file.truncate(chunks * CHUNK)
        mkfs([str(self.volume)], stripe=CHUNK, **{"buckets": 64, **options})

    def file(self, name: str, content: bytes) -> bytes:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)
        return content

    def says(self, *names: str, **others: Any) -> None:
        """The manifest: files by their names, and other keys."""
        self.structure = {"object": [{"path": name} for name in names]} | others
        self.manifest.write_text(json.dumps(self.structure))

    def apply(self, *options: str) -> dict[str, Any]:
        told: dict[str, Any] = done("apply", self.volume, self.manifest, *options, "-o", "json").json
        return told

    def steps(self, *options: str) -> list[tuple[str, str]]:
        return [(step["action"], step["name"]) for step in self.apply(*options)["steps"]]

    def referee(self) -> Referee:
        found = Referee.read([self.volume])
        assert found.findings() == []
        return found

    def holds(self) -> dict[str, bytes]:
        """Names and contents of files, targets of links, as the referee reads them."""
        found = self.referee()
        return {
            slot.name.decode(): slot.target.encode() if slot.is_link else found.content(slot) for slot in found.live
        }
