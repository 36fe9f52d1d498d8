"""Admission: what all guests together may take. Pure arithmetic."""

MONITOR_OVERHEAD = 40 << 20
"""Bytes that a monitor takes beside its guest's memory: QEMU microvm measured 37 MB resident."""


class Budget:
    """Memory in bytes and number of guests, granted to domids and given back."""

    def __init__(self, memory: int, guests: int) -> None:
        self._memory, self._guests = memory, guests
        self._granted: dict[int, int] = {}

    @property
    def memory_used(self) -> int:
        """Bytes granted now, monitors included."""
        return sum(self._granted.values())

    @property
    def guests_used(self) -> int:
        return len(self._granted)

    def refuses(self, memory: int) -> str | None:
        """Why a guest with that much memory cannot be started now, or None: it can."""
        if len(self._granted) >= self._guests:
            return f"the box is full: {len(self._granted)} of {self._guests} guests run ([limits] guests)"
        free = self._memory - self.memory_used
        if memory + MONITOR_OVERHEAD > free:
            return (
                f"the box is full: {(memory + MONITOR_OVERHEAD) >> 20} MiB asked for, "
                f"{max(free, 0) >> 20} of {self._memory >> 20} MiB free ([limits] memory)"
            )
        return None

    def grant(self, domid: int, memory: int) -> None:
        """Book a guest, also one that runs already and was adopted."""
        self._granted[domid] = memory + MONITOR_OVERHEAD

    def release(self, domid: int) -> None:
        self._granted.pop(domid, None)
