"""Texts that people see, kept word for word, one file each.

When a text is changed on purpose, write the files anew and read the difference:

    JITSU_GOLDEN=write pytest tests/unit
"""

import os
from pathlib import Path

FOLDER = Path(__file__).parent


def expect_golden(name: str, text: str) -> None:
    """The text is the one in the golden file of that name."""
    path = FOLDER / name
    if os.environ.get("JITSU_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{name} differs; see {__name__}"
