"""How often somebody may be wrong before nobody listens to them for a while."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

TRIES = 10
WINDOW_S = 60.0
MOST = 10_000  # names that are remembered; the ones that were wrong longest ago are forgotten first


class Throttle:
    """Counts failures by name (an address, a token's id) by a clock that nobody can set back."""

    def __init__(
        self, tries: int = TRIES, window_s: float = WINDOW_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._tries, self._window_s, self._now = tries, window_s, now
        self._failed: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, *names: str) -> float:
        """Seconds until any of these may try again, 0 where they all may now."""
        with self._lock:
            return max((self._left(name) for name in names), default=0.0)

    def fail(self, *names: str) -> None:
        """Counts one more failure of each; names that are "" are nobody's."""
        with self._lock:
            for name in filter(None, names):
                since, count = self._failed.pop(name, (self._now(), 0))
                if self._now() - since >= self._window_s:
                    since, count = self._now(), 0
                self._failed[name] = (since, count + 1)
            while len(self._failed) > MOST:
                self._failed.popitem(last=False)

    def __len__(self) -> int:
        return len(self._failed)

    def _left(self, name: str) -> float:
        since, count = self._failed.get(name, (0.0, 0))
        return max(0.0, since + self._window_s - self._now()) if count >= self._tries else 0.0
