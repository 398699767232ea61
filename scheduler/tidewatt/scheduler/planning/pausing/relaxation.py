"""Where stints of good plans can start and stop at all.

Instead of all the work having to be done, progress is paid for at a price (a Lagrangian relaxation). The
cheapest plan is then found by a few running minima over time, one pair for each pause, and with those from
both ends the cheapest plan that starts, or stops, at a given edge. Where that is dearer than a limit, no plan
below the limit starts, or stops, there, so that the programme need not look. Milestones and shortest stints
are left aside, and a stop and a start may fall together: that only lowers what is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.pausing.borders import Place
from tidewatt.scheduler.planning.pausing.tables import NEVER
from tidewatt.scheduler.planning.pausing.work import Amounts, Ints

MOST_PRICES = 12
MOST_PAUSES = 96  # beyond, nothing is known
CLOSE = 3e-5  # of the bound: prices are not sought more closely


@dataclass(frozen=True, slots=True, eq=False)
class Onward:
    """The cheapest plans at one price, from their beginning: (R, n+1) by place and edge."""

    price: float
    begun: Amounts  # that start here
    running: Amounts  # that run here
    bound: float  # no plan that does all the work is cheaper
    progress: float  # of the cheapest


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The least that plans cost that start or stop at an edge of a place."""

    bound: float
    starts: Amounts  # (R, n+1)
    stops: Amounts

    def limits(self, counts: Sequence[int]) -> list[float]:
        """The costs up to which there are so many edges, ascending."""
        costs = np.concatenate((self.starts.ravel(), self.stops.ravel()))
        counts = [count for count in counts if count < len(costs)]
        return [float(cost) for cost in np.partition(costs, counts)[counts]] if counts else []

    def within(self, limit: float, *, parted: bool) -> list[tuple[Ints, Ints]]:
        """Edges by place where plans within a limit start and stop; `parted`: a border may lie in a slot."""
        starts, stops = self.starts <= limit, self.stops <= limit
        if parted:
            starts[:, :-1] |= starts[:, 1:]
            stops[:, 1:] |= stops[:, :-1]
        return [(np.flatnonzero(a), np.flatnonzero(b)) for a, b in zip(starts, stops, strict=True)]


