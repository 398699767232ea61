"""What is left of a region over time; bookings are only ever added."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

Amounts = tuple[int, int, int, int]  # GPUs, CPUs, MB, milliwatts
Needed = tuple[int, int, int, int, int]  # CPUs, MB, milliwatts; the pool's place in a stretch, its GPUs
EVERYTHING = 1 << 40


class Room:
    """What is left of one region over time, or of one array's turns.

    Between two moments of `_times` so much is left as `_left` says. Bookings are only added: where nothing
    fitted once, nothing fits later.
    """

    def __init__(self, gpus: dict[str, int], cpus: int, mem_mb: int, limit_mw: int, now_ms: int) -> None:
        self._index = {pool: 3 + i for i, pool in enumerate(gpus)}
        self._limited = mem_mb > 0, limit_mw > 0
        self._times = [now_ms]
        self._left = [[cpus, mem_mb or EVERYTHING, limit_mw or EVERYTHING, *gpus.values()]]
        self._now = now_ms
        self._full: dict[Needed, list[tuple[int, int]]] = {}  # length, before which none so long fits

    def book(self, pool: str, start_ms: int, end_ms: int, amounts: Amounts) -> None:
        """Occupies so much over `[start, end)`, from now on."""
        start_ms = max(start_ms, self._now)
        if end_ms <= start_ms:
            return
        first, last = self._cut(start_ms), self._cut(end_ms)
        gpus, cpus, mem_mb, power_mw = amounts
        at = self._index.get(pool)
        for left in self._left[first:last]:
            left[0] -= cpus
            left[1] -= mem_mb
            left[2] -= power_mw
            if at is not None:
                left[at] -= gpus

    def first(self, pool: str, amounts: Amounts, earliest_ms: int, length_ms: int) -> int | None:
        """The first start from which so much is free for so long."""
        needed = self._needed(pool, amounts)
        full = self._full.setdefault(needed, [])
        known = max((until for length, until in full if length <= length_ms), default=self._now)
        start = self._search(needed, max(earliest_ms, known), length_ms)
        if start is not None and earliest_ms <= known < start:
            full[:] = [each for each in full if each[0] < length_ms or each[1] > start]
            full.append((length_ms, start))
        return start

    def is_free(self, pool: str, amounts: Amounts, start_ms: int, length_ms: int) -> bool:
        """True where so much is free from then on for so long."""
        needed = self._needed(pool, amounts)
        i, end = bisect_right(self._times, start_ms) - 1, start_ms + length_ms
        while True:
            if not _fits(self._left[i], needed):
                return False
            i += 1
            if i == len(self._times) or self._times[i] >= end:
                return True

    def _search(self, needed: Needed, at: int, length_ms: int) -> int | None:
        times, lefts = self._times, self._left
        cpus, mem_mb, power_mw, pool, gpus = needed
        start: int | None = None
        for i in range(bisect_right(times, at) - 1, len(times)):
            if start is not None and times[i] >= start + length_ms:
                return start
            left = lefts[i]
            if left[0] < cpus or left[pool] < gpus or left[1] < mem_mb or left[2] < power_mw:
                start = None
            elif start is None:
                start = max(times[i], at)
        return start

    def _needed(self, pool: str, amounts: Amounts) -> Needed:
        """What a search is for, without what is not limited here: much alike shares what is known."""
        gpus, cpus, mem_mb, power_mw = amounts
        mem, power = self._limited
        index = self._index.get(pool)
        if index is None:
            return cpus, mem_mb if mem else 0, power_mw if power else 0, 0, EVERYTHING if gpus else 0
        return cpus, mem_mb if mem else 0, power_mw if power else 0, index, gpus

    def _cut(self, at: int) -> int:
        """The index of the stretch that begins at `at`, made where there is none."""
        i = bisect_left(self._times, at)
        if i == len(self._times) or self._times[i] != at:
            self._times.insert(i, at)
            self._left.insert(i, list(self._left[i - 1]))
        return i


def _fits(left: Sequence[int], needed: Needed) -> bool:
    cpus, mem_mb, power_mw, pool, gpus = needed
    return left[0] >= cpus and left[1] >= mem_mb and left[2] >= power_mw and left[pool] >= gpus
