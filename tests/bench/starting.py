"""How long python3 and jitsu take to start on the machine that this runs on, as a program of its own: a board has no
tests. It imports nothing of ours.

    python3 starting.py ROUNDS PYTHON JITSU

The rounds are interleaved, so that a noisy moment hurts all alike, and one more comes first, which counts for nothing:
it reads the files from the disk. Prints JSON: the seconds of every round, by what was started.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NO_DAEMON = 7
"""The exit code of a command that finds no daemon."""

FLOOR = "python3 -c pass"


def main() -> None:
    rounds, python, jitsu = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "jitsu.toml")
        path.write_text(f'[daemon]\nruntime = "{folder}"\nstate = "{folder}"\n')
        commands = {
            FLOOR: ([python, "-c", "pass"], 0),
            "jitsu --version": ([jitsu, "--version"], 0),
            "jitsu ps, where no daemon runs": ([jitsu, "ps", "-c", str(path)], NO_DAEMON),
            "import jitsu.daemon.xenstored": ([python, "-c", "import jitsu.daemon.xenstored"], 0),
            "import jitsu.daemon.consoled": ([python, "-c", "import jitsu.daemon.consoled"], 0),
            "import jitsu.daemon.serve": ([python, "-c", "import jitsu.daemon.serve"], 0),
            "import jitsu.daemon.serve, jitsu.domains.xen": (
                [python, "-c", "import jitsu.daemon.serve, jitsu.domains.xen"],
                0,
            ),
        }
        taken: dict[str, list[float]] = {what: [] for what in commands}
        for turn in range(rounds + 1):
            for what, (command, code) in commands.items():
                seconds = timed(command, code)
                if turn:
                    taken[what].append(seconds)
    print(json.dumps(taken))


def timed(command: list[str], code: int) -> float:
    """Seconds of a command, which must end with this code."""
    # What was imported once is compiled, as it is where jitsu is installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    begin = time.perf_counter()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if ended.returncode != code:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr}")
    return seconds


if __name__ == "__main__":
    main()
