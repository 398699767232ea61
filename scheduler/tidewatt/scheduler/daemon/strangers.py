"""What is noted of requests by nobody known: enough to see them by, never so much that it fills a disk.

Anybody who reaches the door may be refused as often as they like. So only the first refusals of each minute
are noted one by one, and how many more there were in one line.
"""

import threading
import time
from collections.abc import Callable

MINUTE_S = 60.0
FROM_ONE = 20  # lines a minute, by address
FROM_ALL = 200


class Strangers:
    """Counts by the minute, by a clock that nobody can set back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._since, self._all, self._more = now(), 0, 0
        self._by: dict[str, int] = {}

    def noted(self, address: str) -> bool:
        """Whether this one is noted."""
        with self._lock:
            if self._now() - self._since >= MINUTE_S:
                self._since, self._all, self._by = self._now(), 0, {}
            count = self._by.get(address, 0)
            if count >= FROM_ONE or self._all >= FROM_ALL:
                self._more += 1
                return False
            self._by[address], self._all = count + 1, self._all + 1
            return True

    def more(self) -> int:
        """How many were not noted since the last time that this was asked; 0 before the minute is over."""
        with self._lock:
            if not self._more or self._now() - self._since < MINUTE_S:
                return 0
            found, self._more = self._more, 0
            return found
