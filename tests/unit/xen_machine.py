"""Xen as the store sees it, played: no page is really shared."""

import os

from tests.unit.ring_guest import Guest

VIRQ = 99


class Machine:
    """Event channels, pages and the hypervisor in one. Our port of domain N is 100 + N."""

    def __init__(self) -> None:
        self.guests = {0: Guest(), 5: Guest(17)}
        self.granting = {5}
        self.dying: set[int] = set()
        self.down: set[int] = set()
        self.bound: dict[int, int] = {}
        self.mapped: set[int] = set()
        self.notified: list[int] = []
        self.events: list[int] = []
        self.bell = os.eventfd(0, os.EFD_NONBLOCK)

    def tell(self, domid: int) -> None:
        """A domain sends an event, that is heard if anybody has bound the channel."""
        if 100 + domid in self.bound:
            self.events.append(100 + domid)
            os.eventfd_write(self.bell, 1)

    # EventChannels

    def fileno(self) -> int:
        return self.bell

    def bind(self, domid: int, port: int) -> int:
        if port == 666:
            raise OSError(22, "Invalid argument")
        self.bound[100 + domid] = port
        return 100 + domid

    def bind_virq(self, virq: int) -> int:
        assert virq == 3
        return VIRQ

    def unbind(self, port: int) -> None:
        del self.bound[port]

    def notify(self, port: int) -> None:
        self.notified.append(port)

    def pending(self) -> list[int]:
        os.eventfd_read(self.bell)
        events, self.events = self.events, []
        return events

    # SharedPages

    def of_dom0(self) -> tuple[bytearray, int]:
        self.mapped.add(0)
        return self.guests[0].page, 6

    def of_guest(self, domid: int) -> bytearray:
        if domid not in self.granting:
            raise OSError(22, "Invalid argument")
        self.mapped.add(domid)
        return self.guests[domid].page

    def release(self, page: bytearray) -> None:
        self.mapped -= {domid for domid, guest in self.guests.items() if guest.page is page}

    # Hypervisor

    def exists(self, domid: int) -> bool:
        return domid in self.guests

    def has_ended(self, domid: int) -> bool:
        return domid in self.dying or domid not in self.guests

    def has_shut_down(self, domid: int) -> bool:
        return domid in self.down
