"""The best single piece: one stint without a pause, in one place.

The grams of a window of fixed length are piecewise linear in its start, so that one of the best starts lies
where the window starts or ends on a slot's edge, or its draw changes on one, or on the first or last possible
start. Exact to the millisecond, however the slots lie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tidewatt.scheduler.planning.draw import legs_of, roughness
from tidewatt.scheduler.planning.pausing.ground import Ground
from tidewatt.scheduler.planning.pausing.work import Amounts, Ints

BLOCK = 128_000  # numbers of a table: 1 MB
TIE = 1e-9  # relative: windows that differ by less are equally good, and the earliest is taken


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The best piece in each track: grams (inf: none fits) and start."""

    cost_g: Amounts  # (R,)
    start_ms: Ints  # (R,)


def pieces(ground: Ground) -> Pieces:
    """The best piece of every track."""
    count = len(ground.need_ms)
    best = Pieces(np.full(count, np.inf), np.zeros(count, np.int64))
    groups: dict[tuple[int, int, int], list[int]] = {}
    for i, key in enumerate(
        zip(ground.from_ms.tolist(), ground.need_ms.tolist(), ground.latest_ms.tolist(), strict=True)
    ):
        groups.setdefault(key, []).append(i)
    for (first, need, latest), members in groups.items():
        if first <= latest:
            legs = legs_of(ground.work.steps, need)
            starts = _corners(ground.work.edges_ms, first, need, latest, [end for _, end, _ in legs[:-1]])
            for rows in in_blocks(members, len(ground.work.edges_ms)):
                best.cost_g[rows], best.start_ms[rows] = _cheapest(ground, rows, starts, need)
    best.cost_g[:] += ground.arrive_g
    return best


def in_blocks(members: Sequence[int], columns: int) -> Iterator[Ints]:
    """Some rows at a time, so few that their tables stay in the processor's cache."""
    size = max(1, BLOCK // columns)
    for begin in range(0, len(members), size):
        yield np.array(members[begin : begin + size], np.int64)


def _cheapest(ground: Ground, rows: Ints, starts: Ints, need: int) -> tuple[Amounts, Ints]:
    """The grams of the best start of each row, and the start; of equally good ones the earliest."""
    edges, rate = ground.work.edges_ms, ground.rate[rows]
    sums = np.zeros((len(rows), len(edges)))
    np.cumsum(rate, axis=1, out=sums[:, 1:])
    sums[:, 1:] *= ground.slot_ms
    sums[:, 1:] -= rate[:, :1] * float(ground.slot_ms - (edges[1] - edges[0]))
    grams = _until(edges, sums, rate, starts + need) - _until(edges, sums, rate, starts)
    legs = legs_of(ground.work.steps, need)
    if legs:
        grams = np.zeros(grams.shape)
        for begin, end, ratio in legs:
            leg = _until(edges, sums, rate, starts + end) - _until(edges, sums, rate, starts + begin)
            grams += ratio * leg
    if not ground.usable.all():
        barred = np.zeros(sums.shape, np.int64)
        np.cumsum(~ground.usable[rows], axis=1, out=barred[:, 1:])
        last = np.searchsorted(edges, starts + need, "left")
        begun = np.searchsorted(edges, starts, "right") - 1
        grams[barred[:, last] > barred[:, begun]] = np.inf
    least = grams.min(axis=1)
    noise = 8 * np.finfo(float).eps * np.abs(sums).max(axis=1) * roughness(ground.work.steps)
    bound = np.where(np.isfinite(least), least + TIE * np.abs(least) + noise, np.inf)
    return least, starts[np.argmax(grams <= bound[:, None], axis=1)]


def _corners(edges: Ints, first: int, need: int, latest: int, changes: Sequence[int] = ()) -> Ints:
    """The starts worth looking at, ascending."""
    starting = edges[np.searchsorted(edges, first) : np.searchsorted(edges, latest, "right")]
    ending = (
        edges[np.searchsorted(edges, first + need) : np.searchsorted(edges, latest + need, "right")] - need
    )
    borders = np.array((first, latest), np.int64)
    if len(starting) == len(ending) and np.array_equal(starting, ending):
        ending = ending[:0]
    found = np.concatenate((starting, ending, borders))
    if changes:
        changing = np.concatenate([edges - change for change in changes])
        found = np.concatenate((found, changing[(changing >= first) & (changing <= latest)]))
    found.sort(kind="stable")
    return np.asarray(found[np.append(True, found[1:] > found[:-1])], np.int64)


def _until(edges: Ints, sums: Amounts, rate: Amounts, times: Ints) -> Amounts:
    """(R, n) grams from the first edge to each of the times."""
    at = np.searchsorted(edges, times, "right") - 1
    if (edges[at] != times).any():
        at = np.minimum(at, len(edges) - 2)
    after = (times - edges[at]).astype(np.float64)
    if (np.diff(at) == 1).all():  # one in each slot: no need to gather
        found = sums[:, at[0] : at[-1] + 1]
        if after.any():
            found = found + rate[:, at[0] : at[-1] + 1] * after
    else:
        found = sums[:, at] + rate[:, at] * after
    return np.asarray(found, np.float64)
