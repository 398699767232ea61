"""What is free in a region, and when."""

import re
from bisect import insort
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from itertools import chain, pairwise

from tidewatt.scheduler.jobs import Need
from tidewatt.scheduler.plan import Booking, Window
from tidewatt.scheduler.planning.instants import FAR_MS, ceil_ms, floor_ms, moment
from tidewatt.scheduler.region import Pool, Region

Stretch = tuple[int, int]  # half-open, Unix milliseconds
_Change = tuple[int, str, int, int, int, int]  # at (ms), node, more GPUs, CPUs, MB, milliwatts in use
Saved = tuple[dict[str, list[_Change]], list[_Change]]  # what is booked, by holder and by time
_LAST: _Change = (FAR_MS, "", 0, 0, 0, 0)
_MORE_THAN_ALL = 1_000_000_000  # CPUs: no region has so many


class Timeline:
    """The use of one region over time, exact at every instant; windows are half-open.

    Bookings may exceed the capacity (somebody else's processes do not ask): then nothing is free meanwhile.
    Nothing is free in a closed window. Where a pool has several nodes, each booking is taken to be on the one
    on which it leaves the least room.
    """

    def __init__(self, region: Region, bookings: Iterable[Booking] = ()) -> None:
        self.region = region
        self._nodes = {pool.name: _nodes(pool) for pool in region.pools}
        self._limit_mw = round(region.power_limit_kw * 1e6)
        self._booked: dict[str, list[_Change]] = {}
        self._changes: list[_Change] = []
        for window in region.closed:
            self.book(Booking(region.name, "", window, 0, _MORE_THAN_ALL, holder="closed"))
        for booking in bookings:
            self.book(booking)

    def book(self, booking: Booking) -> None:
        """Occupies what the booking says; one holder may have several."""
        if booking.region != self.region.name:
            raise ValueError(f"a booking of {booking.region} does not belong to {self.region.name}")
        start, end = floor_ms(booking.window.start), ceil_ms(booking.window.end)
        if end <= start:
            return
        node = self._node(booking, start, end)
        gpus, cpus, mem, power = booking.gpus, booking.cpus, booking.mem_mb, round(booking.power_w * 1000)
        changes = (start, node, gpus, cpus, mem, power), (end, node, -gpus, -cpus, -mem, -power)
        self._booked.setdefault(booking.holder, []).extend(changes)
        for change in changes:
            insort(self._changes, change)

    def release(self, holder: str) -> None:
        """Frees everything that `holder` has booked."""
        for change in self._booked.pop(holder, ()):
            self._changes.remove(change)

    def saved(self) -> Saved:
        """What is booked, to come back to."""
        return {holder: list(changes) for holder, changes in self._booked.items()}, list(self._changes)

    def restore(self, saved: Saved) -> None:
        """Books what was booked when it was `saved`, on the same nodes."""
        booked, changes = saved
        self._booked = {holder: list(each) for holder, each in booked.items()}
        self._changes = list(changes)

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
            if _largest(pool) >= need.gpus and names(need.gpu_kind, pool.name)
        )

    def free_windows(self, need: Need, pool: str, earliest: datetime, latest_end: datetime) -> list[Window]:
        """The maximal windows within `[earliest, latest_end)` in which the need is free all the time."""
        stretches = self.free(need, pool, ceil_ms(earliest), floor_ms(latest_end))
        return [Window(moment(start), moment(end)) for start, end in stretches]

    def free(
        self, need: Need, pool: str, earliest_ms: int, end_ms: int = FAR_MS, power_w: float = 0.0
    ) -> list[Stretch]:
        """The same in Unix milliseconds; without `end_ms` the last stretch has no end to speak of.

        `power_w` is what the job draws. Those of different nodes may overlap.
        """
        nodes = self._nodes.get(pool) or {pool: 0}
        if len(nodes) == 1:
            node, gpus = next(iter(nodes.items()))
            return self._free(need, node, gpus, earliest_ms, end_ms, power_w)
        found = {
            stretch
            for node, gpus in nodes.items()
            for stretch in self._free(need, node, gpus, earliest_ms, end_ms, power_w)
        }
        return sorted(found)

    def _free(
        self, need: Need, node: str, gpus: int, earliest_ms: int, end_ms: int, power_w: float
    ) -> list[Stretch]:
        gpus -= need.gpus
        cpus = self.region.cpus - need.cpus
        mem = self.region.mem_mb - need.mem_mb if self.region.mem_mb else FAR_MS
        power = self._limit_mw - round(power_w * 1000) if self._limit_mw else FAR_MS
        found: list[Stretch] = []
        open_since: int | None = None
        now = earliest_ms
        for at, of_node, more_gpus, more_cpus, more_mb, more_mw in chain(self._changes, (_LAST,)):
            if at > now:  # all that changes by `now` is counted
                fits = gpus >= 0 and cpus >= 0 and mem >= 0 and power >= 0
                if fits and open_since is None:
                    open_since = now
                elif not fits and open_since is not None:
                    found.append((open_since, now))
                    open_since = None
                if at >= end_ms:
                    break
                now = at
            if of_node == node:
                gpus -= more_gpus
            cpus -= more_cpus
            mem -= more_mb
            power -= more_mw
        if open_since is not None and open_since < end_ms:
            found.append((open_since, end_ms))
        return found

    def _node(self, booking: Booking, start_ms: int, end_ms: int) -> str:
        """The node that a booking goes to: where it fits most tightly, else where it overlaps least."""
        nodes = self._nodes.get(booking.pool, {})
        if len(nodes) < 2 or not booking.gpus:
            return booking.pool
        left = {
            node: gpus - booking.gpus - self._most_used(node, start_ms, end_ms)
            for node, gpus in nodes.items()
        }
        return min(left, key=lambda node: (left[node] < 0, abs(left[node])))

    def _most_used(self, node: str, start_ms: int, end_ms: int) -> int:
        used = most = 0
        for at, of_node, gpus, *_ in self._changes:
            if at >= end_ms:
                break
            if at > start_ms:
                most = max(most, used)
            used += gpus if of_node == node else 0
        return max(most, used)