class Relaxation:
    """All plans over some places, whether or not they do all the work."""

    def __init__(
        self,
        places: Sequence[Place],
        elapsed_ms: Amounts,
        need_ms: int,
        starts_now: bool,
        ends_last: bool,
        max_pauses: int | None = None,
    ) -> None:
        self._places, self._need = places, need_ms
        self._limited = max_pauses is not None and max_pauses < MOST_PAUSES
        self._rounds = MOST_PAUSES if max_pauses is None else min(max_pauses, MOST_PAUSES)
        shape = (len(places), len(elapsed_ms))
        self._gaps = [place.tables.restart + place.tables.checkpoint for place in places]
        self._regions: dict[int, list[int]] = {}
        for i, place in enumerate(places):
            self._regions.setdefault(place.region, []).append(i)
        barred = np.stack([place.tables.barred * place.tables.penalty for place in places])
        alone = len(places) == 1  # else what suspended jobs draw is left aside
        self._run = np.stack([place.tables.run for place in places]) + barred
        self._stop = np.stack([place.tables.stopping() if alone else place.tables.stop for place in places])
        self._stop = self._stop + barred
        self._resume = np.stack([place.tables.resume(idle=alone) for place in places]) - barred
        self._done = np.array([[place.speed] for place in places]) * elapsed_ms
        self._first, self._last = np.full(shape, NEVER), np.full(shape, NEVER)
        for i, place in enumerate(places):
            # A stint that starts late in the first slot, or ends early in the last, lies between two that
            # start, or end, on its edges: both belong here.
            first = slice(place.from_edge, 2 if starts_now else -1)
            self._first[i, first] = place.first_g - self._run[i, first]
            last = slice(-2 if ends_last else 1, None)
            self._last[i, last] = self._run[i, last]

    def reach(self) -> Reach | None:
        """The best that is found of all prices; None where none tells anything."""
        found = self._priced()
        if found is None:
            return None
        left = self._left(found.price)
        if left is None:
            return None
        ahead, paused = left
        base = found.price * self._need
        stop = np.minimum(self._stop + paused, self._last) - found.price * self._done
        return Reach(found.bound, found.begun + ahead + base, found.running + stop + base)

    def _priced(self) -> Onward | None:
        """The price with the highest bound.

        Each plan is a straight line of cost over the price; where the lines of one with too little progress
        and one with too much cross, the next price is tried.
        """
        price, low, high, best = self._guess(), None, None, None
        for _ in range(MOST_PRICES):
            found = self._onward(price)
            if found is None:
                break
            if best is None or found.bound > best.bound:
                best = found
            lacks = self._need - found.progress
            if abs(lacks) < 1.0:
                break
            line = (found.bound - price * lacks, lacks, price)
            low, high = (line, high) if lacks > 0 else (low, line)
            if low is None or high is None:
                price *= 1.07 if high is None else 0.93
                continue
            price = (high[0] - low[0]) / (low[1] - high[1])
            if low[0] + price * low[1] - best.bound <= CLOSE * abs(best.bound):
                break
        return best

    def _guess(self) -> float:
        """The price of the dearest slot that would be used if pauses cost nothing."""
        slots = np.diff(self._done, axis=1)
        per_done = (np.diff(self._run, axis=1) / slots).min(axis=0)
        needed = min(int(self._need / slots.max()), len(per_done) - 1)
        return float(np.partition(per_done, needed)[needed]) * 1.05

    def _onward(self, price: float) -> Onward | None:
        paid = price * self._done
        first, stop, resume = self._first + paid, self._stop - paid, self._resume + paid
        begun = first
        running = np.minimum.accumulate(begun, axis=1)
        for _ in range(self._rounds):
            again = self._shifted(np.minimum.accumulate(running + stop, axis=1))
            again += resume
            begun = np.minimum(first, again)
            longer = np.minimum.accumulate(begun, axis=1)
            if not (longer < running).any():
                break
            running = longer
        else:
            if not self._limited:
                return None
        value = running + self._last - paid
        least = int(np.argmin(value))
        bound = price * self._need + float(value.flat[least])
        return Onward(price, begun, running, bound, self._progress(least, begun, first, running + stop))

    def _progress(self, at: int, begun: Amounts, first: Amounts, stopped: Amounts) -> float:
        """How much the cheapest plan does, stint by stint from its end."""
        place, edge = divmod(at, begun.shape[1])
        total = 0.0
        for _ in range(2 * MOST_PAUSES):  # rounding may lead round in a ring where pauses cost nothing
            start = int(np.argmin(begun[place, : edge + 1]))
            total += float(self._done[place, edge] - self._done[place, start])
            if first[place, start] <= begun[place, start]:
                return total
            place, edge = self._before(place, start, stopped)
        return total

    def _before(self, place: int, start: int, stopped: Amounts) -> tuple[int, int]:
        """Where the stint before one that starts here stopped."""
        here, best = self._places[place], (NEVER, place, 0)
        for other, there in enumerate(self._places):
            near = there.region == here.region
            delay = self._gaps[place] + (0 if near else here.arrive_steps)
            if delay <= start:
                edge = int(np.argmin(stopped[other, : start - delay + 1]))
                grams = float(stopped[other, edge]) + (0.0 if near else here.arrive_g)
                best = min(best, (grams, other, edge))
        return best[1], best[2]

    def _left(self, price: float) -> tuple[Amounts, Amounts] | None:
        """What is still to pay at least: where it runs at an edge, and where it has stopped there."""
        paid = price * self._done
        last, stop, resume = self._last - paid, self._stop - paid, self._resume + paid
        running = _backward(last)
        for _ in range(self._rounds):
            paused = self._shifted(_backward(resume + running), back=True)
            longer = _backward(np.minimum(last, stop + paused))
            if not (longer < running).any():
                return running, paused
            running = longer
        if not self._limited:
            return None
        return running, self._shifted(_backward(resume + running), back=True)

    def _shifted(self, held: Amounts, *, back: bool = False) -> Amounts:
        """(R, n+1) the best of all places, as seen from each after what lies between them."""
        found = np.full(held.shape, NEVER)
        everywhere = np.full(held.shape[1], NEVER) if back else held.min(axis=0)
        for members in self._regions.values():
            of_region = np.full(held.shape[1], NEVER) if back else held[members].min(axis=0)
            for i in members:
                near, far = self._gaps[i], self._gaps[i] + self._places[i].arrive_steps
                if back:
                    _lower(of_region, held[i], -near)
                    _lower(everywhere, held[i] + self._places[i].arrive_g, -far)
                else:
                    _lower(found[i], of_region, near)
                    if len(self._regions) > 1:
                        _lower(found[i], everywhere + self._places[i].arrive_g, far)
            if back:
                found[members] = of_region
        return np.minimum(found, everywhere) if back and len(self._regions) > 1 else found


def _lower(into: Amounts, other: Amounts, by: int) -> None:
    """Lowers `into` to the other where that is less, moved so many edges later (earlier: below 0)."""
    size = len(into)
    if abs(by) < size:
        into, other = (into[by:], other[: size - by]) if by >= 0 else (into[: size + by], other[-by:])
        np.minimum(into, other, out=into)


def _backward(values: Amounts) -> Amounts:
    return np.minimum.accumulate(values[:, ::-1], axis=1)[:, ::-1]
