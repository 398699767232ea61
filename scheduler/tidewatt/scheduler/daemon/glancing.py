"""Spares a look at the whole queue where nothing has happened since the last one and nothing is due."""

import threading
import time
from datetime import datetime

from tidewatt.scheduler.store import Store

LONGEST_S = 10.0  # real seconds: then it is looked again whatever is known


class Glance:
    """What was known at the last look, which found nothing more to do before `until`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seq = self._seen = -1
        self._at: datetime | None = None
        self._until: datetime | None = None
        self._looked = float("-inf")
        self._taken: list[tuple[int, int, datetime]] = []  # since the look that is under way began
        self._lock = threading.Lock()

    def idle(self, now: datetime) -> bool:
        """True where another look would find nothing to do."""
        with self._lock:
            self._seen, self._taken = self._store.newest(), []
        if self._at is None or self._until is None or self._seen != self._seq:
            return False
        return self._at <= now < self._until and time.monotonic() - self._looked < LONGEST_S

    def looked(self, now: datetime, until: datetime) -> None:
        """After a look that followed `idle`: what it did itself counts as news."""
        with self._lock:
            self._seq, self._at, self._until, self._looked = self._seen, now, until, time.monotonic()
            for each in self._taken:
                self._follow(*each)

    def took(self, before: int, after: int, due: datetime) -> None:
        """Between these events submissions were stored, and nothing else; none is due before that moment."""
        with self._lock:
            self._taken.append((before, after, due))
            self._follow(before, after, due)

    def _follow(self, before: int, after: int, due: datetime) -> None:
        if self._seq == before and self._until is not None:
            self._seq, self._until = after, min(self._until, due)
