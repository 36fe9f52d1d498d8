"""Admission: what all guests together may take. Pure arithmetic."""

from jitsu.domains.driver import MONITOR_OVERHEAD


class Budget:
    """Memory in bytes, number of guests and of their virtual processors, granted to domids and given back. A guest
    takes `overhead` bytes beside its own memory."""

    def __init__(self, memory: int, guests: int, vcpus: int, overhead: int = MONITOR_OVERHEAD) -> None:
        self._memory, self._guests, self._vcpus = memory, guests, vcpus
        self._overhead = overhead
        self._granted: dict[int, tuple[int, int]] = {}

    def resize(self, memory: int, guests: int, vcpus: int) -> None:
        """From now on there is so much. What is granted stays so, even if it is more."""
        self._memory, self._guests, self._vcpus = memory, guests, vcpus

    @property
    def memory_used(self) -> int:
        """Bytes granted now, monitors included."""
        return sum(memory for memory, _ in self._granted.values())

    @property
    def vcpus_used(self) -> int:
        return sum(vcpus for _, vcpus in self._granted.values())

    @property
    def guests_used(self) -> int:
        return len(self._granted)

    def cost(self, memory: int) -> int:
        """Bytes that a guest with so much memory takes."""
        return memory + self._overhead

    def has(self, domid: int) -> bool:
        """Is anything granted to this domid?"""
        return domid in self._granted

    def refuses(self, memory: int, vcpus: int) -> str | None:
        """Why a guest with that much memory and so many processors cannot be started now, or None: it can."""
        if len(self._granted) >= self._guests:
            return f"the box is full: {len(self._granted)} of {self._guests} guests run ([limits] guests)"
        free = self._memory - self.memory_used
        if self.cost(memory) > free:
            return (
                f"the box is full: {self.cost(memory) >> 20} MiB asked for, "
                f"{max(free, 0) >> 20} of {self._memory >> 20} MiB free ([limits] memory)"
            )
        idle = self._vcpus - self.vcpus_used
        if vcpus > idle:
            return (
                f"the box is full: {vcpus} vcpus asked for, {max(idle, 0)} of {self._vcpus} not in use ([limits] vcpus)"
            )
        return None

    def grant(self, domid: int, memory: int, vcpus: int) -> None:
        """Book a guest, also one that runs already and was adopted."""
        self._granted[domid] = self.cost(memory), vcpus

    def release(self, domid: int) -> None:
        self._granted.pop(domid, None)
