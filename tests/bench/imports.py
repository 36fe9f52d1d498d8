"""How long jitsu takes to start beside `python3 -c pass`, here and on an emulated armv7 board (SPECIFICATION.md).

Times under emulation are no real board's; the ratios are the result.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from boards.definition import read
from boards.snapshots import restored
from tests.bench.starting import FLOOR
from tests.hil.serving_board import prepared

ROUNDS = 5
BOARD = "qemu-virt-armv7"
PATIENCE = 1800.0

_PROGRAM = Path(__file__).with_name("starting.py")


def measure(rounds: int = ROUNDS) -> None:
    """Without services: with the driver for QEMU here, and Xen's there."""
    with tempfile.TemporaryDirectory(prefix="jitsu-") as folder:
        path = Path(folder, "jitsu.toml")
        path.write_text(
            f'[daemon]\nruntime = "{folder}/run"\nstate = "{folder}/state"\n'
            '[dns]\nlisten = ["10.77.0.1:53"]\n[network]\naddress = "10.77.0.1/24"\n'
        )
        jitsu = Path(sys.executable).with_name("jitsu")
        own = [_PROGRAM, str(rounds), sys.executable, jitsu, path, f"{folder}/run/control.sock"]
        here = subprocess.run([sys.executable, *own], stdout=subprocess.PIPE, text=True, check=True).stdout
    _show("this machine", json.loads(here))
    with restored(read(BOARD), "xenstored", print) as board:
        prepared(board)
        board.put(_PROGRAM, "/tmp/starting.py")
        own = [str(rounds), "python3", "jitsu", "/etc/jitsu/jitsu.toml", "/run/jitsu/control.sock"]
        there = board.check("python3", "/tmp/starting.py", *own, timeout=PATIENCE)
    _show(f"{BOARD}, emulated", json.loads(there))


def _show(where: str, taken: dict[str, list[float]]) -> None:
    print(f"{where}: medians (least) of {len(taken[FLOOR])} interleaved rounds; median ratio to {FLOOR} (of the least)")
    for what, seconds in taken.items():
        ratio = median(each / floor for each, floor in zip(seconds, taken[FLOOR], strict=True))
        least = min(seconds) / min(taken[FLOOR])
        print(f"  {what:32} {median(seconds):7.3f} s ({min(seconds):.3f})  {ratio:5.1f} ({least:.1f})")
