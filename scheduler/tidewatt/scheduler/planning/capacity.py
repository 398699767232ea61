"""What is free in a region, and when."""

import re
from bisect import insort
from collections.abc import Iterable
from datetime import datetime

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Booking, Window
from tidewatt.scheduler.planning.instants import FAR_MS, ceil_ms, floor_ms, moment
from tidewatt.scheduler.region import Region

Stretch = tuple[int, int]  # half-open, Unix milliseconds
_Change = tuple[int, str, int, int, int]  # at (ms), pool, more GPUs, CPUs, MB in use


class Timeline:
    """The use of one region over time, exact at every instant; windows are half-open.

    Bookings may exceed the capacity (somebody else's processes do not ask): then nothing is free meanwhile.
    """

    def __init__(self, region: Region, bookings: Iterable[Booking] = ()) -> None:
        self.region = region
        self._gpus = {pool.name: pool.gpus for pool in region.pools}
        self._bookings: dict[str, list[Booking]] = {}
        self._changes: list[_Change] = []
        for booking in bookings:
            self.book(booking)

    def book(self, booking: Booking) -> None:
        """Occupies what the booking says; one holder may have several."""
        if booking.region != self.region.name:
            raise ValueError(f"a booking of {booking.region} does not belong to {self.region.name}")
        changes = _changes(booking)
        if not changes:
            return
        self._bookings.setdefault(booking.holder, []).append(booking)
        for change in changes:
            insort(self._changes, change)

    def release(self, holder: str) -> None:
        """Frees everything that `holder` has booked."""
        for booking in self._bookings.pop(holder, ()):
            for change in _changes(booking):
                self._changes.remove(change)

    def pools_for(self, need: Need) -> tuple[str, ...]:
        """Names of the pools that could ever hold the need; `("",)` where it needs no GPU; `()` for none."""
        too_much_memory = 0 < self.region.mem_mb < need.mem_mb
        if need.cpus > self.region.cpus or too_much_memory:
            return ()
        if need.gpus == 0:
            return ("",)
        return tuple(
            pool.name
            for pool in self.region.pools
            if pool.gpus >= need.gpus and names(need.gpu_kind, pool.name)
        )

    def free_windows(self, need: Need, pool: str, earliest: datetime, latest_end: datetime) -> list[Window]:
        """The maximal windows within `[earliest, latest_end)` in which the need is free all the time."""
        stretches = self.free(need, pool, ceil_ms(earliest), floor_ms(latest_end))
        return [Window(moment(start), moment(end)) for start, end in stretches]

    def free(self, need: Need, pool: str, earliest_ms: int, end_ms: int = FAR_MS) -> list[Stretch]:
        """The same in Unix milliseconds; without `end_ms` the last stretch has no end to speak of."""
        found: list[Stretch] = []
        open_since: int | None = None
        for at, fits in self._fits(need, pool, earliest_ms):
            if at >= end_ms:
                break
            if fits and open_since is None:
                open_since = at
            elif not fits and open_since is not None:
                found.append((open_since, at))
                open_since = None
        if open_since is not None and open_since < end_ms:
            found.append((open_since, end_ms))
        return found

    def _fits(self, need: Need, pool: str, earliest_ms: int) -> Iterable[tuple[int, bool]]:
        """Whether the need is free, at `earliest_ms` and after every later change."""
        gpus = self._gpus.get(pool, 0) - need.gpus
        cpus = self.region.cpus - need.cpus
        mem = self.region.mem_mb - need.mem_mb if self.region.mem_mb else FAR_MS
        changes = self._changes
        at = earliest_ms
        i = 0
        n = len(changes)
        while True:
            while i < n and changes[i][0] <= at:
                _, of_pool, more_gpus, more_cpus, more_mb = changes[i]
                if of_pool == pool:
                    gpus -= more_gpus
                cpus -= more_cpus
                mem -= more_mb
                i += 1
            yield at, gpus >= 0 and cpus >= 0 and mem >= 0
            if i == n:
                return
            at = changes[i][0]


def names(kind: str, pool: str) -> bool:
    """True where `kind` ("a100", "rtx4090", "a100-80gb"; "" for any) is made of words of the pool's name."""
    words = _words(pool)
    asked = _words(kind)
    runs = {"".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
    return set(asked) <= set(words) or "".join(asked) in runs


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _changes(booking: Booking) -> tuple[_Change, ...]:
    start, end = floor_ms(booking.window.start), ceil_ms(booking.window.end)
    if end <= start:
        return ()
    pool, gpus, cpus, mem = booking.pool, booking.gpus, booking.cpus, booking.mem_mb
    return (start, pool, gpus, cpus, mem), (end, pool, -gpus, -cpus, -mem)
