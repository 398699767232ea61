"""Whether what is held ever exceeds what there is, at any instant."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from tidewatt.scheduler.planning.timetable.problem import Amounts, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Amounts that are held of some thing, numbered `key`, over `[start_ms, end_ms)`."""

    key: Ints
    start_ms: Ints
    end_ms: Ints
    amount: Amounts


@dataclass(frozen=True, slots=True)
class Breach:
    """One thing of which more is held than there is: the worst moment, and how many others there are."""

    key: int
    at_ms: int
    used: float
    limit: float
    others: int


def shortfalls(held: Events, edges_ms: Ints, limit: Amounts) -> Iterator[tuple[int, int, float, float]]:
    """Where more is held than `limit`, `(things, slots)`, allows: thing, instant, what is held, what is left.

    At each instant at which something changes; outside of the slots nothing is free.
    """
    things, slots = limit.shape
    steps = np.diff(limit, axis=1, prepend=0.0, append=0.0)
    at_edges = np.tile(edges_ms, things)
    key = np.concatenate((np.repeat(np.arange(things), slots + 1), held.key, held.key))
    time = np.concatenate((at_edges, held.start_ms, held.end_ms))
    free = np.concatenate((steps.ravel(), -held.amount, held.amount))
    used = np.concatenate((np.zeros(steps.size), held.amount, -held.amount))
    order = np.lexsort((time, key))
    key, time = key[order], time[order]
    left, using = np.cumsum(free[order]), np.cumsum(used[order])
    last = np.append((key[1:] != key[:-1]) | (time[1:] != time[:-1]), True)  # of the events of an instant
    slack = 1e-9 * (1.0 + float(np.abs(held.amount).sum()) + float(np.abs(limit).max(initial=0.0)))
    short = np.flatnonzero(last & (left < -slack))
    columns = (key[short], time[short], using[short], left[short])
    return zip(*(column.tolist() for column in columns), strict=True)


def breaches(held: Events, edges_ms: Ints, limit: Amounts) -> Iterator[Breach]:
    """The worst shortfall of each thing of which more is held than there is."""
    for thing, found in groupby(shortfalls(held, edges_ms, limit), lambda each: each[0]):
        moments = list(found)
        _, at, used, left = min(moments, key=lambda each: each[3])
        yield Breach(thing, at, used, left + used, len(moments) - 1)
