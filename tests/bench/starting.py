"""How long python3 and jitsu take to start on the machine that this runs on, as a program of its own: a board has no
tests. It imports nothing of ours.

    python3 starting.py ROUNDS PYTHON JITSU CONFIGURATION SOCKET

SOCKET is where the daemon of CONFIGURATION listens. The rounds are interleaved, so that a noisy moment hurts all alike,
and one more comes first, which counts for nothing: it reads the files from the disk. Prints JSON: the seconds of every
round, by what was started.
"""

import json
import os
import socket
import subprocess
import sys
import time

FLOOR = "python3 -c pass"

NO_DAEMON = 7
"""The exit code of a command that finds no daemon."""

PATIENCE = 300.0
"""Seconds for a daemon to begin and to end."""

# What was imported once is compiled, as it is where jitsu is installed.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    rounds, python, jitsu, configuration, path = int(sys.argv[1]), *sys.argv[2:]
    ps = [jitsu, "ps", "-c", configuration]
    taken: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for what, seconds in {
            FLOOR: ended([python, "-c", "pass"]),
            "jitsu --version": ended([jitsu, "--version"]),
            "jitsu ps, where no daemon runs": ended(ps, NO_DAEMON),
            "import jitsu.daemon.xenstored": ended([python, "-c", "import jitsu.daemon.xenstored"]),
            "import jitsu.daemon.consoled": ended([python, "-c", "import jitsu.daemon.consoled"]),
            "import jitsu.daemon.serve": ended([python, "-c", "import jitsu.daemon.serve"]),
            **served([jitsu, "serve", "-c", configuration], path, ps),
        }.items():
            taken.setdefault(what, []).append(seconds)
    print(json.dumps({what: seconds[1:] for what, seconds in taken.items()}))


def ended(command: list[str], code: int = 0) -> float:
    """Seconds of a command, which must end with this code."""
    begin = time.perf_counter()
    run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begin
    if run.returncode != code:
        sys.exit(f"{' '.join(command)} ended with {run.returncode}: {run.stderr}")
    return seconds


def served(command: list[str], path: str, ps: list[str]) -> dict[str, float]:
    """Seconds until a daemon answers, and of a command that asks it then, while consoled starts beside both."""
    begin = time.perf_counter()
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as daemon:
        while not answers(path):
            if daemon.poll() is not None or time.perf_counter() - begin > PATIENCE:
                daemon.kill()
                sys.exit(f"{' '.join(command)} does not answer: {daemon.communicate()[1].decode()}")
            time.sleep(0.01)
        started = time.perf_counter() - begin
        asked = ended(ps)
        daemon.terminate()
        daemon.communicate(timeout=PATIENCE)
    return {"jitsu serve, until it answers": started, "jitsu ps, right after that": asked}


def answers(path: str) -> bool:
    try:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(path)
            asking.sendall(b'{"do": "status"}\n')
            return asking.recv(1) != b""
    except OSError:
        return False


if __name__ == "__main__":
    main()