def overlap(some: Iterable[Stretch], others: Iterable[Stretch]) -> list[Stretch]:
    """The stretches that are in both, ascending; `others` do not overlap each other."""
    bounds = list(others)
    both = [
        (max(start, since), min(end, until))
        for start, end in some
        for since, until in bounds
        if max(start, since) < min(end, until)
    ]
    return sorted(both)


def holds(stretches: Iterable[Stretch], start_ms: int, end_ms: int) -> bool:
    """True where one of the stretches has all of `[start_ms, end_ms)`."""
    return any(since <= start_ms and end_ms <= until for since, until in stretches)


@lru_cache(maxsize=4096)
def names(kind: str, pool: str) -> bool:
    """True where `kind` ("a100", "rtx4090", "a100-80gb"; "" for any) is made of words of the pool's name."""
    words = _words(pool)
    asked = _words(kind)
    runs = {"".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, len(words) + 1)}
    return set(asked) <= set(words) or "".join(asked) in runs


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _largest(pool: Pool) -> int:
    """The most GPUs that a job could have on one node."""
    return min(pool.gpus, pool.node_gpus) if pool.node_gpus else pool.gpus


def _nodes(pool: Pool) -> dict[str, int]:
    """The pool's nodes and the GPUs of each; the last may have fewer."""
    if not 0 < pool.node_gpus < pool.gpus:
        return {pool.name: pool.gpus}
    firsts = [*range(0, pool.gpus, pool.node_gpus), pool.gpus]
    return {f"{pool.name} node {i}": end - start for i, (start, end) in enumerate(pairwise(firsts))}
