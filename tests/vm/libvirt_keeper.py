"""Plays init for a libvirtd of the tests: starts it when told, and reaps the QEMUs that it leaves to init.

Run as a program, by `tests.vm.libvirt_host`, in a mount namespace of its own. On its standard input `start` starts the
daemon, `kill` ends it as a crash would and leaves its QEMUs running; at the end of the input everything is ended.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    awake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(waker)
    signal.signal(signal.SIGCHLD, lambda _, __: None)
    daemon = 0
    while True:
        readable, _, _ = select.select([0, awake], [], [])
        with suppress(BlockingIOError):
            os.read(awake, 4096)
        _reap()
        if 0 not in readable:
            continue
        match os.read(0, 4096).decode().strip():
            case "start":
                daemon = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL).pid
            case "kill":
                os.kill(daemon, signal.SIGKILL)
            case _:
                break
        print("done", flush=True)
    for process in (int(pid) for pid in _children()):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    # What the daemon leaves behind comes to us, and goes the same way.
    while left := _children():
        for process in left:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(int(process), signal.SIGKILL)
                os.waitpid(int(process), 0)


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


main()
