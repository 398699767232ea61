"""How long to wait before a service is asked again: pace, pauses that double, and a circuit breaker."""

import random
from collections.abc import Callable

OPENS_AFTER = 5  # failures in a row
FIRST_S = 60.0
LONGEST_S = 3600.0
BURST = 0.25  # share of a minute's calls that may come at once


def backing_off_s(failures: int, first_s: float, chance: random.Random) -> float:
    """The pause after `failures` before this one: doubles from `first_s` to an hour, up to a fifth longer."""
    return min(LONGEST_S, first_s * 2.0 ** min(failures, 30)) * chance.uniform(1.0, 1.2)


class Bucket:
    """A token bucket: in no minute are there more than `per_minute` calls, however many wait."""

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._full = max(1.0, per_minute * BURST)
        left = per_minute - self._full
        self._per_s = (left if left > 0 else per_minute) / 60.0
        self._tokens, self._at = self._full, clock()

    def delay_s(self) -> float:
        """Seconds until a call may be made."""
        self._refill()
        return max(0.0, (1.0 - self._tokens) / self._per_s)

    def take(self) -> None:
        """Counts a call."""
        self._refill()
        self._tokens -= 1.0

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._full, self._tokens + max(0.0, now - self._at) * self._per_s)
        self._at = now


class Breaker:
    """Opens after five failures in a row, for a minute doubling to an hour; then one call tries again."""

    def __init__(self, clock: Callable[[], float], chance: random.Random) -> None:
        self._clock, self._chance = clock, chance
        self._failures = 0
        self._until = float("-inf")

    @property
    def doubted(self) -> bool:
        """True where the next call only tries whether the service is back."""
        return self._failures >= OPENS_AFTER

    def open_s(self) -> float:
        """Seconds for which no call may be made; 0 where one may."""
        return max(0.0, self._until - self._clock())

    def failed(self) -> None:
        """Counts a failure."""
        self._failures += 1
        if self.doubted:
            pause_s = backing_off_s(self._failures - OPENS_AFTER, FIRST_S, self._chance)
            self._until = self._clock() + pause_s

    def succeeded(self) -> None:
        """Counts a success: all is forgiven."""
        self._failures, self._until = 0, float("-inf")
