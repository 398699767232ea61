"""How long one user of a shared server may keep the daemon waiting: beyond it, the others go first.

Files in a job's folder, and processes that act for the daemon as its owner, are in the owner's hands: the
files can be as slow to read as a file may be, the processes can be stopped. Each user may cost so many
seconds at once, and a small share of all time for ever.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

AT_ONCE_S = 40.0
SHARE = 0.05  # of all time
FREE_CPU_S, FREE_S = 0.05, 2.0  # of one look or question: an honest one takes less, on a busy machine too


class Allowance:
    """What is left to each user, by uid. One instance may be used from several threads."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.thread_time
    ) -> None:
        self._clock, self._cpu = clock, cpu
        self._left: dict[int, tuple[float, float]] = {}  # seconds left, as of
        self._guard = threading.Lock()

    def spent(self, uid: int) -> bool:
        """Whether nothing is left just now."""
        with self._guard:
            return self._now(uid)[0] <= 0

    @contextmanager
    def paying(self, uid: int) -> Iterator[None]:
        """What happens within it is paid for by that user: the time of the processor, and long waits."""
        began_s, worked_s = self._clock(), self._cpu()
        try:
            yield
        finally:
            waited, worked = self._clock() - began_s, self._cpu() - worked_s
            cost_s = max(0.0, waited - FREE_S, worked - FREE_CPU_S)
            if cost_s:
                with self._guard:
                    left, at_s = self._now(uid)
                    self._left[uid] = left - cost_s, at_s

    def _now(self, uid: int) -> tuple[float, float]:
        now_s = self._clock()
        left, at_s = self._left.get(uid, (AT_ONCE_S, now_s))
        return min(AT_ONCE_S, left + SHARE * (now_s - at_s)), now_s
