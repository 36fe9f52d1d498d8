"""`jitsu xenstored` as `jitsu serve` starts it: on a socket in the runtime folder, and no longer than it is of use.

It is a process of its own: a guest that hammers it starves nobody else, and what stands in it outlives the daemon.
"""

import logging
import sys
from pathlib import Path

from jitsu.daemon.sockets import XENSTORED
from jitsu.errors import JitsuError
from jitsu.xenstore.daemon import Daemon
from jitsu.xenstore.domains import Domains

STATE_NAME = "xenstore.db"
"""What is in the store, for the next one should this one be killed. Like all of the folder it is gone with the boot."""

LONELY = 60.0
"""Seconds without any connection after which it ends by itself."""

log = logging.getLogger(__name__)


class OwnXenstored:
    """One that a daemon started. It watches whether anybody is there, besides serving the store."""

    def __init__(self, runtime: Path, guest_ports: Path) -> None:
        """Listens when this returns. Raises JitsuError."""
        self._state = runtime / STATE_NAME
        # No domain survives a power cut, so that no change is worth waiting for the disk.
        self.daemon = Daemon(
            runtime / XENSTORED, domains=Domains(), guest_ports=guest_ports, state=self._state, sync="off"
        )
        self._lonely = 0.0

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT, or loneliness. A store without a domain leaves nothing."""
        self._look()
        self.daemon.run()
        if not len(self.daemon.store.domains):
            self._state.unlink(missing_ok=True)

    def _look(self) -> None:
        pause = LONELY / 12
        self._lonely = 0.0 if self.daemon.store.peers else self._lonely + pause
        if self._lonely > LONELY:
            self.daemon.server.stop()
        else:
            self.daemon.server.call_later(pause, self._look)


if __name__ == "__main__":
    # As `jitsu serve` starts it: RUNTIME GUEST_PORTS. The configuration may be in the middle of being edited.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    try:
        OwnXenstored(Path(sys.argv[1]), Path(sys.argv[2])).run()
    except JitsuError as failure:
        sys.exit(f"error: {failure.message}\n hint: {failure.hint}")
