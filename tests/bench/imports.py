"""How long jitsu takes to start beside `python3 -c pass`, here and on an emulated armv7 board (SPECIFICATION.md).

Times under emulation are no real board's; the ratios are the result.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

from boards.definition import read
from boards.snapshots import restored
from tests.bench.starting import FLOOR

ROUNDS = 5
BOARD = "qemu-virt-armv7"
PATIENCE = 1800.0

_PROGRAM = Path(__file__).with_name("starting.py")


def measure(rounds: int = ROUNDS) -> None:
    here = [sys.executable, str(_PROGRAM), str(rounds), sys.executable, str(Path(sys.executable).with_name("jitsu"))]
    _show("this machine", json.loads(subprocess.run(here, capture_output=True, text=True, check=True).stdout))
    with restored(read(BOARD), "xenstored", print) as board:
        board.install_jitsu()
        board.put(_PROGRAM, "/tmp/starting.py")
        said = board.check("python3", "/tmp/starting.py", str(rounds), "python3", "jitsu", timeout=PATIENCE)
    _show(f"{BOARD}, emulated", json.loads(said))


def _show(where: str, taken: dict[str, list[float]]) -> None:
    print(f"{where}: medians of {len(taken[FLOOR])} interleaved rounds, beside {FLOOR}")
    for what, seconds in taken.items():
        ratio = median(each / floor for each, floor in zip(seconds, taken[FLOOR], strict=True))
        print(f"  {what:46} {median(seconds):7.3f} s  {ratio:5.1f}")
