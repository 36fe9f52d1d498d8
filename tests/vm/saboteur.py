"""The real daemon, with a hand that kills a QEMU at one stage of its build: python -m tests.vm.saboteur STAGE serve ...

It strikes once, at the first launch; after that the daemon is as it always is. The stages, in their order:

    exec        QEMU has been started, and nothing else is done yet
    monitor     the tap is about to become a port of the bridge
    plugged     the guest's port is plugged in and listened on
    booting     the launch is over, and the guest has not said that it is ready
    ready       it said so, and its gate is about to be opened
    gate        the gate is open, and nothing is delivered yet
    delivered   the SYN on hold was put into its tap
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from jitsu.cli.main import main
from jitsu.domains import qemu
from jitsu.network.host import HostNetwork
from jitsu.summon.executor import Executor

STAGES = ("exec", "monitor", "plugged", "booting", "ready", "gate", "delivered")


class Saboteur:
    """Remembers the first QEMU, and kills it when its stage has come."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._pid = 0

    def lay_in_wait(self) -> None:
        """Put a hook at every stage; that of another stage does nothing."""
        spawn = qemu.spawn

        def noted(*arguments: Any) -> tuple[int, int]:
            pid, pidfd = spawn(*arguments)
            if not self._pid:
                self._pid = pid
                self._strike("exec")
            return pid, pidfd

        qemu.spawn = noted
        self._around(HostNetwork, "plug", before="monitor")
        self._around(HostNetwork, "listen", after="plugged")
        self._around(Executor, "_await_readiness", after="booting")
        self._around(Executor, "serve", before="ready", after="delivered")
        self._around(HostNetwork, "open_gate", after="gate")

    def _around(self, owner: type, name: str, before: str = "", after: str = "") -> None:
        method: Callable[..., Any] = getattr(owner, name)

        def hooked(*arguments: Any) -> Any:
            self._strike(before)
            result = method(*arguments)
            self._strike(after)
            return result

        setattr(owner, name, hooked)

    def _strike(self, stage: str) -> None:
        if self._pid > 0 and stage == self._stage:
            os.kill(self._pid, signal.SIGKILL)
            # Dead before anything else happens, its sockets and its tap included.
            os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
            self._pid = -1


if __name__ == "__main__":
    Saboteur(sys.argv[1]).lay_in_wait()
    main(sys.argv[2:])
