"""A terminal as xenconsoled makes one, with the test in xenconsoled's place."""

import os


class Xenconsoled:
    """The end of a terminal at which xenconsoled writes what the guest prints."""

    def __init__(self) -> None:
        self.end, self._held = os.openpty()
        os.set_blocking(self.end, False)
        self.terminal = os.ttyname(self._held)
        self.is_open = True

    def close(self) -> None:
        if self.is_open:
            os.close(self.end)
            os.close(self._held)
            self.is_open = False
