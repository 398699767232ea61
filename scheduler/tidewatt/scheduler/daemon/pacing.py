"""When the queue is planned anew: at once where it costs little, else now and then, when few jobs come."""

import time
from collections.abc import Callable
from types import TracebackType

DEAR_S = 0.5  # planning that takes less is never put off
RESTS = 5.0  # times as long as a dear planning took, none follows
QUIET_S = 2.0  # since the last submission
LONGEST_S = 120.0  # after the first one
SPOILT = 3  # times that newcomers came while the queue was planned: then they wait for it
TOLD = 5  # causes that are named


class Pace:
    """Measures what planning takes, as a context manager around it; what is put off waits for quiet."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = self._ended = self._took = 0.0
        self._causes: list[str] = []
        self._more = 0
        self._first = self._last = float("-inf")
        self._spoilt = 0

    def __enter__(self) -> None:
        self._began = self._monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = self._monotonic()
        self._took = self._ended - self._began

    def put_off(self, cause: str) -> None:
        """A cause on which nothing depends."""
        self._last = self._monotonic()
        if not self._causes:
            self._first = self._last
        if len(self._causes) < TOLD:
            self._causes.append(cause)
        else:
            self._more += 1

    def due(self, *, urgent: bool, stale: bool) -> bool:
        """Whether to plan now; `stale`: only because it is long ago."""
        now, dear = self._monotonic(), self._took >= DEAR_S
        if dear and now - self._ended < RESTS * self._took:
            return False
        if urgent:
            return True
        if not stale and not self._causes:
            return False
        pouring = dear and now - self._last < QUIET_S
        return not pouring or now - self._first >= LONGEST_S

    def taken(self) -> list[str]:
        """The causes that were put off, which are no longer."""
        found = [*self._causes, *([f"{self._more} more"] if self._more else [])]
        self._causes, self._more, self._first = [], 0, float("inf")
        return found

    def spoilt(self) -> None:
        """Newcomers came while the queue was planned."""
        self._spoilt += 1

    def done(self) -> None:
        """The plans are stored."""
        self._spoilt = 0

    @property
    def hurried(self) -> bool:
        """Whether newcomers have to wait for the next planning."""
        return self._spoilt >= SPOILT
